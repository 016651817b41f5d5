"""What a ledger that is new, or older than what was published, takes over from the published file. Pure."""

from __future__ import annotations

from dataclasses import replace

from lbctl.controller.kept import AddressChanges
from lbctl.controller.records import Batch, LedgerState
from lbctl.model.address import IPAddress
from lbctl.model.frozen_map import FrozenMap
from lbctl.model.snapshot import World
from lbctl.plan.allocate import Grant
from lbctl.plan.reason import GrantCause
from lbctl.plan.sharing import terms_of
from lbctl.sources.published_document import Published


def recover(state: LedgerState, published: Published, now_unix: float) -> Batch:
    """What to commit before the first step; an empty batch where the ledger is ahead, as it should be.

    A ledger that was lost or put back from a copy knows less than the speakers, who have the published file. Services
    keep the addresses they are known by, quarantined addresses stay so, ids and generations go on above those that are
    known. Reservations and when addresses were freed are in no published file.
    """
    world = published.world
    ahead = [item for item in world.allocations.values() if item.id >= state.next_grant]
    if not ahead and world.generation < state.generation:
        return Batch(at_unix=now_unix, first_grant=state.next_grant)
    found = [item for address, item in world.quarantined.items() if address not in state.remembered.quarantined]
    sharers = set(state.remembered.terms)
    held: dict[IPAddress, bool] = {
        address: key in sharers for key, item in state.allocations.items() for address in item.addresses
    }
    grants: list[Grant] = []
    for allocation in sorted(ahead, key=lambda item: item.id):
        key = allocation.service
        service = world.services.get(key)
        terms = terms_of(service).text if service is not None else ""
        in_the_way = [address for address in allocation.addresses if address in held]
        if key in state.allocations or any(not (terms and held[address]) for address in in_the_way):
            continue
        held.update(dict.fromkeys(allocation.addresses, bool(terms)))
        grants.append(
            Grant(
                service=key,
                addresses=allocation.addresses,
                pool=allocation.pool,
                cause=GrantCause.ADOPTED,
                terms=terms,
                second_pool=allocation.second_pool,
            )
        )
    return Batch(
        at_unix=now_unix,
        first_grant=max([state.next_grant, *(item.id + 1 for item in ahead)]),
        grants=tuple(grants),
        kept=AddressChanges(quarantined=tuple(found)),
        generation=max(state.generation, world.generation + 1),
    )


def without_ours(world: World) -> World:
    """What a source said of a World that was published: without what the controller adds, and undescribed nodes."""
    described = {name: node for name, node in world.nodes.items() if not node.registered}
    return replace(world, allocations=FrozenMap(), quarantined=FrozenMap(), nodes=FrozenMap(described))
