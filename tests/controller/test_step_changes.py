"""A step that looks only at what changed decides as one that looks at everything, and costs what changed."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.step import Running, changes, changes_among_waiting
from lbctl.controller.step import Decision, Inputs, StepMemo, step
from lbctl.model.frozen_map import changed_keys, frozen
from lbctl.model.node import Node
from lbctl.model.pool import Pool
from lbctl.model.snapshot import SOURCE_MAPS, World
from tests.plan import test_allocate_properties as random_worlds
from tests.plan.allocation_worlds import Cluster
from tests.support.bars import least


class Shell(Cluster):
    """A cluster whose worlds descend from each other, as those of a source do, and whose steps are taken twice."""

    def __init__(self, *pools: Pool) -> None:
        super().__init__(*pools)
        self.source = World()
        self.step_memo: StepMemo | None = None
        self.published: World | None = None
        self.pending: Any = {}

    def change(self, change: Callable[[Cluster], object], *, forget: bool) -> None:
        """`forget`: the source lost track, so that every object has to be looked at."""
        change(self)
        maps = {name: frozen(getattr(self.source, name)).become(getattr(self.world, name)) for name in SOURCE_MAPS}
        self.source = replace(self.source, **({name: dict(made) for name, made in maps.items()} if forget else maps))

    def decide(self, memo: StepMemo | None) -> tuple[Decision, StepMemo]:
        inputs = Inputs(
            world=self.source,
            state=self.state,
            published=self.published,
            pending=self.pending,
            now_unix=self.now,
        )
        return step(inputs, memo)

    def take(self, *, commits: bool) -> None:
        decision, self.step_memo = self.decide(self.step_memo)
        again, rebuilt = self.decide(None)
        assert told(decision) == told(again)
        assert indexes(self.step_memo) == indexes(rebuilt)
        if commits:
            self.state, self.pending = decision.after, decision.pending
            self.published = decision.world or self.published


def told(decision: Decision) -> dict[str, Any]:
    batch = decision.batch
    return {
        "releases": {item.allocation.service: item for item in batch.releases},
        "amendments": {item.allocation.service: item for item in batch.amendments},
        "grants": {item.service: item for item in batch.grants},
        "first": dict(batch.seen),
        "forgotten": set(batch.forgotten),
        "after": replace(decision.after, generation=0),
        "world": decision.world,
        "pending": decision.pending,
        "events": sorted(map(str, decision.events)),
        "again": decision.again,
    }


def indexes(memo: StepMemo) -> dict[str, Any]:
    """What the memo has worked out of the world, but for what only saves time (cursors, and who was asked in vain)."""
    made = memo.allocation
    assert made is not None
    return {
        "wishes": made.wishes,
        "held": made.held,
        "half": made.half.ranks(),
        "moving": made.moving,
        "waiting": made.waiting.ranks(),
        "users": {code: dict(made.space.users(code)) for held in made.held.values() for code in held.codes},
        "quarantined": {code: made.space.quarantine(code) for held in made.held.values() for code in held.codes},
        "unnoted": memo.untimed._unnoted,
        "needless": memo.untimed._needless,
    }


_EVENTS = st.tuples(random_worlds.changes() | random_worlds.impositions(), st.booleans(), st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(random_worlds.pools(), st.lists(_EVENTS, min_size=1, max_size=14))
def test_what_the_memo_knows_is_what_is_worked_out_anew(start: list[Pool], events: list[tuple[Any, bool, int]]) -> None:
    """Also when a commit failed, the ledger says what nobody expected, or nobody knows what the maps were made from."""
    shell = Shell(*start)
    for change, commits, luck in events:
        shell.change(change, forget=luck == 0)
        shell.now += 1
        shell.take(commits=commits)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.integers(0, 5), st.integers(0, 2)), min_size=2, max_size=6))
def test_what_a_world_says_of_its_changes_is_what_a_look_at_all_says(story: list[dict[int, int]]) -> None:
    worlds = [World()]
    for content in story:
        nodes = {f"n{key}": Node(name=f"n{key}", labels=(("is", f"{value}"),)) for key, value in content.items()}
        worlds.append(replace(worlds[-1], nodes=frozen(worlds[-1].nodes).become(nodes)))
    for old in worlds:
        forgotten = replace(old, nodes=dict(old.nodes))
        for new in worlds:
            assert new.changes_since(old) == new.changes_since(forgotten)
            assert new.changes_since(old).of("nodes") == changed_keys(dict(old.nodes), dict(new.nodes))


_MANY, _FEW = 10_000, 1_000
_ROUNDS = 7


@pytest.fixture(scope="module")
def large() -> Running:
    return Running(_MANY)


@pytest.fixture(scope="module")
def small() -> Running:
    return Running(_FEW)


def _cost(running: Running, change: Callable[[int], None]) -> Callable[[], float]:
    """Seconds of processor time of a step after one change more."""
    numbers = itertools.count()

    def once() -> float:
        change(next(numbers))
        gc.collect(0)
        began = time.thread_time()
        running.step()
        took = time.thread_time() - began
        running.settle()
        return took

    return once


def _is_little(many: float, few: float) -> bool:
    return many < 4 * few + 0.003


@pytest.mark.parametrize("name", ["service added", "service edited", "service removed", "slice changed"])
def test_a_step_after_one_change_costs_little_among_many(large: Running, small: Running, name: str) -> None:
    """What remains of 10,000 others is a copy of some tables; to look at each of them took up to 16 ms."""
    many, few = _cost(large, changes(large, _MANY)[name]), _cost(small, changes(small, _FEW)[name])
    least(many, few, enough=_is_little, at_least=_ROUNDS, rounds=3 * _ROUNDS)


@pytest.fixture(scope="module")
def large_waiting() -> Running:
    return Running(_MANY, waiting=_MANY - 500)


@pytest.fixture(scope="module")
def small_waiting() -> Running:
    return Running(_FEW, waiting=_FEW - 500)


@pytest.mark.parametrize("at", range(5))
def test_a_step_costs_little_where_very_many_wait(large_waiting: Running, small_waiting: Running, at: int) -> None:
    """To ask everybody who waits again took 30 ms of 9,500."""

    def change(running: Running, count: int) -> Callable[[int], None]:
        return list(changes_among_waiting(running, count, count - 500).values())[at]

    many = _cost(large_waiting, change(large_waiting, _MANY))
    few = _cost(small_waiting, change(small_waiting, _FEW))
    least(many, few, enough=_is_little, at_least=_ROUNDS, rounds=3 * _ROUNDS)
