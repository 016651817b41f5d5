"""Old MetalLB configuration: what it becomes, that this stands up to every rule, and where the findings point."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.config.block import BlockParser
from lbctl.config.compose import compose, value_of
from lbctl.config.convert import Converted, convert
from lbctl.config.convert_old import Names, valid_name
from lbctl.config.convert_yaml import document, scalar
from lbctl.config.diagnostic import Severity
from lbctl.config.parse import parse
from lbctl.config.reader import Reader
from lbctl.model.snapshot import World

LAYER2 = """
address-pools:
- name: default
  protocol: layer2
  addresses:
  - 192.168.1.240-192.168.1.250
"""
BGP = """
peers:
- peer-address: 10.0.0.1
  peer-asn: 64501
  my-asn: 64500
address-pools:
- name: default
  protocol: bgp
  addresses:
  - 192.168.10.0/24
"""


def indented(text: str, by: str = "    ") -> str:
    return "".join(by + line + "\n" if line else "\n" for line in text.strip("\n").split("\n"))


def config_map(text: str, namespace: str = "metallb-system") -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: {namespace}\n  name: config\ndata:\n"
        f"  config: |\n{indented(text)}"
    )


def run(text: str, **more: Any) -> Converted:
    return convert({"a.yaml": text.encode()}, **more)


def manifests(text: str) -> list[dict[str, Any]]:
    made = run(text)
    assert not made.failed, made.diagnostics
    return objects(made)


def objects(made: Converted) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(made.text) if item]


def specs(text: str) -> dict[str, dict[str, Any]]:
    """Kind/name -> spec."""
    return {f"{item['kind']}/{item['metadata']['name']}": item.get("spec", {}) for item in manifests(text)}


def world(made: Converted) -> World:
    """What comes out, read as any manifest is; no error may be in it."""
    reading = Reader().read({"out.yaml": made.text.encode()}) if made.text else Reader().read({})
    assert not [found for found in reading.diagnostics if found.severity is Severity.ERROR], (made.text, reading)
    return reading.world


def findings(text: str) -> list[tuple[str, int, str]]:
    """(code, line, what stands there)."""
    lines = text.split("\n")
    return [
        (found.code, found.span.line, lines[found.span.line - 1][found.span.column - 1 : found.span.end_column - 1])
        for found in run(text).diagnostics
    ]


def test_layer2() -> None:
    assert run(config_map(LAYER2)).text == (
        "apiVersion: metallb.io/v1beta1\n"
        "kind: IPAddressPool\n"
        "metadata:\n"
        "  name: default\n"
        "  namespace: metallb-system\n"
        "spec:\n"
        "  addresses:\n"
        "  - 192.168.1.240-192.168.1.250\n"
        "---\n"
        "apiVersion: metallb.io/v1beta1\n"
        "kind: L2Advertisement\n"
        "metadata:\n"
        "  name: layer2\n"
        "  namespace: metallb-system\n"
        "spec:\n"
        "  ipAddressPools:\n"
        "  - default\n"
    )


def test_the_text_alone_is_the_same() -> None:
    assert run(LAYER2).text == run(config_map(LAYER2)).text
    assert (
        run(f"configInline:{indented(LAYER2, '  ')}".replace("configInline:", "configInline:\n", 1)).text
        == run(LAYER2).text
    )


def test_the_namespace_of_the_config_map_counts() -> None:
    assert "namespace: lb\n" in run(config_map(LAYER2, "lb")).text
    assert "namespace: other\n" in run(LAYER2, namespace="other").text


def test_bgp() -> None:
    assert specs(BGP) == {
        "BGPPeer/peer-10-0-0-1": {"myASN": 64500, "peerASN": 64501, "peerAddress": "10.0.0.1"},
        "IPAddressPool/default": {"addresses": ["192.168.10.0/24"]},
        "BGPAdvertisement/default": {"ipAddressPools": ["default"]},
    }


PEER_FIELDS = [
    ("peer-port: 180", {"peerPort": 180}),
    ("peer-port: 0", {}),
    ("source-address: 10.0.0.2", {"sourceAddress": "10.0.0.2"}),
    ("hold-time: 120s", {"holdTime": "120s"}),
    ("hold-time: 1m30s\n  keepalive-time: 10s", {"holdTime": "1m30s", "keepaliveTime": "10s"}),
    ("router-id: 1.2.3.4", {"routerID": "1.2.3.4"}),
    ("password: 'yes'", {"password": "yes"}),
    ("ebgp-multihop: true", {"ebgpMultiHop": True}),
    (
        "node-selectors:\n  - match-labels:\n      rack: frontend\n    match-expressions:\n"
        "    - {key: speed, operator: NotIn, values: [slow, slower]}\n  - match-labels: {a: b}",
        {
            "nodeSelectors": [
                {
                    "matchLabels": {"rack": "frontend"},
                    "matchExpressions": [{"key": "speed", "operator": "NotIn", "values": ["slow", "slower"]}],
                },
                {"matchLabels": {"a": "b"}},
            ]
        },
    ),
]


@pytest.mark.parametrize(("text", "fields"), PEER_FIELDS)
def test_fields_of_peers(text: str, fields: dict[str, Any]) -> None:
    old = "peers:\n- my-asn: 64500\n  peer-asn: 64501\n  peer-address: 10.0.0.1\n  " + text + "\n"
    given = {"myASN": 64500, "peerASN": 64501, "peerAddress": "10.0.0.1", **fields}
    assert specs(old) == {"BGPPeer/peer-10-0-0-1": given}
    assert specs(config_map(old)) == {"BGPPeer/peer-10-0-0-1": given}


POOL_FIELDS = [
    ("protocol: layer2", {}, [("L2Advertisement/layer2", {"ipAddressPools": ["p"]})]),
    ("protocol: bgp\n  auto-assign: false", {"autoAssign": False}, [("BGPAdvertisement/p", {})]),
    ("protocol: bgp\n  avoid-buggy-ips: true", {"avoidBuggyIPs": True}, [("BGPAdvertisement/p", {})]),
    (
        "protocol: bgp\n  bgp-advertisements:\n  - aggregation-length: 32\n    aggregation-length-v6: 128\n"
        "    communities: [no-advertise, 64512:7]\n  - aggregation-length: 24",
        {},
        [
            (
                "BGPAdvertisement/p",
                {"aggregationLength": 32, "aggregationLengthV6": 128, "communities": ["no-advertise", "64512:7"]},
            ),
            ("BGPAdvertisement/p-2", {"aggregationLength": 24}),
        ],
    ),
]


@pytest.mark.parametrize(("text", "fields", "advertisements"), POOL_FIELDS)
def test_fields_of_pools(text: str, fields: dict[str, Any], advertisements: list[tuple[str, dict[str, Any]]]) -> None:
    old = f"address-pools:\n- name: p\n  addresses: [10.0.0.0/24]\n  {text}\n"
    old += "bgp-communities: {no-advertise: '65535:65282'}\n"
    made = specs(old)
    assert made["IPAddressPool/p"] == {"addresses": ["10.0.0.0/24"], **fields}
    assert made["Community/communities"] == {"communities": [{"name": "no-advertise", "value": "65535:65282"}]}
    for name, spec in advertisements:
        assert made[name] == {"ipAddressPools": ["p"], **spec}
    assert len(made) == 2 + len(advertisements)


def test_localpref_within_one_as() -> None:
    old = BGP.replace("64501", "64500") + "  bgp-advertisements:\n  - localpref: 100\n"
    assert specs(old)["BGPAdvertisement/default"]["localPref"] == 100


def test_bfd_profiles() -> None:
    old = BGP.replace("my-asn", "bfd-profile: Full One\n  my-asn") + (
        "bfd-profiles:\n- name: Full One\n  receive-interval: 179\n  transmit-interval: 180\n  echo-interval: 62\n"
        "  echo-mode: false\n  passive-mode: true\n  minimum-ttl: 254\n  detect-multiplier: 5\n- name: plain\n"
    )
    made = specs(old)
    assert made["BFDProfile/full-one"] == {
        "receiveInterval": 179,
        "transmitInterval": 180,
        "detectMultiplier": 5,
        "echoInterval": 62,
        "echoMode": False,
        "passiveMode": True,
        "minimumTtl": 254,
    }
    assert made["BFDProfile/plain"] == {}
    assert made["BGPPeer/peer-10-0-0-1"]["bfdProfile"] == "full-one"


def test_many_pools_of_layer2_are_one_advertisement() -> None:
    old = (
        LAYER2
        + "- name: second\n  protocol: layer2\n  addresses: [10.1.0.0/24]\n"
        + BGP.split("address-pools:\n")[1].replace("default", "third")
    )
    made = specs(old)
    assert made["L2Advertisement/layer2"] == {"ipAddressPools": ["default", "second"]}
    assert made["BGPAdvertisement/third"] == {"ipAddressPools": ["third"]}


def test_names() -> None:
    taken = Names()
    assert [taken.take("IPAddressPool", name) for name in ("My_Pool", "my-pool", "my.pool", "---", "")] == [
        "my-pool",
        "my-pool-2",
        "my.pool",
        "ipaddresspool",
        "ipaddresspool-2",
    ]


@given(st.text(max_size=300))
def test_every_name_becomes_a_valid_one(text: str) -> None:
    import re

    name = Names().take("IPAddressPool", text)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name)
    assert len(name) <= 253
    assert valid_name(name) == name


# What cannot be converted, and what has to be said -------------------------------------------------------------------

FINDINGS = [
    ("peer-autodiscovery:\n  from-labels: []\n" + LAYER2, "LB0701", "peer-autodiscovery"),
    (LAYER2.replace("default", "My_Pool"), "LB0702", "My_Pool"),
    (BGP.replace("my-asn", "password: hunter2\n  my-asn"), "LB0703", "password"),
    (LAYER2.replace("layer2", "layer3"), "LB0109", "layer3"),
    (LAYER2.replace("addresses", "adresses"), "LB0105", "adresses"),
    (LAYER2.replace("192.168.1.250", "192.168.1.1"), "LB0203", "192.168.1.240-192.168.1.1"),
    (BGP.replace("peer-asn: 64501", "peer-asn: '64501'"), "LB0107", "'64501'"),
    (BGP.replace("my-asn", "hold-time: 1s\n  my-asn"), "LB0405", "1s"),
    (BGP.replace("my-asn", "bfd-profile: none\n  my-asn"), "LB0407", "none"),
    (BGP + "- name: other\n  protocol: bgp\n  addresses: [192.168.10.7/32]\n", "LB0205", "192.168.10.7/32"),
    (BGP + "  bgp-advertisements:\n  - aggregation-length: 20\n", "LB0310", "20"),
    (BGP + "  bgp-advertisements:\n  - communities: [missing]\n", "LB0305", "missing"),
    (BGP + "bgp-communities:\n  one: two\n", "LB0304", "two"),
    (LAYER2 + "  bgp-advertisements:\n  - localpref: 5\n", "LB0105", "bgp-advertisements"),
]


@pytest.mark.parametrize(("old", "code", "there"), FINDINGS, ids=[row[1] + " " + row[2] for row in FINDINGS])
@pytest.mark.parametrize("form", ["text", "ConfigMap", "List"])
def test_findings_point_at_the_old_text(old: str, code: str, there: str, form: str) -> None:
    match form:
        case "ConfigMap":
            old = config_map(old)
        case "List":
            item = "".join(f"  {line}\n" for line in config_map(old).rstrip("\n").split("\n"))
            old = "apiVersion: v1\nkind: List\nitems:\n-" + item[1:]
    found = findings(old)
    assert code in [each for each, _, _ in found]
    assert there in [text for each, _, text in found if each == code]
    world(run(old))


@pytest.mark.parametrize("protocol", ["bgp", "layer2"])
def test_an_advertisement_goes_with_its_pool(protocol: str) -> None:
    """Without any pool named it would announce them all."""
    refused = f"- name: other\n  protocol: {protocol}\n  addresses: [192.168.10.7/32]\n"
    made = run(BGP + refused)
    assert made.failed
    assert [item["kind"] for item in objects(made)] == ["BGPPeer", "IPAddressPool", "BGPAdvertisement"]
    assert world(made).bgp_advertisements.keys() == {"default"}


def test_text_in_quotes_is_pointed_at_as_a_whole() -> None:
    inner = LAYER2.replace("layer2", "layer3").replace("\n", "\\n")
    old = f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config}}\ndata:\n  config: "{inner}"\n'
    ((code, line, _),) = findings(old)
    assert (code, line) == ("LB0109", 5)


def test_broken_text_within_a_config_map() -> None:
    ((code, line, _),) = findings(config_map("address-pools:\n- name: a: b\n"))
    assert (code, line) == ("LB0004", 9)


def test_a_password_is_never_shown() -> None:
    (found,) = run(config_map(BGP.replace("my-asn", "password: hunter2\n  my-asn"))).diagnostics
    assert found.sensitive
    assert "hunter2" not in f"{found.message} {found.help}"


NOT_OLD = [
    ("", "LB0704"),
    ("a: b\n", "LB0704"),
    ("- a\n", "LB0704"),
    ("just text\n", "LB0704"),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {other: x}\n", "LB0704"),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {config: 'a: b'}\n", "LB0704"),
    ("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "LB0705"),
    ("apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: x}\n", "LB0705"),
]


@pytest.mark.parametrize(("text", "code"), NOT_OLD)
def test_what_is_not_old(text: str, code: str) -> None:
    made = run(text)
    assert [found.code for found in made.diagnostics] == [code]
    assert (made.text, made.count) == ("", 0)


# The old kinds -------------------------------------------------------------------------------------------------------

OLD_POOL = """apiVersion: metallb.io/v1beta1
kind: AddressPool
metadata:
  name: gold
  namespace: lb
  labels: {tier: gold}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: x, lbctl.io/protect: in-use}
