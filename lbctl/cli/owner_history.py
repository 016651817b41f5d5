"""Who announced an address, by the journals of the speakers: each asked, and what they say put together.

The local speaker is asked, and by its word the others where they listen (`--listen`); or those that are named. What
several saw is told once: it is the same when address, epoch and owner are, within two seconds, because epochs begin
anew in a cluster that lost all its state.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lbctl.cli.options import DEFAULT_SPEAKER_SOCKET
from lbctl.net.status_client import AskError, AskFailure, DaemonAddress, TcpAddress, UnixAddress, ask

_Row = Mapping[str, Any]
_SAME = 2.0
"""Seconds that two speakers may differ by over the moment of one change."""
_PATIENCE = 1.0
"""Seconds that one speaker among others may take."""
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One speaker's answer; `failure` says why there is none, `node` is empty where its name is not known."""

    node: str
    address: str
    document: Mapping[str, Any] | None = None
    failure: str = ""

    @property
    def oldest_unix(self) -> float | None:
        oldest: float | None = (self.document or {}).get("oldest_unix")
        return oldest


def hear(
    daemons: Sequence[DaemonAddress], target: str, addresses: Iterable[str], *, since_unix: float | None, limit: int
) -> tuple[Heard, ...]:
    """Asks `daemons`, or, where none is named, the speaker here and those that it hears."""
    query: dict[str, object] = {"target": target, "limit": limit}
    query |= {"addresses": ",".join(addresses)} if addresses else {}
    query |= {"since_unix": repr(since_unix)} if since_unix is not None else {}
    path = f"/v1/owners?{urllib.parse.urlencode(query)}"
    if daemons:
        return _all([("", daemon) for daemon in daemons], path, patience=5.0)
    here = _one("", UnixAddress(DEFAULT_SPEAKER_SOCKET), path, 5.0)
    if here.document is None:
        return (here,)
    others: list[tuple[str, DaemonAddress]] = [
        (str(member["node"]), TcpAddress(str(member["addresses"][0])))
        for member in here.document.get("members", ())
        if member["node"] != here.node and member["addresses"] and member["state"] not in ("gone", "left")
    ]
    return (here, *_all(others, path, patience=_PATIENCE))


def _all(daemons: Sequence[tuple[str, DaemonAddress]], path: str, *, patience: float) -> tuple[Heard, ...]:
    if not daemons:
        return ()
    with ThreadPoolExecutor(min(32, len(daemons))) as threads:
        return tuple(threads.map(lambda each: _one(each[0], each[1], path, patience), daemons))


def _one(node: str, daemon: DaemonAddress, path: str, patience: float) -> Heard:
    try:
        status, answer = ask(daemon, path, patience=patience)
    except AskError as error:
        absent = error.failure is AskFailure.NOT_RUNNING
        return Heard(node=node, address=str(daemon), failure="no speaker listens there" if absent else str(error))
    if status != 200 or "changes" not in answer:
        said = answer.get("error") or f"status {status}"
        words = said.get("message", "") if isinstance(said, dict) else str(said)
        return Heard(node=node, address=str(daemon), failure=f"it has no such history ({words})")
    return Heard(node=str(answer.get("node") or node), address=str(daemon), document=answer)


def merged(heard: Iterable[Heard]) -> list[dict[str, Any]]:
    """Every change once, oldest first, with `seen_by`, and of each owner until when (None: still, or unknown)."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for each in heard:
        for row in (each.document or {}).get("changes", ()):
            alike = found.setdefault((row["address"], row.get("epoch"), row.get("to") or ("", row.get("from"))), [])
            for known in alike:
                if abs(known["at_unix"] - row["at_unix"]) <= _SAME:
                    _add(known, row, each.node)
                    break
            else:
                alike.append({**row, "seen_by": [each.node]})
    changes = sorted(
        (row for alike in found.values() for row in alike), key=lambda row: (row["at_unix"], row.get("epoch") or 0)
    )
    following: dict[str, float] = {}
    for row in reversed(changes):
        if row.get("to") is not None:
            row["until_unix"] = following.get(row["address"])
        following[row["address"]] = row["at_unix"]
    return changes


def _add(known: dict[str, Any], row: _Row, node: str) -> None:
    """One more speaker saw it. The new owner knows the gap best; whoever saw none knows nothing of it."""
    if node not in known["seen_by"]:
        known["seen_by"] = sorted([*known["seen_by"], node])
    if known.get("gap") is None or (node == row.get("to") and row.get("gap") is not None):
        known["gap"] = row.get("gap")
    if known.get("from") is None:
        known["from"] = row.get("from")
    if row.get("to") is None:
        known["at_unix"] = min(known["at_unix"], row["at_unix"])


def told_twice(changes: Sequence[_Row]) -> list[_Row]:
    """The ends of owners that the next change tells too, with the gap; people are shown these once."""
    following: dict[str, _Row] = {}
    found: list[_Row] = []
    for row in reversed(changes):
        after = following.get(row["address"])
        ended = row.get("to") is None and after is not None and after.get("gap") is not None
        if ended and after is not None and after.get("from") == row.get("from"):
            found.append(row)
            continue
        following[row["address"]] = row
    return found


def missing(heard: Sequence[Heard]) -> list[str]:
    """What this history lacks, a sentence each."""
    told = [each for each in heard if each.document is not None]
    if not told and len(heard) == 1 and not heard[0].node:
        why = f"{heard[0].address}: {heard[0].failure}"
        return [f"who announced it is not shown: {why}; name a speaker with --via HOST"]
    sentences = [
        f"{each.node or each.address} was not asked: {each.address}: {each.failure}"
        for each in heard
        if each.document is None
    ]
    asked = {each.node for each in heard}
    known = {
        str(member["node"]): str(member["state"])
        for each in told
        for member in (each.document or {}).get("members", ())
        if member["node"] not in asked
    }
    if unasked := [f"{node} ({state})" if state != "alive" else node for node, state in sorted(known.items())]:
        more = f" and {len(unasked) - _SHOWN} more" if len(unasked) > _SHOWN else ""
        sentences.append(f"not asked, and may have seen more: {', '.join(unasked[:_SHOWN])}{more}")
    return sentences
