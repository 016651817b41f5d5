"""Who held which address, as this node saw it: the changes of owner, and the addresses that nobody holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress, address_key
from lbctl.model.claim import Claim
from lbctl.model.frozen_map import changed_keys
from lbctl.model.member import Liveness
from lbctl.model.snapshot import View, thawed
from lbctl.plan.announce import Unowned
from lbctl.plan.claims import ClaimsMemo, best, living
from lbctl.plan.groups import Group
from lbctl.plan.reason import Cause

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
_VACANT = frozenset({Cause.OWNER_GONE, Cause.OWNER_LEFT})
"""Ends of an owner that its heirs see too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An address changed its owner. `gap` is for how many seconds nobody announced it, as far as this node can tell.

    `owner` None: it has none any more; the gap is then told by the move that ends it. `previous` is the owner itself
    where nobody else had it in between.
    """

    address: IPAddress
    previous: str | None
    owner: str | None
    cause: str
    at_unix: float
    gap: float | None = None
    epoch: int = 0
    generation: int = 0

    def document(self) -> dict[str, object]:
        """As one line of the journal."""
        return {
            "at_unix": round(self.at_unix, 6),
            "address": str(self.address),
            "from": self.previous,
            "to": self.owner,
            "cause": self.cause,
            "gap": round(self.gap, 6) if self.gap is not None else None,
            "epoch": self.epoch,
            "generation": self.generation,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of an ownership: whose, when it stopped announcing, and why."""

    node: str
    at_unix: float
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """The best living claim of each address that has one, and for the others how they came to have none."""

    held: Mapping[IPAddress, Claim] = field(default_factory=lambda: _EMPTY)
    ended: Mapping[IPAddress, Ended] = field(default_factory=lambda: _EMPTY)
    unowned: Mapping[IPAddress, Unowned] = field(default_factory=lambda: _EMPTY)
    previous: Mapping[IPAddress, str] = field(default_factory=lambda: _EMPTY)
    claims: ClaimsMemo = field(default_factory=ClaimsMemo)
    alive: frozenset[str] | None = None
    addresses: Mapping[IPAddress, Group] = field(default_factory=lambda: _EMPTY)
    silent: Mapping[str, float] = field(default_factory=lambda: _EMPTY)
    """Since when (Unix time) nothing was heard of members that are suspect or gone."""


def follow(
    old: Owners,
    view: View,
    claims: ClaimsMemo,
    addresses: Mapping[IPAddress, Group],
    *,
    now: float,
    now_unix: float,
    started_unix: float,
    given_up: Mapping[IPAddress, str] = _EMPTY,
) -> tuple[Owners, tuple[Move, ...]]:
    """The owners as of `view`, and what changed since `old`.

    Args:
        claims: the claims of `view`, indexed from those that `old` was made with, or from scratch.
        addresses: those that are allocated, with their groups.
        now: monotonic seconds, for `unowned`.
        now_unix: Unix time, for moves whose moment nobody named.
        given_up: why the node that looks gave up what it held.
        started_unix: what was allocated before is `started` when claimed, what came later `first_announced`.
    """
    index = claims.by_address
    alive = living(view)
    known = old.claims.by_address
    if old.alive is not None and (index is known or claims.since is known):
        touched: set[IPAddress] = set() if index is known else set(claims.touched)
        if alive == old.alive:
            alive = old.alive
        else:
            turned = alive ^ old.alive
            touched.update(address for node in turned for address in view.claims.get(node, ()))
        if addresses is not old.addresses:
            touched.update(
                address
                for address in changed_keys(old.addresses, addresses)
                if (address in addresses) is not (address in old.addresses)
            )
    else:
        touched = {*index, *old.held, *addresses, *old.addresses}
    silent = _silent(old.silent, view)
    if not touched:
        if claims is old.claims and alive is old.alive and addresses is old.addresses:
            return old, ()
        return replace(old, claims=claims, alive=alive, addresses=addresses, silent=silent), ()

    book = _Book(old, view, silent, given_up, now_unix)
    unowned = thawed(old.unowned)
    for address in sorted(touched, key=address_key):
        claim = best(claim for claim in index.get(address, ()) if claim.node in alive)
        book.settle(address, claim)
        if claim is not None or address not in addresses:
            unowned.pop(address, None)
        elif address not in unowned:
            unowned[address] = Unowned(since=now, cause=book.why_unowned(address, addresses[address], started_unix))
    # An address that is no longer allocated is forgotten once nobody holds it.
    for address in touched:
        if address not in addresses and address not in book.held:
            book.forget(address)
    owners = Owners(
        held=MappingProxyType(book.held),
        ended=MappingProxyType(book.ended),
        unowned=MappingProxyType(unowned),
        previous=MappingProxyType(book.previous),
        claims=claims,
        alive=alive,
        addresses=addresses,
        silent=silent,
    )
    return owners, tuple(book.moves)


