"""One step: what is written, what is published, what is said; and that a step taken twice says nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from lbctl.controller.records import Batch, LedgerState
from lbctl.controller.recover import recover, without_ours
from lbctl.controller.step import (
    FORGET_TIME,
    GENERATIONS_AHEAD,
    Decision,
    Inputs,
    StepMemo,
    step,
    still_unread,
)
from lbctl.model.member import Liveness, Member, Role
from lbctl.model.node import Node
from lbctl.model.service import Service, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.allocate import ALL_READ
from lbctl.plan.reason import GrantCause, Reason
from lbctl.sources.published_document import Published
from tests.plan.allocation_worlds import key, pool, service, world

_POOL = pool("p", "192.0.2.0/31")


class Life:
    """A controller without disk and clock: each `step` is committed and published."""

    def __init__(self, *services: Service) -> None:
        self.world = world([_POOL], services)
        self.state = LedgerState(ledger="l")
        self.members: dict[str, Member] = {}
        self.published: World | None = None
        self.decision: Decision | None = None
        self.memo: StepMemo | None = None
        self.unread = ALL_READ
        self.now = 1000.0

    def look(self, memo: StepMemo | None = None) -> tuple[Decision, StepMemo]:
        return step(
            Inputs(
                world=self.world,
                unread=self.unread,
                state=self.state,
                members=self.members,
                published=self.published,
                pending=self.decision.pending if self.decision else {},
                now_unix=self.now,
                started_unix=1000.0,
            ),
            memo,
        )

    def step(self) -> Decision:
        self.now += 1
        self.decision, self.memo = self.look(self.memo)
        assert self.state.after(self.decision.batch) == self.decision.after
        self.state = self.decision.after
        self.published = self.decision.world or self.published
        return self.decision

    def become(self, *services: Service) -> Life:
        self.world = replace(self.world, services={item.key: item for item in services})
        return self


def said(decision: Decision) -> list[str]:
    return [event.name for event in decision.events]


def member(node: str, state: Liveness = Liveness.ALIVE, **options: Any) -> Member:
    address = options.pop("address", "198.51.100.1")
    return Member(node=node, incarnation=1, state=state, two_way=True, addresses=(ip_address(address),), **options)


def test_what_is_granted_is_in_the_world_that_is_published() -> None:
    life = Life(service("x"), service("y"), service("z"))
    decision = life.step()
    assert said(decision) == ["allocated", "allocated", "pending"]
    assert decision.world is not None
    assert decision.world.allocations == decision.after.allocations
    assert {str(item): found.id for item, found in decision.world.allocations.items()} == {
        "default/x": 1,
        "default/y": 2,
    }
    assert set(decision.pending) == {key("z")}
    assert decision.again


def test_a_step_taken_again_says_and_changes_nothing() -> None:
    life = Life(service("x"))
    life.step()
    for _ in range(3):
        decision = life.step()
        assert (bool(decision.batch), decision.world, decision.events, decision.again) == (False, None, (), False)


def test_a_step_without_memo_decides_the_same() -> None:
    life = Life(service("x"), service("y"), service("z"))
    for services in ([], ["y", "z"], ["y", "z", "x"], ["y"], ["a", "b", "c"], ["c"]):
        life.become(*map(service, services))
        with_memo, life.memo = life.look(life.memo)
        without, _ = life.look()
        assert replace(with_memo, batch=without.batch) == without
        assert _sets(with_memo.batch) == _sets(without.batch)
        life.step()


def _sets(batch: Batch) -> Mapping[str, Any]:
    return {
        "grants": batch.grants,
        "releases": {item.allocation.service: item for item in batch.releases},
        "seen": batch.seen,
        "forgotten": set(batch.forgotten),
        "generation": batch.generation,
    }


def test_a_change_of_something_else_is_published_without_a_commit() -> None:
    life = Life(service("x"))
    life.step()
    life.step()
    life.world = replace(life.world, nodes={"n": Node(name="n")})
    before = life.published
    decision = life.step()
    assert not decision.batch
    assert decision.world is not None
    assert before is not None
    assert decision.world.generation == before.generation + 1
    assert decision.world.allocations is before.allocations


def test_when_a_service_was_first_seen_is_remembered_until_it_is_gone() -> None:
    life = Life(service("x"), service("dated", created=5.0), service("other", kind=ServiceType.NODE_PORT))
    assert life.step().batch.seen == {key("x"): 1001.0}
    assert life.become(service("x"), service("y")).step().batch.seen == {key("y"): 1002.0}
    assert life.become(service("y")).step().batch.forgotten == (key("x"),)
    assert life.state.remembered.first_seen == {key("y"): 1002.0}


def test_a_pending_service_is_said_once_and_again_when_the_reason_changes() -> None:
    life = Life(service("x", ip="203.0.113.1"))
    assert said(life.step()) == ["pending"]
    assert said(life.step()) == []
    decision = life.become(service("x", ip="203.0.113.2")).step()
    assert said(decision) == ["pending"]
    assert decision.world is not None, "the reason is published"
    assert not decision.batch


def test_generations_go_on_above_all_that_was_published_before_a_restart() -> None:
    life = Life()
    life.step()
    highest = 0
    for number in range(2 * GENERATIONS_AHEAD + 10):
        life.world = replace(life.world, nodes={"n": Node(name="n", labels=(("n", str(number)),))})
        life.now += 1
        decision, life.memo = life.look(life.memo)
        assert decision.world is not None
        assert decision.after.generation > decision.world.generation, "noted before it is published"
        life.state, life.published, highest = decision.after, decision.world, decision.world.generation
    life.published, life.memo, life.decision = None, None, None
    restarted = life.step().world
    assert restarted is not None
    assert restarted.generation > highest


# Nodes ----------------------------------------------------------------------------------------------------------------


def test_a_speaker_that_is_heard_registers_its_node() -> None:
    life = Life()
    life.step()
    life.members = {"n1": member("n1"), "obs": member("obs", role=Role.OBSERVER), "n2": member("n2", Liveness.GONE)}
    decision = life.step()
    assert said(decision) == ["node_registered"]
    assert decision.world is not None
    assert decision.world.nodes == {"n1": Node(name="n1", addresses=(ip_address("198.51.100.1"),), registered=True)}
    assert said(life.step()) == []


def test_a_registered_node_stays_while_it_is_down() -> None:
    life = Life()
    life.members = {"n1": member("n1")}
    life.step()
    life.members = {"n1": member("n1", Liveness.GONE, since_unix=life.now)}
    assert life.step().world is None
    assert set(life.state.nodes) == {"n1"}


def test_a_node_with_a_manifest_is_as_that_says() -> None:
    life = Life()
    described = Node(name="n1", labels=(("rack", "7"),))
    life.world = replace(life.world, nodes={"n1": described})
    life.members = {"n1": member("n1"), "n2": member("n2")}
    made = life.step().world
    assert made is not None
    assert made.nodes["n1"] is described
    assert made.nodes["n2"].registered


def test_other_addresses_of_a_node_are_noted() -> None:
    life = Life()
    life.members = {"n1": member("n1")}
    life.step()
    life.members = {"n1": member("n1", address="198.51.100.2")}
    assert [node.addresses for node in life.step().batch.nodes] == [(ip_address("198.51.100.2"),)]


def test_a_node_that_is_gone_for_long_is_forgotten() -> None:
    life = Life()
    life.members = {"n1": member("n1"), "n2": member("n2"), "n3": member("n3")}
    life.step()
    life.members = {"n1": member("n1", Liveness.GONE, since_unix=life.now), "n2": member("n2")}
    life.now += FORGET_TIME + 5
    decision = life.step()
    assert said(decision) == ["node_forgotten", "node_forgotten"]
    assert set(life.state.nodes) == {"n2"}


# What could not be read ----------------------------------------------------------------------------------------------


def test_who_was_not_read_since_the_start_keeps_what_it_has() -> None:
    life = Life(service("x"), service("y", ports="80", share="k"))
    life.step()
    before = life.state
    restarted = Life()
    restarted.state = before
    restarted.world = World()
    restarted.unread = still_unread(None, before, restarted.world, complete=False)
    for _ in range(2):
        decision = restarted.step()
        assert decision.after.allocations is before.allocations, "neither services nor pools were read"
        assert decision.after.remembered is before.remembered
    restarted.world = world([_POOL], [service("x"), service("z")])
    restarted.unread = still_unread(restarted.unread, before, restarted.world, complete=False)
    after = restarted.step().after
    assert [item.addresses for item in after.allocations.values()] == [
        item.addresses for item in before.allocations.values()
    ]
    assert key("z") in restarted.step().pending, "and they are not given to others"
    restarted.become(service("z"))
    restarted.unread = still_unread(restarted.unread, after, restarted.world, complete=False)
    assert [item.allocation.service for item in restarted.step().batch.releases] == [key("x")], "it was taken back"
    restarted.unread = still_unread(restarted.unread, after, restarted.world, complete=True)
    assert [item.allocation.service for item in restarted.step().batch.releases] == [key("y")], "it does not exist"
    assert restarted.unread is ALL_READ


# Recovery -------------------------------------------------------------------------------------------------------------


def published(life: Life) -> Published:
    assert life.published is not None
    return Published(world=life.published, pending={}, cluster="c", ledger=life.state.ledger)


def test_a_ledger_that_knows_all_takes_nothing_over() -> None:
    life = Life(service("x"))
    life.step()
    assert not recover(life.state, published(life), 5.0)


def test_a_lost_ledger_takes_over_what_was_published() -> None:
    life = Life(service("x"), service("y", ports="80", share="k"))
    life.step()
    life.become(service("y", ports="80", share="k"), service("z", ports="81", share="k", ip="192.0.2.1")).step()
    before = life.state
    batch = recover(LedgerState(ledger="new"), published(life), 5.0)
    after = LedgerState(ledger="new").after(batch)
    assert {item.cause for item in batch.grants} == {GrantCause.ADOPTED}
    assert {name: item.addresses for name, item in after.allocations.items()} == {
        name: item.addresses for name, item in before.allocations.items()
    }
    assert min(item.id for item in after.allocations.values()) >= before.next_grant
    assert after.generation > (life.published.generation if life.published else 0)
    restarted = Life(*life.world.services.values())
    restarted.state = after
    assert not restarted.step().batch.grants
    assert not restarted.step().batch.releases


def test_a_ledger_put_back_from_a_copy_takes_over_what_it_does_not_know() -> None:
    life = Life(service("x"))
    life.step()
    copy = life.state
    life.become(service("x"), service("y")).step()
    after = copy.after(recover(copy, published(life), 5.0))
    assert after.allocations[key("x")] == copy.allocations[key("x")]
    assert after.allocations[key("y")].addresses == life.state.allocations[key("y")].addresses


def test_what_the_ledger_says_is_not_overruled() -> None:
    """The copy is of a time when another service had the address."""
    life = Life(service("x"))
    life.step()
    copy = life.state
    life.become(service("y", ip="192.0.2.0")).step()
    batch = recover(copy, published(life), 5.0)
    assert batch.grants == ()
    assert copy.after(batch).next_grant > life.state.next_grant - 1


def test_an_address_that_was_published_twice_is_taken_over_once() -> None:
    life = Life(service("x"), service("y"))
    life.step()
    assert life.published is not None
    one = life.published.allocations[key("x")]
    twice = {key("x"): one, key("y"): replace(one, service=key("y"), id=9)}
    life.published = replace(life.published, allocations=twice)
    assert [item.service for item in recover(LedgerState(ledger="new"), published(life), 5.0).grants] == [key("x")]


def test_the_source_gets_back_what_it_said() -> None:
    life = Life(service("x"))
    life.members = {"n1": member("n1")}
    life.world = replace(life.world, nodes={"n2": Node(name="n2")})
    life.step()
    assert life.published is not None
    source = without_ours(life.published)
    assert (dict(source.allocations), set(source.nodes)) == ({}, {"n2"})
    assert source.services is life.published.services


def test_the_reason_of_a_release_is_told() -> None:
    life = Life(service("x"))
    life.step()
    decision = life.become(service("x", kind=ServiceType.CLUSTER_IP)).step()
    (event,) = decision.events
    assert event.fields["reason"] == Reason.NOT_LOAD_BALANCER.value
    assert event.fields["service"] == "default/x"
