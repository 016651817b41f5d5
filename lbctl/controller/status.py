"""What the controller's status socket answers: where, services and status (JSON, `lbctl.io/*/v1`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lbctl import __version__
from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.net.status_server import Answer, Handler, Query
from lbctl.plan.allocation import Remembered
from lbctl.plan.claims import best, living
from lbctl.plan.counters import pools_document
from lbctl.plan.elect import ElectMemo, elect
from lbctl.plan.locate import locate, member_document, orders_document, where_document
from lbctl.plan.quarantine import in_quarantine
from lbctl.plan.reason import Refusal, waiting
from lbctl.plan.unowned import GRACE, Unowned, claimed, settled, troubles, unowned


@dataclass(slots=True, kw_only=True)
class Facts:
    """What the daemon keeps up to date for its status. `world` is what is committed, published or about to be."""

    host: str
    since_unix: float
    world: World = field(default_factory=World)
    pending: Mapping[ServiceKey, tuple[Refusal, ...]] = field(default_factory=dict)
    ready: bool = False
    published_generation: int = 0
    counters: dict[str, float] = field(default_factory=dict)
    view: Callable[[], View | None] = lambda: None
    troubles: Callable[[], tuple[str, ...]] = lambda: ()
    reserved: Callable[[], int] = lambda: 0
    remembered: Callable[[], Remembered] = Remembered
    held_back: Callable[[], tuple[Refusal, ...]] = lambda: ()


class Silence:
    """Which addresses nobody announces, as far as this controller hears; worked out anew when World or View changed."""

    def __init__(self) -> None:
        self.memo: ElectMemo | None = None
        """Of the last election, for whoever plans next."""
        self._of: Snapshot = Snapshot(world=World())
        self._found: tuple[Unowned, ...] = ()
        self._noticed: dict[IPAddress, float] = {}

    def look(self, facts: Facts, now_unix: float) -> tuple[Unowned, ...]:
        """Takes its time for very many services. Nothing is said of what a controller that hears nobody cannot know,
        nor right after its start."""
        snapshot = Snapshot(world=facts.world, view=facts.view())
        view = snapshot.view
        if view is None or not view.synced or now_unix - facts.since_unix < GRACE:
            return ()
        if snapshot.world is not self._of.world or view is not self._of.view:
            _, self.memo = elect(snapshot, self.memo)
            self._found = unowned(snapshot.world, self.memo, claimed(view))
            self._noticed = {each.address: self._noticed.get(each.address, now_unix) for each in self._found}
            self._of = snapshot
        return self._found

    def settled(self, facts: Facts, now_unix: float) -> list[Unowned]:
        return settled(self.look(facts, now_unix), now_unix=now_unix, noticed=self._noticed)


def routes(facts: Facts) -> dict[str, Handler]:
    """The handlers by path."""
    silence = Silence()
    # The first plan for 10,000 services takes a while, in which heartbeats are to be heard: all that plans is done in a
    # thread, by one at a time.
    one_at_a_time = asyncio.Lock()

    async def where(query: Query) -> Answer:
        snapshot = Snapshot(world=facts.world, view=facts.view())
        async with one_at_a_time:
            located, silence.memo = await asyncio.to_thread(
                locate, snapshot, query.get("target", ""), silence.memo, pending=facts.pending
            )
        document = where_document(located, snapshot, node=facts.host, role="controller", at_unix=time.time())
        return Answer(document, 404 if located.error is not None else 200)

    async def services(_query: Query) -> Answer:
        async with one_at_a_time:
            rows = await asyncio.to_thread(lambda: service_rows(facts, silence.settled(facts, time.time())))
        return Answer({"schema": "lbctl.io/services/v1", "services": rows})

    async def status(_query: Query) -> Answer:
        async with one_at_a_time:
            found = await asyncio.to_thread(lambda: troubles(silence.settled(facts, time.time())))
        document = status_document(facts, time.time())
        return Answer({**document, "troubles": [*facts.troubles(), *found]})

    async def pools(_query: Query) -> Answer:
        document = await asyncio.to_thread(
            pools_document, facts.world, facts.remembered(), now_unix=time.time(), held_back=facts.held_back()
        )
        return Answer(document)

    return {"/v1/where": where, "/v1/services": services, "/v1/pools": pools, "/v1/status": status}


def service_rows(facts: Facts, silent: Iterable[Unowned] = ()) -> list[dict[str, object]]:
    """The services of type LoadBalancer, by namespace and name. Owners are those who say so and live; `silent` are the
    addresses that nobody announces."""
    world, view = facts.world, facts.view()
    unannounced: dict[ServiceKey, list[Refusal]] = {}
    for each in silent:
        unannounced.setdefault(each.service, []).extend(each.refusals)
    owners = _owners(view) if view is not None else {}
    rows: list[dict[str, object]] = []
    for key, service in sorted(world.services.items()):
        if service.type is not ServiceType.LOAD_BALANCER:
            continue
        allocation = world.allocations.get(key)
        addresses = allocation.addresses if allocation is not None else ()
        rows.append(
            {
                "namespace": key.namespace,
                "name": key.name,
                "type": service.type.value,
                "addresses": [str(address) for address in addresses],
                "ports": [f"{port.port}/{port.protocol.value}" for port in service.ports],
                "pool": allocation.pool if allocation is not None else None,
                "pools": list(allocation.pools) if allocation is not None else [],
                "owners": list(dict.fromkeys(owners[address] for address in addresses if address in owners)),
                "since_unix": allocation.since_unix if allocation is not None else None,
                "created_unix": service.created_unix,
                "pending": [
                    {"subject": refusal.subject, "reason": refusal.reason.value, "detail": refusal.detail}
                    for refusal in dict.fromkeys(
                        (
                            *facts.pending.get(key, ()),
                            *in_quarantine(world, addresses),
                            *unannounced.get(key, ()),
                        )
                    )
                ],
            }
        )
    return rows


def _owners(view: View) -> dict[IPAddress, str]:
    alive = living(view)
    addresses = {address for node in alive for address in view.claims.get(node, ())}
    owners: dict[IPAddress, str] = {}
    for address in addresses:
        claim = best(claim for claim in view.claims_of(address) if claim.node in alive)
        if claim is not None:
            owners[address] = claim.node
    return owners


def status_document(facts: Facts, at_unix: float) -> dict[str, object]:
    """`/v1/status`."""
    world, view = facts.world, facts.view()
    return {
        "schema": "lbctl.io/status/v1",
        "role": "controller",
        "node": facts.host,
        "version": __version__,
        "ready": facts.ready,
        "since_unix": facts.since_unix,
        "generation": world.generation,
        "published_generation": facts.published_generation,
        "age": max(0.0, at_unix - world.made_unix) if world.made_unix else None,
        "synced": view.synced if view is not None else False,
        "troubles": list(facts.troubles()),
        "counters": {
            "services": len(world.services),
            "allocations": len(world.allocations),
            "pending": waiting(facts.pending),
            "reserved": facts.reserved(),
            "quarantined": len(world.quarantined),
            **facts.counters,
        },
        "members": [member_document(member) for _, member in sorted(view.members.items())] if view is not None else [],
        "orders": orders_document(view),
        "capabilities": {},
    }
