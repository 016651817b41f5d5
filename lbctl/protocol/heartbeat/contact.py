"""Whether silence is the others' or mine: frames on the wire, who lists me, and packets that cannot be read.

A node whose receive path is dead hears nobody, as if everybody else had died. What tells the two apart is the rest of
the network: something is always said on a living segment, if need be because it was asked for (`solicit`). Without word
from wire about frames (`frames_seen` never called) nothing is concluded, as before there was such word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lbctl.protocol.heartbeat.detector import Instance
from lbctl.protocol.heartbeat.packet import DEAF, Role

SOLICIT_PACE = 0.2
"""Seconds between two requests that somebody please say something."""
UNREADABLE_FOR = 3.0
"""Seconds for which a packet that could not be read counts."""
QUIET_INTERVALS = 2.0
"""Intervals of silence of everybody after which frames are asked for: before the third one makes it a verdict."""
ASKED_IN_VAIN = 2
"""Requests for frames, without any, after which one who is alone says that it hears nothing."""
ALONE_QUIET = 0.2
"""Seconds without a frame after which one who is alone asks again."""


class Contact:
    """What is known of my own ears and mouth. Times in seconds on the monotonic clock."""

    def __init__(self, interval: float, detection: float) -> None:
        self.interval = interval
        self.detection = detection
        self.heard_at = 0.0
        """When a packet of another member came last, or listening began."""
        self.alone = True
        self.unlisted_since: float | None = None
        self.nodes: Mapping[str, str] = {}
        """Names of the configured nodes by address."""
        self._patience = interval
        self._frame_at: float | None = None
        self._solicited_at = -SOLICIT_PACE
        self._in_vain = 0
        self._unreadable: dict[str, float] = {}

    def listen(self, now: float) -> None:
        """Starts anew: nothing that was or was not heard before this moment says anything."""
        self.heard_at = now
        self.unlisted_since = None

    def frames_seen(self, at: float) -> None:
        """When the last frame came in that this host did not send, by wire's stamp."""
        if self._frame_at is None or at > self._frame_at:
            self._frame_at = at
            self._in_vain = 0

    def review(self, instances: Iterable[Instance], now: float) -> None:
        """Takes note of who is heard, and whether any of them hears me."""
        speakers = [i for i in instances if i.was_hearing and i.role is Role.SPEAKER]
        self.alone = not speakers
        self._patience = max([self.interval, *(i.interval for i in speakers)])
        # One that hears nothing at all is no witness of my own voice.
        witnesses = [i for i in speakers if not i.flags & DEAF]
        if not witnesses or any(i.was_two_way for i in speakers):
            self.unlisted_since = None
        elif self.unlisted_since is None:
            self.unlisted_since = now

    def is_deaf(self, now: float) -> bool:
        """Whether my ears are dead: all is silent, and no frame came since an interval after the silence began."""
        if self._frame_at is None or not self.alone or now < self.heard_at + self.detection:
            return False  # what a member says besides beats has ended the silence, though it does not make it alive
        # The frame of the last heartbeat itself may be stamped a little after it was read.
        return self._frame_at <= self.heard_at + self.interval

    def hears_nothing(self, now: float) -> bool:
        """Whether, alone for long, it was asked for frames again and again, and none came.

        My ears may have died long after the silence of the others began, and they, who hear me, must not take it for
        the death of their voice. It may as well be that there is nobody: who hears nothing is asked nothing, so no
        more follows from it.
        """
        if not self.alone or self._in_vain < ASKED_IN_VAIN or self.heard_at > self._solicited_at:
            return False
        return now >= self._solicited_at + self.interval

    def is_mute(self, now: float) -> bool:
        """Whether my voice does not arrive: others are heard, and for a detection time none of them heard me."""
        since = self.unlisted_since
        return self._frame_at is not None and since is not None and now >= since + self.detection

    def wants_frames(self, now: float) -> bool:
        """Whether to ask for frames now; counts as having asked."""
        if self._frame_at is None or now < self.heard_at + QUIET_INTERVALS * self._patience:
            return False
        silent = self._frame_at <= self.heard_at + self.interval
        if not silent and not (self.alone and now >= self._frame_at + ALONE_QUIET):
            return False
        if now < self._solicited_at + SOLICIT_PACE:
            return False
        self._in_vain = self._in_vain + 1 if self.heard_at <= self._solicited_at else 1
        self._solicited_at = now
        return True

    def next_timeout(self) -> float | None:
        """When patience with those who do not hear me ends, or, of one who is alone, with everybody's silence."""
        since = self.heard_at if self.alone else self.unlisted_since
        return since + self.detection if since is not None else None

    def unreadable(self, source: str, now: float) -> None:
        """A packet from this address could not be read."""
        if source in self.nodes:
            self._unreadable[source] = now

    def unreadable_nodes(self, instances: Iterable[Instance], now: float) -> list[str]:
        """The names of configured nodes that speak and cannot be read; not those that are heard both ways as well."""
        if not self._unreadable:
            return []
        self._unreadable = {source: at for source, at in self._unreadable.items() if now < at + UNREADABLE_FOR}
        readable = {ear.address[0] for i in instances if i.was_two_way for ear in i.ears.values()}
        return sorted({self.nodes.get(source, source) for source in self._unreadable if source not in readable})

    def unreadable_until(self) -> float | None:
        return min(self._unreadable.values()) + UNREADABLE_FOR if self._unreadable else None
