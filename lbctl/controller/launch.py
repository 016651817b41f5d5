"""Puts a controller together from what the operator said, and runs it until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lbctl.controller.daemon import Controller, Settings
from lbctl.controller.observe import HeartbeatObserver, Heartbeats
from lbctl.sources.files import FilesSource

__all__ = ["Heartbeats", "serve"]


COLLECTOR = (50_000, 20, 10)
"""Thresholds of the collector. Our maps are large, live long and are in no cycle: to look through them after every 700
new objects, as is usual, takes 10 ms of a step now and then, and half of the time of a start."""


async def serve(
    settings: Settings, paths: tuple[Path, ...], heartbeats: Heartbeats | None, *, on_ready: Callable[[], None]
) -> None:
    """Runs until SIGTERM or SIGINT, which end the process. Raises StartError, and SourceError where nothing can be
    read at all."""
    gc.set_threshold(*COLLECTOR)
    observer = HeartbeatObserver(heartbeats, cluster=settings.cluster) if heartbeats is not None else None
    controller = Controller(
        settings, lambda last_good: FilesSource(paths, last_good=last_good), observer, on_ready=on_ready
    )
    running = asyncio.ensure_future(controller.run())
    signalled = asyncio.Event()

    def end() -> None:
        # Once: a second signal must not break off the orderly end that the first one began.
        if not signalled.is_set():
            signalled.set()
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        await running
    except asyncio.CancelledError:
        _leave()
    except BaseExceptionGroup as group:
        # A task that failed ends the others; what made it fail is what there is to say.
        raise group.exceptions[0] from group


def _leave() -> NoReturn:
    """Ends the process now. Ledger, socket and lock are closed; what may still run is a thread that reads manifests,
    which cannot be stopped, has nothing to lose, and may take longer than the 2 s that an end has."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)
