"""The daemon in this process, with a source in memory: many changes at once, and a step that is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.controller.daemon import Controller, Settings
from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.ledger import Ledger
from lbctl.controller.ledger_reader import reading
from lbctl.controller.ledger_replay import check
from lbctl.controller.ledger_rows import read
from lbctl.controller.orders import Outcome, reserve
from lbctl.controller.records import LedgerState
from lbctl.controller.step import Decision, Inputs, StepMemo, step
from lbctl.model.snapshot import World
from lbctl.sources.published import read_published
from tests.plan.allocation_worlds import key, pool, service, world

_POOL = pool("p", "192.0.2.0/29")


class Memory:
    """A source that says what it is told."""

    complete = True
    readable = True
    troubles: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._worlds: asyncio.Queue[World] = asyncio.Queue()

    def say(self, *names: str) -> None:
        self._worlds.put_nowait(world([_POOL], [service(name) for name in names]))

    async def worlds(self) -> AsyncIterator[World]:
        while True:
            yield await self._worlds.get()


@contextlib.asynccontextmanager
async def running(folder: Path, source: Memory) -> AsyncIterator[Controller]:
    ready = asyncio.Event()
    settings = Settings(state=folder / "state", socket=folder / "socket")
    controller = Controller(settings, lambda _: source, on_ready=ready.set)
    task = asyncio.create_task(controller.run())
    try:
        async with asyncio.timeout(60):
            await ready.wait()
        yield controller
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Any) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 60 s")


def published(folder: Path) -> set[str]:
    return {name.name for name in read_published(folder / "state" / "published" / "snapshot.json").world.allocations}


async def test_many_changes_at_once_are_published_together_and_the_last_one_wins(memory_folder: Path) -> None:
    source = Memory()
    source.say("a")
    async with running(memory_folder, source) as controller:
        assert published(memory_folder) == {"a"}
        before = controller.facts.published_generation
        for names in ("ab", "abc", "abcd", "bcd", "cd"):
            source.say(*names)
        await until(lambda: published(memory_folder) == {"c", "d"})
        assert controller.facts.published_generation - before <= 5


async def test_a_step_that_fails_is_logged_and_what_there_is_stands(
    memory_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = Memory()
    source.say("a")
    monkeypatch.setattr("lbctl.controller.daemon._RETRY_AFTER_MISTAKE", 0.05)
    monkeypatch.setattr(logging.getLogger("lbctl"), "propagate", True)
    async with running(memory_folder, source) as controller:

        def broken(*_: Any) -> Any:
            raise ZeroDivisionError("of the test")

        with monkeypatch.context() as patched:
            patched.setattr("lbctl.controller.daemon.step", broken)
            source.say("a", "b")
            await until(lambda: controller.troubles)
            assert controller.troubles[0].startswith("internal error: ZeroDivisionError: of the test")
            assert published(memory_folder) == {"a"}
            assert key("a") in controller.facts.world.allocations
        # The file may be there a moment before the step that leads to it is over.
        await until(lambda: published(memory_folder) == {"a", "b"} and not controller.troubles)
    assert [record.message for record in caplog.records if record.exc_info] == ["step_failed"]


async def test_it_looks_again_when_the_plan_said_so(memory_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Memory()
    source.say("a")
    monkeypatch.setattr("lbctl.controller.daemon._RETRY_TIME", 0.02)
    looked: list[float] = []

    def looks_twice(inputs: Inputs, memo: StepMemo) -> tuple[Decision, StepMemo]:
        decision, memo = step(inputs, memo)
        looked.append(inputs.now_unix)
        soon = inputs.now_unix + 0.05 if len(looked) < 5 else None
        return replace(decision, next_at_unix=soon), memo

    monkeypatch.setattr("lbctl.controller.daemon.step", looks_twice)
    async with running(memory_folder, source):
        await until(lambda: len(looked) == 5)
        await asyncio.sleep(0.2)
        assert len(looked) == 5
    assert looked[3] - looked[2] >= 0.05


async def test_an_order_while_the_disk_is_full_is_refused_and_works_later(
    memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Memory()
    source.say("a")
    async with running(memory_folder, source) as controller:

        def full(*_: Any) -> Any:
            raise StateError(StateTrouble.DISK_FULL, "no space left")

        def wanted(state: LedgerState, now: float) -> Outcome:
            return reserve(world([_POOL]), state, key("shop"), by="ada", now_unix=now)

        with monkeypatch.context() as patched:
            patched.setattr("lbctl.controller.ledger.Ledger.commit", full)
            with pytest.raises(StateError, match="no space left"):
                await controller.order(lambda _, state, now: wanted(state, now))
            assert "no space left" in controller.troubles
        outcome = await controller.order(lambda _, state, now: wanted(state, now))
        assert outcome.reservation is not None
        await until(lambda: not controller.troubles)
    ledger = Ledger(memory_folder / "state" / "controller", new_name=lambda: "x")
    assert set(ledger.open().remembered.reserved) == {key("shop")}
    ledger.close()


async def test_orders_and_steps_do_not_get_in_each_others_way(memory_folder: Path) -> None:
    """Many at a time: each is in the ledger, and what the controller has in memory is what the file says."""
    source = Memory()
    source.say("a")
    async with running(memory_folder, source) as controller:
        names = [f"s{number}" for number in range(5)]

        async def ask(name: str) -> Outcome:
            source.say("a", *names[: int(name[1:])])
            return await controller.order(
                lambda world, state, now: reserve(world, state, key(name), by="ada", now_unix=now)
            )

        outcomes = await asyncio.gather(*map(ask, names))
        assert {outcome.result.value for outcome in outcomes} <= {"reserved", "unchanged", "refused"}
        source.say("a")
        await until(lambda: published(memory_folder) == {"a"})
        with reading(memory_folder / "state" / "controller") as connection:
            assert check(connection) == []
            assert read(connection).remembered.reserved == controller._ledger.state.remembered.reserved
