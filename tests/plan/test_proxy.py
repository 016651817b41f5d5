"""Which backends a virtual port has on a node, and that a memo never changes an answer."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.address import Family
from lbctl.model.allocation import Allocation
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.node import Node
from lbctl.model.service import Port, Service, ServiceKey, ServiceType, TrafficPolicy, TrafficSpec, Transport
from lbctl.model.snapshot import World
from lbctl.plan.proxy import ruleset, stale_udp
from lbctl.plan.proxy_ruleset import Frontend, Note, Reach, Ruleset, Unserved, VirtualPort
from tests.support.proxy_worlds import a_world as random_world
from tests.support.proxy_worlds import next_world

WEB = ServiceKey("default", "web")
VIP = ip_address("192.0.2.170")
VIP6 = ip_address("2001:db8::170")


def a_service(key: ServiceKey = WEB, *ports: Port, **traffic: Any) -> Service:
    wanted = ports or (Port(port=8080, target_port=80),)
    return Service(key=key, type=ServiceType.LOAD_BALANCER, ports=wanted, traffic=TrafficSpec(**traffic))


def a_slice(
    *endpoints: Endpoint, ports: tuple[EndpointPort, ...] = (), name: str = "web-1", **kind: Any
) -> EndpointSlice:
    return EndpointSlice(
        key=SliceKey("default", name),
        service=kind.get("service", WEB),
        family=kind.get("family", Family.IPV4),
        ports=ports or (EndpointPort(port=80),),
        endpoints=endpoints,
    )


def an_endpoint(address: str, node: str | None = "n1", conditions: Mapping[str, bool] | None = None) -> Endpoint:
    return Endpoint(addresses=(ip_address(address),), node=node, **(conditions or {}))


def a_world(*objects: Service | EndpointSlice | Node | Allocation) -> World:
    """Every service gets VIP and VIP6, unless an allocation for it is among the objects."""
    services = {o.key: o for o in objects if isinstance(o, Service)}
    allocations = {
        key: Allocation(service=key, addresses=(VIP, VIP6), pool="p", id=1, since_unix=0) for key in services
    }
    allocations |= {o.service: o for o in objects if isinstance(o, Allocation)}
    return World(
        services=MappingProxyType(services),
        allocations=MappingProxyType(allocations),
        slices=MappingProxyType({o.key: o for o in objects if isinstance(o, EndpointSlice)}),
        nodes=MappingProxyType({o.name: o for o in objects if isinstance(o, Node)}),
    )


def web(rules: Ruleset, vip: object = VIP, transport: Transport = Transport.TCP, port: int = 8080) -> VirtualPort:
    return next(p for f, p in rules.ports.items() if f == (vip, transport, port))


def reached(rules: Ruleset, vip: object = VIP, port: int = 8080) -> list[str]:
    return [f"{b.address}:{b.port}" for b in web(rules, vip, port=port).backends]


READY: dict[str, bool] = {}
WAITING = {"ready": False}
ENDING = {"ready": False, "serving": True, "terminating": True}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([READY, READY], [1, 2]),
        ([READY, WAITING], [1]),
        ([READY, ENDING], [1]),
        ([ENDING, ENDING], [1, 2]),
        ([WAITING, ENDING], [2]),
        ([{"ready": False, "serving": False, "terminating": True}, WAITING], []),
        ([{"ready": True, "serving": False}], [1]),
    ],
)
def test_ready_endpoints_else_those_that_still_serve(conditions: list[Mapping[str, bool]], expected: list[int]) -> None:
    endpoints = [an_endpoint(f"10.0.0.{at}", conditions=how) for at, how in enumerate(conditions, 1)]
    rules, _ = ruleset(a_world(a_service(), a_slice(*endpoints)), "n1")
    assert reached(rules) == [f"10.0.0.{at}:80" for at in expected]


def test_publish_not_ready_means_all() -> None:
    objects = (a_service(WEB, publish_not_ready=True), a_slice(an_endpoint("10.0.0.1", conditions=WAITING)))
    assert reached(ruleset(a_world(*objects), "n1")[0]) == ["10.0.0.1:80"]


def test_an_ending_endpoint_keeps_its_flows_but_gets_no_new_ones() -> None:
    rules, _ = ruleset(
        a_world(a_service(), a_slice(an_endpoint("10.0.0.1"), an_endpoint("10.0.0.2", "n1", ENDING))), "n1"
    )
    assert reached(rules) == ["10.0.0.1:80"]
    assert [str(b.address) for b in web(rules).serving] == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize(
    ("port", "ports", "expected"),
    [
        (Port(port=8080, target_port=80), [EndpointPort(port=80)], [80]),
        (Port(port=8080, target_port=80), [EndpointPort(port=8000)], [8000]),
        (Port(name="http", port=80, target_port="web"), [EndpointPort(name="http", port=8000)], [8000]),
        (Port(name="http", port=80, target_port="web"), [EndpointPort(name="web", port=8001)], [8001]),
        (
            Port(name="http", port=80, target_port=8002),
            [EndpointPort(port=8002), EndpointPort(name="x", port=1)],
            [8002],
        ),
        (Port(name="http", port=80), [EndpointPort(name="other", port=80)], [80]),
        (Port(name="http", port=80, target_port=81), [EndpointPort(name="other", port=80)], []),
        (Port(name="dns", port=53), [EndpointPort(name="dns", port=53, protocol=Transport.UDP)], []),
        (Port(port=80), [EndpointPort(name="a", port=81), EndpointPort(name="", port=82)], [82]),
    ],
)
def test_ports_are_joined_by_name_then_by_target(port: Port, ports: list[EndpointPort], expected: list[int]) -> None:
    world = a_world(a_service(WEB, port), a_slice(an_endpoint("10.0.0.1"), ports=tuple(ports)))
    rules, _ = ruleset(world, "n1")
    assert [backend.port for backend in web(rules, port=port.port).backends] == expected


def test_families_do_not_mix_and_slices_add_up() -> None:
    rules, _ = ruleset(
        a_world(
            a_service(),
            a_slice(an_endpoint("10.0.0.2"), name="a"),
            a_slice(an_endpoint("10.0.0.1"), an_endpoint("10.0.0.2"), name="b"),
            a_slice(an_endpoint("2001:db8:1::1"), family=Family.IPV6, name="c"),
            a_slice(an_endpoint("10.9.9.9"), service=ServiceKey("default", "foreign"), name="d"),
            a_slice(an_endpoint("10.9.9.9"), service=None, name="e"),
        ),
        "n1",
    )
    assert reached(rules) == ["10.0.0.1:80", "10.0.0.2:80"]
    assert reached(rules, VIP6) == ["2001:db8:1::1:80"]
    assert rules.families() == {Family.IPV4, Family.IPV6}


def test_policy_local_uses_what_is_here_and_else_serves_only_this_node() -> None:
    world = a_world(
        a_service(WEB, external_policy=TrafficPolicy.LOCAL),
        a_slice(an_endpoint("10.0.0.1", "n1", ENDING), an_endpoint("10.0.0.2", "n2"), an_endpoint("10.0.0.3", None)),
        Node(name="n3", addresses=(ip_address("10.0.0.3"),)),
    )
    for node, expected, reach in (
        ("n1", ["10.0.0.1:80"], Reach.EVERYONE),
        ("n2", ["10.0.0.2:80"], Reach.EVERYONE),
        ("n3", ["10.0.0.3:80"], Reach.EVERYONE),
        ("n4", ["10.0.0.2:80", "10.0.0.3:80"], Reach.OWN),
    ):
        rules, _ = ruleset(world, node)
        assert (reached(rules), web(rules).reach) == (expected, reach), node
    assert ruleset(world, "n1")[0].local == {ip_address("10.0.0.1")}


@pytest.mark.parametrize(
    ("ranges", "expected4", "expected6"),
    [
        ([], None, None),
        (["10.0.0.0/8"], ["10.0.0.0/8"], []),
        (["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"], ["10.0.0.0/8"], ["2001:db8::/32"]),
        (["10.0.0.0/9", "10.128.0.0/9"], ["10.0.0.0/8"], []),
        (["0.0.0.0/0", "10.0.0.0/8"], None, []),
        (["0.0.0.0/0", "::/0"], None, None),
    ],
)
def test_source_ranges_by_family(ranges: list[str], expected4: list[str] | None, expected6: list[str] | None) -> None:
    rules, _ = ruleset(a_world(a_service(WEB, source_ranges=tuple(map(ip_network, ranges)))), "n1")
    for vip, expected in ((VIP, expected4), (VIP6, expected6)):
        found = web(rules, vip).source_ranges
        assert (None if found is None else [str(one) for one in found]) == expected


def test_what_is_left_out_is_named() -> None:
    other = ServiceKey("default", "zweit")
    world = a_world(
        a_service(WEB, Port(port=8080, target_port=80), Port(port=5000, protocol=Transport.SCTP)),
        a_service(other),
        a_slice(an_endpoint("127.0.0.1"), an_endpoint("169.254.0.9"), an_endpoint("10.0.0.1")),
        a_slice(an_endpoint("10.0.0.2"), ports=(EndpointPort(port=70000),), name="web-2"),
        a_slice(an_endpoint("10.7.7.7"), service=other, name="z"),
    )
    rules, _ = ruleset(world, "n1")
    assert reached(rules) == ["10.0.0.1:80"]
    assert set(rules.notes) == {
        Note(WEB, "192.0.2.170:5000/SCTP", Unserved.SCTP),
        Note(WEB, "[2001:db8::170]:5000/SCTP", Unserved.SCTP),
        Note(WEB, "127.0.0.1", Unserved.ENDPOINT_ADDRESS),
        Note(WEB, "169.254.0.9", Unserved.ENDPOINT_ADDRESS),
        Note(WEB, "10.0.0.2 port 70000", Unserved.ENDPOINT_PORT),
        Note(other, "192.0.2.170:8080/TCP", Unserved.PORT_TAKEN),
        Note(other, "[2001:db8::170]:8080/TCP", Unserved.PORT_TAKEN),
    }
    assert "default/web 192.0.2.170:5000/SCTP: sctp_not_supported" in map(str, rules.notes)


def test_every_allocated_address_is_a_vip_and_only_load_balancers_are_served() -> None:
    gone = Allocation(
        service=ServiceKey("default", "gone"), addresses=(ip_address("192.0.2.9"),), pool="p", id=2, since_unix=0
    )
    plain = replace(a_service(), type=ServiceType.CLUSTER_IP)
    rules, _ = ruleset(a_world(plain, gone, a_slice(an_endpoint("10.0.0.1"))), "n1")
    assert rules.vips == {VIP, VIP6, ip_address("192.0.2.9")}
    assert not rules.ports


def test_an_unrelated_change_keeps_the_other_ports_identity() -> None:
    other = ServiceKey("default", "other")
    mine = (a_service(), a_slice(an_endpoint("10.0.0.1")))
    vip = Allocation(service=other, addresses=(ip_address("192.0.2.171"),), pool="p", id=2, since_unix=0)
    world = a_world(*mine, a_service(other), vip)
    first, memo = ruleset(world, "n1")
    slices = {**world.slices, SliceKey("default", "o"): a_slice(an_endpoint("10.0.0.9"), service=other, name="o")}
    second, memo = ruleset(replace(world, generation=1, slices=MappingProxyType(slices)), "n1", memo)
    assert second.ports[Frontend(VIP, Transport.TCP, 8080)] is first.ports[Frontend(VIP, Transport.TCP, 8080)]
    assert second != first
    same, _ = ruleset(replace(world, generation=2, slices=MappingProxyType(dict(slices))), "n1", memo)
    assert same is second


seeds = st.integers(0, 2**32).map(random.Random)


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_the_memo_never_changes_the_answer(rng: random.Random) -> None:
    world = random_world(rng)
    _, memo = ruleset(world, "n1")
    for _ in range(6):
        world = next_world(rng, world)
        with_memo, memo = ruleset(world, "n1", memo)
        assert with_memo == ruleset(world, "n1")[0]


def test_the_drawn_worlds_are_worth_it() -> None:
    drawn = [ruleset(random_world(random.Random(seed)), "n1")[0] for seed in range(200)]
    assert sum(any(port.backends for port in one.ports.values()) for one in drawn) > 100
    assert sum(any(note.reason is Unserved.PORT_TAKEN for note in one.notes) for one in drawn) > 40
    assert sum(any(port.reach is Reach.OWN for port in one.ports.values()) for one in drawn) > 20


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_stale_flows_are_looked_for_exactly_where_a_backend_went_or_none_was(rng: random.Random) -> None:
    world = random_world(rng)
    old, new = ruleset(world, "n1")[0], ruleset(next_world(rng, world), "n1")[0]
    stale = stale_udp(old, new)
    assert all(frontend.transport is Transport.UDP for frontend in stale)
    for frontend in {f for f in (*old.ports, *new.ports) if f.transport is Transport.UDP}:
        before = {(b.address, b.port) for b in old.ports[frontend].serving} if frontend in old.ports else set()
        after = {(b.address, b.port) for b in new.ports[frontend].serving} if frontend in new.ports else set()
        if before - after or (after and not before):
            assert stale[frontend] == after
    assert set(stale_udp(None, new)) == {frontend for frontend in new.ports if frontend.transport is Transport.UDP}
    assert not stale_udp(new, new)
