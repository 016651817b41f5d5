"""A step and the pools in force: edits that are held back, before and after a restart; and whose services are ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.controller.records import LedgerState
from lbctl.controller.status import Facts, service_rows
from lbctl.controller.step import Decision, Inputs, StepMemo, step
from lbctl.model.pool import Pool
from lbctl.model.service import Service
from lbctl.model.snapshot import Snapshot, World
from lbctl.plan.locate import locate
from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import PREFER, key, pool, service, world

A = pool("a", "192.0.2.0/30", protected=True)
B = pool("b", "198.51.100.0/30")


class Life:
    """A controller without disk and clock."""

    def __init__(self, pools: list[Pool], services: list[Service], *, ours: str | None = None) -> None:
        self.world = world(pools, services)
        self.state = LedgerState(ledger="l")
        self.published: World | None = None
        self.pools_before: dict[str, Pool] = {}
        self.memo: StepMemo | None = None
        self.ours = ours
        self.now = 1000.0

    def step(self, *, pools: list[Pool] | None = None, services: list[Service] | None = None) -> Decision:
        if pools is not None:
            self.world = replace(self.world, pools={item.name: item for item in pools})
        if services is not None:
            self.world = replace(self.world, services={item.key: item for item in services})
        self.now += 1
        decision, self.memo = step(
            Inputs(
                world=self.world,
                state=self.state,
                published=self.published,
                pools_before=self.pools_before,
                load_balancer_class=self.ours,
                now_unix=self.now,
            ),
            self.memo,
        )
        self.state = decision.after
        self.published = decision.world or self.published
        return decision

    def restart(self) -> None:
        """What was published is what is known of the pools that were in force."""
        assert self.published is not None
        self.pools_before, self.published, self.memo = dict(self.published.pools), None, None


def events(decision: Decision, name: str) -> list[str]:
    return [str(item.fields["why"]) for item in decision.events if item.name == name]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_protected_pool_stays_in_force_until_nobody_is_in_the_way(restarts: bool) -> None:
    life = Life([A, B], [service("x")])
    life.step()
    if restarts:
        life.restart()
    decision = life.step(pools=[B])
    assert life.published is not None
    assert (decision.batch.releases, life.published.pools) == ((), {"a": A, "b": B})
    assert [item.reason for item in decision.held_back] == [Reason.POOL_PROTECTED]
    assert events(decision, "pool_held_back") == [
        "its removal would take 192.0.2.0 from default/x; the pool stays in force as it was"
    ]
    again = life.step()
    assert (again.world, again.events, again.held_back) == (None, (), decision.held_back), "said once"
    freed = life.step(services=[])
    assert freed.held_back != (), "the allocation was there when the step began"
    last = life.step()
    assert (last.held_back, life.published.pools) == ((), {"b": B})


def test_other_edits_of_the_same_configuration_are_in_force() -> None:
    life = Life([A], [service("x")])
    life.step()
    decision = life.step(pools=[B], services=[service("x"), service("y", from_pool="b")])
    assert [str(grant.addresses[0]) for grant in decision.batch.grants] == ["198.51.100.0"]


def test_without_anything_published_nothing_is_held_back() -> None:
    life = Life([A, B], [service("x")])
    life.step()
    life.restart()
    life.pools_before = {}
    assert [item.reason for item in life.step(pools=[B]).batch.releases] == [Reason.ADDRESS_IN_NO_POOL]


@pytest.mark.parametrize(
    ("ours", "of_service", "given"),
    [
        (None, None, True),
        (None, "example.com/mine", False),
        ("example.com/mine", "example.com/mine", True),
        ("example.com/mine", None, False),
        ("example.com/mine", "example.com/other", False),
    ],
)
def test_whose_services_are_ours(ours: str | None, of_service: str | None, given: bool) -> None:
    """The rows of MetalLB's own table (section 2.2, loadBalancerClass)."""
    life = Life([B], [service("x", lb_class=of_service)], ours=ours)
    decision = life.step()
    assert bool(decision.batch.grants) is given
    assert [item.reason for item in decision.pending.get(key("x"), ())] == [Reason.OTHER_CLASS] * (not given)


def test_the_rows_of_services_name_both_pools() -> None:
    life = Life([B, pool("six", "2001:db8::/64")], [service("x", stack=PREFER, from_pools="b six"), service("y")])
    life.step()
    assert life.published is not None
    rows = service_rows(Facts(host="c", since_unix=0.0, world=life.published))
    assert [(row["pool"], row["pools"]) for row in rows] == [("b", ["b", "six"]), ("b", ["b"])]
    located, _ = locate(Snapshot(world=life.published), "default/x")
    assert [vip.pool for vip in located.vips] == ["b", "six"]
