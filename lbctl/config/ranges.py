"""Ranges of addresses: how they are written (MetalLB rules P3-P5), and sets of them compared in O(n log n)."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from lbctl.config.schema import Problem, Wrong
from lbctl.config.value_types import NO_ZEROS, parse_address, without_zeros
from lbctl.model.address import AddressRange, IPAddress, family_of

_DASHES = re.compile("[ \t]*[\u2010-\u2015\u2212][ \t]*")
"""What text programs make of a hyphen."""


def read_range(text: str) -> AddressRange:
    """A range written `start-end`. Raises Wrong."""
    start, _, end = text.partition("-")
    first, last = parse_address(start.strip()), parse_address(end.strip())
    if first is not None and last is None and (whole := _last_in_full(first, end.strip())) is not None:
        begin = len(start) + 1 + len(end) - len(end.lstrip())
        message = f'"{end.strip()}" is not an IP address; both ends of a range are written in full'
        raise Wrong("LB0202", message, f"write {first}-{whole}", part=(begin, begin + len(end.strip())))
    if first is None:
        raise _bad_end(start, 0, "first")
    if last is None:
        raise _bad_end(end, len(start) + 1, "last")
    if first.version != last.version:
        raise Wrong(
            "LB0204",
            f"the range begins with {family_of(first)} and ends with {family_of(last)}",
            "write one item for each family",
        )
    if int(first) > int(last):
        raise Wrong("LB0203", f"the range ends before it starts: {first} is above {last}", f"write {last}-{first}")
    return AddressRange(first, last, text)


def _last_in_full(first: IPAddress, end: str) -> IPAddress | None:
    """The last address, of which only the end is given: 20 behind 192.168.1.10 means 192.168.1.20."""
    if first.version != 4 or not end or not end.replace(".", "").isdecimal():
        return None
    numbers, given = str(first).split("."), end.split(".")
    return parse_address(".".join((*numbers[: 4 - len(given)], *given))) if len(given) < 4 else None


def _bad_end(text: str, at: int, which: str) -> Wrong:
    """What is wrong with one end of a range that stands `at` characters into the item."""
    help = "write a range like 192.0.2.10-192.0.2.20"
    word = text.strip()
    if not word:
        return Wrong("LB0202", f"the {which} address of the range is missing", help)
    begin = at + text.index(word)
    if (plain := without_zeros(word)) is not None:
        help = f"write {plain}: {NO_ZEROS}"
    return Wrong("LB0202", f'"{word}" is not an IP address', help, part=(begin, begin + len(word)))


def read_cidr(text: str) -> tuple[AddressRange, Problem | None]:
    """A CIDR, whose host bits are masked away; with a note where there were some. Raises Wrong."""
    address = parse_address(text.strip())
    if address is not None:
        raise Wrong(
            "LB0202", f"{address} is a single address", f"write {address}/{address.max_prefixlen} for this one address"
        )
    before, slash, length = text.strip().partition("/")
    network: IPv4Network | IPv6Network | None = None
    base = parse_address(before)
    if base is not None and length.isascii() and length.isdigit():
        try:
            network = ip_network(f"{base}/{int(length)}", strict=False)
        except ValueError:
            raise Wrong(
                "LB0202",
                f"/{length} is no prefix length of {family_of(base)}",
                f"it must be from 0 to {base.max_prefixlen}",
                part=(text.index("/"), len(text.rstrip())),
            ) from None
    if network is None or base is None or not slash:
        raise Wrong("LB0202", f'"{text}" is neither a CIDR nor a range', _help(text, before, length))
    note: Problem | None = None
    if base != network.network_address:
        note = Problem(
            "LB0206",
            (),
            f"{text.strip()} means the whole of {network}, {network.num_addresses} addresses",
            f"write {network}, or a range if only some of them are meant",
        )
    return AddressRange(network.network_address, network.broadcast_address, text), note


def _help(text: str, before: str, length: str) -> str:
    """What to write for text that is no CIDR, `before` being what stands before its slash."""
    hyphened = _DASHES.sub("-", text.strip())
    if hyphened != text.strip():
        return f"write {hyphened}, with a plain hyphen (-)"
    if (plain := without_zeros(before)) is not None:
        return f"write {plain}{length and '/' + length}: {NO_ZEROS}"
    return "write 192.0.2.0/24 or 192.0.2.10-192.0.2.20"


def read_item(text: str) -> AddressRange:
    """A CIDR, a range or one address, as `lbctl.io/exclude` takes them. Raises Wrong."""
    address = parse_address(text.strip())
    if address is not None:
        return AddressRange(address, address, text)
    return read_range(text) if "-" in text else read_cidr(text)[0]


def ranges_overlap(ranges: list[tuple[AddressRange, int]]) -> Iterator[tuple[int, int]]:
    """P7: pairs of places whose ranges overlap, the later place first. In O(n log n) and one pair a range."""
    order = sorted(ranges, key=lambda item: (item[0].first.version, int(item[0].first), item[1]))
    widest: tuple[AddressRange, int] | None = None
    for item in order:
        if widest is not None and widest[0].overlaps(item[0]):
            yield (max(widest[1], item[1]), min(widest[1], item[1]))
        if (
            widest is None
            or widest[0].first.version != item[0].first.version
            or int(item[0].last) > int(widest[0].last)
        ):
            widest = item


def merged(ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
    """The same addresses as sorted ranges that neither overlap nor touch, IPv4 first."""
    out: list[AddressRange] = []
    for item in sorted(ranges, key=lambda item: (item.first.version, int(item.first))):
        last = out[-1] if out else None
        if last is None or last.first.version != item.first.version or int(item.first) > int(last.last) + 1:
            out.append(item)
        elif int(item.last) > int(last.last):
            out[-1] = AddressRange(last.first, item.last, f"{last.first}-{item.last}")
    return tuple(out)


def covers(inside: Iterable[AddressRange], outside: Iterable[AddressRange]) -> bool:
    """Whether every address of `inside` is in `outside`."""
    whole = merged(outside)
    return all(any(item.first in other and item.last in other for other in whole) for item in merged(inside))


NO_UNICAST: tuple[AddressRange, ...] = tuple(
    AddressRange(network[0], network[-1], text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128", "ff00::/8")
    for network in [ip_network(text)]
)
"""What no packet to one machine of a network can be sent to: this network, loopback, multicast, limited broadcast (RFC
1122 section 3.2.1.3, RFC 4291 section 2). Each family in order, and none of them overlap."""
_FIRSTS, _LASTS = (
    {version: [int(getattr(each, end)) for each in NO_UNICAST if each.first.version == version] for version in (4, 6)}
    for end in ("first", "last")
)


def without_use(ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
    """Those of NO_UNICAST that some of the ranges reach into."""
    found: set[int] = set()
    for item in ranges:
        version = item.first.version
        begin, end = bisect_left(_LASTS[version], int(item.first)), bisect_right(_FIRSTS[version], int(item.last))
        if begin < end:
            before = len(_FIRSTS[4]) if version == 6 else 0
            found.update(range(before + begin, before + end))
    return tuple(NO_UNICAST[place] for place in sorted(found))
