"""The fields of MetalLB's old format: their types, and what they are called today."""

from __future__ import annotations

from collections.abc import Iterator

from lbctl.config.advertisement import CommunityValue
from lbctl.config.block import Value
from lbctl.config.duration import Duration
from lbctl.config.peer import RouterId
from lbctl.config.pool import PoolItem
from lbctl.config.schema import Fields, JsonSchema, Many, Problem, Record, Refer, TextMap, Walk, Wrong
from lbctl.config.value_types import Address, AnyValue, Boolean, Integer, Text
from lbctl.model.selector import Operator

PROTOCOLS = ("layer2", "bgp")
_ASN = Integer(0, 2**32 - 1)
_EXPRESSION = Record(
    "a match expression",
    {"key": Text(empty=False), "operator": Text(Operator), "values": Many(Text())},
    required=("key", "operator"),
)
_SELECTOR = Record("a node selector", {"match-labels": TextMap(), "match-expressions": Many(_EXPRESSION)})
_PEER = Record(
    "a peer",
    {
        "my-asn": _ASN,
        "peer-asn": _ASN,
        "peer-address": Address(),
        "peer-port": Integer(0, 16384),
        "source-address": Address(),
        "hold-time": Duration(),
        "keepalive-time": Duration(),
        "router-id": RouterId(),
        "node-selectors": Many(_SELECTOR),
        "password": Text(),
        "bfd-profile": Text(),
        "ebgp-multihop": Boolean(),
    },
    required=("my-asn", "peer-asn", "peer-address"),
    secret=("password",),
)
_ADVERTISEMENT = Record(
    "a bgp-advertisement",
    {
        "aggregation-length": Integer(1, 32),
        "aggregation-length-v6": Integer(0, 128),
        "localpref": Integer(0, 2**32 - 1),
        "communities": Many(CommunityValue(names=True)),
    },
)


def _layer2_has_no_bgp(fields: Fields) -> Iterator[Problem]:
    if fields.get("protocol") == "layer2" and fields.get("bgp-advertisements"):
        yield Problem(
            "LB0105",
            ("bgp-advertisements",),
            "a pool of protocol layer2 has no bgp-advertisements",
            "remove them, or write protocol: bgp",
            at_key=True,
        )


_POOL = Record(
    "an address pool",
    {
        "name": Text(empty=False),
        "protocol": Text(PROTOCOLS),
        "addresses": Many(PoolItem(), none=("LB0201", "the pool has no addresses", "write at least one CIDR or range")),
        "avoid-buggy-ips": Boolean(),
        "auto-assign": Boolean(),
        "bgp-advertisements": Many(_ADVERTISEMENT),
    },
    required=("name", "protocol", "addresses"),
    rules=(_layer2_has_no_bgp,),
)
_MILLISECONDS = Integer(10, 60000)
_BFD = Record(
    "a BFD profile",
    {
        "name": Text(empty=False),
        "receive-interval": _MILLISECONDS,
        "transmit-interval": _MILLISECONDS,
        "detect-multiplier": Integer(2, 255),
        "echo-interval": _MILLISECONDS,
        "echo-mode": Boolean(),
        "passive-mode": Boolean(),
        "minimum-ttl": Integer(1, 254),
    },
    required=("name",),
)


class _Communities:
    """A mapping from names to communities in numbers."""

    def read(self, value: Value, walk: Walk) -> None:
        if not isinstance(value, dict):
            raise Wrong("LB0107", "a mapping from names to communities is wanted here")
        number = CommunityValue(names=False)
        for name, text in value.items():
            walk.path.append(name)
            try:
                number.read(text, walk)
            except Wrong as wrong:
                walk.wrong(wrong)
            walk.path.pop()

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "object", "additionalProperties": CommunityValue(names=False).schema(refer)}


TEXT = Record(
    "the old configuration",
    {
        "peers": Many(_PEER),
        "address-pools": Many(_POOL),
        "bgp-communities": _Communities(),
        "bfd-profiles": Many(_BFD),
        "peer-autodiscovery": AnyValue(),
    },
)

PEER_FIELDS = {
    "my-asn": "myASN",
    "peer-asn": "peerASN",
    "peer-address": "peerAddress",
    "peer-port": "peerPort",
    "source-address": "sourceAddress",
    "hold-time": "holdTime",
    "keepalive-time": "keepaliveTime",
    "router-id": "routerID",
    "node-selectors": "nodeSelectors",
    "password": "password",
    "bfd-profile": "bfdProfile",
    "ebgp-multihop": "ebgpMultiHop",
}
POOL_FIELDS = {"addresses": "addresses", "avoid-buggy-ips": "avoidBuggyIPs", "auto-assign": "autoAssign"}
ADVERTISEMENT_FIELDS = {
    "aggregation-length": "aggregationLength",
    "aggregation-length-v6": "aggregationLengthV6",
    "localpref": "localPref",
    "communities": "communities",
}
BFD_FIELDS = {
    "receive-interval": "receiveInterval",
    "transmit-interval": "transmitInterval",
    "detect-multiplier": "detectMultiplier",
    "echo-interval": "echoInterval",
    "echo-mode": "echoMode",
    "passive-mode": "passiveMode",
    "minimum-ttl": "minimumTtl",
}
