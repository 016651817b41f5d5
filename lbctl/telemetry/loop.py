"""What a daemon settles once, before its event loop runs: open files, and what becomes of the loop's own complaints.

asyncio.run(settled(main()))
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import traceback
from collections.abc import Coroutine
from typing import Any, TypeVar

from lbctl.telemetry.log import event

_logger = logging.getLogger("lbctl.loop")
_Result = TypeVar("_Result")
_MOST_OPEN_FILES = 65536
"""A hard limit may be a thousand million, and there are programs that try each number below it."""
_SPACING = 10.0
"""Seconds between two lines of the same complaint."""
_MOST_KINDS = 100


async def settled(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Awaits `main` with as many open files as allowed and with complaints of the loop as events, one line each."""
    raise_open_files()
    asyncio.get_running_loop().set_exception_handler(LoopTroubles())
    return await main


def raise_open_files() -> int:
    """The soft limit of open files up to the hard one; returns what it is now. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft


class LoopTroubles:
    """An exception handler of an event loop: one line, and the same one again after a while with their number."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, int]] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message = str(context.get("message") or "exception")
        error = context.get("exception")
        place = _place(error)
        kind = f"{message} {type(error).__name__} {place}"
        now = loop.time()
        if len(self._said) > _MOST_KINDS:
            self._said.clear()
        since, unsaid = self._said.get(kind, (now - _SPACING, 0))
        if now - since < _SPACING:
            self._said[kind] = (since, unsaid + 1)
            return
        self._said[kind] = (now, 0)
        why = f"{type(error).__name__}: {error}" if error is not None else "none given"
        event(_logger, "loop_trouble", level=logging.ERROR, what=message, error=why, at=place, unsaid=unsaid)


def _place(error: object) -> str:
    if not isinstance(error, BaseException) or error.__traceback__ is None:
        return "-"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename.rpartition('/')[2]}:{last.lineno}"
