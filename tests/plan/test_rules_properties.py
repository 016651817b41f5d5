"""What holds for every world and every change, with all that pools, services and the ledger can say."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.service import Service, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.allocate import AllocationPlan, allocate
from lbctl.plan.allocation import Remembered, Unread
from lbctl.plan.reason import GrantCause, Reason
from tests.plan.allocation_worlds import Cluster
from tests.plan.dumb_rules import allows, buggy, contains, disagreement, excluded
from tests.plan.random_worlds import Story, newcomers, stays, stories

_few = settings(max_examples=settings().max_examples // 4)
"""Eight properties: together they take the time of two. A profile with more examples has more of these, too."""


def through(story: Story) -> Cluster:
    """A cluster that went through all of it and is settled."""
    cluster = Cluster(*story.pools)
    for change in story.changes:
        change(cluster)
        cluster.settle()
    return cluster


@_few
@given(stories())
def test_no_address_twice_unless_its_users_may_share_it(story: Story) -> None:
    cluster = through(story)
    services, allocations = cluster.world.services, cluster.state.allocations
    for one, two in combinations(sorted(allocations), 2):
        if set(allocations[one].addresses) & set(allocations[two].addresses):
            assert disagreement(services[one], services[two]) is None
            assert disagreement(services[two], services[one]) is None


@_few
@given(stories())
def test_a_grant_is_of_what_may_be_given(story: Story) -> None:
    """In its pool, neither excluded nor buggy, not in quarantine, not reserved for another; for a service of that type,
    from a pool that may serve it. What was held before the grant may be excluded or in quarantine meanwhile."""
    cluster = Cluster(*story.pools)
    for change in story.changes:
        change(cluster)
        cluster.now += 1
        plan = cluster.look()
        kept = cluster.state.remembered
        for grant in plan.grants:
            service = cluster.world.services[grant.service]
            assert service.type is ServiceType.LOAD_BALANCER
            before = cluster.state.allocations.get(grant.service)
            names = (grant.pool, grant.second_pool or grant.pool)
            for address, name in zip(grant.addresses, names, strict=False):
                pool = cluster.world.pools[name]
                assert contains(pool, address)
                assert not buggy(pool, address)
                assert allows(pool, service, dict(cluster.world.namespaces))
                if before is None or address not in before.addresses:
                    assert not excluded(pool, address)
                    assert address not in kept.quarantined
                    assert all(
                        address not in item.addresses or of == grant.service for of, item in kept.reserved.items()
                    )
            automatic = grant.cause in (GrantCause.AUTOMATIC, GrantCause.PINNED_POOL)
            assert not automatic or cluster.world.pools[grant.pool].auto_assign
        cluster.commit(plan)


@_few
@given(stories(), newcomers())
def test_who_changed_nothing_loses_nothing_by_what_others_change(story: Story, others: list[Any]) -> None:
    cluster = through(story)
    before = dict(cluster.state.allocations)
    edited = {item.key for item in others}
    cluster.put(*others)
    for key, allocation in before.items():
        if key not in edited and not _would_rather_go(cluster, allocation.addresses):
            assert set(allocation.addresses) <= set(cluster.state.allocations[key].addresses)


def _would_rather_go(cluster: Cluster, addresses: Any) -> bool:
    return any(address in cluster.state.remembered.quarantined for address in addresses)


@_few
@given(stories())
def test_it_is_settled_after_few_plans_and_then_for_good(story: Story) -> None:
    """One is the rule. A second may find what the first freed; more only where one's loss is the next one's gain."""
    cluster = Cluster(*story.pools)
    for change in story.changes:
        change(cluster)
        cluster.settle(rounds=4)
        assert cluster.look().settled
        assert cluster.look(memo=False).settled


@_few
@given(stories(), st.integers(0, 2**12 - 1))
def test_the_memo_changes_nothing_but_the_time_it_takes(story: Story, committed: int) -> None:
    """Also when what was planned is not committed."""
    cluster = Cluster(*story.pools)
    for at, change in enumerate(story.changes):
        change(cluster)
        cluster.now += 1
        plan = cluster.look()
        assert _by_service(plan) == _by_service(cluster.look(memo=False))
        if committed >> at & 1:
            cluster.commit(plan)


def _by_service(plan: AllocationPlan) -> dict[str, Any]:
    return {
        "grants": {item.service: item for item in plan.grants},
        "releases": {item.allocation.service: item for item in plan.releases},
        "amendments": {item.allocation.service: item for item in plan.amendments},
        "pending": dict(plan.pending),
    }


@_few
@given(stories(), st.randoms(use_true_random=False))
def test_the_order_in_which_maps_are_written_does_not_matter(story: Story, random: Any) -> None:
    cluster = Cluster(*story.pools)
    for change in story.changes:
        change(cluster)
        cluster.now += 1
        plan = cluster.look(memo=False)
        world = replace(cluster.world, allocations=cluster.state.allocations)
        other, _ = allocate(_mixed(world, random), _mixed(cluster.state.remembered, random), now_unix=cluster.now)
        assert other == plan
        cluster.commit(plan)


def _mixed(value: Any, random: Any) -> Any:
    """The same World or Remembered, each of its maps in another order."""
    names = ("services", "pools", "namespaces", "allocations") if isinstance(value, World) else _KEPT
    maps: dict[str, Any] = {}
    for name in names:
        items = list(getattr(value, name).items())
        random.shuffle(items)
        maps[name] = dict(items)
    return replace(value, **maps)


_KEPT = tuple(Remembered.__dataclass_fields__)


@_few
@given(stories())
def test_who_waits_is_told_why_and_who_does_not_is_not(story: Story) -> None:
    cluster = through(story)
    for key, item in cluster.world.services.items():
        if item.type is ServiceType.LOAD_BALANCER and key not in cluster.state.allocations:
            assert cluster.plan.pending[key]
    for key in cluster.plan.pending:
        assert cluster.world.services[key].type is ServiceType.LOAD_BALANCER


@_few
@given(stories(), stays())
def test_time_alone_moves_nobody(story: Story, seconds: float) -> None:
    """What cools is the last choice, not a refused one, so nobody waits for it to be over."""
    cluster = through(story)
    before = cluster.state.allocations
    cluster.now += seconds
    assert cluster.look().settled
    assert cluster.settle().state.allocations == before


@_few
@given(stories(), st.integers(0, 2**10 - 1), st.integers(0, 2**4 - 1), newcomers())
def test_what_nobody_could_read_yet_takes_nothing_from_anybody(
    story: Story, services: int, pools: int, others: list[Service]
) -> None:
    """After a restart some files cannot be read: whoever was in them keeps what it has, and no newcomer is given it."""
    cluster = through(story)
    world, before = cluster.world, dict(cluster.state.allocations)
    unseen = {key for at, key in enumerate(sorted(before)) if services >> at & 1}
    gone = {name for at, name in enumerate(sorted(world.pools)) if pools >> at & 1}
    left = {key: item for key, item in world.services.items() if key not in unseen}
    left |= {item.key: item for item in others if item.key not in before}
    less = replace(
        world,
        services=left,
        pools={name: item for name, item in world.pools.items() if name not in gone},
        allocations=cluster.state.allocations,
    )
    unread = Unread(services=frozenset(unseen), pools=frozenset(gone))
    plan, _ = allocate(less, cluster.state.remembered, now_unix=cluster.now, unread=unread)
    for release in plan.releases:
        held = release.allocation
        assert _would_rather_go(cluster, held.addresses) or release.reason is Reason.SUPERSEDED
    for grant in plan.grants:
        for key, allocation in before.items():
            if key != grant.service and set(grant.addresses) & set(allocation.addresses) and key in left:
                assert disagreement(left[grant.service], left[key]) is None
            elif key in unseen:
                shared = set(grant.addresses) & set(allocation.addresses)
                assert not shared or disagreement(left[grant.service], world.services[key]) is None
