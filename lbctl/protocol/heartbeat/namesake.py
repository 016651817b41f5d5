"""Another node that speaks under my name: which of us stays, and what others remember of an earlier me.

A name is a node's identity in every claim. Of two that have it, the one that is established and heard both ways by more
of the others stays; whoever has just come, or just woken, and finds its name in use says nothing more. So neither a
replacement machine nor an old one that wakes can silence the one that serves.
"""

from __future__ import annotations

from collections.abc import Iterable

from lbctl.protocol.heartbeat.detector import Instance
from lbctl.protocol.heartbeat.packet import TWO_WAY, Role

GONE_AFTER = 3.0
"""Seconds without a sign of the other, after which the name is free again."""
MAX_INCARNATION = 2**63


class Namesake:
    """`me` is my node hash and incarnation. `silent`: the name belongs to another now."""

    def __init__(self, me: tuple[int, int], detection: float) -> None:
        self.me = me
        self.silent = False
        self._detection = detection
        self._listening_since = 0.0
        self._established = False
        self._rival: tuple[int, int] | None = None
        self._rival_since = 0.0
        self._seen_at: float | None = None

    def listen(self, now: float) -> None:
        """A start, or waking from a pause: what is not known now has to be heard first."""
        self._listening_since = now
        self._established = False
        self._seen_at = None

    @property
    def listened_at(self) -> float:
        """When the others have had the time to find an earlier me silent, and to say so."""
        return self._listening_since + 2 * self._detection

    def heard(self, incarnation: int, now: float) -> None:
        """A packet under my name, of another incarnation."""
        self._see((self.me[0], incarnation), now)

    def review(self, instances: Iterable[Instance], now: float, *, listened: bool) -> bool:
        """Settles whether to be silent; true when that changed. `listened`: the first detection time is over."""
        # Only those who hear me now: what was recorded of the dead, or of an earlier me, silences nobody.
        speakers = [i for i in instances if i.was_two_way and i.role is Role.SPEAKER]
        # What they heard of my last run counts as a rival only once they had time to find it silent.
        if self._rival is None or self._seen_at is None or now - self._seen_at > self._detection:
            self._look_around(speakers, now)
        if self._seen_at is None or now - self._seen_at > GONE_AFTER:
            self._rival = self._seen_at = None
            self._established = self._established or now >= self.listened_at
            was, self.silent = self.silent, False
            return was
        if not self._established and self._seen_at < self._listening_since + self._detection / 2:
            # What was under way when it ended may be heard for a moment.
            self._established = now >= self.listened_at
            return False
        if self.silent or not (listened or self._established):
            return False
        mine, theirs = (self._supporters(speakers, key) for key in (self.me, self._rival))
        rival = self._rival[1] if self._rival is not None else 0
        if 2 * theirs <= len(speakers):
            return False  # one that has just woken goes on listing the dead for a moment
        # Whoever has just come gives in by itself; only of two that both stood does the newer run stay.
        new = now < self._rival_since + 3 * self._detection
        if self._established and (mine > theirs or (mine == theirs and (new or self.me[1] > rival))):
            return False
        self.silent = True
        return True

    def may_rise(self, incarnation: int) -> bool:
        """Whether to call myself newer than an incarnation that others remember."""
        return self.me[1] <= incarnation < MAX_INCARNATION and self._seen_at is None

    def _look_around(self, speakers: list[Instance], now: float) -> None:
        if self._established or now < self.listened_at:
            return
        for speaker in speakers:
            for (node, incarnation), flags in speaker.hears.items():
                if node == self.me[0] and incarnation != self.me[1] and flags & TWO_WAY:
                    self._see((node, incarnation), now)
                    return

    def _see(self, rival: tuple[int, int], now: float) -> None:
        if self._rival is None:
            self._rival_since = now
        self._rival, self._seen_at = rival, now

    @staticmethod
    def _supporters(speakers: list[Instance], key: tuple[int, int] | None) -> int:
        return sum(bool(key is not None and speaker.hears_both_ways(*key)) for speaker in speakers)
