"""What a speaker's status socket answers: where, services, status and moves (JSON, `lbctl.io/*/v1`)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lbctl import __version__
from lbctl.model.address import IPAddress
from lbctl.model.service import Service, ServiceKey, ServiceType
from lbctl.model.snapshot import Snapshot, World
from lbctl.net.status_server import Answer, Handler, Query
from lbctl.plan.eligible import OwnInterfaces
from lbctl.plan.locate import locate, member_document, orders_document, where_document
from lbctl.plan.reason import Refusal
from lbctl.plan.unowned import GRACE, Unowned, settled, troubles, unowned
from lbctl.speaker.owners import Move
from lbctl.speaker.step import Told

MOVES_KEPT = 4096
LONG_POLL = 30.0


class Moves:
    """The newest changes of owner, numbered from 1, for those who follow them."""

    def __init__(self, kept: int = MOVES_KEPT) -> None:
        self.cursor = 0
        self._kept: deque[tuple[int, Move]] = deque(maxlen=kept)
        self._more = asyncio.Event()

    def add(self, moves: Iterable[Move]) -> None:
        for move in moves:
            self.cursor += 1
            self._kept.append((self.cursor, move))
        self._more.set()
        self._more = asyncio.Event()

    def after(self, cursor: int) -> list[Move]:
        """Those numbered above `cursor`, as far as they are kept."""
        return [move for number, move in self._kept if number > cursor]

    async def wait(self, cursor: int, at_most: float) -> list[Move]:
        """Those above `cursor`, at once or when there are some; none after `at_most` seconds."""
        if cursor >= self.cursor:
            try:
                async with asyncio.timeout(at_most):
                    await self._more.wait()
            except TimeoutError:
                return []
        return self.after(cursor)


@dataclass(slots=True, kw_only=True)
class Facts:
    """What the daemon keeps up to date for its status."""

    node: str
    snapshot: Snapshot
    own: OwnInterfaces
    told: Told = field(default_factory=Told)
    ready: bool = False
    since_unix: float = 0.0
    remembered_owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pending: Mapping[ServiceKey, tuple[Refusal, ...]] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    capabilities: dict[str, Any] = field(default_factory=dict)
    stale: Callable[[], str | None] = lambda: None
    troubles: Callable[[], tuple[str, ...]] = lambda: ()


def routes(facts: Facts, moves: Moves) -> dict[str, Handler]:
    """The handlers by path."""

    async def where(query: Query) -> Answer:
        target = query.get("target", "")
        snapshot = facts.snapshot
        located, _ = locate(snapshot, target, facts.told.memo.elect, own=facts.own, pending=facts.pending)
        document = where_document(
            located,
            snapshot,
            node=facts.node,
            role="speaker",
            at_unix=time.time(),
            stale=facts.stale(),
            previous=_previous(facts, [vip.address for vip in located.vips]),
        )
        return Answer(document, 404 if located.error is not None else 200)

    noticed: dict[IPAddress, float] = {}

    def looked() -> list[Unowned]:
        nonlocal noticed
        view, now = facts.snapshot.view, time.time()
        if view is None or not view.synced or now - facts.since_unix < GRACE:
            return []
        found = silent(facts)
        noticed = {each.address: noticed.get(each.address, now) for each in found}
        return settled(found, now_unix=now, noticed=noticed)

    async def services(_query: Query) -> Answer:
        rows = service_rows(facts, silent(facts))
        return Answer({"schema": "lbctl.io/services/v1", "services": rows})

    async def status(_query: Query) -> Answer:
        document = status_document(facts, time.time())
        return Answer({**document, "troubles": [*facts.troubles(), *troubles(looked())]})

    async def follow(query: Query) -> Answer:
        since = query.get("since")
        if since is None:
            found: list[Move] = []
        elif not since.lstrip("-").isdecimal():
            error = {"reason": "bad_cursor", "message": f"since={since!r} is not a number"}
            return Answer({"schema": "lbctl.io/moves/v1", "cursor": moves.cursor, "moves": [], "error": error}, 400)
        elif int(since) > moves.cursor:
            # A cursor of the life before: what happened in between is told from the start.
            found = moves.after(0)
        else:
            found = await moves.wait(int(since), LONG_POLL)
        rows = [_move_row(move) for move in found]
        return Answer({"schema": "lbctl.io/moves/v1", "cursor": moves.cursor, "moves": rows})

    return {"/v1/where": where, "/v1/services": services, "/v1/status": status, "/v1/moves": follow}


def status_document(facts: Facts, at_unix: float) -> dict[str, object]:
    """`/v1/status`."""
    world = facts.snapshot.world
    view = facts.snapshot.view
    return {
        "schema": "lbctl.io/status/v1",
        "role": "speaker",
        "node": facts.node,
        "version": __version__,
        "ready": facts.ready,
        "since_unix": facts.since_unix,
        "generation": world.generation,
        "age": max(0.0, at_unix - world.made_unix) if world.made_unix else None,
        "synced": view.synced if view is not None else False,
        "troubles": list(facts.troubles()),
        "counters": dict(sorted(facts.counters.items())),
        "members": [member_document(member) for _, member in sorted(view.members.items())] if view else [],
        "orders": orders_document(view),
        "capabilities": facts.capabilities,
    }


def silent(facts: Facts) -> tuple[Unowned, ...]:
    """The addresses that nobody announces, as far as this node knows owners."""
    elected = facts.told.memo.elect
    return unowned(elected.eligible.world, elected, facts.told.owners.held)


def service_rows(facts: Facts, unannounced: Iterable[Unowned] = ()) -> list[dict[str, object]]:
    """The services of type LoadBalancer, by namespace and name."""
    world = facts.snapshot.world
    why: dict[ServiceKey, list[Refusal]] = {}
    for each in unannounced:
        why.setdefault(each.service, []).extend(each.refusals)
    rows: list[dict[str, object]] = []
    for key, service in sorted(world.services.items()):
        if service.type is not ServiceType.LOAD_BALANCER:
            continue
        allocation = world.allocations.get(key)
        addresses: tuple[IPAddress, ...] = allocation.addresses if allocation is not None else ()
        held = facts.told.owners.held
        owners = list(dict.fromkeys(held[address].node for address in addresses if address in held))
        pending = tuple(dict.fromkeys((*facts.pending.get(key, ()), *why.get(key, ()))))
        rows.append(_service_row(world, service, addresses, owners, pending))
    return rows


def _service_row(
    world: World,
    service: Service,
    addresses: tuple[IPAddress, ...],
    owners: list[str],
    pending: tuple[Refusal, ...],
) -> dict[str, object]:
    allocation = world.allocations.get(service.key)
    return {
        "namespace": service.key.namespace,
        "name": service.key.name,
        "type": service.type.value,
        "addresses": [str(address) for address in addresses],
        "ports": [f"{port.port}/{port.protocol.value}" for port in service.ports],
        "pool": allocation.pool if allocation is not None else None,
        "pools": list(allocation.pools) if allocation is not None else [],
        "owners": owners,
        "since_unix": allocation.since_unix if allocation is not None else None,
        "created_unix": service.created_unix,
        "pending": [{"subject": r.subject, "reason": r.reason.value, "detail": r.detail} for r in pending],
    }


def _previous(facts: Facts, addresses: Iterable[IPAddress]) -> dict[IPAddress, str]:
    found: dict[IPAddress, str] = {}
    for address in addresses:
        previous = facts.told.owners.previous.get(address)
        if previous is None:
            claim = facts.told.owners.held.get(address)
            others = (n for n in facts.remembered_owners.get(str(address), ()) if claim is None or n != claim.node)
            previous = next(others, None)
        if previous is not None:
            found[address] = previous
    return found


def _move_row(move: Move) -> dict[str, object]:
    return {
        "address": str(move.address),
        "from": move.previous,
        "to": move.owner,
        "cause": move.cause,
        "at_unix": move.at_unix,
        "gap": move.gap,
    }
