"""What the ledger holds, as values, and what a step writes into it. Pure: applying a batch needs no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from lbctl.controller.kept import NO_CHANGES, AddressChanges, freed_after
from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.frozen_map import FrozenMap, frozen
from lbctl.model.node import Node
from lbctl.model.reservation import Freed
from lbctl.model.service import ServiceKey
from lbctl.model.split_map import SplitMap, split
from lbctl.plan.allocate import Amendment, Grant, Release, Remembered

_K = TypeVar("_K")
_V = TypeVar("_V")
_EMPTY: Mapping[Any, Any] = FrozenMap()


def _empty() -> Mapping[Any, Any]:
    return _EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One transaction: all of it or nothing. Releases count before grants, so that an address can change hands.

    `first_grant` is the id of the first grant, the others count up from it. `generation`: no World published from here
    on has a lower one; a restart goes on from it.
    """

    at_unix: float
    first_grant: int
    releases: tuple[Release, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    grants: tuple[Grant, ...] = ()
    seen: Mapping[ServiceKey, float] = field(default_factory=_empty)
    forgotten: tuple[ServiceKey, ...] = ()
    """Services that are gone, so that one of the same name is new again."""
    nodes: tuple[Node, ...] = ()
    nodes_dropped: tuple[str, ...] = ()
    kept: AddressChanges = NO_CHANGES
    generation: int | None = None

    def __bool__(self) -> bool:
        return bool(
            self.releases
            or self.amendments
            or self.grants
            or self.seen
            or self.forgotten
            or self.nodes
            or self.nodes_dropped
            or self.kept
            or self.generation is not None
        )

    def allocations(self) -> tuple[Allocation, ...]:
        """The grants as allocations, with the ids they get."""
        return tuple(
            Allocation(
                service=grant.service,
                addresses=grant.addresses,
                pool=grant.pool,
                id=number,
                since_unix=self.at_unix,
                second_pool=grant.second_pool,
            )
            for number, grant in enumerate(self.grants, self.first_grant)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """Everything the ledger says now. `ledger` names it: another ledger counts its generations and ids anew."""

    ledger: str
    allocations: Mapping[ServiceKey, Allocation] = field(default_factory=_empty)
    users: Mapping[IPAddress, tuple[ServiceKey, ...]] = field(default_factory=_empty)
    """The services of each address in use: `allocations` the other way round."""
    remembered: Remembered = field(default_factory=Remembered)
    nodes: Mapping[str, Node] = field(default_factory=_empty)
    next_grant: int = 1
    generation: int = 0

    def after(self, batch: Batch) -> LedgerState:
        """The state once the batch is committed. Maps that it does not touch keep their identity."""
        granted = batch.allocations()
        released = {release.allocation.service: "" for release in batch.releases}
        amended = {
            item.allocation.service: replace(item.allocation, pool=item.pool, second_pool=item.second_pool)
            for item in batch.amendments
            if (item.pool, item.second_pool) != (item.allocation.pool, item.allocation.second_pool)
        }
        terms = {item.allocation.service: item.terms for item in batch.amendments}
        terms |= {grant.service: grant.terms for grant in batch.grants}
        known = self._terms_after(terms, released)
        users = _users_after(self, batch, granted, known)
        return LedgerState(
            ledger=self.ledger,
            users=users,
            allocations=_with(self.allocations, amended | {item.service: item for item in granted}, released),
            remembered=self._remembered_after(batch, known, self.freed_by(batch, users)),
            nodes=_with(self.nodes, {node.name: node for node in batch.nodes}, batch.nodes_dropped),
            next_grant=max(self.next_grant, batch.first_grant + len(granted)),
            generation=self.generation if batch.generation is None else batch.generation,
        )

    def freed_by(
        self, batch: Batch, users: Mapping[IPAddress, tuple[ServiceKey, ...]]
    ) -> tuple[Mapping[IPAddress, Freed], Sequence[IPAddress]]:
        """(freed, no longer remembered) by the batch, after which `users` use the addresses."""
        if not batch.releases and not batch.grants:
            return {}, ()
        granted = (address for grant in batch.grants for address in grant.addresses)
        return freed_after(self.remembered.freed, batch.releases, granted, users, batch.at_unix)

    def _terms_after(
        self, terms: Mapping[ServiceKey, str], released: Mapping[ServiceKey, str]
    ) -> Mapping[ServiceKey, str]:
        # Empty terms are not kept: most services share with nobody, and "" is what is read for them anyway.
        before = self.remembered.terms
        lost = [key for key in (*released, *terms) if key in before and not terms.get(key)]
        return _with(before, {key: text for key, text in terms.items() if text}, lost)

    def _remembered_after(
        self,
        batch: Batch,
        terms: Mapping[ServiceKey, str],
        freed: tuple[Mapping[IPAddress, Freed], Sequence[IPAddress]],
    ) -> Remembered:
        before, kept, seen = self.remembered, batch.kept, self.remembered.first_seen
        if batch.seen or batch.forgotten:
            seen = split(seen).having(batch.seen, batch.forgotten)
        after = Remembered(
            terms=terms,
            first_seen=seen,
            reserved=_with(
                before.reserved,
                {item.service: item for item in kept.reserved},
                [item.reservation.service for item in kept.unreserved],
            ),
            quarantined=_with(
                before.quarantined,
                {item.address: item for item in kept.quarantined},
                [item.quarantine.address for item in kept.cleared],
            ),
            freed=_with(before.freed, *freed),
        )
        same = all(getattr(after, each.name) is getattr(before, each.name) for each in fields(Remembered))
        return before if same else after


def _with(before: Mapping[_K, _V], changed: Mapping[_K, _V], dropped: Iterable[_K]) -> Mapping[_K, _V]:
    """`before` without what is dropped and then with what changed; the very same map where that is nothing."""
    return frozen(before).having(changed, dropped) if changed or dropped else before


def users_of(allocations: Mapping[ServiceKey, Allocation]) -> Mapping[IPAddress, tuple[ServiceKey, ...]]:
    """Who uses which address."""
    users: dict[IPAddress, tuple[ServiceKey, ...]] = {}
    for key, allocation in allocations.items():
        for address in allocation.addresses:
            users[address] = (*users.get(address, ()), key)
    return SplitMap(users)


def _users_after(
    state: LedgerState, batch: Batch, granted: tuple[Allocation, ...], terms: Mapping[ServiceKey, str]
) -> Mapping[IPAddress, tuple[ServiceKey, ...]]:
    """Who uses which address, after the batch.

    The last line before the disk: raises AssertionError where an address would have two users and not both share. Such
    a plan is wrong, and stopping is better than two services on one address.
    """
    if not granted and not batch.releases:
        return state.users
    users: dict[IPAddress, tuple[ServiceKey, ...]] = {}
    for release in batch.releases:
        key = release.allocation.service
        for address in release.allocation.addresses:
            before = users[address] if address in users else state.users[address]
            users[address] = tuple(user for user in before if user != key)
    for allocation in granted:
        key = allocation.service
        for address in allocation.addresses:
            others = users[address] if address in users else state.users.get(address, ())
            assert key not in others, f"{key} holds {address} already"
            assert not others or (terms.get(key) and all(map(terms.get, others))), (
                f"the plan gives {address} of {', '.join(map(str, others))} to {key}"
            )
            users[address] = (*others, key)
    unused = [address for address, left in users.items() if not left]
    for address in unused:
        del users[address]
    return split(state.users).having(users, unused)
