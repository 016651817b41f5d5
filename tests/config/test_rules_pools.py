"""MetalLB's rules P1 to P10, each accepted and refused."""

from __future__ import annotations

from lbctl.model.pool import ServiceAllocation
from tests.config.manifests import COVER, Found, pool, read
from tests.config.rules import GOOD, cases, check, namespace


def addresses(*items: str, name: str = "p") -> str:
    return pool("  addresses:\n" + "".join(f"  - {item}\n" for item in items), name=name)


def allocation(body: str, name: str = "p") -> str:
    return pool(f"  addresses: [10.0.0.0/24]\n  serviceAllocation:\n{body}", name=name)


@cases(
    ("named", [addresses("10.0.0.0/24", name="a"), COVER], GOOD),
    ("with-dots", [addresses("10.0.0.0/24", name="a.b-c.7x"), COVER], GOOD),
    ("no-name", [addresses("10.0.0.0/24", name=""), COVER], [("LB0110", "name")]),
    ("empty-name", [addresses("10.0.0.0/24", name='""'), COVER], [("LB0111", '""')]),
    ("capital", [addresses("10.0.0.0/24", name="Pool"), COVER], [("LB0111", "Pool")]),
    ("too-long", [addresses("10.0.0.0/24", name="a" * 254), COVER], [("LB0111", "a" * 254)]),
)
def test_p1_a_pool_has_a_name(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("one", [addresses("10.0.0.0/24"), COVER], GOOD),
    ("both-families", [addresses("10.0.0.0/24", "fd00::/64"), COVER], GOOD),
    ("none", [pool("  addresses: []"), COVER], [("LB0201", "addresses")]),
    ("no-field", [pool("  autoAssign: true"), COVER], [("LB0110", "spec")]),
    ("null", [pool("  addresses:\n"), COVER], [("LB0110", "addresses")]),
    ("an-empty-item", [pool("  addresses:\n  -\n"), COVER], [("LB0107", "")]),
)
def test_p2_a_pool_has_addresses(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("v4", [addresses("10.0.0.0/8"), COVER], GOOD),
    ("host", [addresses("10.0.0.7/32"), COVER], GOOD),
    ("v6", [addresses("2001:db8::/32"), COVER], GOOD),
    ("v6-host", [addresses("2001:db8::7/128"), COVER], GOOD),
    ("spaces", [addresses("' 10.0.0.0/24 '"), COVER], GOOD),
    ("host-bits", [addresses("10.0.0.7/24"), COVER], [("LB0206", "10.0.0.7/24")]),
    ("bare-v4", [addresses("10.0.0.7"), COVER], [("LB0202", "10.0.0.7")]),
    ("bare-v6", [addresses("2001:db8::7"), COVER], [("LB0202", "2001:db8::7")]),
    ("too-long-v4", [addresses("10.0.0.0/33"), COVER], [("LB0202", "/33")]),
    ("too-long-v6", [addresses("2001:db8::/129"), COVER], [("LB0202", "/129")]),
    ("mask", [addresses("10.0.0.0/255.0.0.0"), COVER], [("LB0202", "10.0.0.0/255.0.0.0")]),
    ("octet", [addresses("10.0.0.256/24"), COVER], [("LB0202", "10.0.0.256/24")]),
    ("three-octets", [addresses("10.0.0/24"), COVER], [("LB0202", "10.0.0/24")]),
    ("leading-zero", [addresses("10.0.0.010/32"), COVER], [("LB0202", "10.0.0.010/32")]),
    ("zone", [addresses("fe80::1%eth0/64"), COVER], [("LB0202", "fe80::1%eth0/64")]),
    ("number", [addresses("10"), COVER], [("LB0107", "10")]),
    ("text", [addresses("office"), COVER], [("LB0202", "office")]),
    ("negative-length", [addresses("10.0.0.0/+8"), COVER], [("LB0202", "10.0.0.0/+8")]),
)
def test_p3_an_item_is_a_cidr(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("v4", [addresses("10.0.0.1-10.0.0.9"), COVER], GOOD),
    ("spaces", [addresses("10.0.0.1 - 10.0.0.9"), COVER], GOOD),
    ("v6", [addresses("fd00::1-fd00::ffff"), COVER], GOOD),
    ("bad-start", [addresses("10.0.0.x-10.0.0.9"), COVER], [("LB0202", "10.0.0.x")]),
    ("bad-end", [addresses("10.0.0.1-10.0.0.999"), COVER], [("LB0202", "10.0.0.999")]),
    ("short-end", [addresses("10.0.0.1-9"), COVER], [("LB0202", "9")]),
    ("no-end", [addresses("10.0.0.1-"), COVER], [("LB0202", "10.0.0.1-")]),
    ("three-ends", [addresses("10.0.0.1-10.0.0.2-10.0.0.3"), COVER], [("LB0202", "10.0.0.2-10.0.0.3")]),
    ("cidr-as-end", [addresses("10.0.0.1-10.0.0.0/24"), COVER], [("LB0202", "10.0.0.0/24")]),
    ("two-families", [addresses("10.0.0.1-fd00::1"), COVER], [("LB0204", "10.0.0.1-fd00::1")]),
)
def test_p4_the_ends_of_a_range_are_addresses(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("one-address", [addresses("10.0.0.5-10.0.0.5"), COVER], GOOD),
    ("up", [addresses("10.0.0.9-10.0.0.10"), COVER], GOOD),
    ("down", [addresses("10.0.0.10-10.0.0.9"), COVER], [("LB0203", "10.0.0.10-10.0.0.9")]),
    ("down-v6", [addresses("fd00::2-fd00::1"), COVER], [("LB0203", "fd00::2-fd00::1")]),
)
def test_p5_a_range_goes_up(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("two-names", [addresses("10.0.0.0/24", name="a"), addresses("10.0.1.0/24", name="b"), COVER], GOOD),
    ("one-name", [addresses("10.0.0.0/24"), addresses("10.0.1.0/24"), COVER], [("LB0113", "p")]),
    ("the-very-same", [addresses("10.0.0.0/24"), addresses("10.0.0.0/24"), COVER], [("LB0113", "p")]),
)
def test_p6_the_name_of_a_pool_is_its_own(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def two(first: str, second: str) -> list[str]:
    return [addresses(first, name="a"), addresses(second, name="b"), COVER]


@cases(
    ("side-by-side", two("10.0.0.0/25", "10.0.0.128/25"), GOOD),
    ("ranges-that-touch", two("10.0.0.1-10.0.0.9", "10.0.0.10-10.0.0.20"), GOOD),
    ("other-family", two("10.0.0.0/8", "'::a00:0/104'"), GOOD),
    ("equal", two("10.0.0.0/24", "10.0.0.0/24"), [("LB0205", "10.0.0.0/24")]),
    ("within", two("10.0.0.0/24", "10.0.0.7/32"), [("LB0205", "10.0.0.7/32")]),
    ("around", two("10.0.0.7/32", "10.0.0.0/24"), [("LB0205", "10.0.0.0/24")]),
    ("one-address", two("10.0.0.0/24", "10.0.0.255-10.0.1.9"), [("LB0205", "10.0.0.255-10.0.1.9")]),
    ("v6", two("fd00::/64", "fd00::5-fd00::9"), [("LB0205", "fd00::5-fd00::9")]),
    (
        "host-bits",
        two("10.0.0.0/24", "10.0.0.200/25"),
        [("LB0206", "10.0.0.200/25"), ("LB0205", "10.0.0.200/25")][::-1],
    ),
    ("same-pool", [addresses("10.0.0.0/24", "10.0.0.0/25"), COVER], [("LB0205", "10.0.0.0/25")]),
    (
        "same-pool-ranges",
        [addresses("10.0.0.1-10.0.0.5", "10.0.0.5-10.0.0.9"), COVER],
        [("LB0205", "10.0.0.5-10.0.0.9")],
    ),
)
def test_p7_addresses_are_in_one_item(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


@cases(
    ("different", [allocation("    namespaces: [a, b]"), COVER], GOOD),
    ("none", [allocation("    namespaces: []"), COVER], GOOD),
    ("twice", [allocation("    namespaces: [a, b, a]"), COVER], [("LB0114", "a")]),
    ("a-number", [allocation("    namespaces: [7]"), COVER], [("LB0107", "7")]),
    ("not-a-list", [allocation("    namespaces: a"), COVER], [("LB0107", "a")]),
)
def test_p8_namespaces_are_given_once(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def expressions(*items: str, field: str = "serviceSelectors") -> list[str]:
    body = "".join(f"      - {item}\n" for item in items)
    return [allocation(f"    {field}:\n    - matchExpressions:\n{body}"), COVER]


@cases(
    ("labels", [allocation("    serviceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: c}}]"), COVER], GOOD),
    ("empty-selector", [allocation("    serviceSelectors: [{}]"), COVER], GOOD),
    ("expressions", expressions("{key: a, operator: In, values: [x, y]}", "{key: b, operator: Exists}"), GOOD),
    (
        "same-twice",
        [allocation("    serviceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]"), COVER],
        [("LB0114", "matchLabels")],
    ),
    (
        "same-but-for-order",
        [allocation("    namespaceSelectors: [{matchLabels: {a: b, c: d}}, {matchLabels: {c: d, a: b}}]"), COVER],
        [("LB0114", "matchLabels")],
    ),
    ("expression-twice", expressions("{key: a, operator: Exists}", "{key: a, operator: Exists}"), [("LB0114", "key")]),
    ("value-twice", expressions("{key: a, operator: In, values: [x, x]}"), [("LB0114", "x")]),
    ("in-without-values", expressions("{key: a, operator: In}"), [("LB0115", "In")]),
    ("not-in-without-values", expressions("{key: a, operator: NotIn, values: []}"), [("LB0115", "NotIn")]),
    ("exists-with-values", expressions("{key: a, operator: Exists, values: [x]}"), [("LB0115", "values")]),
    ("absent-with-values", expressions("{key: a, operator: DoesNotExist, values: [x]}"), [("LB0115", "values")]),
    ("operator", expressions("{key: a, operator: in, values: [x]}"), [("LB0109", "in")]),
    ("no-operator", expressions("{key: a}"), [("LB0110", "key")]),
    ("no-key", expressions("{operator: Exists}", field="namespaceSelectors"), [("LB0110", "operator")]),
)
def test_p9_selectors_are_selectors(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def test_p10_a_priority_alone_is_for_every_service() -> None:
    for body in ("    priority: 3", "    priority: 3\n    namespaces: []\n    serviceSelectors: []"):
        found = read(allocation(body), COVER)
        assert not found.diagnostics
        assert found.world.pools["p"].service_allocation == ServiceAllocation(priority=3)


@cases(
    ("zero", [allocation("    priority: 0"), COVER], GOOD),
    ("negative", [allocation("    priority: -1"), COVER], [("LB0108", "-1")]),
    ("text", [allocation("    priority: '1'"), COVER], [("LB0107", "'1'")]),
    ("fraction", [allocation("    priority: 1.5"), COVER], [("LB0107", "1.5")]),
)
def test_p10_priority_is_a_whole_number(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


SPACES = [namespace("shop", "team: a"), namespace("blog")]


@cases(
    ("there", [allocation("    namespaces: [shop]"), COVER, *SPACES], GOOD),
    ("by-label", [allocation("    namespaceSelectors: [{matchLabels: {team: a}}]"), COVER, *SPACES], GOOD),
    (
        "by-its-name",
        [allocation("    namespaceSelectors: [{matchLabels: {kubernetes.io/metadata.name: blog}}]"), COVER, *SPACES],
        GOOD,
    ),
    ("no-namespaces-to-compare", [allocation("    namespaces: [elsewhere]"), COVER], GOOD),
    ("misspelt", [allocation("    namespaces: [shpo]"), COVER, *SPACES], [("LB0215", "shpo")]),
    (
        "no-label",
        [allocation("    namespaceSelectors: [{matchLabels: {team: b}}]"), COVER, *SPACES],
        [("LB0215", "matchLabels")],
    ),
    (
        "no-service",
        [
            allocation("    serviceSelectors: [{matchLabels: {app: web}}]"),
            COVER,
            "apiVersion: v1\nkind: Service\nmetadata: {name: s, labels: {app: db}}\n"
            "spec: {type: LoadBalancer, ports: [{port: 80}]}\n",
        ],
        [("LB0215", "matchLabels")],
    ),
    (
        "other-services-do-not-count",
        [
            allocation("    serviceSelectors: [{matchLabels: {app: web}}]"),
            COVER,
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n",
        ],
        GOOD,
    ),
)
def test_a_pool_is_for_somebody(texts: list[str], expected: list[Found]) -> None:
    check(texts, expected)


def test_a_service_makes_its_namespace_known() -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: forum}\nspec: {ports: [{port: 80}]}\n"
    assert not read(allocation("    namespaces: [forum]"), COVER, *SPACES, text).diagnostics
