"""Until when wire may answer.

Mode availability: one detection time from each beat, taken before the beat goes out, so that it ends before anyone who
heard that beat can find me silent. Mode safety: four intervals from the sending of my newest beat that a majority of
the configured speakers echoed; the others take over no sooner than five intervals after they heard the last one. The
interval between is the margin for clocks that drift and for what a packet costs.
"""

from __future__ import annotations

from lbctl.protocol.heartbeat.membership import Membership

ECHOED_FOR = 4
"""Intervals for which a beat that a majority has gives the right to answer."""


class Lease:
    """`until` is what wire reads: 0 when nothing may be answered."""

    def __init__(self, membership: Membership, interval: float, detection: float) -> None:
        self.until = 0.0
        self.safety = False
        self._membership = membership
        self._interval = interval
        self._detection = detection
        self._suspended: tuple[float, float] | None = None

    def end(self) -> None:
        self.until = 0.0

    def suspend(self, now: float) -> None:
        """None until others had the time to say what they hold by now."""
        self.until = 0.0
        self._suspended = now + self._detection, now + 4 * self._detection

    def renew(self, now: float, *, synced: bool) -> None:
        """As of a beat, or of what came in; `synced`: nobody who is heard, or heard of, has claims I do not know."""
        until = now + self._detection
        if self.safety:
            until = self._membership.echoed_at(now) + ECHOED_FOR * self._interval
            if until <= now or 0.0 < self.until <= now:
                # Others may have taken over; what they hold is heard within a detection time of the first echo.
                self.suspend(now)
        if self._suspended is not None:
            quiet_until, at_last = self._suspended
            if now < quiet_until or not (synced or (now >= at_last and not self.safety)):
                return
        self._suspended = None
        self.until = until
