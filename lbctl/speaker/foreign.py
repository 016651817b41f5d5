"""Foreign machines that answer for what this node announces: what is logged of them, and for how long they trouble."""

from __future__ import annotations

from dataclasses import dataclass

TROUBLE_TIME = 60.0
"""Seconds for which an answer that was seen counts as a trouble."""
LOG_INTERVAL = 60.0
"""Seconds between two lines of log about one address."""
MOST = 4096
"""Pairs of address and machine that are remembered; a segment full of liars fills no memory."""
_SHOWN = 3
_LOOK_TIME = 1.0


@dataclass(frozen=True, slots=True)
class Answering:
    """A station that says that it has an address of ours."""

    address: str
    mac: str
    interface: str


class ForeignAnswers:
    """What wire saw, kept for a minute. Times are seconds of one clock, whichever it is."""

    def __init__(self) -> None:
        self._seen: dict[Answering, float] = {}
        self._logged: dict[str, float] = {}
        self._looked_through: float | None = None

    def see(self, answering: Answering, now: float) -> bool:
        """Notes it; True when it is to be logged."""
        # A flood must not be looked through from end to end for each frame of it.
        if self._looked_through is None or now - self._looked_through >= _LOOK_TIME:
            self._forget(now)
        if answering in self._seen or len(self._seen) < MOST:
            self._seen[answering] = now
        last = self._logged.get(answering.address)
        if (last is not None and now - last < LOG_INTERVAL) or (last is None and len(self._logged) >= MOST):
            return False
        self._logged[answering.address] = now
        return True

    def troubles(self, now: float) -> tuple[str, ...]:
        """A line for each of the first, and one that counts the others."""
        self._forget(now)
        found = sorted(self._seen, key=lambda each: (each.address, each.mac, each.interface))
        lines = [
            f"a foreign machine, {each.mac}, answers for {each.address} on {each.interface}; `lbctl where-is "
            f"{each.address}` on another host shows who is heard"
            for each in found[:_SHOWN]
        ]
        more = len({each.address for each in found} - {each.address for each in found[:_SHOWN]})
        if more:
            lines.append(
                f"foreign machines answer for {more} more address{'es' if more > 1 else ''}; the log names them"
            )
        return tuple(lines)

    def _forget(self, now: float) -> None:
        self._looked_through = now
        self._seen = {each: at for each, at in self._seen.items() if now - at < TROUBLE_TIME}
        self._logged = {address: at for address, at in self._logged.items() if now - at < LOG_INTERVAL}
