"""Puts a controller together from what the operator said, and runs it until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from lbctl.controller.daemon import Controller, Settings
from lbctl.controller.observe import HeartbeatObserver, Heartbeats
from lbctl.sources.files import FilesSource

__all__ = ["Heartbeats", "serve"]


async def serve(
    settings: Settings, paths: tuple[Path, ...], heartbeats: Heartbeats | None, *, on_ready: Callable[[], None]
) -> None:
    """Runs until SIGTERM or SIGINT. Raises StartError, and SourceError where nothing can be read at all."""
    observer = HeartbeatObserver(heartbeats, cluster=settings.cluster) if heartbeats is not None else None
    controller = Controller(
        settings, lambda last_good: FilesSource(paths, last_good=last_good), observer, on_ready=on_ready
    )
    running = asyncio.ensure_future(controller.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        pass
    except BaseExceptionGroup as group:
        # A task that failed ends the others; what made it fail is what there is to say.
        raise group.exceptions[0] from group
