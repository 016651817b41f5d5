"""What the controller's status socket answers: where, services and status (JSON, `lbctl.io/*/v1`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lbctl import __version__
from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.net.status_server import Answer, Handler, Query
from lbctl.plan.allocation import Remembered
from lbctl.plan.claims import best, living
from lbctl.plan.counters import pools_document
from lbctl.plan.elect import ElectMemo
from lbctl.plan.locate import locate, member_document, where_document
from lbctl.plan.quarantine import in_quarantine
from lbctl.plan.reason import Refusal


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


def routes(facts: Facts) -> dict[str, Handler]:
    """The handlers by path."""
    memo: ElectMemo | None = None
    one_at_a_time = asyncio.Lock()

    async def where(query: Query) -> Answer:
        nonlocal memo
        snapshot = Snapshot(world=facts.world, view=facts.view())
        # The first plan for 10,000 services takes a while, in which heartbeats are to be heard.
        async with one_at_a_time:
            located, memo = await asyncio.to_thread(locate, snapshot, query.get("target", ""), memo)
        document = where_document(located, snapshot, node=facts.host, role="controller", at_unix=time.time())
        return Answer(document, 404 if located.error is not None else 200)

    async def services(_query: Query) -> Answer:
        return Answer({"schema": "lbctl.io/services/v1", "services": service_rows(facts)})

    async def status(_query: Query) -> Answer:
        return Answer(status_document(facts, time.time()))

    async def pools(_query: Query) -> Answer:
        document = await asyncio.to_thread(
            pools_document, facts.world, facts.remembered(), now_unix=time.time(), held_back=facts.held_back()
        )
        return Answer(document)

    return {"/v1/where": where, "/v1/services": services, "/v1/pools": pools, "/v1/status": status}


def service_rows(facts: Facts) -> list[dict[str, object]]:
    """The services of type LoadBalancer, by namespace and name. Owners are those who say so and live."""
    world, view = facts.world, facts.view()
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
                    for refusal in (*facts.pending.get(key, ()), *in_quarantine(world, addresses))
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
            "pending": len(facts.pending),
            "reserved": facts.reserved(),
            "quarantined": len(world.quarantined),
            **facts.counters,
        },
        "members": [member_document(member) for _, member in sorted(view.members.items())] if view is not None else [],
        "capabilities": {},
    }
