"""MetalLB's rules R1 to R12 and F1 to F3, BFDProfile and Community, each accepted and refused."""

from __future__ import annotations

import pytest

from tests.config.manifests import Found, pool, read
from tests.config.rules import GOOD, bfd, bgp, cases, check, community, node, old_peer, peer, secret

SPEC = {"myASN": "64512", "peerASN": "64513", "peerAddress": "10.9.9.1"}


def spec(**fields: str | None) -> list[str]:
    """One peer with some fields of its spec given another value, or none."""
    merged = {**SPEC, **fields}
    return [peer(spec="".join(f"  {name}: {value}\n" for name, value in merged.items() if value is not None))]


@cases(
    ("highest", spec(myASN="4294967295"), GOOD),
    ("zero", spec(myASN="0"), [("LB0401", "0")]),
    ("missing", spec(myASN=None), [("LB0110", "spec")]),
    ("too-high", spec(myASN="4294967296"), [("LB0108", "4294967296")]),
    ("negative", spec(myASN="-1"), [("LB0108", "-1")]),
    ("dotted", spec(myASN="1.1"), [("LB0107", "1.1")]),
)
def test_r1_own_as_number(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("number", spec(peerASN="65000"), GOOD),
    ("dynamic", spec(peerASN=None, dynamicASN="external"), GOOD),
    ("zero-and-dynamic", spec(peerASN="0", dynamicASN="internal"), GOOD),
    ("neither", spec(peerASN=None), [("LB0402", "spec")]),
    ("zero", spec(peerASN="0"), [("LB0402", "0")]),
    ("both", spec(dynamicASN="internal"), [("LB0402", "internal")]),
)
def test_r2_one_as_number_of_the_peer(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("internal", spec(peerASN=None, dynamicASN="internal"), GOOD),
    ("external", spec(peerASN=None, dynamicASN="external"), GOOD),
    ("word", spec(peerASN=None, dynamicASN="any"), [("LB0109", "any")]),
    ("capital", spec(peerASN=None, dynamicASN="External"), [("LB0109", "External")]),
)
def test_r3_dynamic_as_is_internal_or_external(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("external", spec(ebgpMultiHop="true"), GOOD),
    ("internal-single-hop", spec(peerASN="64512"), GOOD),
    ("internal-said-no", spec(peerASN="64512", ebgpMultiHop="false"), GOOD),
    ("internal", spec(peerASN="64512", ebgpMultiHop="true"), [("LB0403", "true")]),
    (
        "old",
        [old_peer("  ebgpMultiHop: true").replace("64513", "64512")],
        [("LB0410", "metallb.io/v1beta1"), ("LB0403", "true")],
    ),
)
def test_r4_multihop_is_external(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("v4", spec(peerAddress="10.9.9.1"), GOOD),
    ("v6", spec(peerAddress="2001:db8::1"), GOOD),
    ("interface", spec(peerAddress=None, interface="eth0"), GOOD),
    ("neither", spec(peerAddress=None), [("LB0404", "spec")]),
    ("both", spec(interface="eth0"), [("LB0404", "eth0")]),
    ("name", spec(peerAddress="router"), [("LB0116", "router")]),
    ("cidr", spec(peerAddress="10.9.9.1/32"), [("LB0116", "10.9.9.1/32")]),
    ("zone", spec(peerAddress="fe80::1%eth0"), [("LB0116", "fe80::1%eth0")]),
    ("link-local", spec(peerAddress="fe80::1"), [("LB0420", "fe80::1")]),
    ("interface-name", spec(peerAddress=None, interface="eth*"), [("LB0314", "eth*")]),
    ("vrf-name", spec(vrf="red/blue"), [("LB0314", "red/blue")]),
    ("vrf", spec(vrf="red"), GOOD),
)
def test_r5_one_address(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("never", spec(holdTime="0s"), GOOD),
    ("shortest", spec(holdTime="3s"), GOOD),
    ("both", spec(holdTime="90s", keepaliveTime="30s"), GOOD),
    ("equal", spec(holdTime="9s", keepaliveTime="9s"), GOOD),
    ("two-seconds", spec(holdTime="2s"), [("LB0405", "2s")]),
    ("cut-to-two-seconds", spec(holdTime="2999ms"), [("LB0405", "2999ms")]),
    ("half-a-second", spec(holdTime="500ms"), [("LB0405", "500ms")]),
    ("keepalive-of-half-a-second", spec(keepaliveTime="500ms"), [("LB0405", "500ms")]),
    ("keepalive-longer", spec(holdTime="9s", keepaliveTime="10s"), [("LB0405", "10s")]),
    ("negative", spec(holdTime="-9s"), [("LB0108", "-9s")]),
    ("no-unit", spec(holdTime="90"), [("LB0107", "90")]),
    ("no-duration", spec(keepaliveTime="often"), [("LB0118", "often")]),
    ("connect", spec(connectTime="1s"), GOOD),
    ("connect-longest", spec(connectTime="65535s"), GOOD),
    ("connect-minutes", spec(connectTime="2m"), GOOD),
    ("connect-zero", spec(connectTime="0s"), [("LB0108", "0s")]),
    ("connect-too-long", spec(connectTime="65536s"), [("LB0108", "65536s")]),
    ("connect-half", spec(connectTime="1500ms"), [("LB0108", "1500ms")]),
)
def test_r6_times(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("router-id", spec(routerID="10.0.0.1"), GOOD),
    ("source", spec(sourceAddress="10.9.9.7"), GOOD),
    ("router-id-v6", spec(routerID="fd00::1"), [("LB0116", "fd00::1")]),
    ("router-id-number", spec(routerID="1"), [("LB0107", "1")]),
    ("router-id-text", spec(routerID="one"), [("LB0116", "one")]),
    ("source-text", spec(sourceAddress="here"), [("LB0116", "here")]),
    ("source-cidr", spec(sourceAddress="10.9.9.7/24"), [("LB0116", "10.9.9.7/24")]),
    ("source-of-another-family", spec(sourceAddress="fd00::7"), [("LB0420", "fd00::7")]),
    ("port", spec(peerPort="16384"), GOOD),
    ("port-1", spec(peerPort="1"), GOOD),
    ("port-0", spec(peerPort="0"), [("LB0108", "0")]),
    ("port-too-high", spec(peerPort="16385"), [("LB0108", "16385")]),
    ("local-as", spec(localASN="4294967295"), GOOD),
    ("local-as-0", spec(localASN="0"), [("LB0108", "0")]),
    ("local-as-too-high", spec(localASN="4294967296"), [("LB0108", "4294967296")]),
)
def test_r7_addresses_and_numbers(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


RACK = "[{matchLabels: {rack: a}}]"


@cases(
    ("selectors", spec(nodeSelectors="[{matchLabels: {rack: a}}, {matchLabels: {rack: b}}]"), GOOD),
    ("twice", spec(nodeSelectors="[{matchLabels: {rack: a}}, {matchLabels: {rack: a}}]"), [("LB0114", "matchLabels")]),
    (
        "value-twice",
        spec(nodeSelectors="[{matchExpressions: [{key: a, operator: In, values: [x, x]}]}]"),
        [("LB0114", "x")],
    ),
    ("operator", spec(nodeSelectors="[{matchExpressions: [{key: a, operator: Is, values: [x]}]}]"), [("LB0109", "Is")]),
    ("matches-a-node", [*spec(nodeSelectors=RACK), node("n1", labels="rack: a")], GOOD),
    ("matches-no-node", [*spec(nodeSelectors=RACK), node("n1", labels="rack: b")], [("LB0411", "matchLabels")]),
    ("no-nodes-to-compare", spec(nodeSelectors=RACK), GOOD),
    (
        "one-of-two-matches-no-node",
        [*spec(nodeSelectors="[{matchLabels: {rack: a}}, {matchLabels: {rack: b}}]"), node("n1", labels="rack: b")],
        [("LB0309", "matchLabels")],
    ),
)
def test_r8_node_selectors(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


PASSWORD = secret("stringData: {password: x}")


@cases(
    ("password", spec(password="x"), GOOD),
    ("secret", [*spec(passwordSecret="{name: pw}"), PASSWORD], GOOD),
    ("empty-password", [*spec(password="''", passwordSecret="{name: pw}"), PASSWORD], GOOD),
    ("both", [*spec(password="x", passwordSecret="{name: pw}"), PASSWORD], [("LB0406", "passwordSecret")]),
    ("a-number", spec(password="7"), [("LB0107", "7")]),
    ("no-name", spec(passwordSecret="{namespace: n}"), [("LB0110", "passwordSecret")]),
)
def test_r9_one_password(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


BY_SECRET = spec(passwordSecret="{name: pw, namespace: n}")
BESIDE = [BY_SECRET[0].replace("  name: router\n", "  name: router\n  namespace: metallb-system\n")]


@cases(
    ("base64", [*BY_SECRET, secret("data: {password: eA==}")], GOOD),
    ("plain", [*BY_SECRET, secret("stringData: {password: x}")], GOOD),
    (
        "both-and-others",
        [*BY_SECRET, secret("data: {password: eA==, username: eA==}\nstringData: {password: y}\nimmutable: true")],
        GOOD,
    ),
    ("missing", BY_SECRET, [("LB0408", "pw")]),
    ("in-another-namespace", [*BY_SECRET, secret("stringData: {password: x}", space="m")], [("LB0408", "pw")]),
    ("of-another-type", [*BY_SECRET, secret("stringData: {password: x}", type="Opaque")], [("LB0409", "pw")]),
    (
        "of-no-type",
        [*BY_SECRET, secret("stringData: {password: x}").replace("type: kubernetes.io/basic-auth\n", "")],
        [("LB0409", "pw")],
    ),
    ("without-password", [*BY_SECRET, secret("stringData: {username: x}")], [("LB0409", "pw")]),
    ("with-an-empty-password", [*BY_SECRET, secret("stringData: {password: ''}")], [("LB0409", "pw")]),
    ("broken-base64", [secret("data: {password: '='}")], [("LB0409", "data")]),
    (
        "of-the-peers-namespace",
        [
            BESIDE[0].replace("namespace: n}", "namespace: metallb-system}"),
            secret("stringData: {password: x}", space="metallb-system"),
        ],
        GOOD,
    ),
    ("of-another-than-the-peers", [*BESIDE, PASSWORD], [("LB0419", "n")]),
)
def test_r10_secrets_hold_passwords(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def test_r10_says_where_the_secret_is() -> None:
    (found,) = read(*BY_SECRET, secret("stringData: {password: x}", space="m")).diagnostics
    assert found.help == 'there is one in the namespace "m"'


@cases(
    ("there", [*spec(bfdProfile="fast"), bfd()], GOOD),
    ("empty", spec(bfdProfile="''"), GOOD),
    ("missing", spec(bfdProfile="fast"), [("LB0407", "fast")]),
    ("misspelt", [*spec(bfdProfile="fats"), bfd()], [("LB0407", "fats")]),
)
def test_r11_profiles_exist(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


OTHER = "  myASN: 64512\n  peerASN: 64513\n  peerAddress: 10.9.9.2\n"


@cases(
    ("two", [peer(), peer(name="b", spec=OTHER)], GOOD),
    ("the-very-same", [peer(), peer()], [("LB0113", "router")]),
    ("same-name", [peer(), peer(spec=OTHER)], [("LB0113", "router")]),
    ("old-and-new", [peer(), old_peer()], [("LB0410", "metallb.io/v1beta1"), ("LB0113", "router")]),
)
def test_r12_a_peer_is_given_once(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def on(host: str) -> str:
    return f"  nodeSelectors: [{{matchLabels: {{kubernetes.io/hostname: {host}}}}}]\n"


N1, N2 = node("n1"), node("n2")


@cases(
    ("equal", [peer("  routerID: 10.0.0.1\n"), peer("  routerID: 10.0.0.1\n", "b", OTHER)], GOOD),
    ("none", [peer(), peer("", "b", OTHER)], GOOD),
    (
        "different",
        [peer("  routerID: 10.0.0.1\n"), peer("  routerID: 10.0.0.2\n", "b", OTHER)],
        [("LB0413", "10.0.0.2")],
    ),
    ("one-has-none", [peer("  routerID: 10.0.0.1\n"), peer("", "b", OTHER)], [("LB0413", "b")]),
    (
        "on-different-nodes",
        [peer("  routerID: 10.0.0.1\n" + on("n1")), peer("  routerID: 10.0.0.2\n" + on("n2"), "b", OTHER), N1, N2],
        GOOD,
    ),
    (
        "on-a-node-in-common",
        [peer("  routerID: 10.0.0.1\n" + on("n1")), peer("  routerID: 10.0.0.2\n", "b", OTHER), N1, N2],
        [("LB0413", "10.0.0.2")],
    ),
    (
        "on-nodes-that-nobody-knows",
        [peer("  routerID: 10.0.0.1\n" + on("n1")), peer("  routerID: 10.0.0.2\n" + on("n2"), "b", OTHER)],
        GOOD,
    ),
)
def test_f1_router_ids(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("two-addresses", [peer(), peer("", "b", OTHER)], GOOD),
    ("one-address", [peer(), peer("", "b")], [("LB0412", "10.9.9.1")]),
    ("one-address-in-three", [peer(), peer("", "b"), peer("", "c")], [("LB0412", "10.9.9.1"), ("LB0412", "10.9.9.1")]),
    (
        "one-interface",
        [
            spec(peerAddress=None, interface="eth0")[0],
            spec(peerAddress=None, interface="eth0")[0].replace("name: router", "name: b"),
        ],
        [("LB0412", "eth0")],
    ),
    ("two-vrfs", [peer("  vrf: red\n"), peer("  vrf: blue\n", "b")], GOOD),
    ("one-vrf", [peer("  vrf: red\n"), peer("  vrf: red\n", "b")], [("LB0412", "10.9.9.1")]),
    ("two-ports", [peer(), peer("  peerPort: 1179\n", "b")], GOOD),
    ("two-sources", [peer("  sourceAddress: 10.9.9.7\n"), peer("  sourceAddress: 10.9.9.8\n", "b")], GOOD),
    ("two-nodes", [peer(on("n1")), peer(on("n2"), "b"), N1, N2], GOOD),
    ("two-nodes-that-nobody-knows", [peer(on("n1")), peer(on("n2"), "b")], GOOD),
    ("one-node", [peer(on("n1")), peer(on("n1"), "b"), N1, N2], [("LB0412", "10.9.9.1")]),
    ("all-nodes-and-one", [peer(), peer(on("n1"), "b"), N1, N2], [("LB0412", "10.9.9.1")]),
    (
        "by-labels-that-may-meet",
        [
            peer("  nodeSelectors: [{matchLabels: {rack: a}}]\n"),
            peer("  nodeSelectors: [{matchLabels: {disk: ssd}}]\n", "b"),
        ],
        [("LB0412", "10.9.9.1")],
    ),
    (
        "by-labels-that-do-not-meet",
        [
            peer("  nodeSelectors: [{matchLabels: {rack: a}}]\n"),
            peer("  nodeSelectors: [{matchLabels: {disk: ssd}}]\n", "b"),
            node("n1", labels="rack: a"),
            node("n2", labels="disk: ssd"),
        ],
        GOOD,
    ),
)
def test_f2_one_session_with_one_address(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


AS_2 = OTHER.replace("64512", "64520")


@cases(
    ("equal", [peer(), peer("", "b", OTHER)], GOOD),
    ("different", [peer(), peer("", "b", AS_2)], [("LB0414", "64520")]),
    ("in-two-vrfs", [peer("  vrf: red\n"), peer("  vrf: blue\n", "b", AS_2)], GOOD),
    ("in-one-vrf", [peer("  vrf: red\n"), peer("  vrf: red\n", "b", AS_2)], [("LB0414", "64520")]),
    ("on-different-nodes", [peer(on("n1")), peer(on("n2"), "b", AS_2), N1, N2], GOOD),
)
def test_f3_own_as_numbers(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@pytest.mark.parametrize(
    "more",
    [
        "  enableGracefulRestart: true\n  dualStackAddressFamily: true\n",
        "  connectTime: 5s\n  keepaliveTime: 3s\n  vrf: red\n",
        "  localASN: 65001\n",
        "  bfdProfile: fast\n  ebgpMultiHop: true\n",
    ],
)
def test_what_metallb_refuses_in_its_native_mode_alone_is_taken(more: str) -> None:
    texts = [peer(more), bfd(), pool("  addresses: ['fd00::/64']"), bgp("  communities: ['large:1:2:3']")]
    assert not read(*texts).diagnostics


@cases(
    ("off", spec(disableMP="false"), GOOD),
    ("on", spec(disableMP="true"), [("LB0418", "true")]),
)
def test_disable_mp_has_no_effect(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


OLD = ("LB0410", "metallb.io/v1beta1")


@cases(
    ("plain", [old_peer()], [OLD]),
    ("port-0-is-the-default", [old_peer("  peerPort: 0\n")], [OLD]),
    ("times-of-0-are-the-default", [old_peer("  holdTime: 0s\n  keepaliveTime: 0s\n")], [OLD]),
    ("selectors", [old_peer("  nodeSelectors: [{matchLabels: {a: b}}]\n")], [OLD]),
    ("no-address", [old_peer().replace("  peerAddress: 10.9.9.1\n", "")], [OLD, ("LB0110", "spec")]),
    ("peer-as-0", [old_peer().replace("64513", "0")], [OLD, ("LB0108", "0")]),
    ("own-as-0", [old_peer().replace("64512", "0")], [OLD, ("LB0401", "0")]),
    ("field-added-since", [old_peer("  vrf: red\n")], [OLD, ("LB0105", "vrf")]),
    ("other-field-added-since", [old_peer("  connectTime: 3s\n")], [OLD, ("LB0105", "connectTime")]),
)
def test_v1beta1_is_converted(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def test_v1beta1_says_where_newer_fields_are() -> None:
    found = read(old_peer("  vrf: red\n")).diagnostics
    assert [each.help for each in found if each.code == "LB0105"] == [
        "metallb.io/v1beta2 has it: write apiVersion: metallb.io/v1beta2"
    ]


def one(field: str, value: object) -> list[str]:
    return [bfd(f"  {field}: {value}\n")]


@cases(
    *(
        (f"{field}-{value}", one(field, value), GOOD if good else [("LB0108", str(value))])
        for field, low, high in (
            ("receiveInterval", 10, 60000),
            ("transmitInterval", 10, 60000),
            ("echoInterval", 10, 60000),
            ("detectMultiplier", 2, 255),
            ("minimumTtl", 1, 254),
        )
        for value, good in ((low - 1, False), (low, True), (high, True), (high + 1, False))
    ),
    ("echo", one("echoMode", "true"), GOOD),
    ("passive", one("passiveMode", "true"), GOOD),
    ("echo-word", one("echoMode", "on"), [("LB0107", "on")]),
    ("fraction", one("receiveInterval", "50.5"), [("LB0107", "50.5")]),
    ("duration", one("receiveInterval", "50ms"), [("LB0107", "50ms")]),
    ("no-name", [bfd(name="")], [("LB0110", "name")]),
    ("twice", [bfd(), bfd("  echoMode: true")], [("LB0113", "fast")]),
    ("unknown-field", one("multiplier", 3), [("LB0105", "multiplier")]),
)
def test_bfd_profile(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("echo", [peer("  bfdProfile: fast\n"), bfd("  echoMode: true")], GOOD),
    (
        "echo-over-hops",
        [peer("  bfdProfile: fast\n  ebgpMultiHop: true\n"), bfd("  echoMode: true")],
        [("LB0416", "fast")],
    ),
    ("ttl-over-hops", [peer("  bfdProfile: fast\n  ebgpMultiHop: true\n"), bfd("  minimumTtl: 200")], GOOD),
    ("ttl-of-a-neighbor", [peer("  bfdProfile: fast\n"), bfd("  minimumTtl: 200")], [("LB0417", "fast")]),
    (
        "ttl-within-an-as",
        [
            peer("  bfdProfile: fast\n", spec="  myASN: 1\n  peerASN: 1\n  peerAddress: 10.9.9.1\n"),
            bfd("  minimumTtl: 200"),
        ],
        GOOD,
    ),
)
def test_bfd_and_hops(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("both-forms", [community("  communities: [{name: a, value: '1:2'}, {name: b, value: 'large:1:2:3'}]")], GOOD),
    ("none", [community("  communities: []")], GOOD),
    ("unquoted", [community("  communities: [{name: a, value: 64512:10}]")], GOOD),
    ("no-value", [community("  communities: [{name: a}]")], [("LB0110", "name")]),
    ("no-name", [community("  communities: [{value: '1:2'}]")], [("LB0110", "value")]),
    ("alias-of-an-alias", [community("  communities: [{name: a, value: b}]")], [("LB0304", "b")]),
    ("too-big", [community("  communities: [{name: a, value: '65536:1'}]")], [("LB0304", "'65536:1'")]),
    ("bad-large", [community("  communities: [{name: a, value: 'large:1:2'}]")], [("LB0304", "'large:1:2'")]),
    ("twice", [community("  communities: [{name: a, value: '1:2'}, {name: a, value: '1:3'}]")], [("LB0306", "a")]),
    (
        "twice-over-objects",
        [
            community("  communities: [{name: a, value: '1:2'}]"),
            community("  communities: [{name: a, value: '1:2'}]", "more"),
        ],
        [("LB0306", "a")],
    ),
    ("object-twice", [community("  communities: []"), community("  communities: []")], [("LB0113", "names")]),
)
def test_community(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def test_what_a_hundred_peers_of_a_hundred_nodes_say_of_each_other() -> None:
    """A router with one address for every rack: no peer meets another, with nodes known and without."""
    peers = [peer(on(f"n{n}") + f"  routerID: 10.0.0.{n}\n", f"p{n}") for n in range(100)]
    assert not read(*["---\n".join(peers)]).diagnostics
    nodes = [node(f"n{n}") for n in range(100)]
    assert not read("---\n".join(peers), "---\n".join(nodes)).diagnostics
