"""The pulse and wire processes as they ship, with their loops turned by the simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lbctl.net.channel import ChannelClosed
from lbctl.speaker.pulse import Pulse
from lbctl.speaker.wire import Wire
from tests.simulation.kernel import TIME, End

if TYPE_CHECKING:
    from tests.simulation.node import Host

POLLIN = 1
_NEVER = float("inf")
_ROUNDING = 1e-9
_LEAST = 1e-6
"""Seconds: no process wakes twice at one moment."""


class Process:
    """One process: turned when something can be read or its time has come, unless it is stopped or over."""

    def __init__(self, host: Host, *ends: End) -> None:
        self.host = host
        self.clockwork = host.clockwork
        self.ends = ends
        self.held = 0
        self.over = False
        self._readable: dict[int, int] = {}
        self._timer_at = _NEVER
        for end in ends:
            end.reader = self

    @property
    def runs(self) -> bool:
        return not self.over and not self.held

    def ready(self, fd: int) -> None:
        if self.over:
            return
        self._readable[fd] = POLLIN
        if not self.held:
            self._turn()

    def hold(self) -> None:
        """SIGSTOP; may be said more than once."""
        self.held += 1

    def let_go(self) -> None:
        """SIGCONT, once for each `hold`."""
        self.held -= 1
        if self.runs:
            self._turn()

    def kill(self) -> None:
        """SIGKILL, or the end of the process: its channels close."""
        if self.over:
            return
        self.over = True
        for end in self.ends:
            end.close()
        self.host.ended(self)

    def turn(self, events: dict[int, int]) -> float | None:
        """One turn of its loop; seconds until the next one if nothing happens, None = no time."""
        raise NotImplementedError

    def wake_in(self, seconds: float | None) -> None:
        if seconds is None or self.over:
            return
        at = self.clockwork.now + max(seconds + _ROUNDING, _LEAST)
        if at < self._timer_at:
            self._timer_at = at
            self.clockwork.at(at, self._timer, at)

    def _timer(self, at: float) -> None:
        if at != self._timer_at:
            return
        self._timer_at = _NEVER
        if self.runs:
            self._turn()

    def _turn(self) -> None:
        events, self._readable = self._readable, {}
        self.host.enter()
        wait = self.turn(events)
        if self.over:
            return
        for end in self.ends:
            if end.waits and end.fd not in self._readable:
                self._readable[end.fd] = POLLIN
        if self._readable:
            wait = 0.0
        self.wake_in(wait)


class PulseProcess(Process):
    """`lbctl.speaker.pulse`."""

    def __init__(self, host: Host, work: End, wire: End) -> None:
        super().__init__(host, work, wire)
        host.enter()
        self.pulse = Pulse(cast(Any, work), cast(Any, wire), cast(Any, host.page))
        for name in ("work", "wire"):
            self.pulse._watch(name)
        self._due: float | None = None

    def turn(self, events: dict[int, int]) -> float | None:
        pulse = self.pulse
        pulse._turn(list(events.items()), self._due)
        if pulse._over():
            pulse._write_lease(0.0)
            self.host.watch()
            self.kill()
            return None
        machine = pulse._machine
        self._due = machine.next_timeout() if machine is not None else None
        patience = pulse._patience(self._due)
        # The lease is the one thing that passes to wire without a message.
        self.host.leased()
        return patience / 1000 if patience is not None else None

    def let_go(self) -> None:
        if self.held == 1 and not self.over:
            for link in self.host.datagrams.values():
                self._readable[link.fd] = POLLIN
        super().let_go()


class WireProcess(Process):
    """`lbctl.speaker.wire`."""

    def __init__(self, host: Host, work: End, pulse: End) -> None:
        super().__init__(host, work, pulse)
        host.enter()
        self.wire = Wire(cast(Any, work), cast(Any, pulse), cast(Any, host.page))

    def turn(self, events: dict[int, int]) -> float | None:
        wire = self.wire
        try:
            wire._turn(events, TIME.mono)
            wait = wire._wait() / 1000
        except ChannelClosed:
            self.kill()
            return None
        if not events or any(end.fd in events for end in self.ends):
            self.host.table_changed()
        return wait

    def let_go(self) -> None:
        if self.held == 1 and not self.over:
            for link in self.host.frames.values():
                self._readable[link.fd] = POLLIN
        super().let_go()

    def kill(self) -> None:
        if not self.over:
            self.host.frames.clear()
            super().kill()
