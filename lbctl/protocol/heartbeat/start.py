"""What has to be waited for after a start or a new carrier, and when my World is too old to take anything by.

A node that boots before the others would take everything, and nothing moves back by itself. So an address that nobody
is known to have claimed waits until every configured speaker was heard both ways, or for `start_wait`. A port that
has just come up may pass nothing for half a minute (STP): until somebody was heard, what another claimed is not taken.
"""

from __future__ import annotations

from collections import deque

FIRST_CONTACT = 35.0
"""Seconds without anybody after a start or a new carrier, after which another's claim may be taken: two STP delays."""
BEHIND = 5.0
"""Seconds that one may be behind the newest World that is heard of."""
_REMEMBERED = 64


class Start:
    """The patience of one who has just come."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        self._began_at: float | None = None
        self._up_at = 0.0
        self._contact = False
        self._met_all = False

    def up(self, now: float) -> None:
        """The first segment became usable: a start, or a carrier."""
        if self._began_at is None:
            self._began_at = now
        self._up_at = now
        self._contact = False

    def review(self, *, contact: bool, met_all: bool) -> None:
        """`contact`: somebody is heard both ways, or there is nobody else; `met_all`: every configured speaker is."""
        self._contact = self._contact or contact
        self._met_all = self._met_all or met_all

    def waits_for_all(self, now: float) -> float | None:
        """Until when an address without a known claim waits; None when it does not."""
        return self._waiting(self._met_all, self._began_at, self.wait, now)

    def waits_for_contact(self, now: float) -> float | None:
        """Until when what another claimed waits; None when it does not."""
        return self._waiting(self._contact, self._up_at, FIRST_CONTACT, now)

    @staticmethod
    def _waiting(over: bool, since: float | None, wait: float, now: float) -> float | None:
        if over:
            return None
        until = (now if since is None else since) + wait
        return until if now < until else None


class Worlds:
    """The generations heard of, and mine. Those of nodes that are gone do not bind those who are left."""

    def __init__(self) -> None:
        self.mine = 0
        self._newer: deque[tuple[float, int]] = deque()

    def set_mine(self, generation: int) -> None:
        self.mine = generation
        self._forget()

    def review(self, heard: int, now: float) -> None:
        """`heard`: the newest generation that any living member has."""
        while self._newer and self._newer[-1][1] > heard:
            self._newer.pop()
        if heard > self.mine and (not self._newer or heard > self._newer[-1][1]):
            self._newer.append((now, heard))
            if len(self._newer) > _REMEMBERED:
                del self._newer[1]
        self._forget()

    def stale_at(self) -> float | None:
        """From when on I am too far behind; None when I am not behind at all."""
        return self._newer[0][0] + BEHIND if self._newer and self.mine else None

    def _forget(self) -> None:
        while self._newer and self._newer[0][1] <= self.mine:
            self._newer.popleft()
