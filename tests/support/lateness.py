"""How late this machine itself was while something was timed: a real-time process that only sleeps a millisecond.

    with LatenessControl() as control:
        ...
    print(control.worst)

Tests do not judge by it, for it sees one core at a time: they take the best of some tries, see bars.py.

Run as `python -m tests.support.lateness`; it ends when its standard input closes, and prints the worst lateness.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from types import TracebackType

TOO_LATE = 0.020
"""Seconds: of a timing taken while the machine was later than this, a benchmark says so and takes another."""
_NAP = 0.001


class LatenessControl:
    def __init__(self) -> None:
        self.worst = 0.0

    def __enter__(self) -> LatenessControl:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.lateness"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has begun
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        said, _ = self._process.communicate(timeout=60)
        self.worst = float(said)

    @property
    def too_late(self) -> bool:
        return self.worst > TOO_LATE


def main() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    except PermissionError:
        pass  # then it is the stricter judge
    print("began", flush=True)
    worst = 0.0
    while True:
        due = time.monotonic() + _NAP
        if select.select([sys.stdin], [], [], _NAP)[0]:
            break
        worst = max(worst, time.monotonic() - due)
    print(worst)


if __name__ == "__main__":
    main()
