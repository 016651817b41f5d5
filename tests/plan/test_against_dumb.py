"""The allocator against a deliberately dumb second one, on random worlds that go through random changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.pool import Pool
from tests.plan.allocation_worlds import Cluster
from tests.plan.compare import compare, compare_counts
from tests.plan.random_worlds import Change, changes, pools


@given(pools(), st.lists(changes(), min_size=1, max_size=10))
def test_both_give_the_same(start: list[Pool], events: list[Change]) -> None:
    cluster = Cluster(*start)
    for change in events:
        change(cluster)
        cluster.now += 1.0
        for _ in range(2):
            plan = cluster.look()
            compare(cluster, plan)
            compare_counts(cluster)
            cluster.commit(plan)
