"""What `where-is` reports: a daemon's word and the wire's evidence put together, and the document made of it."""

from __future__ import annotations

import socket
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbctl.cli.options import DEFAULT_CONTROLLER_SOCKET, DEFAULT_SPEAKER_SOCKET, NONE_HERE
from lbctl.cli.whereabouts import (
    Answer,
    Judgement,
    Seen,
    Verdict,
    Whereabouts,
    judge,
    planned_from,
    quarantined_from,
    said_from,
    worst,
)
from lbctl.net.probe import Evidence, Unseen
from lbctl.net.rtnetlink import Neighbor, neighbors
from lbctl.net.status_client import AskError, AskFailure, DaemonAddress, UnixAddress, ask

SCHEMA = "lbctl.io/where-is/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a daemon, or the published file, said about the target; `failures` are those that could not be asked."""

    role: str | None = None
    node: str = ""
    address: str = ""
    local: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def members(self) -> Sequence[Mapping[str, Any]]:
        members: Sequence[Mapping[str, Any]] = self.document.get("view", {}).get("members", ())
        return members

    @property
    def knows_claims(self) -> bool:
        """Whether it was a daemon that hears speakers; a controller may have been told not to listen to any."""
        return self.role in ("speaker", "controller") and any(member["role"] == "speaker" for member in self.members)

    @property
    def unheard(self) -> tuple[str, ...]:
        """The other speakers it knows, where it hears none of them; those that left in good order do not count."""
        others = [member for member in self.members if member["role"] == "speaker" and member["node"] != self.node]
        if any(member["state"] == "alive" and member["two_way"] for member in others):
            return ()
        return tuple(str(member["node"]) for member in others if member["state"] != "left")

    @property
    def one_way(self) -> tuple[str, ...]:
        """The speakers that it hears, and that do not hear it."""
        return tuple(
            str(member["node"])
            for member in self.members
            if member["node"] != self.node
            and member["role"] == "speaker"
            and member["state"] in ("alive", "draining")
            and not member["two_way"]
        )

    @property
    def synced(self) -> bool:
        """Whether it has the claims of every member that it hears."""
        return bool(self.document.get("view", {}).get("synced"))

    @property
    def no_reason(self) -> str | None:
        """Why there is no such VIP or service (`plan.locate.NotFound`); None when there is."""
        error: Mapping[str, Any] | None = self.document.get("error")
        return error["reason"] if error else None

    def vip(self, address: str) -> Mapping[str, Any] | None:
        vips: Sequence[Mapping[str, Any]] = self.document.get("vips", ())
        return next((vip for vip in vips if vip["address"] == address), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole answer: what was told, and each address with its judgement."""

    target: str
    at_unix: float
    told: Told
    vips: tuple[tuple[Whereabouts, Judgement], ...]

    @property
    def verdict(self) -> Verdict:
        if not self.vips and self.told.role is None:
            return Verdict.UNVERIFIED
        return worst(judgement.verdict for _, judgement in self.vips)


def be_told(target: str, daemon: DaemonAddress | None, published: Path) -> Told:
    """Asks the daemon named, or the speaker here, or the controller here; the published file when none answers."""
    failures: list[str] = []
    here = (UnixAddress(DEFAULT_SPEAKER_SOCKET), UnixAddress(DEFAULT_CONTROLLER_SOCKET))
    for each in (daemon,) if daemon is not None else here:
        try:
            _, answer = ask(each, f"/v1/where?target={urllib.parse.quote(target, safe='')}")
        except AskError as error:
            if daemon is not None or error.failure is not AskFailure.NOT_RUNNING:
                failures.append(str(error))
            continue
        return Told(
            role=str(answer.get("role", "speaker")),
            node=str(answer.get("node", "")),
            address=str(each),
            local=isinstance(each, UnixAddress),
            document=answer,
            failures=tuple(failures),
        )
    if published.exists():
        from lbctl.cli.published_answers import NotPublished, where

        try:
            answer = where(published, target)
        except NotPublished as error:
            failures.append(str(error))
        else:
            return Told(role="published", address=str(published), document=answer, failures=tuple(failures))
    return Told(failures=tuple(failures) or (NONE_HERE,))


def make_report(
    target: str, told: Told, evidence: Sequence[Evidence], window: float, cache: Sequence[Neighbor] = ()
) -> Report:
    """Judges every address of the evidence by what was told. `cache`: this host's neighbors before it asked."""
    vips = [_whereabouts(told, each, window, cache) for each in evidence]
    return Report(target=target, at_unix=time.time(), told=told, vips=tuple((known, judge(known)) for known in vips))


def _whereabouts(told: Told, evidence: Evidence, window: float, cache: Sequence[Neighbor]) -> Whereabouts:
    address = str(evidence.address)
    vip = told.vip(address)
    said = tuple(said_from(claim) for claim in (vip or {}).get("said", ())) if told.knows_claims else None
    return Whereabouts(
        address=address,
        pool=vip["pool"] if vip else None,
        allocation_id=vip["allocation_id"] if vip else None,
        planned=planned_from(vip["planned"]) if vip else None,
        quarantine=quarantined_from(vip.get("quarantine")) if vip else None,
        said=said,
        seen=_seen(told, evidence, {claim.node for claim in said or ()}, window, cache),
        liveness={str(member["node"]): str(member["state"]) for member in told.members},
        unheard=told.unheard,
        one_way=told.one_way if said is not None else (),
        at_unix=float(told.document.get("at_unix") or 0.0),
        is_vip=told.no_reason != "in_no_pool",
    )


def _seen(told: Told, evidence: Evidence, claimants: set[str], window: float, cache: Sequence[Neighbor]) -> Seen:
    nodes = {str(mac).lower(): str(member["node"]) for member in told.members for mac, _ in member.get("macs", ())}
    hints: dict[str, list[str]] = {}
    if any(sighting.mac not in nodes for sighting in evidence.sightings):
        by_address = {str(each): str(member["node"]) for member in told.members for each in member.get("addresses", ())}
        by_address |= told.document.get("node_addresses", {})
        for neighbor in neighbors():
            if neighbor.address == evidence.address:
                continue
            hints.setdefault(neighbor.mac, []).append(str(neighbor.address))
            if (node := by_address.get(str(neighbor.address))) is not None:
                nodes.setdefault(neighbor.mac, node)
    answers = tuple(
        Answer(
            mac=sighting.mac,
            node=nodes.get(sighting.mac),
            after=sighting.after,
            asked=sighting.asked,
            hint=" ".join(hints.get(sighting.mac, ())),
        )
        for sighting in evidence.sightings
    )
    here = nodes.get(evidence.own_mac or "") or _node_here(told, nodes)
    return Seen(
        interface=evidence.interface,
        window=window,
        answers=answers,
        unseen=evidence.unseen.value if evidence.unseen else None,
        detail=evidence.detail,
        own=here in claimants and evidence.unseen in (None, Unseen.OWN_ADDRESS),
        cached=_cached(evidence, nodes, cache),
    )


def _cached(evidence: Evidence, nodes: Mapping[str, str], cache: Sequence[Neighbor]) -> Answer | None:
    """The station that the kernel took for the address on that interface, before the question corrected it."""
    for each in cache:
        if each.address == evidence.address and evidence.interface == _name(each.ifindex):
            return Answer(mac=each.mac, node=nodes.get(each.mac), after=0.0, asked=False)
    return None


def _name(ifindex: int) -> str | None:
    try:
        return socket.if_indextoname(ifindex)
    except OSError:
        return None


def _node_here(told: Told, nodes: Mapping[str, str]) -> str | None:
    """The node of this host by the speaker's socket; not when its MACs are known, since ours was not one of them."""
    if told.local and told.role == "speaker" and told.node not in nodes.values():
        return told.node
    return None


def document(report: Report) -> dict[str, Any]:
    """The answer as `lbctl.io/where-is/v1`, described in docs/commands.md."""
    told = report.told
    return {
        "schema": SCHEMA,
        "target": report.target,
        "at_unix": round(report.at_unix, 3),
        "verdict": report.verdict.value,
        "status": int(report.verdict.status),
        "asked": {
            "role": told.role,
            "node": told.node or None,
            "address": told.address or None,
            "failures": list(told.failures),
        },
        "world": told.document.get("world"),
        "services": list(told.document.get("services", ())),
        "vips": [_vip_document(told, known, judgement) for known, judgement in report.vips],
        "error": told.document.get("error"),
    }


def _vip_document(told: Told, known: Whereabouts, judgement: Judgement) -> dict[str, Any]:
    vip = told.vip(known.address) or {}
    seen = known.seen
    return {
        "address": known.address,
        "pool": known.pool,
        "allocation_id": known.allocation_id,
        "verdict": judgement.verdict.value,
        "owner": judgement.owner,
        "findings": [{"finding": finding.value, "message": message} for finding, message in judgement.findings],
        "planned": vip.get("planned"),
        "quarantine": vip.get("quarantine"),
        "said": vip.get("said", []) if known.said is not None else None,
        "seen": {
            "interface": seen.interface,
            "window": seen.window,
            "own": seen.own,
            "cached": {"mac": seen.cached.mac, "node": seen.cached.node} if seen.cached else None,
            "unseen": {"reason": seen.unseen, "message": seen.detail} if seen.unseen else None,
            "answers": [
                {
                    "mac": answer.mac,
                    "node": answer.node,
                    "after": round(answer.after, 6),
                    "asked": answer.asked,
                    "also": answer.hint or None,
                }
                for answer in seen.answers
            ],
        },
    }
