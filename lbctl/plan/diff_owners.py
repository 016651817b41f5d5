"""Which VIPs another node would announce by ARP or NDP: the planned owners of both sides, incumbents first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from lbctl.model.address import IPAddress, address_key
from lbctl.model.claim import Claim
from lbctl.model.member import Liveness, Member
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.plan.candidate import candidates
from lbctl.plan.diff_suppose import anywhere
from lbctl.plan.elect import Assignment, ElectMemo, elect
from lbctl.plan.reason import Reason, Refusal
from lbctl.plan.routes import RoutePlanner


class VIPEvent(StrEnum):
    MOVES = "moves"
    STOPS = "stops"
    """Nobody would announce it by ARP or NDP any more."""
    STARTS = "starts"
    """Nobody announces it now, and somebody would."""
    SILENT = "silent"
    """It would be given to a service, and nobody would announce it in any way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VIPChange:
    """One address. `refusals` say why the old owner may not keep it, or why nobody may have it.

    `before` and `after` are None where nobody announces it, and where no node is known by name.
    """

    address: IPAddress
    event: VIPEvent
    services: tuple[ServiceKey, ...]
    before: str | None = None
    after: str | None = None
    reason: Reason | None = None
    refusals: tuple[Refusal, ...] = ()


def changed_owners(
    before: World, after: World, routes: RoutePlanner, owners: Mapping[IPAddress, str]
) -> tuple[VIPChange, ...]:
    """In the order of the addresses. Without a single node one is supposed that may announce all that any node may.

    `owners` are those that speakers say they are; every node that a world lists counts as alive in it.
    """
    if not before.nodes and not after.nodes:
        before, after, owners = anywhere(before), anywhere(after), {}
    was, before_memo = _elect(before, _Owners(owners))
    owned = _Owners(_owners_of(was))
    shall, after_memo = _elect(after, owned, before_memo)
    will_own = _owners_of(shall)
    by_address = after_memo.eligible.groups.groups.by_address
    there_before = before_memo.eligible.groups.groups.by_address
    view = owned.view(after)
    advertised: set[IPAddress] | None = None
    found: list[VIPChange] = []
    for address, group in by_address.items():
        old, new = owned.nodes.get(address), will_own.get(address)
        if old == new and (old is not None or address in there_before):
            continue
        assignment = shall[group.key]
        services = tuple(sorted(item.service for item in group.allocations if address in item.addresses))
        if old is not None and new is not None:
            event, refusals = VIPEvent.MOVES, _why_not(assignment, old, view)
        elif old is not None:
            event, refusals = VIPEvent.STOPS, _why_nobody(assignment, services)
        elif new is not None:
            if address not in there_before:
                continue
            event, refusals = VIPEvent.STARTS, ()
        else:
            if advertised is None:
                advertised = _advertised(after, routes)
            if address in advertised:
                continue
            event, refusals = VIPEvent.SILENT, _why_nobody(assignment, services)
        found.append(
            VIPChange(
                address=address,
                event=event,
                services=services,
                before=old or None,
                after=new or None,
                reason=assignment.why_none if new is None else refusals[0].reason if refusals else None,
                refusals=refusals,
            )
        )
    return tuple(sorted(found, key=lambda change: address_key(change.address)))


class _Owners:
    """Who owns what, as the claims that make incumbents of them."""

    def __init__(self, nodes: Mapping[IPAddress, str]) -> None:
        self.nodes = nodes

    def view(self, world: World) -> View:
        claims: dict[str, dict[IPAddress, Claim]] = {}
        for address, node in self.nodes.items():
            claims.setdefault(node, {})[address] = Claim(
                address=address, node=node, incarnation=1, epoch=1, quorate=True, since_unix=0.0, cause=""
            )
        return View(
            members=MappingProxyType(
                {name: Member(node=name, incarnation=1, state=Liveness.ALIVE, two_way=True) for name in world.nodes}
            ),
            claims=MappingProxyType(claims),
        )


def _elect(
    world: World, owners: _Owners, memo: ElectMemo | None = None
) -> tuple[Mapping[tuple[IPAddress, ...], Assignment], ElectMemo]:
    return elect(Snapshot(world=world, view=owners.view(world)), memo)


def _owners_of(assignments: Mapping[tuple[IPAddress, ...], Assignment]) -> Mapping[IPAddress, str]:
    return {
        address: assignment.owner
        for assignment in assignments.values()
        if assignment.owner is not None
        for address in assignment.eligibility.announced
    }


def _why_not(assignment: Assignment, node: str, view: View) -> tuple[Refusal, ...]:
    verdict = assignment.eligibility.verdicts.get(node)
    if verdict is None:
        return (Refusal(node, Reason.NODE_UNKNOWN),)
    if verdict.refusals:
        return verdict.refusals
    return next((item.refusals for item in candidates(assignment, view) if item.node == node), ())


def _why_nobody(assignment: Assignment, services: tuple[ServiceKey, ...]) -> tuple[Refusal, ...]:
    """What keeps the services of the address out of the group, else what speaks against each node."""
    names = set(map(str, services))
    own = tuple(refusal for refusal in assignment.eligibility.refusals if refusal.subject in names)
    if own:
        return own
    return tuple(refusal for verdict in assignment.eligibility.verdicts.values() for refusal in verdict.refusals)


def _advertised(world: World, routes: RoutePlanner) -> set[IPAddress]:
    """The addresses that some node advertises by BGP."""
    if not world.bgp_advertisements or not world.bgp_peers:
        return set()
    return {
        address
        for key, allocation in world.allocations.items()
        for address in allocation.addresses
        if any(routes.why_not(node or None, key, address) is None for node in world.nodes)
    }
