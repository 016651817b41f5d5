"""How long a start waits for the nodes there should be: one that boots first must not take what all of them share.

Pulse refuses too early claims itself (attack A9). Here is decided what is asked for: a plan made when one of three was
heard gives each of two a half, and granted a moment later it would be wrong for as long as nothing moves by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from lbctl.model.address import IPAddress
from lbctl.plan.reason import Cause

START_WAIT = 10.0
"""Seconds; a node that is down when the others start costs them no more."""

_HAD_AN_OWNER = frozenset({Cause.OWNER_GONE, Cause.OWNER_LEFT})


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWait:
    """`began_at`: when pulse had listened, monotonic seconds. `met` are the nodes heard since, by name."""

    began_at: float | None = None
    met: frozenset[str] = frozenset()
    met_all: bool = False

    def after(self, others: Set[str], alive: frozenset[str], *, listened: bool, now: float) -> StartWait:
        """With what is known now: `others` are the names of all the nodes there should be, but me."""
        if not listened or self.met_all:
            return self
        met = self.met | alive
        return replace(self, began_at=now if self.began_at is None else self.began_at, met=met, met_all=others <= met)

    def over_at(self, wait: float, now: float) -> float | None:
        """When the waiting will end by itself; None when nothing is waited for, or no longer."""
        if self.met_all or self.began_at is None or now >= self.began_at + wait:
            return None
        return self.began_at + wait

    def allowed(self, wanted: Mapping[IPAddress, Cause], wait: float, now: float) -> Mapping[IPAddress, Cause]:
        """What of that may be asked for now: while others are missing, only what was somebody's who is gone."""
        if self.over_at(wait, now) is None:
            return wanted
        return {address: cause for address, cause in wanted.items() if cause in _HAD_AN_OWNER}
