"""Claims: which of several is the better one, and which node holds an address now.

A claim is one speaker's word that it announces an address. Claims meet per address, never per group, because two
speakers may group addresses differently while their worlds differ in age.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.frozen_map import changed_keys
from lbctl.model.member import Liveness, Member, Role
from lbctl.model.snapshot import View, thawed
from lbctl.protocol.heartbeat import identity

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
ClaimRank = tuple[bool, int, int, int]
ClaimIndex = Mapping[IPAddress, tuple[Claim, ...]]


def rendezvous(node: str, address: IPAddress) -> int:
    """How much `node` is wanted for `address`: the same on every node, and the number that heartbeats compare by."""
    return identity.rendezvous(identity.node_hash(node), str(address))


def claim_rank(claim: Claim) -> ClaimRank:
    """What claims to one address are compared by: the greater is the better. Pulse compares alike.

    A claim made with a majority beats one without whatever the epochs, so that a node that was cut off cannot come
    back with epochs it counted up alone and take what never failed. Then the newer grant of the address wins.
    """
    return (claim.quorate, claim.allocation_id, claim.epoch, rendezvous(claim.node, claim.address))


def best(claims: Iterable[Claim]) -> Claim | None:
    """The best of claims, of one address or of the addresses of one group; None of none.

    Grants are compared for one address only: those of two addresses say nothing about each other.
    """
    found = list(claims)
    # Nearly always there is just one, and ranks cost a hash.
    if len(found) < 2:
        return found[0] if found else None
    winners: dict[IPAddress, Claim] = {}
    for claim in found:
        winner = winners.get(claim.address)
        if winner is None or claim_rank(claim) > claim_rank(winner):
            winners[claim.address] = claim
    return max(winners.values(), key=lambda c: (c.quorate, c.epoch, rendezvous(c.node, c.address)))


def is_living(member: Member) -> bool:
    """Whether a member counts as a speaker that answers: heard and hearing us, or not yet agreed to be dead.

    A suspect still counts. Who suspects it may be the one that is cut off.
    """
    match member.state:
        case Liveness.ALIVE | Liveness.DRAINING:
            return member.role is Role.SPEAKER and member.two_way
        case Liveness.SUSPECT:
            return member.role is Role.SPEAKER
        case Liveness.GONE | Liveness.LEFT:
            return False


def living(view: View) -> frozenset[str]:
    """The nodes that are living members."""
    return frozenset(name for name, member in view.members.items() if is_living(member))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsMemo:
    """What the last index was made of."""

    claims: Mapping[str, Mapping[IPAddress, Claim]] = field(default_factory=lambda: _EMPTY)
    by_address: ClaimIndex = field(default_factory=lambda: _EMPTY)
    since: ClaimIndex = field(default_factory=lambda: _EMPTY)
    touched: frozenset[IPAddress] = frozenset()
    """What differs from `since`, the index before this one."""


def index_claims(
    view: View, memo: ClaimsMemo | None = None
) -> tuple[Mapping[IPAddress, tuple[Claim, ...]], ClaimsMemo]:
    """Every claim by its address, in the order of node names, whoever makes it and whether they live or not."""
    old = memo or ClaimsMemo()
    if view.claims is old.claims:
        return old.by_address, old
    touched: set[IPAddress] = set()
    for node in {*view.claims, *old.claims}:
        now, before = view.claims.get(node, _EMPTY), old.claims.get(node, _EMPTY)
        if now is before:
            continue
        touched |= changed_keys(before, now)
    if not touched:
        return old.by_address, ClaimsMemo(claims=view.claims, by_address=old.by_address, since=old.by_address)
    by_address = thawed(old.by_address)
    nodes = sorted(view.claims)
    for address in touched:
        found = tuple(claim for node in nodes if (claim := view.claims[node].get(address)) is not None)
        if found:
            by_address[address] = found
        else:
            by_address.pop(address, None)
    result = MappingProxyType(by_address)
    memo = ClaimsMemo(claims=view.claims, by_address=result, since=old.by_address, touched=frozenset(touched))
    return result, memo
