"""LB03: codes of findings about advertisements."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code
from lbctl.config.codes.example import COVER, manifest, node, peer, pool, service, together

ADVERTISEMENTS: tuple[Code, ...] = (
    Code(
        "LB0301",
        WARNING,
        "advertisement names a missing pool",
        "ipAddressPools holds a name that no IPAddressPool has. The advertisement does nothing for it; usually "
        "the name is misspelt.",
        example=together(pool(), COVER, manifest("L2Advertisement", "ipAddressPools: [frist]")),
        fix=together(pool(), COVER, manifest("L2Advertisement", "ipAddressPools: [first]")),
    ),
    Code(
        "LB0302",
        WARNING,
        "advertisement names a missing peer",
        "peers holds a name that no BGPPeer has. Nothing is announced there; usually the name is misspelt.",
        example=together(
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1"),
            manifest("BGPAdvertisement", "peers: [ruoter]"),
        ),
        fix=together(
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1"),
            manifest("BGPAdvertisement", "peers: [router]"),
        ),
    ),
    Code(
        "LB0303",
        ERROR,
        "aggregation together with serviceSelectors",
        "An aggregate stands for all services in it and cannot be announced for some of them only. Leave "
        "aggregationLength at 32 and aggregationLengthV6 at 128, or leave serviceSelectors out.",
        "B2",
        example=manifest("BGPAdvertisement", "aggregationLength: 24\nserviceSelectors:\n- matchLabels: {tier: gold}"),
        fix=manifest("BGPAdvertisement", "serviceSelectors:\n- matchLabels: {tier: gold}"),
    ),
    Code(
        "LB0304",
        ERROR,
        "invalid BGP community",
        "A community is two numbers up to 65535 (64512:10), or large: and three numbers up to 4294967295 "
        "(large:64512:1:10), or the name given to one by a Community object.",
        "B4",
        example=manifest("BGPAdvertisement", 'communities: ["64512:70000"]'),
        fix=manifest("BGPAdvertisement", 'communities: ["large:64512:70000:0"]'),
    ),
    Code(
        "LB0305",
        WARNING,
        "unknown community name",
        "No Community object gives this name to a community. The prefix is announced without it until one does.",
        "B4",
        example=manifest("BGPAdvertisement", "communities: [no-export]"),
        fix=together(
            manifest("BGPAdvertisement", "communities: [no-export]"),
            manifest("Community", 'communities:\n- {name: no-export, value: "65535:65281"}'),
        ),
    ),
    Code(
        "LB0306",
        ERROR,
        "community name given twice",
        "Two entries of Community objects give the same name, so that it cannot be told which value is meant.",
        example=manifest(
            "Community", 'communities:\n- {name: blue, value: "64512:1"}\n- {name: blue, value: "64512:2"}'
        ),
        fix=manifest("Community", 'communities:\n- {name: blue, value: "64512:1"}\n- {name: green, value: "64512:2"}'),
    ),
    Code(
        "LB0307",
        WARNING,
        "pool selectors that match nothing",
        "None of the ipAddressPoolSelectors matches a pool that is here, so the advertisement announces nothing. Only "
        "labels count (metadata.labels of the IPAddressPool), not names and not annotations.",
        example=together(
            pool(metadata="labels: {zone: a}"),
            COVER,
            manifest("BGPAdvertisement", "ipAddressPoolSelectors: [{matchLabels: {zone: b}}]"),
        ),
        fix=together(
            pool(metadata="labels: {zone: a}"),
            COVER,
            manifest("BGPAdvertisement", "ipAddressPoolSelectors: [{matchLabels: {zone: a}}]"),
        ),
    ),
    Code(
        "LB0308",
        WARNING,
        "node selectors that match nothing",
        "None of the nodeSelectors matches a node that is here, so that no node may announce. Nodes are compared where "
        "there are some among the manifests. Every node has the label kubernetes.io/hostname, also outside Kubernetes.",
        example=together(
            manifest("L2Advertisement", "nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n2}}]"),
            node("192.0.2.10"),
        ),
        fix=together(
            manifest("L2Advertisement", "nodeSelectors: [{matchLabels: {kubernetes.io/hostname: n1}}]"),
            node("192.0.2.10"),
        ),
    ),
    Code(
        "LB0309",
        NOTE,
        "selector that matches nothing",
        "One of several selectors, a preference, or a selector of services matches nothing that is here. That may "
        "be so on purpose, since nodes, pools and services come and go, or a label is misspelt.",
        example=together(
            manifest("L2Advertisement", "serviceSelectors: [{matchLabels: {app: wbe}}]"),
            service().replace("  name: web\n", "  name: web\n  labels: {app: web}\n"),
        ),
        fix=together(
            manifest("L2Advertisement", "serviceSelectors: [{matchLabels: {app: web}}]"),
            service().replace("  name: web\n", "  name: web\n  labels: {app: web}\n"),
        ),
    ),
    Code(
        "LB0310",
        ERROR,
        "aggregation wider than the pool",
        "An aggregate is announced as a whole: with aggregationLength 24 the router sends all of a /24 to the "
        "nodes. Of every CIDR and range of the pool some prefix of that length must belong to the pool entirely, or "
        "traffic for addresses of others would be drawn here.",
        "B5",
        example=together(pool("addresses: [192.0.2.0/28]"), manifest("BGPAdvertisement", "aggregationLength: 24")),
        fix=together(pool("addresses: [192.0.2.0/24]"), manifest("BGPAdvertisement", "aggregationLength: 24")),
    ),
    Code(
        "LB0311",
        ERROR,
        "two local preferences for one route",
        "Two advertisements announce the same routes (a pool in common, the same aggregation length) to the same "
        "peer from the same node, with another localPref each. A route has one. Those that name serviceSelectors "
        "are compared by the speaker, service by service.",
        "B6",
        example=together(
            pool(),
            manifest("BGPAdvertisement", "localPref: 100"),
            manifest("BGPAdvertisement", "localPref: 200", name="second"),
        ),
        fix=together(
            pool(),
            manifest("BGPAdvertisement", "localPref: 100\npeers: [left]"),
            manifest("BGPAdvertisement", "localPref: 200\npeers: [right]", name="second"),
            peer("myASN: 64512\npeerASN: 64512\npeerAddress: 198.51.100.1", name="left"),
            peer("myASN: 64512\npeerASN: 64512\npeerAddress: 198.51.100.2", name="right"),
        ),
    ),
    Code(
        "LB0312",
        NOTE,
        "advertisement that says nothing new",
        "Two BGPAdvertisements are the same but for their names. The second one changes nothing; probably it was "
        "copied and should differ.",
        "B7",
        example=together(
            pool(),
            manifest("BGPAdvertisement", "localPref: 100"),
            manifest("BGPAdvertisement", "localPref: 100", name="b"),
        ),
        fix=together(pool(), manifest("BGPAdvertisement", "localPref: 100")),
    ),
    Code(
        "LB0313",
        NOTE,
        "localPref to peers of other ASs",
        "LOCAL_PREF is sent within an AS only (RFC 4271 section 5.1.5). All peers of this advertisement are of "
        "other ASs, so nobody gets it. To prefer one way in from outside, agree on communities with the router's "
        "operator.",
        example=together(
            manifest("BGPAdvertisement", "localPref: 100"),
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 198.51.100.1"),
        ),
        fix=together(
            manifest("BGPAdvertisement", "communities: [64512:100]"),
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 198.51.100.1"),
        ),
    ),
    Code(
        "LB0314",
        WARNING,
        "no name of an interface",
        "Interfaces are named exactly: no patterns, at most 15 bytes, no spaces and no slashes. Nothing is "
        "announced on an interface that cannot exist. Whether one that can exist does, each speaker finds out on "
        "its own node, and lbctl where-is says so.",
        example=manifest("L2Advertisement", 'interfaces: ["eth*"]'),
        fix=manifest("L2Advertisement", "interfaces: [eth0, eth1]"),
    ),
)
