"""IPAddressPool: MetalLB rules P1 to P10."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lbctl.config.diagnostic import Severity
from lbctl.model.pool import ServiceAllocation
from lbctl.model.selector import LabelSelector, Operator, Requirement
from tests.config.manifests import COVER, Found, findings, pool, read


def items(*addresses: str) -> str:
    return pool("  addresses:\n" + "".join(f"  - {address}\n" for address in addresses))


@pytest.mark.parametrize(
    ("item", "first", "last"),
    [
        ("192.168.3.170-192.168.3.179", "192.168.3.170", "192.168.3.179"),
        ("192.168.3.170 - 192.168.3.179", "192.168.3.170", "192.168.3.179"),
        ("10.0.0.0/24", "10.0.0.0", "10.0.0.255"),
        ("10.0.0.5/32", "10.0.0.5", "10.0.0.5"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("198.51.100.10/24", "198.51.100.0", "198.51.100.255"),
        ("fd00::/120", "fd00::", "fd00::ff"),
        ("fd00::1-fd00::2", "fd00::1", "fd00::2"),
        ('"fd00::1/128"', "fd00::1", "fd00::1"),
    ],
)
def test_item(item: str, first: str, last: str) -> None:
    found = read(items(item), COVER)
    assert not any(each.severity is Severity.ERROR for each in found.diagnostics)
    (made,) = found.world.pools["p"].ranges
    assert (made.first, made.last) == (ip_address(first), ip_address(last))
    assert made.text == item.strip('"')


@pytest.mark.parametrize(
    ("item", "code", "part"),
    [
        ("10.0.0.5", "LB0202", "10.0.0.5"),
        ("fd00::5", "LB0202", "fd00::5"),
        ("10.0.0.0/33", "LB0202", "/33"),
        ("fd00::/129", "LB0202", "/129"),
        ("10.0.0.0/", "LB0202", "10.0.0.0/"),
        ("10.0.0.0/255.255.255.0", "LB0202", "10.0.0.0/255.255.255.0"),
        ("10.0.0/24", "LB0202", "10.0.0/24"),
        ("pool", "LB0202", "pool"),
        ("10.0.0.300-10.0.0.9", "LB0202", "10.0.0.300"),
        ("10.0.0.1-10.0.0.300", "LB0202", "10.0.0.300"),
        ("10.0.0.1-20", "LB0202", "20"),
        ("10.0.0.1-", "LB0202", "10.0.0.1-"),
        ("'-10.0.0.1'", "LB0202", "'-10.0.0.1'"),
        ("fe80::1%eth0-fe80::2", "LB0202", "fe80::1%eth0"),
        ("10.0.0.9-10.0.0.1", "LB0203", "10.0.0.9-10.0.0.1"),
        ("fd00::2-fd00::1", "LB0203", "fd00::2-fd00::1"),
        ("10.0.0.1-fd00::1", "LB0204", "10.0.0.1-fd00::1"),
        ("5", "LB0107", "5"),
        ("true", "LB0107", "true"),
        ("{a: b}", "LB0107", "a"),
    ],
)
def test_wrong_item(item: str, code: str, part: str) -> None:
    text = items("172.16.0.0/24", item)
    assert findings(text) == [(code, part)]
    assert not read(text).world.pools


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pool("  addresses: []"), [("LB0201", "addresses")]),
        (pool("  autoAssign: true"), [("LB0110", "spec")]),
        (pool("  {}"), [("LB0110", "spec")]),
        ("apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: p}\n", [("LB0110", "apiVersion")]),
        (pool(name=""), [("LB0110", "name")]),
        (pool(name='""'), [("LB0111", '""')]),
        (pool(name="My_Pool"), [("LB0111", "My_Pool")]),
        (pool(name="7"), [("LB0107", "7")]),
        (items("10.0.0.0/24", "10.0.0.128/25"), [("LB0205", "10.0.0.128/25")]),
        (items("10.0.0.128/25", "10.0.0.0/24"), [("LB0205", "10.0.0.0/24")]),
        (items("10.0.0.0/24", "10.0.1.0/24", "10.0.0.255-10.0.1.0"), [("LB0205", "10.0.0.255-10.0.1.0")]),
        (items("10.0.0.0/24", "fd00::/64", "10.0.0.0/24"), [("LB0205", "10.0.0.0/24")]),
        (items("10.0.0.5", "10.0.0.0/24", "10.0.0.7/32"), [("LB0202", "10.0.0.5"), ("LB0205", "10.0.0.7/32")]),
        (pool("  addresses: [10.0.0.0/24]\n  autoAssign: 'no'"), [("LB0107", "'no'")]),
        (pool("  addresses: [10.0.0.0/24]\n  autoasign: no"), [("LB0105", "autoasign")]),
        (pool("  addresses: 10.0.0.0/24"), [("LB0107", "10.0.0.0/24")]),
        (pool("  addresses:\n  -\n  - 10.0.0.0/24"), [("LB0107", "")]),
        (pool("  adresses: [10.0.0.0/24]"), [("LB0105", "adresses")]),
        (pool("  addresses: [10.0.0.0/24]\naddreses: []"), [("LB0105", "addreses")]),
        (pool("  addresses: [10.0.0.0/24]\n  serviceAllocation: {priority: -1}"), [("LB0108", "-1")]),
        (
            pool("  addresses: [10.0.0.0/24]\n  serviceAllocation: {namespaces: [a, b, a]}"),
            [("LB0114", "a")],
        ),
        (
            pool("  addresses: [10.0.0.0/24]\n  serviceAllocation:\n    serviceSelectors: [{}, {}]"),
            [("LB0114", "{}")],
        ),
        (
            pool(
                "  addresses: [10.0.0.0/24]\n  serviceAllocation:\n    namespaceSelectors:\n    - matchExpressions:\n"
                "      - {key: a, operator: In}\n      - {key: a, operator: Exists, values: [x]}\n"
                "      - {key: a, operator: NotIn, values: [x, x]}\n      - {key: a, operator: Near}\n"
                "      - {key: b, operator: Exists}\n      - {key: b, operator: Exists}"
            ),
            [
                ("LB0115", "In"),
                ("LB0115", "values"),
                ("LB0114", "x"),
                ("LB0109", "Near"),
                ("LB0114", "key"),
            ],
        ),
    ],
)
def test_rule(text: str, expected: list[Found]) -> None:
    assert findings(text) == expected
    assert not read(text).world.pools


def test_host_bits_are_noted_and_masked() -> None:
    assert findings(items("198.51.100.10/24"), COVER) == [("LB0206", "198.51.100.10/24")]


def test_everything_a_pool_can_say() -> None:
    text = pool(
        """  addresses: [10.0.0.0/24, fd00::/120]
  autoAssign: false
  avoidBuggyIPs: true
  serviceAllocation:
    priority: 5
    namespaces: [a, b]
    namespaceSelectors: [{matchLabels: {x: "1"}}]
    serviceSelectors:
    - matchExpressions: [{key: k, operator: NotIn, values: [v2, v1]}]
