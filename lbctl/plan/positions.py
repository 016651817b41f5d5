"""The order of a pool's addresses: its ranges as they are written, each from below, without what is excluded.

Addresses are numbers (`code_of`): hashing and comparing an IPv4Address costs ten times as much as an int. Within one
pool and family an address is known by its position, so that "the first one" is the least number however many ranges
there are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

from lbctl.model.address import AddressRange, Family, IPAddress
from lbctl.model.pool import Pool

_V6 = 1 << 128
_V6_MASK = _V6 - 1


def code_of(address: IPAddress) -> int:
    """The address as a number; IPv6 ones are all above the IPv4 ones."""
    return int(address) if isinstance(address, IPv4Address) else int(address) | _V6


def address_of_code(code: int) -> IPAddress:
    return IPv6Address(code & _V6_MASK) if code & _V6 else IPv4Address(code)


def family_of_code(code: int) -> Family:
    return Family.IPV6 if code & _V6 else Family.IPV4


def is_buggy(code: int) -> bool:
    """An IPv4 address ending in .0 or .255, which old firmware takes for a network's own (`avoidBuggyIPs`)."""
    return not code & _V6 and code & 0xFF in (0, 0xFF)


class Positions:
    """The addresses of one family in one pool, in order. `segments` has (first position, first code, last code)."""

    __slots__ = ("_by_code", "_codes", "_offsets", "segments")

    def __init__(self, ranges: Iterable[AddressRange], excluded: Iterable[AddressRange]) -> None:
        holes = merged((code_of(item.first), code_of(item.last)) for item in excluded)
        self.segments: list[tuple[int, int, int]] = []
        offset = 0
        for item in ranges:
            for first, last in _without(code_of(item.first), code_of(item.last), holes):
                self.segments.append((offset, first, last))
                offset += last - first + 1
        self._offsets = [segment[0] for segment in self.segments]
        self._by_code = sorted(self.segments, key=lambda segment: segment[1])
        self._codes = [segment[1] for segment in self._by_code]

    def position(self, code: int) -> int | None:
        """None for an address that is not in the pool, or excluded."""
        at = bisect_right(self._codes, code) - 1
        if at < 0:
            return None
        offset, first, last = self._by_code[at]
        return offset + code - first if code <= last else None

    def code(self, position: int) -> int:
        offset, first, _ = self.segments[bisect_right(self._offsets, position) - 1]
        return first + position - offset

    def earlier(self, one: int | None, other: int | None) -> int | None:
        """The one of two addresses of the pool that comes first; None: there is no such address."""
        places = (
            (place, code) for code in (one, other) if code is not None and (place := self.position(code)) is not None
        )
        return min(places, default=(0, None))[1]

    def count(self, *, skip_buggy: bool) -> int:
        """How many addresses there are; exact for IPv6 too."""
        return sum(_count(first, last, skip_buggy=skip_buggy) for _, first, last in self.segments)


def _count(first: int, last: int, *, skip_buggy: bool) -> int:
    count = last - first + 1
    if skip_buggy and not first & _V6:
        for ending in (0, 0xFF):
            # Addresses <= x that end so: (x - ending) // 256 + 1.
            count -= (last - ending) // 256 - (first - 1 - ending) // 256
    return count


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch or overlap as one."""
    made: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if made and first <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(last, made[-1][1]))
        else:
            made.append((first, last))
    return made


def _without(first: int, last: int, holes: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    at = bisect_right(holes, (first,)) - 1
    for start, end in holes[max(at, 0) :]:
        if start > last:
            break
        if end < first:
            continue
        if start > first:
            yield first, start - 1
        first = end + 1
    if first <= last:
        yield first, last


class PoolFinder:
    """Finds the pools that contain an address."""

    __slots__ = ("_firsts", "_overlapping", "_sorted")

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._sorted = sorted(
            (code_of(item.first), code_of(item.last), (name,)) for name, pool in pools.items() for item in pool.ranges
        )
        self._firsts = [first for first, *_ in self._sorted]
        # Overlapping pools are refused in the config (rule P7); if they come nevertheless, all are looked at.
        self._overlapping = any(after[0] <= before[1] for before, after in pairwise(self._sorted))

    def homes(self, code: int) -> tuple[str, ...]:
        """The pools, by name, whose ranges have the address, excluded or not."""
        at = bisect_right(self._firsts, code)
        if self._overlapping:
            return tuple(sorted({name for first, last, (name,) in self._sorted[:at] if first <= code <= last}))
        if not at:
            return ()
        _, last, names = self._sorted[at - 1]
        return names if code <= last else ()
