"""The address space of the pools: who uses which address, and the lowest free one without a search.

Addresses are numbers here (`code_of`): hashing and comparing an IPv4Address costs ten times as much as an int.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from operator import itemgetter

from lbctl.model.address import AddressRange, Family, IPAddress
from lbctl.model.pool import Pool
from lbctl.model.service import ServiceKey
from lbctl.plan.reason import Reason
from lbctl.plan.sharing import SharingIndex, Terms, refusal_between

_V6 = 1 << 128
_V6_MASK = _V6 - 1


def code_of(address: IPAddress) -> int:
    """The address as a number; IPv6 ones are all above the IPv4 ones."""
    return int(address) if address.version == 4 else int(address) | _V6


def address_of_code(code: int) -> IPAddress:
    return IPv6Address(code & _V6_MASK) if code & _V6 else IPv4Address(code)


def family_of_code(code: int) -> Family:
    return Family.IPV6 if code & _V6 else Family.IPV4


def is_buggy(code: int) -> bool:
    """An IPv4 address ending in .0 or .255, which old firmware takes for a network's own (`avoidBuggyIPs`)."""
    return not code & _V6 and code & 0xFF in (0, 0xFF)


class RangeSpace:
    """One range of a pool and its lowest free address.

    Every free address below the cursor is in the heap of holes, so the lowest free one is the least valid hole, or the
    cursor moved up to the first free address. Each address is passed once, however large the range: filling it is
    linear, and an IPv6 /64 costs no more than its used addresses.
    """

    __slots__ = ("_cursor", "_holes", "_skip_buggy", "family", "first", "last")

    def __init__(self, addresses: AddressRange, *, skip_buggy: bool) -> None:
        self.first = code_of(addresses.first)
        self.last = code_of(addresses.last)
        self.family = addresses.family
        self._skip_buggy = skip_buggy
        self._cursor = self.first
        self._holes: list[int] = []

    def lowest_free(self, used: Mapping[int, object]) -> int | None:
        holes = self._holes
        while holes and holes[0] in used:
            heappop(holes)
        if holes:
            return holes[0]
        code, last = self._cursor, self.last
        if self._skip_buggy:
            while code <= last and (code in used or is_buggy(code)):
                code += 1
        else:
            while code <= last and code in used:
                code += 1
        self._cursor = code
        return code if code <= last else None

    def freed(self, code: int) -> None:
        if code < self._cursor and not (self._skip_buggy and is_buggy(code)):
            heappush(self._holes, code)

    def size(self) -> int:
        """How many addresses can be given."""
        count = self.last - self.first + 1
        if self._skip_buggy and self.family is Family.IPV4:
            for ending in (0, 0xFF):
                # Addresses <= x that end so: (x - ending) // 256 + 1.
                count -= (self.last - ending) // 256 - (self.first - 1 - ending) // 256
        return count


class AddressSpace:
    """All pools' ranges and all uses of their addresses. An address has users, whichever pool they have it from."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._ranges: dict[str, tuple[RangeSpace, ...]] = {
            name: tuple(RangeSpace(item, skip_buggy=pool.avoid_buggy_ips) for item in pool.ranges)
            for name, pool in pools.items()
        }
        self._users: dict[int, dict[ServiceKey, Terms]] = {}
        self._sharing = SharingIndex()
        ordered = sorted(
            ((space.first, space.last, name, space) for name, spaces in self._ranges.items() for space in spaces),
            key=itemgetter(0, 1, 2),
        )
        self._sorted = ordered
        self._firsts = [first for first, *_ in ordered]
        # Overlapping pools are refused in the config (rule P7); if they come nevertheless, all are looked at.
        self._overlapping = any(after[0] <= before[1] for before, after in pairwise(ordered))

    def _around(self, code: int) -> Iterator[tuple[str, RangeSpace]]:
        at = bisect_right(self._firsts, code)
        candidates = self._sorted[:at] if self._overlapping else self._sorted[max(at - 1, 0) : at]
        return ((name, space) for first, last, name, space in candidates if first <= code <= last)

    def pools_of(self, codes: Iterable[int]) -> list[str]:
        """The pools, by name, that contain all of these addresses."""
        found: set[str] | None = None
        for code in codes:
            names = {name for name, _ in self._around(code)}
            found = names if found is None else found & names
        return sorted(found or ())

    def families(self, pool: str) -> set[Family]:
        return {space.family for space in self._ranges[pool]}

    def size(self, pool: str, family: Family) -> int:
        return sum(space.size() for space in self._ranges[pool] if space.family is family)

    def users(self, code: int) -> Mapping[ServiceKey, Terms]:
        return self._users.get(code, {})

    def refusal(self, code: int, terms: Terms) -> tuple[Reason, str] | None:
        """Why these terms cannot have the address now; the detail names who stands in the way."""
        users = self._users.get(code)
        if not users or self._sharing.admits(code, terms):
            return None
        for key, holder in sorted(users.items()):
            refused = refusal_between(holder, terms)
            if refused is not None:
                reason, port = refused
                return reason, f"{port} of {key}" if port else f"held by {key}"
        return None

    def lowest(self, pool: str, family: Family, terms: Terms) -> int | None:
        """The first usable address of the pool: its ranges in the order written, each from below (section 3.2)."""
        for space in self._ranges[pool]:
            if space.family is not family:
                continue
            free = space.lowest_free(self._users)
            shared = self._sharing.lowest(terms, space.first, space.last)
            if free is not None and (shared is None or free < shared):
                return free
            if shared is not None:
                return shared
        return None

    def take(self, code: int, key: ServiceKey, terms: Terms) -> None:
        self._users.setdefault(code, {})[key] = terms
        self._sharing.add(code, terms)

    def give_back(self, code: int, key: ServiceKey) -> None:
        users = self._users[code]
        terms = users.pop(key)
        self._sharing.remove(code, terms, last=not users)
        if not users:
            del self._users[code]
            for _, space in self._around(code):
                space.freed(code)
