"""Small worlds and views for tests of the plan and of speakers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any

from lbctl.model.address import AddressRange, Family, IPAddress, family_of
from lbctl.model.advertisement import L2Advertisement, PreferredNodes
from lbctl.model.allocation import Allocation
from lbctl.model.claim import Claim
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.member import Conflict, Liveness, Member, Role
from lbctl.model.node import Node
from lbctl.model.pool import Pool
from lbctl.model.reservation import Quarantine
from lbctl.model.selector import Labels, LabelSelector
from lbctl.model.service import (
    LoadBalancerSpec,
    Port,
    Service,
    ServiceKey,
    ServiceType,
    TrafficPolicy,
    TrafficSpec,
)
from lbctl.model.snapshot import View, World


def key(name: str) -> ServiceKey:
    return ServiceKey("default", name)


def address(text: str) -> IPAddress:
    return ip_address(text)


def addresses(*texts: str) -> tuple[IPAddress, ...]:
    return tuple(ip_address(text) for text in texts)


def labels(**pairs: str) -> Labels:
    return tuple(sorted(pairs.items()))


def selector(**pairs: str) -> LabelSelector:
    return LabelSelector(match_labels=labels(**pairs))


def preferred(weight: int, **pairs: str) -> PreferredNodes:
    return PreferredNodes(weight=weight, preference=selector(**pairs))


def service(name: str, *, local: bool = False, sharing_key: str | None = None, service_labels: Labels = ()) -> Service:
    return Service(
        key=key(name),
        type=ServiceType.LOAD_BALANCER,
        ports=(Port(port=80),),
        labels=service_labels,
        load_balancer=LoadBalancerSpec(sharing_key=sharing_key),
        traffic=TrafficSpec(external_policy=TrafficPolicy.LOCAL if local else TrafficPolicy.CLUSTER),
    )


def allocation(name: str, *texts: str, pool: str = "pool", id: int = 1, since_unix: float = 0.0) -> Allocation:
    return Allocation(service=key(name), addresses=addresses(*texts), pool=pool, id=id, since_unix=since_unix)


def endpoint(node: str | None = None, *, ready: bool | None = None, serving: bool | None = None) -> Endpoint:
    return Endpoint(addresses=addresses("10.1.1.1"), node=node, ready=ready, serving=serving)


def endpoints(name: str, *found: Endpoint, family: Family = Family.IPV4, part: str = "") -> EndpointSlice:
    return EndpointSlice(
        key=SliceKey("default", f"{name}-{family.value.lower()}{part}"),
        service=key(name),
        family=family,
        ports=(EndpointPort(port=80),),
        endpoints=found,
    )


def by_key(items: Iterable[Any]) -> Mapping[Any, Any]:
    """A map of values that carry their `key`, `name`, `service`, `node` or `address`, whichever names them."""

    def of(item: Any) -> Any:
        match item:
            case Allocation():
                return item.service
            case Member():
                return item.node
            case Service() | EndpointSlice():
                return item.key
            case Quarantine():
                return item.address
            case _:
                return item.name

    return MappingProxyType({of(item): item for item in items})


def world(
    allocations: Iterable[Allocation],
    *,
    services: Iterable[Service] | None = None,
    slices: Iterable[EndpointSlice] | None = None,
    nodes: Iterable[Node] = (),
    advertisements: Iterable[L2Advertisement] = (L2Advertisement(name="l2"),),
    pools: Iterable[Pool] | None = None,
    generation: int = 1,
    made_unix: float = 0.0,
) -> World:
    """What is not given is made to fit: each allocation has its service, with an endpoint of each of its families."""
    held = list(allocations)
    if slices is None:
        slices = [
            endpoints(a.service.name, endpoint(), family=family)
            for a in held
            for family in sorted({family_of(address) for address in a.addresses})
        ]
    if pools is None:
        every: dict[str, list[AddressRange]] = {}
        for a in held:
            every.setdefault(a.pool, []).extend(AddressRange(x, x, str(x)) for x in a.addresses)
        pools = [Pool(name=name, ranges=tuple(ranges)) for name, ranges in every.items()]
    return World(
        generation=generation,
        made_unix=made_unix,
        services=by_key(services if services is not None else (service(a.service.name) for a in held)),
        slices=by_key(slices),
        nodes=by_key(nodes),
        pools=by_key(pools),
        l2_advertisements=by_key(advertisements),
        allocations=by_key(held),
    )


def vip_world(vips: Iterable[str | Sequence[str]], *, since_unix: float = 0.0, **more: Any) -> World:
    """One service (s0, s1...) for each VIP, or for each list of VIPs, allocated at `since_unix`."""
    held = [
        allocation(f"s{n}", *([vip] if isinstance(vip, str) else vip), id=n + 1, since_unix=since_unix)
        for n, vip in enumerate(vips)
    ]
    return world(held, **more)


def member(node: str, state: Liveness = Liveness.ALIVE, *, interfaces: Sequence[str] = (), **more: Any) -> Member:
    settings: dict[str, Any] = {
        "incarnation": 1,
        "two_way": state is Liveness.ALIVE,
        "macs": tuple(("02:00:00:00:00:01", name) for name in interfaces),
        **more,
    }
    return Member(node=node, state=state, **settings)


def observer(node: str) -> Member:
    return member(node, role=Role.OBSERVER)


def claim(node: str, address: str, epoch: int = 1, *, quorate: bool = True, **more: Any) -> Claim:
    settings: dict[str, Any] = {"incarnation": 1, "since_unix": 0.0, "cause": "started", **more}
    return Claim(address=ip_address(address), node=node, epoch=epoch, quorate=quorate, **settings)


def quarantine(text: str, *, mac: str = "02:00:00:00:00:ee", node: str = "a", interface: str = "eth0") -> Quarantine:
    return Quarantine(address=ip_address(text), mac=mac, node=node, interface=interface, since_unix=0.0)


def conflict(text: str, *, mac: str = "02:00:00:00:00:ee", interface: str = "eth0") -> Conflict:
    """What a member's probe found; without a MAC, nobody."""
    return Conflict(address=ip_address(text), mac=mac, interface=interface)


def view(
    *members: Member | str, claims: Iterable[Claim] = (), synced: bool = True, source: str = "a", **more: Any
) -> View:
    """Members by name are alive."""
    said: dict[str, dict[IPAddress, Claim]] = {}
    for each in claims:
        said.setdefault(each.node, {})[each.address] = each
    return View(
        source=source,
        synced=synced,
        members=by_key(member(each) if isinstance(each, str) else each for each in members),
        claims=MappingProxyType({node: MappingProxyType(found) for node, found in said.items()}),
        **more,
    )


def shuffled(world: World, order: Any) -> World:
    """The same world with every map in another order; `order(list)` shuffles in place."""
    maps: dict[str, Any] = {}
    for name in ("services", "slices", "nodes", "pools", "l2_advertisements", "allocations"):
        items = list(getattr(world, name).items())
        order(items)
        maps[name] = MappingProxyType(dict(items))
    return replace(world, **maps)
