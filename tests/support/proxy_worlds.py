"""Small worlds full of collisions, out of a seed: few addresses, few ports, services in each other's way.

Drawn by a seed rather than by combined strategies, so that nearly every world has backends, shared backends and ports
that two services want, and a hundred of them cost a second.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from lbctl.model.address import Family
from lbctl.model.allocation import Allocation
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.node import Node
from lbctl.model.service import Port, Service, ServiceKey, ServiceType, TrafficPolicy, TrafficSpec, Transport
from lbctl.model.snapshot import World, evolve

VIPS = {Family.IPV4: ("192.0.2.170", "192.0.2.171"), Family.IPV6: ("2001:db8::170", "2001:db8::171")}
BACKENDS = {Family.IPV4: ("10.0.0.1", "10.0.0.2", "10.0.0.3"), Family.IPV6: ("2001:db8:1::1", "2001:db8:1::2")}
KEYS = tuple(ServiceKey("default", name) for name in "abc")
_RANGES = ("10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "0.0.0.0/0")
_TRANSPORTS = (Transport.TCP, Transport.TCP, Transport.UDP, Transport.UDP, Transport.SCTP)
_MAPS = {Service: "services", EndpointSlice: "slices", Allocation: "allocations", Node: "nodes"}


def a_thing(rng: random.Random) -> Any:
    """One object of any of the four kinds."""
    return rng.choice((_service, _service, _allocation, _slice, _slice, _slice, _node))(rng)


def _service(rng: random.Random) -> Service:
    ports = [
        Port(name=rng.choice(("", "a")), protocol=rng.choice(_TRANSPORTS), port=rng.choice((80, 81)))
        for _ in range(rng.randint(1, 3))
    ]
    return Service(
        key=rng.choice(KEYS),
        type=ServiceType.LOAD_BALANCER if rng.random() < 0.9 else ServiceType.NODE_PORT,
        ports=tuple(ports),
        traffic=TrafficSpec(
            external_policy=rng.choice(tuple(TrafficPolicy)),
            client_ip_affinity=rng.random() < 0.3,
            affinity_time=rng.choice((60, 10800)),
            source_ranges=tuple(map(ip_network, rng.sample(_RANGES, rng.choice((0, 0, 1, 2))))),
        ),
    )


def _allocation(rng: random.Random) -> Allocation:
    families = rng.choice(((Family.IPV4,), (Family.IPV6,), (Family.IPV4, Family.IPV6)))
    addresses = tuple(ip_address(rng.choice(VIPS[family])) for family in families)
    return Allocation(service=rng.choice(KEYS), addresses=addresses, pool="p", id=rng.randint(1, 9), since_unix=0.0)


def _slice(rng: random.Random) -> EndpointSlice:
    family = rng.choice((Family.IPV4, Family.IPV4, Family.IPV6))
    ports = [
        EndpointPort(name=rng.choice(("", "a")), protocol=protocol, port=rng.choice((8080, 8081)))
        for protocol in (Transport.TCP, Transport.UDP)
        for _ in range(rng.choice((1, 1, 2)))
    ]
    endpoints = [
        Endpoint(
            addresses=(ip_address(rng.choice(BACKENDS[family])),),
            node=rng.choice(("n1", "n2", None)),
            ready=rng.choice((None, True, True, False)),
            serving=rng.choice((None, True)),
            terminating=rng.choice((None, True)),
        )
        for _ in range(rng.randint(0, 3))
    ]
    return EndpointSlice(
        key=SliceKey("default", rng.choice(("a0", "a1", "b0", "b1", "c0"))),
        service=rng.choice((*KEYS, *KEYS, None)),
        family=family,
        ports=tuple(ports),
        endpoints=tuple(endpoints),
    )


def _node(rng: random.Random) -> Node:
    return Node(name="n1", addresses=rng.choice(((), (ip_address("10.0.0.3"),))))


def _name(thing: Any) -> Any:
    match thing:
        case Allocation():
            return thing.service
        case Node():
            return thing.name
        case _:
            return thing.key


def changed(world: World, added: Iterable[Any], removed: Iterable[Any] = ()) -> World:
    """The next generation, as a source makes it: what is not named keeps its identity, map by map."""
    maps: dict[str, dict[Any, Any]] = {}
    for thing in removed:
        maps.setdefault(_MAPS[type(thing)], dict(getattr(world, _MAPS[type(thing)]))).pop(_name(thing), None)
    for thing in added:
        maps.setdefault(_MAPS[type(thing)], dict(getattr(world, _MAPS[type(thing)])))[_name(thing)] = thing
    return evolve(world, made_unix=0.0, **maps)


def a_world(rng: random.Random) -> World:
    """Some services with all that they need, and odds and ends."""
    things: list[Any] = [a_thing(rng) for _ in range(rng.randint(0, 8))]
    for key in KEYS[: rng.randint(0, len(KEYS))]:
        things += [replace(_service(rng), key=key), replace(_allocation(rng), service=key)]
        things += [replace(_slice(rng), service=key, key=SliceKey("default", f"{key.name}{n}")) for n in range(2)]
    return changed(World(), things)


def next_world(rng: random.Random, world: World) -> World:
    """A few objects come, are replaced or go."""
    added = [a_thing(rng) for _ in range(rng.randint(0, 3))]
    removed = [a_thing(rng) for _ in range(rng.choice((0, 0, 1, 2)))]
    return changed(world, added, removed)
