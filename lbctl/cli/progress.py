"""A progress bar for what takes long: on stderr, where that is a terminal, and gone when it ends."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_PATIENCE = 0.4
"""Seconds before a bar appears; most work is done by then, and rich need not be imported."""
_REFRESH = 0.1


class Progress:
    """Counts up to `total`. Where nobody watches it costs next to nothing."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._watched = sys.stderr.isatty()
        self._due = time.monotonic() + _PATIENCE
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, by: int) -> None:
        self._done += by
        if not self._watched:
            return
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _REFRESH
        if self._bar is None:
            self._bar = _bar(self._what, self._total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self._done)
        self._bar.refresh()


def _bar(what: str, total: int) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    # Without a thread of its own: it is drawn when there is something new to draw.
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=40),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
    )
    bar.add_task(what, total=total)
    return bar