spec:
  protocol: bgp
  autoAssign: false
  addresses:
  - 10.0.0.0/24
  bgpAdvertisements:
  - aggregationLength: 32
    communities: ["64512:1"]
  - aggregationLength: 26
"""
OLD_PEER = """apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: r, namespace: lb}
spec:
  myASN: 64500
  peerASN: 64501
  peerAddress: 10.0.0.1
  peerPort: 0
  holdTime: 0s
  keepaliveTime: 0s
  routerID: ""
  password: ""
  ebgpMultiHop: false
  nodeSelectors:
  - matchLabels: {rack: a}
    matchExpressions:
    - {key: b, operator: In, values: [c]}
"""


def test_an_address_pool() -> None:
    made = manifests(OLD_POOL)
    assert made[0] == {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {
            "name": "gold",
            "namespace": "lb",
            "labels": {"tier": "gold"},
            "annotations": {"lbctl.io/protect": "in-use"},
        },
        "spec": {"addresses": ["10.0.0.0/24"], "autoAssign": False},
    }
    assert [(item["kind"], item["metadata"], item["spec"]) for item in made[1:]] == [
        (
            "BGPAdvertisement",
            {"name": "gold", "namespace": "lb"},
            {"ipAddressPools": ["gold"], "aggregationLength": 32, "communities": ["64512:1"]},
        ),
        (
            "BGPAdvertisement",
            {"name": "gold-2", "namespace": "lb"},
            {"ipAddressPools": ["gold"], "aggregationLength": 26},
        ),
    ]
    layer2 = specs(OLD_POOL[: OLD_POOL.index("  bgpAdv")].replace("bgp", "layer2"))
    assert layer2["L2Advertisement/gold"] == {"ipAddressPools": ["gold"]}


def test_a_peer_of_v1beta1() -> None:
    (made,) = manifests(OLD_PEER)
    assert made["apiVersion"] == "metallb.io/v1beta2"
    assert made["metadata"] == {"name": "r", "namespace": "lb"}
    assert made["spec"] == {
        "myASN": 64500,
        "peerASN": 64501,
        "peerAddress": "10.0.0.1",
        "nodeSelectors": [
            {"matchLabels": {"rack": "a"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["c"]}]}
        ],
    }
    given = OLD_PEER.replace('  routerID: ""\n', "").replace("  peerPort: 0\n", "")
    before = Reader().read({"a.yaml": given.encode()}).world.bgp_peers["r"]
    assert world(run(OLD_PEER)).bgp_peers["r"] == before, "it means the same"


def test_findings_in_the_old_kinds() -> None:
    assert findings(OLD_POOL.replace("bgp\n", "ospf\n")) == [("LB0109", 9, "ospf")]
    assert findings(OLD_PEER.replace("peerASN: 64501", "peerASN: x"))[0][:2] == ("LB0107", 6)
    overlapping = OLD_POOL + "---\n" + OLD_POOL.replace("gold", "silver")
    assert ("LB0205", "10.0.0.0/24") in [(code, there) for code, _, there in findings(overlapping)]


# Every old form there is ---------------------------------------------------------------------------------------------

EXAMPLES = {
    "layer2": LAYER2,
    "bgp": BGP,
    "two routers": BGP.replace(
        "address-pools", "- {peer-address: 10.0.0.2, peer-asn: 64501, my-asn: 64500}\naddress-pools"
    ),
    "communities": BGP
    + "  bgp-advertisements:\n  - aggregation-length: 32\n    communities:\n    - no-advertise\n"
    + "  - aggregation-length: 24\nbgp-communities:\n  no-advertise: 65535:65282\n",
    "node selectors": BGP.replace(
        "my-asn", "node-selectors:\n  - match-labels:\n      kubernetes.io/hostname: node-a\n  my-asn"
    ),
    "auto-assign": LAYER2 + "  auto-assign: false\n",
    "buggy": BGP + "  avoid-buggy-ips: true\n",
    "ipv6": LAYER2.replace("192.168.1.240-192.168.1.250", "2001:db8::10-2001:db8::20"),
    "dual": LAYER2 + "  - 2001:db8::/120\n",
    "bfd": BGP.replace("my-asn", "bfd-profile: x\n  my-asn") + "bfd-profiles:\n- name: x\n  echo-interval: 100\n",
    "quoted": "{'address-pools': [{'name': 'a', 'protocol': 'layer2', 'addresses': ['10.0.0.1/32']}]}\n",
    "empty sections": LAYER2 + "peers: []\nbgp-communities: {}\nbfd-profiles:\n",
    "multihop": BGP.replace("my-asn", "ebgp-multihop: true\n  source-address: 10.0.0.9\n  my-asn"),
    "password": BGP.replace("my-asn", "password: 'a: \"b\" #c'\n  my-asn"),
}


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_what_comes_out_is_valid(text: str) -> None:
    for form in (text, config_map(text)):
        made = run(form)
        assert not made.failed, made.diagnostics
        found = world(made)
        assert made.count == len(objects(made))
        assert found.pools
        announced = {name for ad in found.l2_advertisements.values() for name in ad.pools}
        announced |= {name for ad in found.bgp_advertisements.values() for name in ad.pools}
        assert announced == found.pools.keys()


_OLD = st.fixed_dictionaries(
    {},
    optional={
        "peers": st.lists(
            st.fixed_dictionaries(
                {
                    "my-asn": st.sampled_from([64500, 64500, 0, "x", 4200000000]),
                    "peer-asn": st.sampled_from([64501, 64500, None]),
                    "peer-address": st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1", "router"]),
                },
                optional={
                    "hold-time": st.sampled_from(["90s", "1s", "0s", 5]),
                    "bfd-profile": st.sampled_from(["fast", "Slow One", "x", ""]),
                    "password": st.text(max_size=5),
                    "ebgp-multihop": st.booleans(),
                    "nonsense": st.none(),
                    "node-selectors": st.just([{"match-labels": {"a": "b"}}]),
                },
            ),
            max_size=3,
        ),
        "address-pools": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["a", "A", "b_c", "d", "", "é"]),
                    "protocol": st.sampled_from(["bgp", "layer2", "layer2", "other"]),
                    "addresses": st.lists(
                        st.sampled_from(
                            ["10.0.0.0/24", "10.1.0.0/25", "10.0.0.9/32", "x", "2001:db8::/64", "10.2.0.1-10.2.0.9"]
                        ),
                        max_size=2,
                    ),
                },
                optional={
                    "auto-assign": st.sampled_from([True, False, "no"]),
                    "bgp-advertisements": st.lists(
                        st.fixed_dictionaries(
                            {},
                            optional={
                                "aggregation-length": st.sampled_from([32, 24, 8]),
                                "localpref": st.integers(0, 3),
                                "communities": st.lists(st.sampled_from(["1:1", "blue", "red"]), max_size=2),
                            },
                        ),
                        max_size=2,
                    ),
                },
            ),
            max_size=4,
        ),
        "bgp-communities": st.dictionaries(
            st.sampled_from(["blue", "red", "1:1"]), st.sampled_from(["1:2", "large:1:2:3", "x"])
        ),
        "bfd-profiles": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["fast", "Slow One"])},
                optional={"receive-interval": st.sampled_from([50, 5])},
            ),
            max_size=2,
        ),
        "peer-autodiscovery": st.just({}),
        "adress-pools": st.just([]),
    },
)


@settings(max_examples=80, deadline=None)
@given(_OLD)
def test_whatever_is_wrong_with_it_what_comes_out_is_valid(old: Any) -> None:
    made = run(config_map(yaml.safe_dump(old, allow_unicode=True)))
    found = world(made)
    assert made.count == len(objects(made))
    items = [*(old.get("peers") or []), *(old.get("address-pools") or []), *(old.get("bfd-profiles") or [])]
    kept = len(found.bgp_peers) + len(found.pools) + len(found.bfd_profiles)
    assert made.failed or kept == len(items), "what is left out is named"


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="peersadk-:[]{}'\"|>&*# \n\t0")))
def test_no_text_breaks_it(text: str) -> None:
    for form in (text, config_map(text), "address-pools:\n" + text):
        made = convert({"x": form.encode("utf-8", "surrogatepass")})
        assert made.count == len(objects(made))


# Text that comes out -------------------------------------------------------------------------------------------------

_SCALARS = st.one_of(
    st.text(),
    st.booleans(),
    st.integers(-5, 10**9),
    st.none(),
    st.sampled_from(
        [
            "on",
            "y",
            "0777",
            "0o17",
            "1e3",
            "64512:10",
            "1:30:00",
            "null",
            "~",
            "",
            " a",
            "a ",
            "2001:db8::",
            "- x",
            "2020-01-01",
            "=",
            "<<",
            "1_000",
            ".5",
            "a: b",
            "a #b",
        ]
    ),
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1),
        st.recursive(
            _SCALARS,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=8,
        ),
        min_size=1,
    )
)
def test_yaml_that_comes_out_reads_back_the_same(value: dict[str, Any]) -> None:
    text = document(value)
    composed = compose(text)
    assert composed.root is not None
    assert value_of(composed.root) == value


@pytest.mark.parametrize(
    "text", ["on", "no", "Y", "0777", "0o17", "1e3", "64512:10", "1:30:00", "null", "~", "", "2020-01-01", "1_0:30"]
)
def test_text_stays_text_for_readers_of_every_age(text: str) -> None:
    assert yaml.safe_load(f"a: {scalar(text)}") == {"a": text}
    assert not parse(f"a: {scalar(text)}\n".encode(), BlockParser()).objects


def test_a_misspelt_kind_is_not_said_to_be_of_today() -> None:
    made = run("apiVersion: metallb.io/v1beta1\nkind: IPAddresPool\nmetadata: {name: x}\n")
    assert [found.message for found in made.diagnostics] == [
        "metallb.io has no kind IPAddresPool in metallb.io/v1beta1, old or of today; it is left out"
    ]
