"""Addresses that are claimed only if nobody answers for them on the wire, and addresses that change hands too often.

Without a majority the silence of others proves nothing: they may be well, and only the heartbeats be lost. So wire asks
before such a claim is made (two ARP requests or neighbor solicitations), and any answer, a speaker's too, forbids it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from lbctl.protocol.machine import Report

AGAIN = 1.0
"""Seconds after which an address that was answered, or of which nothing was said, is probed again."""
VALID = 0.5
"""Seconds for which silence on the wire is proof: a claim that waits for something else is probed anew."""
MOVES, MOVES_WITHIN = 3, 180.0
"""So many contested moves of an address, within so many seconds, are too many."""
HOLD, LONGEST_HOLD = 60.0, 600.0
"""Seconds for which one that moved too often stays where it is, doubled each time, and the most of them."""


class Probing:
    """What wire was asked, and what it said. `reports` are the messages to send."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._asked: dict[str, float] = {}
        self._free: dict[str, float] = {}
        self._answered: dict[str, float] = {}
        self._wanted: list[str] = []

    def is_free(self, address: str, now: float, pace: float = AGAIN) -> bool:
        """Whether it was proven that nobody answers for this address; if not known, it is asked about."""
        if (at := self._free.get(address)) is not None:
            if now - at <= VALID:
                return True
            del self._free[address]
        last = max(self._asked.get(address, -pace), self._answered.get(address, -pace))
        if now >= last + (pace if address in self._answered else AGAIN):
            self._asked[address] = now
            self._answered.pop(address, None)
            self._wanted.append(address)
        return False

    def is_answered(self, address: str) -> bool:
        """Whether the last probe was answered."""
        return address in self._answered

    def again_at(self, address: str, pace: float = AGAIN) -> float:
        """When `is_free` is to be called again unless wire says something before."""
        if (at := self._answered.get(address)) is not None:
            return at + pace
        return self._asked.get(address, -AGAIN) + AGAIN

    def results(self, results: Iterable[tuple[str, str | None]], now: float) -> list[str]:
        """What wire found: (address, MAC or None); returns the addresses that are answered and were not before."""
        answered = []
        for address, mac in results:
            if self._asked.pop(address, None) is None:
                continue
            if mac is None:
                self._free[address] = now
                self._answered.pop(address, None)
            else:
                self._free.pop(address, None)
                self._answered[address] = now
                answered.append(address)
        return answered

    def settled(self, address: str) -> None:
        """It is claimed, by me or another, or not wanted any more."""
        if self._asked.pop(address, None) is not None:
            if address in self._wanted:
                self._wanted.remove(address)
            else:
                self.reports.append(Report("probe", {"set": [], "drop": [address]}))
        self._free.pop(address, None)
        self._answered.pop(address, None)

    def flush(self) -> list[Report]:
        if self._wanted:
            self.reports.append(Report("probe", {"set": self._wanted, "drop": []}))
            self._wanted = []
        reports, self.reports = self.reports, []
        return reports


class Moves:
    """Contested changes of owner by address: those no majority stands behind, and those a better claim undid."""

    def __init__(self) -> None:
        self._moves: dict[str, deque[float]] = {}
        self._held: dict[str, tuple[float, float]] = {}

    def note(self, address: str, now: float) -> float | None:
        """One more; the seconds for which it is held from now on, if this one was too many."""
        moves = self._moves.setdefault(address, deque(maxlen=MOVES))
        moves.append(now)
        if len(moves) < MOVES or now - moves[0] > MOVES_WITHIN or self.is_held(address, now):
            return None
        until, before = self._held.get(address, (0.0, 0.0))
        hold = min(2 * before, LONGEST_HOLD) if before and now - until <= MOVES_WITHIN else HOLD
        self._held[address] = now + hold, hold
        moves.clear()
        return hold

    def is_held(self, address: str, now: float) -> bool:
        held = self._held.get(address)
        return held is not None and now < held[0]

    def pace(self, address: str, now: float) -> float:
        """Seconds between two probes of an address that is answered."""
        held = self._held.get(address)
        return held[1] if held is not None and now < held[0] else AGAIN
