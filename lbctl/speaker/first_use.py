"""First use of an address: probed before the cluster announces it, and watched while a foreign host has it.

Only what no speaker is known to have announced since its allocation is probed: never a takeover, and not after a
restart, as long as one's own memory lasts. An address that a foreign host answers for is not claimed; that is said in
the heartbeats until the World says it too. From then on the node that would own the address looks again from time to
time, and says when nobody answered any more.

Level, like every step: what is to be probed follows from what is unowned and watched now, and wire is told the
difference to what it is at already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress, address_key
from lbctl.model.interface import Interface
from lbctl.model.member import Conflict
from lbctl.model.reservation import Quarantine
from lbctl.model.snapshot import Snapshot, World
from lbctl.plan.announce import Unowned
from lbctl.plan.elect import warden
from lbctl.plan.planned import Plan
from lbctl.plan.reason import Cause
from lbctl.protocol.l2.prober import GAP, LISTEN, PROBES, RATE
from lbctl.speaker.announcers import Message, Table, pieces, where_allowed

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
RECHECK_TIME = 60.0
"""Seconds between two looks at an address that a foreign host has."""
CLEAN_LOOKS = 2
"""Looks in a row that found nobody, until the address counts as free: a host may be rebooting."""
TROUBLES = 10
"""Addresses that the status lists one by one."""
_FIRST = frozenset({Cause.FIRST_ANNOUNCED, Cause.STARTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What wire found: the MAC that answered and where, both empty when nobody did."""

    address: IPAddress
    mac: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An address that a foreign host has. `published`: the World has it quarantined, and this node looks after it.

    `clean` looks in a row found nobody; the next one is at `again_at` (monotonic seconds).
    """

    address: IPAddress
    mac: str
    interface: str
    since_unix: float
    again_at: float
    published: bool = False
    clean: int = 0

    @property
    def conflict(self) -> Conflict | None:
        """What the heartbeats say of it; None while there is no news."""
        if self.published and self.clean < CLEAN_LOOKS:
            return None
        return Conflict(address=self.address, mac="" if self.published else self.mac, interface=self.interface)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUse:
    """What is being probed (and where), what was found clean for which allocation, and what is watched."""

    asked: Mapping[IPAddress, tuple[int, ...]] = field(default_factory=lambda: _EMPTY)
    clean: Mapping[IPAddress, int] = field(default_factory=lambda: _EMPTY)
    watched: Mapping[IPAddress, Watched] = field(default_factory=lambda: _EMPTY)

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Everything that the World does not say yet, the oldest first."""
        if not self.watched:
            return ()
        by_age = sorted(self.watched.values(), key=lambda each: (each.since_unix, address_key(each.address)))
        return tuple(conflict for each in by_age if (conflict := each.conflict) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """News for log and journal: a foreign host has an address, or (`mac` empty) has it no more."""

    address: IPAddress
    mac: str
    interface: str

    def document(self, at_unix: float) -> dict[str, object]:
        """As one line of the journal."""
        return {
            "at_unix": round(at_unix, 6),
            "address": str(self.address),
            "event": "conflict" if self.mac else "free",
            "mac": self.mac or None,
            "interface": self.interface,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What follows: which of the wanted addresses may be claimed, what wire is to be told, and what is new."""

    state: FirstUse
    claim: Mapping[IPAddress, Cause]
    to_wire: tuple[Message, ...] = ()
    findings: tuple[Finding, ...] = ()
    look_again_at: float | None = None


def trouble_of(state: FirstUse) -> list[str]:
    """For the status: each address that this node found taken."""
    watched = sorted(state.watched.values(), key=lambda each: address_key(each.address))
    found = [
        f"{each.address} is in quarantine: another machine, {each.mac}, answers for it on {each.interface}"
        for each in watched[:TROUBLES]
    ]
    return found + ([f"... and {more} more"] if (more := len(watched) - TROUBLES) > 0 else [])


def first_uses(
    unowned: Mapping[IPAddress, Unowned], plan: Plan, world: World, used: Mapping[IPAddress, int]
) -> Set[IPAddress]:
    """Of the unowned addresses those to be probed before they are claimed.

    Args:
        used: the allocation for which an address was announced by anybody, as far as this node remembers.
    """
    found: set[IPAddress] = set()
    for address, waiting in unowned.items():
        if waiting.cause in _FIRST and (group := plan.by_address.get(address)) is not None:
            if used.get(address) == group.allocation_id(address):
                continue
            allocation = next(each for each in group.allocations if address in each.addresses)
            pool = world.pools.get(allocation.pool_of(address))
            if pool is None or pool.options.probe:
                found.add(address)
    return found


def probing_time(count: int) -> float:
    """Seconds within which a node has probed so many addresses, at the latest."""
    return PROBES * (GAP + count / RATE) + 2 * LISTEN if count else 0.0


def look(
    old: FirstUse,
    *,
    node: str,
    snapshot: Snapshot,
    plan: Plan,
    wanted: Mapping[IPAddress, Cause],
    probing: Set[IPAddress],
    table: Table,
    interfaces: Sequence[Interface],
    probed: Sequence[Probed],
    recheck_time: float,
    now: float,
    now_unix: float,
) -> Look:
    """Takes what wire found, and says what may be claimed and what is to be probed.

    Args:
        wanted: what the plan would claim now.
        probing: the addresses that need a probe before.
        table: where each address may be announced, by interface index.
        probed: since the last look.
    """
    if not (wanted or probed or old.asked or old.clean or old.watched or snapshot.world.quarantined):
        return Look(state=old, claim=wanted)
    book = _Book(old, node, snapshot, plan, recheck_time, now, now_unix)
    for result in probed:
        book.take(result)
    book.review()
    claim = {a: cause for a, cause in wanted.items() if a not in probing or book.is_clean(a)}
    asked = {a: table[a] for a in wanted if a not in claim and a not in book.watched and a in table}
    for each in book.watched.values():
        if each.again_at <= now:
            asked[each.address] = _where(each, plan, node, interfaces)
    state = FirstUse(
        asked=MappingProxyType(asked),
        clean=MappingProxyType({a: book.clean[a] for a in wanted if a in book.clean}),
        watched=MappingProxyType(book.watched),
    )
    times = [each.again_at for each in book.watched.values() if each.address not in asked]
    return Look(
        state=state,
        claim=claim,
        to_wire=tuple(_probe_messages(book.asked, asked)),
        findings=tuple(book.findings),
        # What was found is in this node's own view from the next step on.
        look_again_at=now if state.conflicts != old.conflicts else min(times, default=None),
    )


class _Book:
    """One look at results and watched addresses."""

    def __init__(
        self, old: FirstUse, node: str, snapshot: Snapshot, plan: Plan, recheck_time: float, now: float, now_unix: float
    ) -> None:
        self.asked = dict(old.asked)
        self.clean = dict(old.clean)
        self.watched = dict(old.watched)
        self.findings: list[Finding] = []
        self._node = node
        self._world = snapshot.world
        self._view = snapshot.view
        self._plan = plan
        self._again_at = now + recheck_time
        self._now_unix = now_unix
        members = snapshot.view.members.values() if snapshot.view is not None else ()
        self._ours = {mac for member in members for mac, _ in member.macs}

    def take(self, result: Probed) -> None:
        address = result.address
        if self.asked.pop(address, None) is None:
            return  # it was not wanted any more
        if result.mac in self._ours:
            return  # one of us answered before wire knew it as such: asked again, if it is still wanted
        before = self.watched.get(address)
        if result.mac:
            if before is None or before.mac != result.mac:
                self.findings.append(Finding(address=address, mac=result.mac, interface=result.interface))
            self.clean.pop(address, None)
            self.watched[address] = Watched(
                address=address,
                mac=result.mac,
                interface=result.interface,
                since_unix=before.since_unix if before is not None else self._now_unix,
                again_at=self._again_at,
                published=before is not None and before.published,
            )
        elif before is None:
            self.clean[address] = self._allocation_id(address)
        else:
            self.watched[address] = replace(before, clean=before.clean + 1, again_at=self._again_at)

    def review(self) -> None:
        """What is watched, after what the World says by now."""
        quarantined = self._world.quarantined
        for address, each in list(self.watched.items()):
            published = quarantined.get(address)
            if published is not None:
                if self._warden(published) != self._node:
                    del self.watched[address]
                elif not each.published:
                    self.watched[address] = replace(each, published=True)
            elif each.published or each.clean >= CLEAN_LOOKS:
                # Cleared, by whomever; or found free before any controller heard of it.
                self._drop(each, news=True)
            elif address not in self._plan.by_address or each.mac in self._ours or self._is_claimed(address):
                self._drop(each, news=False)
        for address, published in quarantined.items():
            if address not in self.watched and self._warden(published) == self._node:
                self.watched[address] = Watched(
                    address=address,
                    mac=published.mac,
                    interface=published.interface,
                    since_unix=published.since_unix,
                    again_at=self._again_at,
                    published=True,
                )
        for address, each in self.watched.items():
            if each.mac in self._ours and each.clean < CLEAN_LOOKS:
                # A machine that has become one of us, or was all along.
                self.watched[address] = replace(each, clean=CLEAN_LOOKS)

    def is_clean(self, address: IPAddress) -> bool:
        return address in self.clean and self.clean[address] == self._allocation_id(address)

    def _drop(self, each: Watched, *, news: bool) -> None:
        del self.watched[each.address]
        if news:
            self.findings.append(Finding(address=each.address, mac="", interface=each.interface))

    def _warden(self, published: Quarantine) -> str | None:
        """Who looks again: the node that would own the address; of one that nobody holds now, the one that found it.

        Should that be gone, another will do: whoever is given the address probes it once more.
        """
        group = self._plan.by_address.get(published.address)
        if group is None:
            alive = self._plan.alive
            return published.node if published.node in alive else min(alive, default=None)
        return warden(self._plan.assignments[group.key], self._plan.alive)

    def _allocation_id(self, address: IPAddress) -> int:
        group = self._plan.by_address.get(address)
        return group.allocation_id(address) if group is not None else 0

    def _is_claimed(self, address: IPAddress) -> bool:
        return self._view is not None and any(address in claims for claims in self._view.claims.values())


def _where(each: Watched, plan: Plan, node: str, interfaces: Sequence[Interface]) -> tuple[int, ...]:
    """Where to look again: where it would be announced, and where it was seen."""
    group = plan.by_address.get(each.address)
    seen = where_allowed(frozenset({each.interface}), interfaces)
    if group is None:
        return seen or where_allowed(None, interfaces)
    allowed = plan.assignments[group.key].eligibility.interfaces(each.address, node)
    return tuple(sorted({*where_allowed(allowed, interfaces), *seen}))


def _probe_messages(
    old: Mapping[IPAddress, tuple[int, ...]], new: Mapping[IPAddress, tuple[int, ...]]
) -> list[Message]:
    """For wire: what to probe besides, and what no longer."""
    dropped = [str(address) for address in old if address not in new]
    changed = [[str(address), list(where)] for address, where in new.items() if old.get(address) != where]
    return [
        *({"op": "probe", "set": [], "drop": piece} for piece in pieces(dropped)),
        *({"op": "probe", "set": piece, "drop": []} for piece in pieces(changed)),
    ]
