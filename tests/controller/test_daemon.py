"""The daemon in this process, with a source in memory: many changes at once, and a step that is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lbctl.controller.daemon import Controller, Settings
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
        async with asyncio.timeout(30):
            await ready.wait()
        yield controller
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Any) -> None:
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 15 s")


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
