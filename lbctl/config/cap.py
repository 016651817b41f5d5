"""So many findings of one code are told of one document, and the others are counted.

A text can be wrong a million times; nobody reads that, and no program that shows findings takes it. By code, so that
nothing that is wrong goes without any word, and what findings lead to (an object refused, an exit status) stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Span

MOST = 1000
LEFT_OUT = "LB0016"
HELP = "mend those that are told, and look again"

_K = TypeVar("_K")


class Cap(Generic[_K]):
    """Counts findings by a key, and lets MOST of each in."""

    def __init__(self) -> None:
        self._seen: Counter[_K] = Counter()

    def admits(self, key: _K) -> bool:
        """Counts one more; whether it may be kept."""
        self._seen[key] += 1
        return self._seen[key] <= MOST

    @property
    def left(self) -> Mapping[_K, int]:
        """How many were not let in, by key."""
        return {key: seen - MOST for key, seen in self._seen.items() if seen > MOST}


def capped(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The first of the findings in one document, and last what says how many are left out."""
    cap: Cap[str] = Cap()
    kept = [found for found in findings if cap.admits(found.code)]
    return (*kept, left_out(cap.left, kept[-1].span)) if cap.left else tuple(kept)


def left_out(left: Mapping[str, int], span: Span) -> Diagnostic:
    """Says how many findings are not told, by code. `span` is the last place that is told of."""
    total = sum(left.values())
    return Diagnostic(
        code=LEFT_OUT,
        severity=CODES[LEFT_OUT].severity,
        message=f"{words(left)} of this document {'is' if total == 1 else 'are'} left out",
        span=span,
        help=HELP,
        sensitive=True,
        left_out=total,
    )


def words(left: Mapping[str, int]) -> str:
    """ "1,234 more findings (LB0105 1,200, LB0107 34)"."""
    total = sum(left.values())
    each = ", ".join(f"{code} {number:,}" for code, number in sorted(left.items()))
    return f"{total:,} more finding{'' if total == 1 else 's'} ({each})"
