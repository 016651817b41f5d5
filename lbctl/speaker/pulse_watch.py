"""Whether wire and work still run: pulse looks after both, as the other members look after pulse.

A process that has ended closes its channel and is noticed at once. One that hangs, was stopped or is not scheduled
closes nothing: wire stamps the shared page at every turn of its loop, work says `alive`. Without wire this node answers
for nothing, so its heirs must have what it holds within a detection time; without work it goes on as it was told last,
for a while. Times are seconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import mmap

from lbctl.speaker.shared_page import TURN, read_time

WIRE_PATIENCE = 0.15
"""Seconds without a turn of wire that are a verdict: three times what it sleeps at most, D at the default preset."""
UNSCHEDULED_PATIENCE = 1.0
"""The same where wire is not real-time: a busy core holds up any process for 100 ms and more."""
WORK_PATIENCE = 30.0
"""Seconds without a word from work after which this node leaves: its World, plan and forwarding are as old."""


class WireWatch:
    """Judges wire by its stamp; one that has never stamped is still starting."""

    def __init__(self, page: mmap.mmap, detection: float, *, realtime: bool) -> None:
        self._page = page
        self.patience = max(detection, WIRE_PATIENCE if realtime else UNSCHEDULED_PATIENCE)
        self._excused_until = 0.0

    def woke(self, now: float) -> None:
        """This process did not run until now, so perhaps nothing did: wire gets its time anew."""
        self._excused_until = now

    def verdict_at(self) -> float | None:
        """When wire is taken for hung unless it turns before; None while it starts."""
        stamp = read_time(self._page, TURN)
        return max(stamp, self._excused_until) + self.patience if stamp else None

    def is_hung(self, now: float) -> bool:
        at = self.verdict_at()
        return at is not None and now >= at


class WorkWatch:
    """Judges work by its `alive`, which comes every second or so; one that never said it is still starting."""

    def __init__(self) -> None:
        self._heard_at: float | None = None

    def heard(self, now: float) -> None:
        self._heard_at = now

    def woke(self, now: float) -> None:
        """This process did not run until now, so perhaps nothing did: work gets its time anew."""
        if self._heard_at is not None:
            self._heard_at = now

    def is_hung(self, now: float) -> bool:
        return self._heard_at is not None and now >= self._heard_at + WORK_PATIENCE
