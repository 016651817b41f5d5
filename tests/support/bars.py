"""How tests treat time: noise has one side, for a machine that others use makes things slower and never faster.

- What is awaited is awaited for PATIENCE: that costs nothing when it comes.
- A bar on the clock is put to the best of some tries (`met_once`); only a bar that no try meets is a failure. It is at
  least twice the documented one, which the programs in bench/ assert, unless what it tells apart is nearer than that.
  While it is measured, the test and what it starts go before all that is not real-time on this machine.
- What computes is measured in processor time (`time.process_time`), and two such times are compared by the least of
  each, measured in turn (`least`).
- Counts (lost, doubled, two owners, a wrong result) are asserted in every try: no lateness excuses them.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.support.lateness import LatenessControl

TRIES = 6
PATIENCE = 60.0
"""Seconds until a test gives up on what it waits for."""
_CALM = 0.005
_LOOK_TIME = 0.2
_LOOKS = 15
_FIRST = -20
_AUTOGROUP = Path("/proc/self/autogroup")

_T = TypeVar("_T")


def met_once(measure: Callable[[], _T], good: Callable[[_T], object], *, tries: int = TRIES) -> _T:
    """The first measurement that is good; AssertionError with all of them when none is."""
    seen: list[str] = []
    for number in range(1, tries + 1):
        if number > 1:
            await_calm()
        with LatenessControl() as control, first_in_line():
            found = measure()
        if good(found):
            return found
        seen.append(f"try {number} of {tries}, the machine late by {control.worst * 1000:.1f} ms: {found}")
        print(seen[-1])
    raise AssertionError("no try met the bar:\n" + "\n".join(seen))


@contextlib.contextmanager
def first_in_line() -> Iterator[None]:
    """This thread, and what it starts meanwhile, at the highest priority that is not real-time, where it may have it.

    The kernel may weigh sessions before it weighs their processes, so this session is first among the sessions too.
    """
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _FIRST)
        _weigh_session(_FIRST)
    except OSError:
        pass  # not root: then it is the stricter judge
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, nice)
            _weigh_session(nice)


def _weigh_session(nice: int) -> None:
    if _AUTOGROUP.exists():
        _AUTOGROUP.write_text(str(nice))


def await_calm() -> None:
    """Returns when this machine lets a real-time process run in time, or after some seconds if it never does."""
    for _ in range(_LOOKS):
        with LatenessControl() as control:
            select.select([], [], [], _LOOK_TIME)
        if control.worst < _CALM:
            return


def least(
    *costs: Callable[[], float], enough: Callable[..., bool], at_least: int = 3, rounds: int = 12
) -> tuple[float, ...]:
    """The least of each cost, measured in turn until `enough` of them holds; AssertionError when it never does.

    At least so many rounds, because a first dear measurement of what others are compared with would let all pass.
    """
    seen: list[tuple[float, ...]] = []
    for number in range(1, rounds + 1):
        seen.append(tuple(cost() for cost in costs))
        best = tuple(map(min, zip(*seen, strict=True)))
        if number >= at_least and enough(*best):
            return best
    raise AssertionError("never enough:\n" + "\n".join("  ".join(f"{each:.6f}" for each in row) for row in seen))
