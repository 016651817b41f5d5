"""LB02: codes of findings about pools."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code
from lbctl.config.codes.example import COVER, pool, together

POOLS: tuple[Code, ...] = (
    Code(
        "LB0201",
        ERROR,
        "pool without addresses",
        "A pool needs at least one CIDR or range to give addresses from.",
        "P2",
        example=pool("addresses: []"),
        fix=pool(),
    ),
    Code(
        "LB0202",
        ERROR,
        "not a CIDR or a range",
        "An item of a pool is a CIDR such as 192.0.2.0/24 or a range such as 192.0.2.10-192.0.2.20. A single "
        "address is written with /32 (IPv4) or /128 (IPv6).",
        "P3, P4",
        example=pool("addresses: [192.0.2.7]"),
        fix=pool("addresses: [192.0.2.7/32]"),
    ),
    Code(
        "LB0203",
        ERROR,
        "range ends before it starts",
        "The first address of a range is the lower one.",
        "P5",
        example=pool("addresses: [192.0.2.20-192.0.2.10]"),
        fix=pool("addresses: [192.0.2.10-192.0.2.20]"),
    ),
    Code(
        "LB0204",
        ERROR,
        "range of two families",
        "Both ends of a range are IPv4 or both are IPv6. A pool may hold ranges of both families, as separate items.",
        example=pool('addresses: ["192.0.2.10-2001:db8::20"]'),
        fix=pool('addresses: [192.0.2.10-192.0.2.20, "2001:db8::10-2001:db8::20"]'),
    ),
    Code(
        "LB0205",
        ERROR,
        "pools overlap",
        "An address lies in two items, of one pool or of two. It could be given away twice, or by rules that "
        "contradict each other.",
        "P7",
        example=together(pool(), pool("addresses: [192.0.2.128/25]", name="second"), COVER),
        fix=together(pool("addresses: [192.0.2.0/25]"), pool("addresses: [192.0.2.128/25]", name="second"), COVER),
    ),
    Code(
        "LB0206",
        NOTE,
        "bits behind the prefix length",
        "198.51.100.10/24 means the whole of 198.51.100.0/24, as in MetalLB. Write the network address to make "
        "that clear, or a range if it was not meant.",
        example=together(pool("addresses: [198.51.100.10/24]"), COVER),
        fix=together(pool("addresses: [198.51.100.0/24]"), COVER),
    ),
    Code(
        "LB0207",
        WARNING,
        "pool that nothing announces",
        "Services get addresses from this pool, but no L2Advertisement or BGPAdvertisement covers it, so that no "
        "client ever reaches them.",
        example=pool(),
        fix=together(pool(), COVER),
    ),
    Code(
        "LB0208",
        WARNING,
        "excluded range outside the pool",
        "The annotation lbctl.io/exclude takes addresses out of its own pool. Nothing of this item lies in the pool; "
        "usually a digit is wrong, and the address that was meant may still be given to a service.",
        example=together(pool(metadata='annotations: {lbctl.io/exclude: "192.0.3.1"}'), COVER),
        fix=together(pool(metadata='annotations: {lbctl.io/exclude: "192.0.2.1"}'), COVER),
    ),
    Code(
        "LB0209",
        ERROR,
        "whole pool excluded",
        "The annotation lbctl.io/exclude takes away every address of its pool, so that nothing can be given from it. "
        "To keep a pool for services that ask for it by name, write autoAssign: false.",
        example=together(pool(metadata='annotations: {lbctl.io/exclude: "192.0.2.0/24"}'), COVER),
        fix=together(pool(metadata='annotations: {lbctl.io/exclude: "192.0.2.0/28"}'), COVER),
    ),
)
