"""Random stories: pools, and changes to them, to services, to what the ledger keeps, and of the time.

Few addresses and few names, so that everything collides soon. A story comes out of a seed and a length, so that
hypothesis finds a short one that fails; within it chance is even, which hypothesis' own choices are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from random import Random

from hypothesis import strategies as st

from lbctl.model.address import Family
from lbctl.model.node import Namespace
from lbctl.model.pool import Choice, OnConflict, Pool
from lbctl.model.reservation import Quarantine, Reservation
from lbctl.model.service import FamilyPolicy, Service, ServiceType, TrafficPolicy
from tests.plan.allocation_worlds import V4, V6, Cluster, key, pool, selector, service

Change = Callable[[Cluster], object]
_NAMES = tuple(f"{namespace}/s{number}" for namespace in ("red", "blue") for number in range(5))
_V4 = ("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.9.7", "10.1.0.1", "10.1.0.2", "10.2.0.1")
_V6 = ("fd00::1", "fd00::2", "fd00:1::1", "fd00:1::2", "fd00:2::1")


@dataclass(frozen=True)
class Story:
    """How it begins, and what happens then."""

    pools: tuple[Pool, ...]
    changes: tuple[Change, ...]
    seed: int


def stories(longest: int = 12) -> st.SearchStrategy[Story]:
    return st.builds(_story, st.integers(0, 2**48), st.integers(2, longest))


def _story(seed: int, length: int) -> Story:
    chance = Random(seed)
    return Story(tuple(some_pools(chance)), tuple(a_change(chance) for _ in range(length)), seed)


def pools() -> st.SearchStrategy[list[Pool]]:
    return st.integers(0, 2**48).map(lambda seed: some_pools(Random(seed)))


def changes() -> st.SearchStrategy[Change]:
    return st.integers(0, 2**48).map(lambda seed: a_change(Random(seed)))


def newcomers() -> st.SearchStrategy[list[Service]]:
    def some(seed: int) -> list[Service]:
        chance = Random(seed)
        return [a_service(chance) for _ in range(chance.randint(1, 3))]

    return st.integers(0, 2**48).map(some)


def stays() -> st.SearchStrategy[float]:
    """Seconds in which nothing happens."""
    return st.sampled_from((1.0, 29.0, 30.0, 59.0, 60.0, 1e6))


def _one_in(chance: Random, count: int) -> bool:
    return chance.randrange(count) == 0


def some_pools(chance: Random) -> list[Pool]:
    """Up to four pools of a few addresses that do not overlap, so that they are full soon."""
    made = [_a_pool(chance, number) for number in range(chance.choice((*(1, 2, 3) * 5, 4, 4, 0)))]
    if made and _one_in(chance, 4):  # another name for the same ranges
        made[-1] = replace(made[-1], name="a-" + made[-1].name)
    if len(made) > 1 and _one_in(chance, 6):  # a range goes over to another pool
        giver, taker = chance.sample(range(len(made)), 2)
        if len(made[giver].ranges) > 1:
            moved = made[giver].ranges[0]
            made[giver] = replace(made[giver], ranges=made[giver].ranges[1:])
            made[taker] = replace(made[taker], ranges=(*made[taker].ranges, moved))
    return made


def _a_pool(chance: Random, number: int) -> Pool:
    ranges: list[str] = []
    if not _one_in(chance, 4):
        start, size = chance.choice((0, 0, 1, 254)), chance.randrange(4)
        last = start + size
        ranges.append(f"10.{number}.{start >> 8}.{start & 255}-10.{number}.{last >> 8}.{last & 255}")
    if not ranges or not _one_in(chance, 3):
        ranges.append(f"fd00:{number}::1-fd00:{number}::{chance.randint(1, 3)}")
    if _one_in(chance, 4):
        ranges.insert(0, f"10.{number}.9.7-10.{number}.9.8")
    return pool(
        f"p{number}",
        *ranges,
        auto=not _one_in(chance, 7),
        buggy=_one_in(chance, 4),
        priority=chance.choice((None, None, None, 0, 1, 2)),
        namespaces=("red",) if _one_in(chance, 9) else (),
        namespace_selectors=(selector(tier="gold"),) if _one_in(chance, 9) else (),
        service_selectors=(selector(app="web"),) if _one_in(chance, 9) else (),
        exclude=f"10.{number}.0.1-10.{number}.0.2 fd00:{number}::2/128" if _one_in(chance, 6) else "",
        cooling_time=chance.choice((0.0, 30.0, 60.0)),
        choice=Choice.LEAST_RECENTLY_USED if _one_in(chance, 4) else Choice.LOWEST,
        on_conflict=chance.choice(tuple(OnConflict)),
    )


def a_service(chance: Random) -> Service:
    """One of ten names, so that a second one drawn is an edit of the first."""
    families, stack, clusters = _some_families(chance)
    return service(
        chance.choice(_NAMES),
        ports=chance.choice(("80", "80", "443", "53/UDP", "80 443")),
        ip=_a_request(chance, families, clusters) if _one_in(chance, 6) else "",
        from_pool=chance.choice(("p0", "p0", "p0", "p1", "p1", "p2", "p9")) if _one_in(chance, 7) else None,
        from_pools=chance.choice(("p0 p1", "p1 p0", "p2 p9 p0")) if _one_in(chance, 9) else "",
        on_conflict=chance.choice(tuple(OnConflict)) if _one_in(chance, 3) else None,
        share=chance.choice((None, None, "k", "k", "k", "l")),
        policy=TrafficPolicy.LOCAL if _one_in(chance, 4) else TrafficPolicy.CLUSTER,
        select={"app": "web"} if _one_in(chance, 2) else {},
        labels={} if _one_in(chance, 3) else {"app": "web"},
        families=families,
        stack=stack,
        cluster_ips=clusters,
        kind=ServiceType.CLUSTER_IP if _one_in(chance, 14) else ServiceType.LOAD_BALANCER,
        lb_class="example.com/other" if _one_in(chance, 25) else None,
        created=chance.choice((None, 1.0, 2.0)),
    )


def _some_families(chance: Random) -> tuple[tuple[Family, ...], FamilyPolicy | None, tuple[str, ...]]:
    families = chance.choice(((), (), (V4,), (V6,), (V4, V6), (V6, V4)))
    stack = chance.choice((None, None, *FamilyPolicy, FamilyPolicy.PREFER))
    clusters: tuple[str, ...] = ()
    if _one_in(chance, 4):
        clusters = chance.choice((("10.9.0.1",), ("fd09::1",), *(("10.9.0.1", "fd09::1"), ("fd09::1", "10.9.0.1")) * 2))
        clusters = ("None",) if _one_in(chance, 9) else clusters
    return families, stack, clusters


def _a_request(chance: Random, families: tuple[Family, ...], clusters: tuple[str, ...]) -> str:
    """Mostly of the families it has."""
    dual = len(clusters or families) == 2
    if _one_in(chance, 5):
        return chance.choice(("10.9.9.9", "10.0.0.1 10.0.0.2", "10.0.0.1 fd00::1", "10.1.0.1 fd00:1::1", "fd00::1"))
    if dual:
        return chance.choice((f"{chance.choice(_V4)} {chance.choice(_V6)}", "10.0.0.1 fd00::1", "10.1.0.2 fd00:1::2"))
    return chance.choice(_V6 if clusters == ("fd09::1",) or families == (V6,) else _V4)


def a_change(chance: Random) -> Change:
    """What may happen next: mostly to services, sometimes to pools, namespaces or what the ledger keeps."""
    match chance.randrange(14):
        case 0 | 1:
            return _edit_of_pools(chance)
        case 2:
            namespaces = [Namespace(name="red", labels=(("tier", chance.choice(("gold", "iron"))),))]
            return lambda cluster: cluster.become(namespaces=namespaces)
        case 3 | 4:
            return _deletion(chance.random(), chance.random())
        case 5 | 6 | 7:
            return _an_order(chance)
        case 8:
            return _restart
        case _:
            new = {item.key: item for item in (a_service(chance) for _ in range(chance.randint(1, 5)))}
            return lambda cluster: cluster.become(services=({**cluster.world.services} | new).values())


def _edit_of_pools(chance: Random) -> Change:
    """All of them new, or a few of them."""
    new, all_of_them, which = some_pools(chance), _one_in(chance, 3), chance.random()

    def edit(cluster: Cluster) -> None:
        old = {**cluster.world.pools}
        if all_of_them or not new:
            cluster.become(pools=new)
            return
        one = new[int(which * len(new))]
        plain = one.name.removeprefix("a-")
        rest = [item for name, item in old.items() if name.removeprefix("a-") != plain]
        taken = {part for item in rest for part in item.ranges}
        ranges = tuple(part for part in one.ranges if not any(part.overlaps(other) for other in taken))
        cluster.become(pools=[*rest, replace(one, ranges=ranges)] if ranges else rest)

    return edit


def _deletion(which: float, how_many: float) -> Change:
    def delete(cluster: Cluster) -> None:
        names = sorted(cluster.world.services)
        at = int(which * len(names))
        gone = set(names[at : at + 1 + int(how_many * 2)])
        cluster.become(services=[item for name, item in cluster.world.services.items() if name not in gone])

    return delete


def _an_order(chance: Random) -> Change:
    """What is kept of addresses beside allocations, and the passing of time."""
    of, address = key(chance.choice(_NAMES)), ip_address(chance.choice((*_V4, *_V6)))
    match chance.randrange(6):
        case 0:
            both = (ip_address(chance.choice(_V4)), ip_address(chance.choice(_V6)))
            made = Reservation(
                service=of,
                addresses=both if _one_in(chance, 3) else (address,),
                pool=chance.choice(("p0", "p1")),
                since_unix=0.0,
            )

            def reserve(cluster: Cluster) -> None:
                old = cluster.state.remembered.reserved
                others = {each for item in old.values() if item.service != of for each in item.addresses}
                if others.isdisjoint(made.addresses):
                    _remember(cluster, reserved={**old, of: made})

            return reserve
        case 1:
            return lambda cluster: _remember(
                cluster,
                reserved={name: item for name, item in cluster.state.remembered.reserved.items() if name != of},
            )
        case 2 | 3:
            mac = chance.choice(("02:00:00:00:00:98", "02:00:00:00:00:99", "02:00:00:00:00:99"))
            seen = Quarantine(address=address, mac=mac, node="n", interface="eth0", since_unix=0.0)
            return lambda cluster: _remember(
                cluster, quarantined={**cluster.state.remembered.quarantined, address: seen}
            )
        case 4:
            return lambda cluster: _remember(cluster, quarantined={})
        case _:
            seconds = chance.choice((1.0, 29.0, 30.0, 60.0))
            return lambda cluster: cluster.wait(seconds)


def _remember(cluster: Cluster, **kept: object) -> None:
    cluster.state = replace(cluster.state, remembered=replace(cluster.state.remembered, **kept))  # type: ignore[arg-type]


def _restart(cluster: Cluster) -> None:
    cluster.memo = None
