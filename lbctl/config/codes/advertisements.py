"""LB03: codes of findings about advertisements."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, WARNING, Code
from lbctl.config.codes.example import COVER, manifest, peer, pool, together

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
)