status: {assignedIPv4: 3}""",
        metadata="  labels: {b: '2', a: '1'}\n  annotations: {lbctl.io/protect: in-use, other: z}\n",
    )
    found = read(text, COVER)
    assert not found.diagnostics
    made = found.world.pools["p"]
    assert (made.auto_assign, made.avoid_buggy_ips, len(made.ranges)) == (False, True, 2)
    assert made.service_allocation == ServiceAllocation(
        priority=5,
        namespaces=("a", "b"),
        namespace_selectors=(LabelSelector(match_labels=(("x", "1"),)),),
        service_selectors=(
            LabelSelector(expressions=(Requirement(key="k", operator=Operator.NOT_IN, values=("v1", "v2")),)),
        ),
    )
    assert made.labels == (("a", "1"), ("b", "2"))
    assert made.annotations == (("lbctl.io/protect", "in-use"),)


@pytest.mark.parametrize(
    ("addresses", "left_out"),
    [
        (["223.0.0.0-224.0.0.9"], ["224.0.0.0/4"]),
        (["0.0.0.0/0"], ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"]),
        (["::/126", "ff02::1-ff02::2"], ["::-::1", "ff00::/8"]),
        (["::1-::2"], ["::1/128"]),
        (["1.0.0.0-126.255.255.255", "128.0.0.0-223.255.255.255", "240.0.0.0-255.255.255.254"], []),
        (["::2/127", "fe80::/10"], []),
    ],
)
def test_addresses_that_no_machine_can_have_are_left_out(addresses: list[str], left_out: list[str]) -> None:
    """The pool is valid, as with MetalLB."""
    made = read(pool(f"  addresses: {addresses}"), COVER).world.pools["p"]
    assert [item.text for item in made.options.excluded] == left_out


def test_what_is_left_out_is_in_order_with_what_is_excluded() -> None:
    metadata = '  annotations: {lbctl.io/exclude: "223.0.0.1, 224.0.0.0/24"}\n'
    made = read(pool("  addresses: [223.0.0.0-224.0.0.9]", metadata=metadata), COVER).world.pools["p"]
    assert [(str(item.first), str(item.last)) for item in made.options.excluded] == [
        ("223.0.0.1", "223.0.0.1"),
        ("224.0.0.0", "239.255.255.255"),
    ]


def test_a_pool_within_the_usual_has_nothing_left_out() -> None:
    assert read(pool(), COVER).world.pools["p"].options.excluded == ()


def test_priority_alone_matches_every_service() -> None:
    """P10."""
    made = read(pool("  addresses: [10.0.0.0/24]\n  serviceAllocation: {priority: 3}")).world.pools["p"]
    assert made.service_allocation == ServiceAllocation(priority=3)


def test_defaults() -> None:
    made = read(pool()).world.pools["p"]
    assert (made.auto_assign, made.avoid_buggy_ips, made.service_allocation) == (True, False, None)
