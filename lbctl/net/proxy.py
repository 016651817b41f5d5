"""The service proxy of a node: keeps the kernel's rules, old UDP flows and forwarding as a Ruleset wants them.

`apply` is told the newest Ruleset, as often as there is one; what it takes to get there is its own business: nothing, a
delta, or the whole table. A table that an earlier speaker left is taken over with a delta too, so that a restart
loses no packet and no client's affinity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from lbctl.net import conntrack, forwarding
from lbctl.net.forwarding import SysctlChange
from lbctl.net.nftables import Nft, ProxyError, ProxyTrouble, generation, let_packets_through, standing
from lbctl.plan.proxy import stale_udp
from lbctl.plan.proxy_rules import between, disjoint, table
from lbctl.plan.proxy_ruleset import Ruleset
from lbctl.plan.proxy_table import Delta, delta_text, difference, load_text, stages

SPACING = 0.2
"""Seconds from the start of one update to the start of the next: what comes in between goes together."""
VERIFY_EVERY = 60.0
LOOK_EVERY = 1.0
_HOPELESS = frozenset({ProxyTrouble.NFT_MISSING, ProxyTrouble.NOT_PERMITTED, ProxyTrouble.TIMED_OUT})
"""Where another way of saying the same would fare no better."""


class Way(StrEnum):
    """How the rules came to be what they are."""

    UNCHANGED = "unchanged"
    DELTA = "delta"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an update took. `warnings` are sentences for the operator; they do not mean that the rules are wrong."""

    way: Way
    seconds: float = 0.0
    forgotten: int = 0
    """UDP flows that were forgotten because their backend is gone."""
    changes: tuple[SysctlChange, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a look at the kernel found. `repaired` names what was not as it should be, "" where all was well."""

    repaired: str = ""
    way: Way = Way.UNCHANGED
    changes: tuple[SysctlChange, ...] = ()
    warnings: tuple[str, ...] = ()


class Proxy:
    """One per node and network namespace. All methods may be called from concurrent tasks of one loop."""

    def __init__(self, nft: Nft | None = None, *, spacing: float = SPACING) -> None:
        self._nft = nft or Nft()
        self._spacing = spacing
        self._lock = asyncio.Lock()
        self._not_before = 0.0
        self._wanted: Ruleset | None = None
        self._reached: Ruleset | None = None
        """The newest that was wanted and is in force."""
        self._in_force: Ruleset | None = None
        """The same as the kernel has it, with the subnets of this node; None when that is not known for sure."""
        self._looked_after: Ruleset | None = None
        """The last one whose stale UDP flows were forgotten."""
        self._handle: int | None = None
        self._sure: int | None = None
        """The generation of the kernel's rules at which the table was known to be as it should."""
        self._warned: frozenset[str] = frozenset()
        self.interfaces: Collection[str] = ()
        """Where packets to VIPs arrive, as far as the speaker knows: looked at for what would drop them."""

    async def apply(self, ruleset: Ruleset) -> Applied:
        """Brings the kernel to this ruleset, or to a newer one that came while this one waited. Raises ProxyError."""
        self._wanted = ruleset
        async with self._lock:
            if self._reached is self._wanted:
                return Applied(way=Way.UNCHANGED)
            loop = asyncio.get_running_loop()
            if (wait := self._not_before - loop.time()) > 0:
                await asyncio.sleep(wait)
            self._not_before = loop.time() + self._spacing
            return await self._bring()

    async def verify(self, *, thorough: bool = True) -> Verified:
        """Compares the kernel with what was applied, and repairs. Raises ProxyError.

        Not `thorough`: nothing is listed where the kernel counts no transaction but ours since it was last all right.
        """
        async with self._lock:
            if self._wanted is None:
                return Verified()
            if self._reached is not self._wanted:
                applied = await self._bring()
                return Verified(
                    repaired="an update that had failed",
                    way=applied.way,
                    changes=applied.changes,
                    warnings=applied.warnings,
                )
            current, warnings = await self._here(self._wanted)
            allowed = self._let_through(current)
            was_there, before, self._in_force = standing() is not None, self._in_force, None
            way, repaired = Way.UNCHANGED, ""
            if was_there and before is not None:
                way = await self._update(before, current)
            if thorough or not was_there or self._sure is None or generation() != self._sure:
                found, delta = await self._settle(current)
                if found is not Way.UNCHANGED:
                    way = found
                    repaired = str(delta) if delta else "the whole table" if was_there else "the table was gone"
            self._in_force = current
            return Verified(
                repaired=repaired, way=way, changes=allowed.changes, warnings=(*warnings, *allowed.warnings)
            )

    async def keep(
        self,
        report: Callable[[Verified | ProxyError], None],
        *,
        verify_every: float = VERIFY_EVERY,
        look_every: float = LOOK_EVERY,
    ) -> None:
        """Verifies for ever: every `verify_every` seconds, and at once when the table is gone or an update had failed.

        `report` hears of what was repaired, of warnings, of what could not be done, and when it could again.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + verify_every
        failed = False
        while True:
            await asyncio.sleep(look_every)
            if loop.time() < due and not self._looks_wrong():
                continue
            try:
                found = await self.verify(thorough=False)
                if found.repaired or found.changes or found.warnings or failed:
                    report(found)
                failed = False
            except ProxyError as error:
                report(error)
                failed = True
                await asyncio.sleep(look_every * 4)
            due = loop.time() + verify_every

    async def remove(self) -> None:
        """Deletes the table: nothing is forwarded for any VIP any more, open flows included. Raises ProxyError."""
        async with self._lock:
            self._wanted = self._reached = self._in_force = self._looked_after = None
            self._handle = self._sure = None
            await self._nft.delete()

    async def open_flows(self) -> int:
        """How many flows go to our VIPs, for one who leaves to wait for; 0 where it cannot be told."""
        vips = self._wanted.vips if self._wanted is not None else frozenset()
        try:
            return await asyncio.to_thread(conntrack.count, vips)
        except OSError:
            return 0

    async def open_connections(self) -> int | None:
        """How many TCP connections to our VIPs are open through this node; None where it cannot be told."""
        vips = self._wanted.vips if self._wanted is not None else frozenset()
        try:
            return await asyncio.to_thread(conntrack.connections, vips)
        except OSError:
            return None

    def _looks_wrong(self) -> bool:
        if self._lock.locked() or self._wanted is None:
            return False
        return self._reached is not self._wanted or self._in_force is None or standing() != self._handle

    async def _bring(self) -> Applied:
        started = asyncio.get_running_loop().time()
        assert self._wanted is not None
        wanted, before = self._wanted, self._in_force
        current, warnings = await self._here(wanted)
        allowed = self._let_through(current)
        # Unknown until it is done: whoever is interrupted here looks at the kernel first next time.
        self._in_force = None
        way = await self._update(before, current) if before is not None else (await self._settle(current))[0]
        self._in_force, self._reached = current, wanted
        forgotten = 0
        try:
            forgotten = await asyncio.to_thread(conntrack.forget_stale, stale_udp(self._looked_after, current))
            self._looked_after = current
        except OSError as error:
            warnings.append(
                f"cannot look at connection tracking ({error.strerror}): UDP flows may stay with old backends"
            )
        return Applied(
            way=way,
            seconds=asyncio.get_running_loop().time() - started,
            forgotten=forgotten,
            changes=allowed.changes,
            warnings=(*warnings, *allowed.warnings),
        )

    async def _update(self, before: Ruleset, current: Ruleset) -> Way:
        """From what we know to be there; where that turns out wrong, from what is there."""
        delta = await asyncio.to_thread(between, before, current)
        if not delta:
            return Way.UNCHANGED
        try:
            await self._change(delta, self._sure)
            return Way.DELTA
        except ProxyError as error:
            if error.reason in _HOPELESS:
                raise
        way, _ = await self._settle(current)
        return way

    async def _settle(self, current: Ruleset) -> tuple[Way, Delta | None]:
        """From whatever the kernel has to this ruleset, by as little as possible."""
        desired = await asyncio.to_thread(table, current)
        try:
            seen = generation()
            actual = await self._nft.listed(desired)
            delta = await asyncio.to_thread(difference, actual, desired) if actual is not None else None
            if delta is not None:
                if delta:
                    await self._change(delta, seen)
                else:
                    self._handle, self._sure = standing(), seen
                return (Way.DELTA if delta else Way.UNCHANGED), delta
        except ProxyError as error:
            if error.reason in _HOPELESS:
                raise
        await self._load(load_text(desired), generation())
        return Way.WHOLE, None

    async def _change(self, delta: Delta, sure: int | None) -> None:
        """A delta, stage by stage. No packet that was underway before one stage still is when the next comes."""
        for number, stage in enumerate(stages(delta)):
            if number:
                await asyncio.to_thread(let_packets_through)
                sure = self._sure
            await self._load(delta_text(stage), sure)

    async def _load(self, text: str, sure: int | None) -> None:
        """One transaction. `sure`: the generation of which we know what it holds; if ours is the next, so is this."""
        self._sure = None
        await self._nft.load(text)
        now = generation()
        if sure is not None and now == sure + 1:
            self._sure = now
        self._handle = standing()

    async def _here(self, wanted: Ruleset) -> tuple[Ruleset, list[str]]:
        """The ruleset with the subnets of this node filled in."""
        try:
            subnets = disjoint(await asyncio.to_thread(forwarding.connected))
        except OSError as error:
            known = self._in_force.onlink if self._in_force is not None else frozenset()
            return replace(wanted, onlink=known), [f"cannot read this node's addresses ({error.strerror})"]
        return replace(wanted, onlink=subnets), []

    def _let_through(self, current: Ruleset) -> forwarding.Forwarding:
        """Turns on forwarding, and says what stands in the way: each thing once, for as long as it stands there."""
        found = forwarding.enable(current.families())
        standing_in_the_way = frozenset((*found.warnings, *forwarding.reverse_path_warnings(self.interfaces)))
        fresh = tuple(sorted(standing_in_the_way - self._warned))
        self._warned = standing_in_the_way
        return forwarding.Forwarding(found.changes, fresh)
