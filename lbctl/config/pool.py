"""metallb.io IPAddressPool (MetalLB rules P1-P10 but for those between pools, which are in `check`)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from lbctl.config.block import Value
from lbctl.config.kind import Kind, Object, kind
from lbctl.config.schema import (
    Boolean,
    Fields,
    Integer,
    Many,
    Problem,
    Record,
    Text,
    Walk,
    Wrong,
    kind_of,
    parse_address,
)
from lbctl.config.selectors import SELECTORS
from lbctl.model.address import AddressRange, family_of
from lbctl.model.pool import Pool, ServiceAllocation


class PoolItem:
    """A CIDR or a `start-end` range. Host bits of a CIDR are masked away, with a note."""

    def read(self, value: Value, walk: Walk) -> AddressRange:
        if type(value) is not str:
            raise Wrong("LB0107", f"a CIDR or a range of addresses is wanted here, not {kind_of(value)}")
        return _range(value) if "-" in value else _cidr(value, walk)


def _range(text: str) -> AddressRange:
    start, _, end = text.partition("-")
    first, last = parse_address(start.strip()), parse_address(end.strip())
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


def _bad_end(text: str, at: int, which: str) -> Wrong:
    """What is wrong with one end of a range that stands `at` characters into the item."""
    help = "write a range like 192.0.2.10-192.0.2.20"
    word = text.strip()
    if not word:
        return Wrong("LB0202", f"the {which} address of the range is missing", help)
    begin = at + text.index(word)
    return Wrong("LB0202", f'"{word}" is not an IP address', help, part=(begin, begin + len(word)))


def _cidr(text: str, walk: Walk) -> AddressRange:
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
        raise Wrong(
            "LB0202",
            f'"{text}" is neither a CIDR nor a range',
            "write 192.0.2.0/24 or 192.0.2.10-192.0.2.20",
        )
    if base != network.network_address:
        walk.add(
            Problem(
                "LB0206",
                (),
                f"{text.strip()} means the whole of {network}, {network.num_addresses} addresses",
                f"write {network}, or a range if only some of them are meant",
            )
        )
    return AddressRange(network.network_address, network.broadcast_address, text)


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


def _no_overlap_within(fields: Fields) -> Iterator[Problem]:
    ranges: dict[int, AddressRange] = dict(fields.get("addresses", ()))
    pairs = sorted(ranges_overlap([(item, place) for place, item in ranges.items()]), reverse=True)
    for later, earlier in sorted(dict(pairs).items()):
        yield Problem(
            "LB0205",
            ("addresses", later),
            f"{ranges[later].text} overlaps {ranges[earlier].text} of the same pool",
            "an address may stand in one item only",
            other=(("addresses", earlier), "overlaps this"),
        )


_ALLOCATION = Record(
    "serviceAllocation",
    {
        "priority": Integer(0, 2**31 - 1),
        "namespaces": Many(Text(), unique="the namespace"),
        "namespaceSelectors": SELECTORS,
        "serviceSelectors": SELECTORS,
    },
    build=lambda fields: ServiceAllocation(
        priority=fields.get("priority", 0),
        namespaces=fields.get("namespaces", ()),
        namespace_selectors=fields.get("namespaceSelectors", ()),
        service_selectors=fields.get("serviceSelectors", ()),
    ),
)

_SPEC = Record(
    "the spec of an IPAddressPool",
    {
        "addresses": Many(
            PoolItem(), placed=True, none=("LB0201", "the pool has no addresses", "add a CIDR or a range")
        ),
        "autoAssign": Boolean(),
        "avoidBuggyIPs": Boolean(),
        "serviceAllocation": _ALLOCATION,
    },
    required=("addresses",),
    rules=(_no_overlap_within,),
)


def _build(fields: Fields) -> Object:
    metadata, spec = fields["metadata"], fields["spec"]
    pool = Pool(
        name=metadata.name,
        ranges=tuple(item for _, item in spec["addresses"]),
        auto_assign=spec.get("autoAssign", True),
        avoid_buggy_ips=spec.get("avoidBuggyIPs", False),
        service_allocation=spec.get("serviceAllocation"),
        labels=metadata.labels,
        annotations=metadata.annotations,
    )
    return Object("pools", pool.name, pool)


POOL: Kind = kind("metallb.io/v1beta1", "IPAddressPool", {"spec": _SPEC}, _build, required=("spec",))
