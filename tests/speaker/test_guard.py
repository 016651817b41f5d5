"""A speaker's own mistakes: said once, tried again, and in nobody's way."""

from __future__ import annotations

import asyncio
import logging

import pytest

from lbctl.speaker.guard import Guard

LOGGER = logging.getLogger("lbctl.test")


def failing() -> None:
    raise AssertionError("this cannot be")


def test_a_failing_step_is_a_trouble_until_it_works(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(LOGGER)
    for _ in range(3):
        assert not guard.attempt("step", failing)
    assert guard.troubles == ("internal error in step: AssertionError('this cannot be')",)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert guard.attempt("step", lambda: None)
    assert not guard.troubles


async def test_a_failing_job_is_started_anew() -> None:
    guard = Guard(LOGGER, retry_time=0.001)
    starts = 0
    working = asyncio.Event()

    async def job() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise ValueError("not yet")
        guard.works("world")
        working.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(guard.keep("world", job))
    await asyncio.wait_for(working.wait(), 60)
    assert starts == 3
    assert not guard.troubles
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
