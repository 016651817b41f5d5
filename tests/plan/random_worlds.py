"""Random pools, services and changes for hypothesis: few addresses and few names, so that everything collides soon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

from hypothesis import strategies as st

from lbctl.model.node import Namespace
from lbctl.model.pool import Choice, OnConflict, Pool
from lbctl.model.reservation import Quarantine, Reservation
from lbctl.model.service import FamilyPolicy, Service, ServiceType, TrafficPolicy
from tests.plan.allocation_worlds import V4, V6, Cluster, key, pool, selector, service

Change = Callable[[Cluster], object]
_REQUESTS = (
    "10.0.0.1",
    "10.0.0.2",
    "10.1.0.1",
    "10.9.9.9",
    "fd00:1::1",
    "fd00:0::2",
    "10.0.0.1 fd00:0::1",
    "10.1.0.1 fd00:1::1",
    "10.0.0.1 fd00:1::1",
    "10.0.0.1 10.0.0.2",
)


@st.composite
def pools(draw: st.DrawFn) -> list[Pool]:
    """Up to four pools of a few addresses that do not overlap, so that they are full soon."""
    made: list[Pool] = []
    for number in range(draw(st.integers(0, 4))):
        ranges: list[str] = []
        if draw(st.booleans()) or number == 0:
            start, size = draw(st.integers(0, 2)) + 254 * draw(st.booleans()), draw(st.integers(0, 3))
            last = start + size
            ranges.append(f"10.{number}.{start >> 8}.{start & 255}-10.{number}.{last >> 8}.{last & 255}")
        if draw(st.booleans()) or not ranges:
            ranges.append(f"fd00:{number}::1-fd00:{number}::{draw(st.integers(1, 3))}")
        if draw(st.integers(0, 5)) == 0:
            ranges.insert(0, f"10.{number}.9.7-10.{number}.9.8")
        made.append(
            pool(
                f"p{number}",
                *ranges,
                auto=draw(st.integers(0, 4)) > 0,
                buggy=draw(st.booleans()),
                priority=draw(st.sampled_from([None, None, None, 0, 1, 2])),
                namespaces=draw(st.sampled_from([(), (), (), ("red",)])),
                namespace_selectors=draw(st.sampled_from([(), (), (), (selector(tier="gold"),)])),
                service_selectors=draw(st.sampled_from([(), (), (), (selector(app="web"),)])),
                exclude=draw(st.sampled_from(["", "", "", f"10.{number}.0.1-10.{number}.0.2 fd00:{number}::2/128"])),
                cooling_time=draw(st.sampled_from([0.0, 30.0, 60.0])),
                choice=draw(st.sampled_from([Choice.LOWEST, Choice.LOWEST, Choice.LEAST_RECENTLY_USED])),
                on_conflict=draw(st.sampled_from(OnConflict)),
            )
        )
    if made and draw(st.integers(0, 4)) == 0:  # renamed, with the same ranges
        made[-1] = _renamed(made[-1])
    return made


def _renamed(old: Pool) -> Pool:
    return replace(old, name="a-" + old.name)


@st.composite
def services(draw: st.DrawFn) -> Service:
    """One of twelve names, so that a second one drawn is an edit of the first."""
    name = f"{draw(st.sampled_from(('red', 'blue')))}/s{draw(st.integers(0, 5))}"
    return service(
        name,
        ports=draw(st.sampled_from(["80", "80", "443", "53/UDP", "80 443"])),
        ip=draw(st.sampled_from([""] * 8 + list(_REQUESTS))),
        from_pool=draw(st.sampled_from([None, None, None, None, "p0", "p1", "p9"])),
        from_pools=draw(st.sampled_from(["", "", "", "", "p0 p1", "p1 p0", "p2 p9 p0"])),
        on_conflict=draw(st.sampled_from([None, None, *OnConflict])),
        share=draw(st.sampled_from([None, None, "k", "k", "l"])),
        policy=draw(st.sampled_from([*TrafficPolicy, TrafficPolicy.CLUSTER])),
        select=draw(st.sampled_from([{}, {"app": "web"}])),
        labels=draw(st.sampled_from([{}, {"app": "web"}])),
        families=draw(st.sampled_from([(), (), (V4,), (V6,), (V4, V6), (V6, V4)])),
        stack=draw(st.sampled_from([None, None, *FamilyPolicy])),
        cluster_ips=draw(
            st.sampled_from([(), (), (), ("10.9.0.1",), ("fd09::1",), ("10.9.0.1", "fd09::1"), ("None",)])
        ),
        kind=draw(st.sampled_from([ServiceType.LOAD_BALANCER] * 6 + [ServiceType.CLUSTER_IP])),
        lb_class=draw(st.sampled_from([None] * 7 + ["example.com/other"])),
        created=draw(st.sampled_from([None, 1.0, 2.0])),
    )


_ADDRESSES = ("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.9.7", "10.1.0.1", "fd00::1", "fd00:1::1", "fd00:1::2")
_RESERVED = (*((text,) for text in _ADDRESSES), ("10.0.0.1", "fd00::1"), ("10.1.0.1", "fd00:1::1"))


@st.composite
def orders(draw: st.DrawFn) -> Change:
    """What is kept of addresses beside allocations, and the passing of time."""
    of = key(f"{draw(st.sampled_from(('red', 'blue')))}/s{draw(st.integers(0, 5))}")
    address = ip_address(draw(st.sampled_from(_ADDRESSES)))
    match draw(st.integers(0, 4)):
        case 0:
            texts = draw(st.sampled_from(_RESERVED))
            made = Reservation(
                service=of,
                addresses=tuple(map(ip_address, texts)),
                pool=draw(st.sampled_from(("p0", "p1"))),
                since_unix=0.0,
            )

            def reserve(cluster: Cluster) -> None:
                reserved = {**cluster.state.remembered.reserved}
                others = {each for item in reserved.values() if item.service != of for each in item.addresses}
                if others.isdisjoint(made.addresses):
                    _remember(cluster, reserved={**reserved, of: made})

            return reserve
        case 1:
            return lambda cluster: _remember(
                cluster,
                reserved={name: item for name, item in cluster.state.remembered.reserved.items() if name != of},
            )
        case 2:
            seen = Quarantine(address=address, mac="02:00:00:00:00:99", node="n", interface="eth0", since_unix=0.0)
            return lambda cluster: _remember(
                cluster, quarantined={**cluster.state.remembered.quarantined, address: seen}
            )
        case 3:
            return lambda cluster: _remember(
                cluster,
                quarantined={a: item for a, item in cluster.state.remembered.quarantined.items() if a != address},
            )
        case _:
            seconds = draw(st.sampled_from((1.0, 29.0, 30.0, 60.0)))
            return lambda cluster: cluster.wait(seconds)


def _remember(cluster: Cluster, **kept: object) -> None:
    cluster.state = replace(cluster.state, remembered=replace(cluster.state.remembered, **kept))  # type: ignore[arg-type]


def _restart(cluster: Cluster) -> None:
    cluster.memo = None


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """What may happen next: mostly to services, sometimes to pools or namespaces."""
    match draw(st.integers(0, 12)):
        case 10 | 11:
            return draw(orders())
        case 12:
            return _restart
        case 0:
            new_pools = draw(pools())
            return lambda cluster: cluster.become(pools=new_pools)
        case 1:
            namespaces = [Namespace(name="red", labels=(("tier", draw(st.sampled_from(("gold", "iron")))),))]
            return lambda cluster: cluster.become(namespaces=namespaces)
        case 2 | 3:
            at = draw(st.integers(0, 20))

            def delete(cluster: Cluster) -> None:
                names = sorted(cluster.world.services)
                gone = {names[at % len(names)]} if names else set()
                kept = [item for name, item in cluster.world.services.items() if name not in gone]
                cluster.become(services=kept)

            return delete
        case _:
            new = draw(st.lists(services(), min_size=1, max_size=3))

            def put(cluster: Cluster) -> None:
                cluster.become(services=({**cluster.world.services} | {item.key: item for item in new}).values())

            return put


def stays() -> st.SearchStrategy[float]:
    """Seconds in which nothing happens."""
    return st.sampled_from((1.0, 29.0, 30.0, 59.0, 60.0, 1e6))
