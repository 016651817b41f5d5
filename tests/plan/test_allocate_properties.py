"""What holds for every world: nothing twice, nothing lost, nothing by chance, and the memo is worth only time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.controller.records import users_of
from lbctl.model.allocation import Allocation
from lbctl.model.node import Namespace
from lbctl.model.pool import Choice, OnConflict, Pool
from lbctl.model.service import FamilyPolicy, Service, ServiceType, TrafficPolicy
from lbctl.plan.allocate import AllocationPlan, allocate
from lbctl.plan.sharing import refusal_between, terms_of
from tests.plan.allocation_worlds import V4, V6, Cluster, pool, quarantine, reserve, selector, service, world

_NAMESPACES = ("red", "blue")
_TIERS = ("gold", "iron")
_REQUESTS = ("10.0.0.1", "10.0.0.2", "10.1.0.1", "fd00:1::1", "10.0.0.1 fd00:0::1")


_Change = Callable[[Cluster], object]


@st.composite
def pools(draw: st.DrawFn) -> list[Pool]:
    """Up to four pools of a few addresses that do not overlap, so that they are full soon."""
    made: list[Pool] = []
    for number in range(draw(st.integers(0, 4))):
        ranges: list[str] = []
        if draw(st.booleans()) or number == 0:
            start, size = draw(st.integers(0, 2)) + 254 * draw(st.booleans()), draw(st.integers(0, 4))
            last = start + size
            ranges.append(f"10.{number}.{start >> 8}.{start & 255}-10.{number}.{last >> 8}.{last & 255}")
        if draw(st.booleans()) or not ranges:
            ranges.append(f"fd00:{number}::1-fd00:{number}::{draw(st.integers(1, 4))}")
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
                exclude=draw(
                    st.sampled_from(["", "", "", f"10.{number}.0.1-10.{number}.0.2", f"fd00:{number}::1/128"])
                ),
                cooling_time=draw(st.sampled_from([0.0, 3.0, 60.0])),
                choice=draw(st.sampled_from([Choice.LOWEST, *Choice])),
                on_conflict=draw(st.sampled_from([*OnConflict])),
            )
        )
    return made


@st.composite
def services(draw: st.DrawFn) -> Service:
    name = f"{draw(st.sampled_from(_NAMESPACES))}/s{draw(st.integers(0, 5))}"
    return service(
        name,
        ports=draw(st.sampled_from(["80", "80", "443", "53/UDP", "80 443"])),
        ip=draw(
            st.sampled_from(["", "", "", "", "10.0.0.1", "10.0.0.2", "10.1.0.1", "fd00:1::1", "10.0.0.1 fd00:0::1"])
        ),
        from_pool=draw(st.sampled_from([None, None, None, None, "p0", "p1", "p9"])),
        from_pools=draw(st.sampled_from(["", "", "", "", "p0 p1", "p1 p2 p0", "p9 p0"])),
        on_conflict=draw(st.sampled_from([None, None, *OnConflict])),
        share=draw(st.sampled_from([None, None, "k", "k", "l"])),
        policy=draw(st.sampled_from([*TrafficPolicy, TrafficPolicy.CLUSTER])),
        select=draw(st.sampled_from([{}, {"app": "web"}])),
        labels=draw(st.sampled_from([{}, {"app": "web"}])),
        families=draw(st.sampled_from([(), (), (V4,), (V6,), (V4, V6), (V6, V4)])),
        stack=draw(st.sampled_from([None, None, *FamilyPolicy])),
        cluster_ips=draw(st.sampled_from([(), (), (), ("10.9.0.1",), ("10.9.0.1", "fd09::1"), ("None",)])),
        kind=draw(st.sampled_from([ServiceType.LOAD_BALANCER] * 5 + [ServiceType.CLUSTER_IP])),
        created=draw(st.sampled_from([None, 1.0, 2.0])),
    )


@st.composite
def impositions(draw: st.DrawFn) -> _Change:
    """A ledger that says what no plan would have made it say: put back from a copy, or edited."""
    at, taken = draw(st.integers(0, 20)), draw(st.integers(0, 20))
    agreed = draw(st.booleans())

    def impose(cluster: Cluster) -> None:
        state, names = cluster.state, sorted(cluster.world.services)
        held = [state.allocations[name].addresses for name in sorted(state.allocations)]
        if not names or not held:
            return
        key = names[at % len(names)]
        allocation = Allocation(
            service=key, addresses=held[taken % len(held)], pool="p0", id=state.next_grant, since_unix=0.0
        )
        terms = {**state.remembered.terms}
        if agreed:
            terms[key] = terms_of(cluster.world.services[key]).text
        allocations = {**state.allocations, key: allocation}
        cluster.state = replace(
            state,
            allocations=allocations,
            users=users_of(allocations),
            remembered=replace(state.remembered, terms=terms),
            next_grant=state.next_grant + 1,
        )

    return impose


_SOME = ("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.1.0.1", "fd00:0::1", "fd00:1::1", "fd00:1::2")


@st.composite
def changes(draw: st.DrawFn) -> _Change:
    """What may happen next: mostly to services, sometimes to pools, namespaces or what is kept of addresses."""
    match draw(st.integers(0, 12)):
        case 10:
            bad = draw(st.lists(st.sampled_from(_SOME), max_size=5, unique=True))
            macs = draw(st.sampled_from([("02:00:00:00:00:66",), ("02:00:00:00:00:66", "02:00:00:00:00:67")]))
            return lambda cluster: quarantine(cluster, *bad, macs=macs)
        case 11:
            whose = f"{draw(st.sampled_from(_NAMESPACES))}/s{draw(st.integers(0, 5))}"
            kept = draw(st.lists(st.sampled_from(_SOME), min_size=1, max_size=2, unique_by=lambda text: ":" in text))
            return lambda cluster: reserve(cluster, whose, *sorted(kept, key=lambda text: ":" in text), home="p0")
        case 12:
            seconds = draw(st.sampled_from([2.0, 10.0, 100.0, -5.0]))
            return lambda cluster: cluster.wait(seconds)
        case 0:
            new_pools = draw(pools())
            return lambda cluster: cluster.become(pools=new_pools)
        case 1:
            tier = draw(st.sampled_from(_TIERS))
            namespaces = [Namespace(name="red", labels=(("tier", tier),))]
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


def _check(cluster: Cluster) -> None:
    """No address has two users who do not agree to share it, and everybody has what its pool may give."""
    services, allocations = cluster.world.services, cluster.state.allocations
    for one, two in combinations(allocations, 2):
        if set(allocations[one].addresses) & set(allocations[two].addresses):
            assert refusal_between(terms_of(services[one]), terms_of(services[two])) is None, (one, two)
    for key, allocation in allocations.items():
        for address in allocation.addresses:
            home = cluster.world.pools[allocation.pool_of(address)]
            assert any(address in part for part in home.ranges), (key, address)
            assert not (home.avoid_buggy_ips and address.version == 4 and int(address) & 255 in (0, 255))
        asked = services[key].load_balancer.requested
        assert not asked or set(asked) == set(allocation.addresses)
    for key, item in services.items():
        if item.type is ServiceType.LOAD_BALANCER:
            assert key in allocations or cluster.plan.pending[key], "who has nothing is told why"


@settings(max_examples=120, deadline=None)
@given(pools(), st.lists(changes(), min_size=1, max_size=12))
def test_nothing_twice_and_settled_for_good(start: list[Pool], events: list[_Change]) -> None:
    cluster = Cluster(*start)
    for change in events:
        change(cluster)
        cluster.settle()
        _check(cluster)
        assert cluster.look().settled, "planning again changes nothing"


@settings(max_examples=120, deadline=None)
@given(pools(), st.lists(st.tuples(changes() | impositions(), st.booleans()), min_size=1, max_size=14))
def test_the_memo_changes_nothing(start: list[Pool], events: list[tuple[_Change, bool]]) -> None:
    """Also when a commit failed, so that the memo counted on what did not come, and whatever the ledger says."""
    cluster = Cluster(*start)
    for change, commits in events:
        change(cluster)
        cluster.now += 1
        plan = cluster.look()
        assert _by_service(plan) == _by_service(cluster.look(memo=False))
        if commits:
            cluster.commit(plan)
    _check(cluster.settle())


def _by_service(plan: AllocationPlan) -> dict[str, Any]:
    return {
        "grants": {item.service: item for item in plan.grants},
        "releases": {item.allocation.service: item for item in plan.releases},
        "amendments": {item.allocation.service: item for item in plan.amendments},
        "pending": dict(plan.pending),
    }


@settings(max_examples=100, deadline=None)
@given(pools(), st.lists(services(), max_size=8, unique_by=lambda item: item.key), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(start: list[Pool], wanted: list[Service], random: Any) -> None:
    cluster = Cluster(*start).become(services=wanted)
    plan = cluster.look(memo=False)
    shuffled = random.sample(wanted, len(wanted)), random.sample(start, len(start))
    other = replace(world(shuffled[1], shuffled[0]), allocations=cluster.state.allocations)
    assert allocate(other, cluster.state.remembered, now_unix=cluster.now)[0] == plan


@settings(max_examples=120, deadline=None)
@given(pools(), st.lists(changes(), max_size=8), services())
def test_a_newcomer_takes_nothing_from_anybody(start: list[Pool], events: list[_Change], newcomer: Service) -> None:
    cluster = Cluster(*start)
    for change in events:
        change(cluster)
    cluster.settle()
    if newcomer.key in cluster.world.services:
        return
    before = dict(cluster.state.allocations)
    cluster.put(newcomer)
    for key, allocation in before.items():
        assert set(allocation.addresses) <= set(cluster.state.allocations[key].addresses)


@settings(max_examples=120, deadline=None)
@given(pools(), st.lists(changes(), min_size=1, max_size=12))
def test_nobody_is_newly_given_what_is_kept_back(start: list[Pool], events: list[_Change]) -> None:
    """Not what is excluded, what is reserved for another, what is in quarantine."""
    cluster = Cluster(*start)
    for change in events:
        change(cluster)
        cluster.now += 1
        before = {key: set(item.addresses) for key, item in cluster.state.allocations.items()}
        plan = cluster.look()
        kept = cluster.state.remembered
        for grant in plan.grants:
            for at, address in enumerate(grant.addresses):
                if address in before.get(grant.service, ()):
                    continue
                home = cluster.world.pools[grant.second_pool if at and grant.second_pool else grant.pool]
                assert not any(address in part for part in home.options.excluded)
                assert address not in kept.quarantined
                others = [key for key, item in kept.reserved.items() if address in item.addresses]
                assert not others or grant.service in others
        cluster.commit(plan)
