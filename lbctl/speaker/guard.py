"""Keeps a speaker going over its own mistakes: what pulse and wire were told last stays in force meanwhile.

An error in the plan would strike every node at once, for they all compute the same. Better that a new service waits
than that every announcement ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from lbctl.telemetry.log import mistake

RETRY_TIME = 1.0


class Guard:
    """Runs parts of the daemon; `troubles` tells which of them failed, in which way, until they work again."""

    def __init__(self, logger: logging.Logger, *, retry_time: float = RETRY_TIME) -> None:
        self._logger = logger
        self._retry_time = retry_time
        self._failed: dict[str, str] = {}

    @property
    def troubles(self) -> tuple[str, ...]:
        return tuple(f"internal error in {part}: {error}" for part, error in self._failed.items())

    def attempt(self, part: str, call: Callable[[], None]) -> bool:
        """Calls it; False when it failed, which is logged once for each way of failing."""
        try:
            call()
        except Exception as error:
            self._note(part, error)
            return False
        self._failed.pop(part, None)
        return True

    async def keep(self, part: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs a job that never ends, and starts it anew a moment after it failed."""
        while True:
            try:
                await job()
                return
            except Exception as error:
                self._note(part, error)
            await asyncio.sleep(self._retry_time)

    def works(self, part: str) -> None:
        """A job that `keep` runs got somewhere."""
        self._failed.pop(part, None)

    def _note(self, part: str, error: Exception) -> None:
        text = repr(error)
        if self._failed.get(part) != text:
            self._failed[part] = text
            mistake(self._logger, "internal_error", error, part=part)
