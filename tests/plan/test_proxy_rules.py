"""The table for a Ruleset, and the way from one table to another."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.service import ServiceKey, Transport
from lbctl.plan.proxy import ruleset
from lbctl.plan.proxy_rules import between, disjoint, table
from lbctl.plan.proxy_ruleset import Backend, Frontend, Reach, Ruleset, VirtualPort
from lbctl.plan.proxy_table import Chain, SetSpec, Table, delta_text, difference, digest, load_text, patched, stages
from tests.support.proxy_worlds import a_world, next_world

VIP = ip_address("192.0.2.170")
ONLINK = [
    ("eth0", ip_network("10.0.0.0/24")),
    ("eth1", ip_network("2001:db8::/64")),
    ("eth2", ip_network("10.2.0.0/24")),
]
WEB = Frontend(VIP, Transport.TCP, 8080)


def backends(*addresses: str) -> tuple[Backend, ...]:
    return tuple(Backend(address=ip_address(address), port=80) for address in addresses)


def rules(*ports: VirtualPort) -> Ruleset:
    return Ruleset(ports={port.frontend: port for port in ports}, vips=frozenset(p.frontend.address for p in ports))


def port(*addresses: str, frontend: Frontend = WEB, **more: object) -> VirtualPort:
    found = backends(*addresses)
    made = VirtualPort(frontend=frontend, service=ServiceKey("default", "web"), backends=found, serving=found)
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_plain_port_is_elements_only() -> None:
    one = table(rules(port("10.0.0.1", "10.0.0.2")))
    assert one.elements == {
        "vips4": {"192.0.2.170": ""},
        "services4": {"192.0.2.170 . tcp . 8080": "goto pick4/2"},
        "slot4/0": {"192.0.2.170 . tcp . 8080": "10.0.0.1 . 80"},
        "slot4/1": {"192.0.2.170 . tcp . 8080": "10.0.0.2 . 80"},
        "backends4": {"10.0.0.1 . 80": "", "10.0.0.2 . 80": ""},
    }
    assert one.chains["pick4/2"].rules == (
        "numgen random mod 2 vmap { 0 : goto slot4/0, 1 : goto slot4/1 }",
        "goto slot4/0",
    )
    assert not [name for name in one.chains if name.startswith(("port/", "to/"))]


def test_a_shrinking_port_says_little_and_in_the_right_order() -> None:
    other = port("10.0.0.7", "10.0.0.8", frontend=Frontend(VIP, Transport.UDP, 53))
    old, new = rules(port("10.0.0.1", "10.0.0.2"), other), rules(port("10.0.0.1"), other)
    first, second = stages(between(old, new))
    assert delta_text(first).splitlines() == [
        "add chain inet lbctl pick4/1",
        "flush chain inet lbctl pick4/1",
        f'add rule inet lbctl pick4/1 numgen random mod 1 vmap {{ 0 : goto slot4/0 }} comment "{_pick_one()}"',
        f'add rule inet lbctl pick4/1 goto slot4/0 comment "{digest("goto slot4/0")}"',
    ]
    assert delta_text(second).splitlines() == [
        "delete element inet lbctl backends4 { 10.0.0.2 . 80 }",
        "delete element inet lbctl services4 { 192.0.2.170 . tcp . 8080 }",
        "delete element inet lbctl slot4/1 { 192.0.2.170 . tcp . 8080 }",
        "add element inet lbctl services4 { 192.0.2.170 . tcp . 8080 : goto pick4/1 }",
    ]


def _pick_one() -> str:
    return digest("numgen random mod 1 vmap { 0 : goto slot4/0 }")


def test_a_port_without_backends_is_not_mentioned() -> None:
    one = table(rules(port()))
    assert set(one.elements) == {"vips4"}


def test_a_port_for_this_nodes_clients_only_is_in_another_map() -> None:
    one = table(rules(port("10.0.0.1", reach=Reach.OWN)))
    assert "services4" not in one.elements
    assert one.elements["own4"] == {"192.0.2.170 . tcp . 8080": "goto pick4/1"}


def test_ranges_come_before_anything_else_and_none_of_a_family_lets_nobody_in() -> None:
    some = table(rules(port("10.0.0.1", source_ranges=(ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32")))))
    assert some.chains["port/192.0.2.170/tcp/8080"].rules == (
        "ip saddr != { 10.0.0.0/8, 192.0.2.1/32 } drop",
        "goto pick4/1",
    )
    none = table(rules(port("10.0.0.1", source_ranges=())))
    assert none.chains["port/192.0.2.170/tcp/8080"].rules[0] == "drop"


def test_affinity_remembers_per_backend_and_only_the_lost_backend_is_forgotten() -> None:
    front = Frontend(ip_address("2001:db8::1"), Transport.UDP, 53)
    addresses = ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::3")
    old = rules(port(*addresses, frontend=front, affinity_time=60))
    new = rules(port(*addresses[:2], frontend=front, affinity_time=60))
    path = "2001-db8--1/udp/53"
    assert table(old).chains[f"to/{path}/2001-db8-1--3/80"].rules == (
        f"update @sticky/{path}/2001-db8-1--3/80 {{ ip6 saddr timeout 60s }}",
        "meta l4proto udp dnat ip6 to [2001:db8:1::3]:80",
    )
    delta = between(old, new)
    assert delta.sets_removed == (f"sticky/{path}/2001-db8-1--3/80",)
    assert not delta.sets_added
    assert list(delta.chains_set) == [f"port/{path}/affinity"]
    assert not delta.chains_added


def test_every_slot_falls_back_to_the_first() -> None:
    chains = table(rules(port("10.0.0.1", "10.0.0.2", "10.0.0.3"))).chains
    for slot in range(3):
        assert chains[f"slot4/{slot}"].rules[-1].endswith("@slot4/0")
        assert chains[f"slot4/{slot}"].rules[0].endswith(f"@slot4/{slot}")


def test_the_load_replaces_the_table_in_one_transaction() -> None:
    text = load_text(table(rules(port("10.0.0.1"))))
    assert text.startswith("add table inet lbctl\ndelete table inet lbctl\ntable inet lbctl {\n")
    # Every rule can be recognised in a listing, and no set of clients is allocated at its full size.
    for rule in re.findall(r"^(?!add|delete|table|set|map|chain|type|\}).+$", text, re.MULTILINE):
        body, comment = re.fullmatch(r'(.+) comment "([0-9a-f]{12})"', rule).groups()  # type: ignore[union-attr]
        assert digest(body) == comment
    assert " size " not in text


def test_overlapping_subnets_of_one_interface_become_one() -> None:
    given_subnets = [
        ("eth0", "10.0.0.0/8"),
        ("eth0", "10.1.0.0/16"),
        ("eth1", "10.1.0.0/16"),
        ("eth0", "2001:db8::/64"),
    ]
    found = disjoint((name, ip_network(text)) for name, text in given_subnets)
    expected = {("eth0", "10.0.0.0/8"), ("eth1", "10.1.0.0/16"), ("eth0", "2001:db8::/64")}
    assert found == {(name, ip_network(text)) for name, text in expected}


def test_what_cannot_be_changed_in_place_asks_for_a_new_table() -> None:
    desired = table(rules(port("10.0.0.1")))
    other_type = replace(desired, sets={**desired.sets, "vips4": SetSpec(("mark",))})
    other_hook = replace(
        desired, chains={**desired.chains, "prerouting": Chain((), "type filter hook input priority 0")}
    )
    assert difference(other_type, desired) is None
    assert difference(other_hook, desired) is None
    assert difference(Table(), desired) is not None


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32).map(random.Random))
def test_a_delta_leads_exactly_to_the_table_of_the_new_ruleset(rng: random.Random) -> None:
    world = a_world(rng)
    old, memo = ruleset(world, "n1")
    for _ in range(6):
        world = next_world(rng, world)
        new, memo = ruleset(world, "n1", memo)
        new = replace(new, onlink=frozenset(rng.sample(ONLINK, rng.randint(0, 3))))
        assert patched(table(old), between(old, new)) == table(new)
        found = difference(table(old), table(new))
        assert found is not None
        assert patched(table(old), found) == table(new)
        assert not between(new, new)
        old = new


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32).map(random.Random))
def test_a_delta_never_refers_to_what_is_not_there(rng: random.Random) -> None:
    """What nft would refuse: a jump to no chain, a look-up in no set, a removal of what is still in use."""
    first = a_world(rng)
    old, new = ruleset(first, "n1")[0], ruleset(next_world(rng, first), "n1")[0]
    delta = between(old, new)
    before, after = table(old), table(new)
    for whole in (before, after):
        targets = {word for chain in whole.chains.values() for rule in chain.rules for word in _referred(rule)}
        targets |= {
            value.split()[-1] for found in whole.elements.values() for value in found.values() if "goto" in value
        }
        assert targets <= whole.chains.keys() | {f"@{name}" for name in whole.sets}
    assert set(delta.chains_removed) <= before.chains.keys() - after.chains.keys()
    assert set(delta.sets_removed) <= before.sets.keys() - after.sets.keys()
    for name, keys in delta.elements_removed.items():
        assert set(keys) <= before.elements[name].keys()


def _referred(rule: str) -> set[str]:
    return set(re.findall(r"(?:goto|jump) ([^ ,}]+)", rule)) | set(re.findall(r"@[^ ]+", rule))
