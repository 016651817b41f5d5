"""Whether wire and work still run: pulse looks after both, as the other members look after pulse.

A process that has ended closes its channel and is noticed at once. One that hangs, was stopped or is not scheduled
closes nothing: wire stamps the shared page at every turn of its loop, work says `alive`. Without wire this node answers
for nothing, so its heirs must have what it holds within a detection time; without work it goes on as it was told last,
for a while. Times are seconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable

from lbctl.speaker.shared_page import TURN, read_pid, read_time

WIRE_PATIENCE = 0.15
"""Seconds without a turn of wire after which it is looked at: three times what it sleeps at most, D at the default
preset. One that is stopped, or of which the kernel says nothing, is taken for hung."""
STALLED_PATIENCE = 1.0
"""Seconds after which any other is. Wire has no lock to hang in: it waits in the kernel, or for a CPU that the machine
does not give it, and is back sooner than its clients ask again. Everything where wire is not real-time."""
WORK_PATIENCE = 30.0
"""Seconds without a word from work after which this node leaves: its World, plan and forwarding are as old."""
_LOOK_EVERY = 0.05
_STOPPED = frozenset("TtZXx")
_STATES = {
    "T": "it is stopped",
    "t": "it is stopped",
    "D": "it waits in the kernel",
    "R": "it has no CPU or hangs",
    "S": "nothing woke it",
}


def kernel_state(pid: int) -> str:
    """The letter by which the kernel tells how a process is (proc(5)); empty when it does not."""
    try:
        # Not Path: importing it would be the dearest thing that pulse does.
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b") ")[2][:1].decode()
    except (OSError, UnicodeDecodeError):
        return ""


class WireWatch:
    """Judges wire by its stamp; one that has never stamped is still starting."""

    def __init__(
        self, page: mmap.mmap, detection: float, *, realtime: bool, state_of: Callable[[int], str] = kernel_state
    ) -> None:
        self._page = page
        self._state_of = state_of
        self.patience = max(detection, WIRE_PATIENCE if realtime else STALLED_PATIENCE)
        self._limit = max(self.patience, STALLED_PATIENCE)
        self._excused_until = 0.0
        self._look_at = 0.0

    def woke(self, now: float) -> None:
        """This process did not run until now, so perhaps nothing did: wire gets its time anew."""
        self._excused_until = now

    def verdict_at(self) -> float | None:
        """When wire is to be looked at unless it turns before; None while it starts."""
        since = self._since()
        return max(since + self.patience, self._look_at) if since else None

    def verdict(self, now: float) -> str | None:
        """What is to be said of a wire that hangs; None when it does not, or not yet."""
        since = self._since()
        if not since or now < max(since + self.patience, self._look_at):
            return None
        pid = read_pid(self._page)
        state = self._state_of(pid) if pid else ""
        if state and state not in _STOPPED and now < since + self._limit:
            self._look_at = min(now + _LOOK_EVERY, since + self._limit)
            return None
        why = _STATES.get(state)
        return f"did not run for {now - since:.2g} s" + (f" ({why})" if why else "")

    def _since(self) -> float:
        """From when on its silence counts; 0.0 while it starts."""
        stamp = read_time(self._page, TURN)
        return max(stamp, self._excused_until) if stamp else 0.0


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
