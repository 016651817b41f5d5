"""The addresses of one pool and family: the first usable one without a search.

Where a pool gives the lowest address, one that was freed a short while ago (it cools) comes after all others; where it
gives the least recently used one, every address that was ever freed does, for as long as the ledger remembers it. So
the two are one rule: addresses that were freed age, and are the last choice until their time is over, which for the
second kind is never.
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from math import inf

from lbctl.model.address import Family
from lbctl.model.pool import Choice, Pool
from lbctl.plan.positions import Positions, is_buggy


class FamilySpace:
    """The addresses of one family in one pool, and the first usable one.

    Every address before the cursor that is free and not ageing is in the heap of holes, so the first free one is the
    least valid hole, or the cursor moved up to the first free address. Each address is passed once, however many there
    are: filling a pool is linear, and an IPv6 /64 costs no more than its used addresses. Ageing ones wait in a heap by
    the time they were freed. Entries of both heaps that no longer hold are dropped when they come to the top.
    """

    __slots__ = (
        "_age",
        "_ages",
        "_at",
        "_code",
        "_holes",
        "_in_holes",
        "_skip_buggy",
        "ageing_time",
        "full",
        "positions",
    )

    def __init__(self, positions: Positions, *, skip_buggy: bool, ageing_time: float) -> None:
        self.positions = positions
        self.ageing_time = ageing_time
        self._skip_buggy = skip_buggy
        self._at = 0
        self._code = positions.segments[0][1] if positions.segments else 0
        self._holes: list[int] = []
        self._in_holes: set[int] = set()
        self._age: dict[int, float] = {}
        """When those that age were freed, by code."""
        self._ages: list[tuple[float, int]] = []
        self.full = False
        """Whether it was found to have no address for a service that shares with nobody, and none returned since."""

    def has(self, code: int) -> bool:
        """Whether the pool may give the address at all."""
        return self.positions.position(code) is not None and not (self._skip_buggy and is_buggy(code))

    def size(self) -> int:
        return self.positions.count(skip_buggy=self._skip_buggy)

    def first_free(self, taken: Collection[int], closed: Collection[int]) -> int | None:
        """The first address that nobody has and that does not age."""
        holes, age = self._holes, self._age
        while holes:
            code = self.positions.code(holes[0])
            if code not in taken and code not in closed and code not in age:
                return code
            self._in_holes.discard(heappop(holes))
        segments, at, code = self.positions.segments, self._at, self._code
        while at < len(segments):
            last = segments[at][2]
            while code <= last and (
                code in taken or code in closed or code in age or (self._skip_buggy and is_buggy(code))
            ):
                code += 1
            if code <= last:
                self._at, self._code = at, code
                return code
            at += 1
            if at < len(segments):
                code = segments[at][1]
        self._at, self._code = at, code
        return None

    def longest_freed(self, taken: Collection[int], closed: Collection[int]) -> int | None:
        """Of those that age the one freed the longest ago."""
        ages = self._ages
        while ages:
            at_unix, position = ages[0]
            code = self.positions.code(position)
            if self._age.get(code) == at_unix and code not in taken and code not in closed:
                return code
            heappop(ages)
        return None

    def returned(self, code: int) -> None:
        """Nothing is in the way of this address any more that was."""
        position = self.positions.position(code)
        if position is None or (self._skip_buggy and is_buggy(code)):
            return
        self.full = False
        at_unix = self._age.get(code)
        if at_unix is not None:
            self._wait(at_unix, position)
        elif self._passed(code, position) and position not in self._in_holes:
            heappush(self._holes, position)
            self._in_holes.add(position)

    def _passed(self, code: int, position: int) -> bool:
        if self._at >= len(self.positions.segments):
            return True
        offset, first, _ = self.positions.segments[self._at]
        return position < offset + self._code - first

    def _wait(self, at_unix: float, position: int) -> None:
        heappush(self._ages, (at_unix, position))
        if len(self._ages) > 2 * len(self._age) + 64:
            self._ages = [
                (at, place) for code, at in self._age.items() if (place := self.positions.position(code)) is not None
            ]
            heapify(self._ages)

    def freed(self, code: int, at_unix: float | None, now: float) -> None:
        """The address was freed then; None: not that anybody knew."""
        if not self.has(code):
            return
        if at_unix is not None and at_unix + self.ageing_time > now:
            self._age[code] = at_unix
        else:
            self._age.pop(code, None)
        self.returned(code)

    def grow_old(self, taken: Collection[int], closed: Collection[int], now: float) -> None:
        """Those whose time is over are like the others from now on."""
        ages = self._ages
        while ages and ages[0][0] + self.ageing_time <= now:
            at_unix, position = heappop(ages)
            code = self.positions.code(position)
            if self._age.get(code) == at_unix:
                del self._age[code]
                if code not in taken and code not in closed:
                    self.returned(code)

    def ages(self, code: int) -> bool:
        return code in self._age


def spaces_of(pool: Pool) -> dict[Family, FamilySpace]:
    """The addresses of a pool by family, none of them in use."""
    options = pool.options
    ageing_time = inf if options.choice is Choice.LEAST_RECENTLY_USED else options.cooling_time
    return {
        family: FamilySpace(
            Positions(
                (item for item in pool.ranges if item.family is family),
                (item for item in options.excluded if item.family is family),
            ),
            skip_buggy=pool.avoid_buggy_ips,
            ageing_time=ageing_time,
        )
        for family in sorted({item.family for item in pool.ranges})
    }
