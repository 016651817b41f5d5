"""The allocator against a deliberately dumb second one, on random worlds that go through random changes."""

from __future__ import annotations

from hypothesis import given

from tests.plan.allocation_worlds import Cluster
from tests.plan.compare import compare, compare_counts
from tests.plan.random_worlds import Story, stories


@given(stories())
def test_both_give_the_same(story: Story) -> None:
    cluster = Cluster(*story.pools)
    for change in story.changes:
        change(cluster)
        cluster.now += 1.0
        for _ in range(2):
            plan = cluster.look()
            compare(cluster, plan)
            compare_counts(cluster)
            cluster.commit(plan)