def remembered(records: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Out of journal lines, oldest first: the last owners of each address, the newest first, two at most."""
    last: dict[str, tuple[str, ...]] = {}
    for record in records:
        address = record.get("address")
        for owner in (record.get("from"), record.get("to")):
            if isinstance(owner, str) and isinstance(address, str):
                known = last.get(address, ())
                last[address] = known if known[:1] == (owner,) else (owner, *known[:1])
    return last


def _silent(old: Mapping[str, float], view: View) -> Mapping[str, float]:
    """Who is suspect was last heard a detection time ago; who is gone, a detection time before it was suspect."""
    silent = {
        node: old.get(node, member.since_unix - member.detection_time)
        for node, member in view.members.items()
        if member.state in (Liveness.SUSPECT, Liveness.GONE)
    }
    return old if silent == old else MappingProxyType(silent)


class _Book:
    """One pass over the touched addresses."""

    def __init__(
        self,
        old: Owners,
        view: View,
        silent: Mapping[str, float],
        given_up: Mapping[IPAddress, str],
        now_unix: float,
    ) -> None:
        self.held = thawed(old.held)
        self.ended = thawed(old.ended)
        self.previous = thawed(old.previous)
        self.moves: list[Move] = []
        self._view = view
        self._silent = silent
        self._given_up = given_up
        self._now_unix = now_unix

    def settle(self, address: IPAddress, claim: Claim | None) -> None:
        before = self.held.get(address)
        if before is not None and claim is not None and before.node == claim.node:
            self.held[address] = claim
            return
        if before is not None:
            self.ended[address] = self._end(before, claim)
            del self.held[address]
        if claim is not None:
            end = self.ended.pop(address, None)
            if end is not None and end.node != claim.node:
                self.previous[address] = end.node
            self.held[address] = claim
            self.moves.append(
                Move(
                    address=address,
                    previous=end.node if end is not None else None,
                    owner=claim.node,
                    cause=claim.cause,
                    at_unix=claim.since_unix,
                    gap=max(0.0, claim.since_unix - end.at_unix) if end is not None else None,
                    epoch=claim.epoch,
                    generation=claim.generation,
                )
            )
        elif before is not None:
            end = self.ended[address]
            self.moves.append(
                Move(
                    address=address,
                    previous=before.node,
                    owner=None,
                    cause=end.cause,
                    at_unix=end.at_unix,
                    epoch=before.epoch,
                    generation=before.generation,
                )
            )

    def why_unowned(self, address: IPAddress, group: Group, started_unix: float) -> Cause:
        end = self.ended.get(address)
        if end is not None:
            return Cause(end.cause) if end.cause in _VACANT else Cause.RELEASED
        since = max((a.since_unix for a in group.allocations if address in a.addresses), default=0.0)
        return Cause.FIRST_ANNOUNCED if since >= started_unix else Cause.STARTED

    def forget(self, address: IPAddress) -> None:
        self.ended.pop(address, None)
        self.previous.pop(address, None)

    def _end(self, claim: Claim, successor: Claim | None) -> Ended:
        """How the owner ended, and who took its address at once."""
        member = self._view.members.get(claim.node)
        if member is None:
            return Ended(node=claim.node, at_unix=self._now_unix, cause=Cause.OWNER_GONE)
        dead = successor is not None and successor.cause == Cause.OWNER_GONE
        match member.state:
            case Liveness.LEFT:
                return Ended(node=claim.node, at_unix=member.since_unix, cause=Cause.OWNER_LEFT)
            case Liveness.GONE:
                return Ended(node=claim.node, at_unix=self._silent[claim.node], cause=Cause.OWNER_GONE)
            case Liveness.ALIVE | Liveness.DRAINING | Liveness.SUSPECT if successor is not None and dead:
                # The heir found it dead a moment before we did; it had been silent for a detection time by then.
                silence = successor.since_unix - member.detection_time
                at_unix = self._silent.get(claim.node, silence)
                return Ended(node=claim.node, at_unix=at_unix, cause=Cause.OWNER_GONE)
            case Liveness.ALIVE | Liveness.DRAINING | Liveness.SUSPECT:
                cause: str = Cause.RELEASED
                if claim.node == self._view.source:
                    cause = self._given_up.get(claim.address, cause)
                return Ended(node=claim.node, at_unix=self._now_unix, cause=cause)
