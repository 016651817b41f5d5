"""What a speaker can tell of who had an address: its journal, and what it has seen and not written yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.member import Role
from lbctl.model.service import ServiceKey
from lbctl.net.status_server import Answer, Handler, Query
from lbctl.speaker.status import Facts, Moves

SCHEMA = "lbctl.io/owners/v1"
MOST = 10_000
"""Changes in one answer."""
Row = Mapping[str, Any]


def recollection(facts: Facts, moves: Moves, journal: Callable[[], Iterable[Row]]) -> dict[str, Handler]:
    """The handler of `/v1/owners`: `target` (an address or namespace/name; all without it), `addresses` (more of them,
    with commas), `since_unix`, `limit`. `journal` reads all lines there are, oldest first, in a thread."""

    async def owners(query: Query) -> Answer:
        try:
            wanted = _wanted(facts, query)
            since_unix, limit = float(query.get("since_unix") or 0.0), int(query.get("limit") or MOST)
        except ValueError as error:
            return Answer({"schema": SCHEMA, "error": {"reason": "bad_query", "message": str(error)}}, 400)
        unwritten = [move.document() for move in moves.after(0)]
        oldest, found = await asyncio.to_thread(_found, journal, unwritten, wanted, since_unix)
        shown = found[-min(max(limit, 1), MOST) :]
        view = facts.snapshot.view
        return Answer(
            {
                "schema": SCHEMA,
                "node": facts.node,
                "role": "speaker",
                "at_unix": time.time(),
                "target": query.get("target"),
                "addresses": None if wanted is None else sorted(wanted),
                "oldest_unix": oldest,
                "older": len(found) - len(shown),
                "changes": shown,
                "members": [
                    {
                        "node": member.node,
                        "state": member.state.value,
                        "addresses": [str(address) for address in member.addresses],
                    }
                    for _, member in sorted(view.members.items() if view is not None else ())
                    if member.role is Role.SPEAKER
                ],
            }
        )

    return {"/v1/owners": owners}


def _wanted(facts: Facts, query: Query) -> frozenset[str] | None:
    """The addresses that are asked for, as text; None: all. Raises ValueError."""
    target = query.get("target")
    if target is None:
        return None
    more = [str(ip_address(text)) for text in query.get("addresses", "").split(",") if text]
    namespace, slash, name = target.partition("/")
    if not slash:
        return frozenset((str(ip_address(target)), *more))
    allocation = facts.snapshot.world.allocations.get(ServiceKey(namespace, name))
    now: tuple[IPAddress, ...] = allocation.addresses if allocation is not None else ()
    return frozenset((*map(str, now), *more))


def _found(
    journal: Callable[[], Iterable[Row]],
    unwritten: Iterable[dict[str, object]],
    wanted: frozenset[str] | None,
    since_unix: float,
) -> tuple[float | None, list[Row]]:
    """When the journal begins, and the changes in it that are asked for, oldest first and each once."""
    oldest: float | None = None
    found: dict[tuple[object, ...], Row] = {}

    def take(row: Row) -> None:
        if (wanted is None or row.get("address") in wanted) and "to" in row and _at(row) >= since_unix:
            found.setdefault(tuple(row.get(name) for name in ("address", "epoch", "to", "at_unix")), row)

    for row in journal():
        if oldest is None or 0 < _at(row) < oldest:
            oldest = _at(row) or oldest
        take(row)
    for row in unwritten:
        take(row)
    return oldest, sorted(found.values(), key=_at)


def _at(row: Row) -> float:
    at_unix = row.get("at_unix")
    return float(at_unix) if isinstance(at_unix, (int, float)) else 0.0
