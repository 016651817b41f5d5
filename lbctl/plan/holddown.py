"""Nodes that come and go: how long one is given nothing after it came back once more."""

from __future__ import annotations

from collections.abc import Sequence

WINDOW = 600.0
"""Seconds for which a coming is remembered."""
FREE = 2
"""Comings within the window that cost nothing: the start, and one restart."""
FIRST = 10.0
LONGEST = 600.0
"""Seconds of the first hold-down and of the longest; each is twice as long as the one before."""


def remember(comings: Sequence[float], at_unix: float) -> tuple[float, ...]:
    """The comings within the window that ends at `at_unix`, and this one."""
    return (*(each for each in comings if at_unix - WINDOW < each <= at_unix), at_unix)


def held_until(comings: Sequence[float]) -> float:
    """Unix time until which a node that came at these moments, the last one just now, is given nothing; 0 for not.

    It keeps what it holds, and is chosen all the same where there is nobody else.
    """
    flaps = len(comings) - FREE
    if flaps <= 0:
        return 0.0
    return comings[-1] + min(LONGEST, FIRST * 2.0 ** min(flaps - 1, 16))
