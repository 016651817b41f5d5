"""What the work process knows of who hangs: pulse and wire by their words, itself by how late it is woken.

Both children count once a second. One that is silent is said by `lbctl status`; of pulse, without which this node is
dead to the others anyway, it also ends the speaker after a while, as pulse does when work is silent.
"""

from __future__ import annotations

SILENT = 2.0
"""Seconds without a word after which it is said: one word is late by a second."""
GIVEN_UP = 30.0
"""Seconds without a word of pulse, after which the speaker ends."""
LATE = 1.0
"""Seconds by which this process is woken too late, that are said."""
TOLD_FOR = 60.0


class Vigil:
    """Times are seconds of CLOCK_MONOTONIC. A child that has said nothing yet is still starting."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}
        self._slept_until: float | None = None
        self._late: tuple[float, float] | None = None
        self._excused_until = 0.0

    def heard(self, child: str, now: float) -> None:
        self._heard[child] = now

    def sleep(self, now: float, seconds: float) -> None:
        """From now on this process waits, and wants to be woken after so many seconds."""
        self._slept_until = now + seconds

    def woke(self, now: float) -> None:
        """Called each time it is woken by the time it asked for: what was late, perhaps all of us were."""
        if self._slept_until is not None and now > self._slept_until + LATE:
            self._late = (now, now - self._slept_until)
            # What the children said meanwhile is not read yet.
            self._excused_until = now
        self._slept_until = None

    def given_up(self, now: float) -> str | None:
        """Why the speaker is to end, if it is."""
        silent = self._silence("pulse", now)
        return f"pulse said nothing for {silent:.0f} s" if silent >= GIVEN_UP else None

    def troubles(self, now: float) -> list[str]:
        found = [
            f"no word from {child} for {silent:.0f} s: {what}"
            for child, what in (
                ("pulse", "the other speakers take what this node held, it answers nothing"),
                ("wire", "this node answers no ARP or NDP"),
            )
            if (silent := self._silence(child, now)) >= SILENT
        ]
        if self._late is not None and now < self._late[0] + TOLD_FOR:
            at, by = self._late
            found.append(
                f"this process was held up for {by:.1f} s, {now - at:.0f} s ago: takeovers go on meanwhile, changes "
                "wait; look for swapping, a slow disk or a small CPU limit"
            )
        return found

    def _silence(self, child: str, now: float) -> float:
        heard_at = self._heard.get(child)
        return now - max(heard_at, self._excused_until) if heard_at is not None else 0.0
