"""LB02: codes of findings about pools."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code
from lbctl.config.codes.example import COVER, manifest, node, pool, service, together

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
    Code(
        "LB0210",
        WARNING,
        "pool holds a node's address",
        "A service that is given the address of a node takes that node off the network: other nodes answer for it, "
        "and ssh and the kubelet end elsewhere. Exclude the address, or write the pool as ranges around it. It is a "
        "warning, since MetalLB takes such a pool, and a node that joins must not be able to take a pool away from "
        "services. A single node whose own address is written as an item of its own (192.0.2.10/32) is left alone.",
        example=together(pool(), COVER, node("192.0.2.10")),
        fix=together(pool(metadata='annotations: {lbctl.io/exclude: "192.0.2.10"}'), COVER, node("192.0.2.10")),
    ),
    Code(
        "LB0211",
        WARNING,
        "pool holds a router's address",
        "A service that is given the address of a router cuts off all that goes through it. Routers are known from "
        "BGPPeer objects (peerAddress) and from the annotation lbctl.io/gateways of nodes. It is a warning, since "
        "MetalLB takes such a pool.",
        example=together(pool(), COVER, node("198.51.100.10", annotation='lbctl.io/gateways: "192.0.2.1"')),
        fix=together(
            pool(metadata='annotations: {lbctl.io/exclude: "192.0.2.1"}'),
            COVER,
            node("198.51.100.10", annotation='lbctl.io/gateways: "192.0.2.1"'),
        ),
    ),
    Code(
        "LB0212",
        WARNING,
        "pool overlaps pods or cluster IPs",
        "Addresses of the pool are used inside the cluster: by pods (podCIDRs of nodes, addresses of endpoints) or as "
        "cluster IPs of services. Traffic to them never leaves the node, and ends at the wrong place. It is a warning, "
        "since MetalLB takes such a pool; as long as the addresses differ one by one, it even works.",
        example=together(pool(), COVER, service("clusterIP: 192.0.2.10")),
        fix=together(pool(), COVER, service("clusterIP: 10.96.0.10")),
    ),
    Code(
        "LB0213",
        WARNING,
        "address that belongs to the segment",
        "The first and the last address of an IPv4 segment stand for the segment itself and for all hosts on it "
        "(broadcast), and the first of an IPv6 segment for any router (RFC 4291 section 2.6.1). Hosts on the "
        "segment do not reach a service there. The segment must be known for this: from the annotation "
        "lbctl.io/networks of a node, or from what Calico notes on it. A /24 that is announced by BGP and no "
        "segment anywhere is not meant.",
        example=together(
            pool("addresses: [192.0.2.128/25]"),
            COVER,
            node("192.0.2.10", annotation='lbctl.io/networks: "192.0.2.10/24"'),
        ),
        fix=together(
            pool("addresses: [192.0.2.128-192.0.2.254]"),
            COVER,
            node("192.0.2.10", annotation='lbctl.io/networks: "192.0.2.10/24"'),
        ),
    ),
    Code(
        "LB0214",
        WARNING,
        "addresses that no host can have",
        "Some ranges are set aside for other purposes (RFC 6890): 0.0.0.0/8, loopback, link-local (fe80::/10), "
        "multicast, 240.0.0.0/4, broadcast. A service that is given one is reached by nobody; or, of "
        "240.0.0.0/4, by those few whose routers do not drop it. Mostly a digit is wrong, or the pool is far too wide. "
        "What no packet to one machine can be sent to (0.0.0.0/8, loopback, multicast, 255.255.255.255) is left out of "
        "the pool, as by lbctl.io/exclude, and a service that asks for it is refused.",
        example=together(pool("addresses: [224.0.2.0/24]"), COVER),
        fix=together(pool("addresses: [192.0.2.0/24]"), COVER),
    ),
    Code(
        "LB0215",
        NOTE,
        "serviceAllocation that matches nobody",
        "A namespace that the pool names is not there, or a selector of its serviceAllocation matches none. The "
        "pool then stays closed to everybody else too (MetalLB would open it to all who ask for it by name). "
        "Namespaces and services come and go, so it is a note; it is looked for where there are namespaces or "
        "services to compare with.",
        example=together(
            pool("addresses: [192.0.2.0/24]\nserviceAllocation: {namespaces: [shpo]}"),
            COVER,
            manifest("Namespace", name="shop", version="v1"),
        ),
        fix=together(
            pool("addresses: [192.0.2.0/24]\nserviceAllocation: {namespaces: [shop]}"),
            COVER,
            manifest("Namespace", name="shop", version="v1"),
        ),
    ),
)
