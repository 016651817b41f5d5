"""The process that speaks heartbeats: who lives, what this node claims, and whether wire may answer.

`python -m lbctl.speaker.pulse '{"work": FD, "wire": FD, "lease": FD}'`, started by the work process; the messages are
in docs/processes.md. One loop around `epoll` and one machine (`protocol.heartbeat.machine`), which decides everything.
In each turn every datagram that has arrived is handed over before time is looked at, so that a late turn declares
nobody dead who spoke in time. The loop does as little as it can: it must be on time while every core is busy.

It ends when either channel closes, when either of the others hangs, or when work says `leave`, and says so to the
members first; the lease is taken away at that moment. SIGINT and SIGTERM reach the whole process group, and an orderly
end is for work to conduct.
"""

from __future__ import annotations

import gc
import json
import mmap
import signal
import socket
import sys
import time
from collections import deque
from select import EPOLLIN, EPOLLOUT, epoll
from typing import Any

from lbctl.net.channel import Channel, ChannelClosed, Message
from lbctl.net.realtime import lock_memory, use_fifo
from lbctl.net.udp import HOP_LIMIT
from lbctl.protocol.heartbeat.machine import Heartbeat
from lbctl.protocol.heartbeat.segments import LOOPBACK, Segment
from lbctl.protocol.machine import Report
from lbctl.speaker.pulse_sockets import PulseSockets, is_stale
from lbctl.speaker.pulse_watch import WireWatch, WorkWatch
from lbctl.speaker.pulse_words import WORDS, segments_of, settings_of
from lbctl.speaker.shared_page import HEARD, SIZE, read_time, write_lease

REALTIME_PRIORITY = 10
RELAXED = 0.3
"""Seconds between beats when real-time scheduling is refused: a busy core may delay this process by 100 ms."""
DATAGRAMS_A_TURN = 64
"""From one socket, before the rest is looked at: a flood must not silence us."""
READ_FOR = 0.005
"""Seconds of reading what members say while nothing is due: at a start of many, each says something new."""
OBEY_FOR = 0.005
"""Seconds of carrying out what work says, before the rest is looked at: tables of thousands come in one go."""
NAP, MOST_NAP = 2 / 5, 0.02
"""Part of an interval, and seconds at most, for which what members send may wait while all is calm: a process that is
woken for each packet costs four times as much as one that reads a few at once. Deadlines are kept all the same."""
_SECOND = 1.0
_FOR_WIRE = frozenset({"answer", "probe", "solicit"})


class Pulse:
    """Everything the process has. `run` returns its exit status."""

    def __init__(self, work: Channel, wire: Channel, page: mmap.mmap) -> None:
        self._channels = {"work": work, "wire": wire}
        self._channel_of = {work.fileno(): "work", wire.fileno(): "wire"}
        self._page = page
        self._leased = 0.0
        self._machine: Heartbeat | None = None
        self._sockets: PulseSockets | None = None
        self._wire_watch: WireWatch | None = None
        self._work_watch = WorkWatch()
        self._mode: Message = {}
        self._segments: dict[int, Segment] = {LOOPBACK.ifindex: LOOPBACK}
        self._refused: dict[int, str] = {}
        self._inbox: deque[Message] = deque()
        self._poll = epoll()
        self._arrivals = epoll()
        self._both = epoll()
        self._both.register(self._poll.fileno(), EPOLLIN)
        self._both.register(self._arrivals.fileno(), EPOLLIN)
        self._nap = 0.0
        self._nap_until = 0.0
        self._calm_at = 0.0
        self._events: dict[str, int] = {}
        self._leaving = False
        self._second_at = 0.0
        self._late_max = 0.0
        self._asleep = _asleep()

    def run(self) -> int:
        for name in list(self._channels):
            self._watch(name)
        try:
            while not self._over():
                due = self._machine.next_timeout() if self._machine is not None else None
                self._turn(self._wait(due), due)
        finally:
            self._write_lease(0.0)
        return 0

    # One turn of the loop

    def _wait(self, due: float | None) -> list[tuple[int, int]]:
        """What is to be read, when there is something or it is time; channels at once, members after a nap."""
        patience = self._patience(due)
        timeout = None if patience is None else patience / 1000
        nap = self._nap_until - time.monotonic()
        if nap > 0.0:
            events = self._poll.poll(nap if timeout is None else min(nap, timeout))
            if events or (timeout is not None and timeout <= nap):
                return events
            timeout = None if timeout is None else timeout - nap
        self._both.poll(timeout)
        return self._poll.poll(0) + self._arrivals.poll(0)

    def _patience(self, due: float | None) -> float | None:
        """Milliseconds until something is to be done without any event."""
        if self._inbox:
            return 0.0
        if self._machine is None:
            return None
        wake_at = self._second_at if due is None or due > self._second_at else due
        if not self._leaving and self._wire_watch is not None and (at := self._wire_watch.verdict_at()) is not None:
            wake_at = min(wake_at, at)
        if self._sockets is not None and (refill_at := self._sockets.next_refill()) is not None:
            wake_at = min(wake_at, refill_at)
        return max(0.0, wake_at - time.monotonic()) * 1000

    def _turn(self, events: list[tuple[int, int]], due: float | None) -> None:
        now = time.monotonic()
        machine, sockets = self._machine, self._sockets
        is_due = due is not None and now >= due
        if machine is not None and due is not None:
            self._notice_gap(machine, now, due)
        if sockets is not None:
            sockets.refill(now)
        # When time is about to be looked at, all that has arrived by now counts.
        arrived = self._arrivals.poll(0) if is_due else events
        for fd, _ in arrived:
            if machine is not None and sockets is not None and fd not in self._channel_of:
                self._receive(machine, sockets, fd, DATAGRAMS_A_TURN)
                if not is_due and time.monotonic() >= now + READ_FOR:
                    break
        self._nap_until = now + self._nap if now >= self._calm_at else 0.0
        for fd, _ in events:
            if (name := self._channel_of.get(fd)) is not None:
                self._hear(name, self._channels[name])
        if self._inbox:
            self._obey_some()
        if machine is None:
            return
        if is_due:
            if (seen_at := read_time(self._page, HEARD)) > 0.0:
                machine.frames_seen(seen_at)
            machine.handle_timeout(now)
            self._carry_out(machine)
        if now >= self._second_at:
            self._each_second(machine, now)
        self._look_after(now)

    def _notice_gap(self, machine: Heartbeat, now: float, due: float) -> None:
        """A turn that comes more than an interval late: this process, or the whole machine, was stopped."""
        asleep = _asleep()
        slept, self._asleep = asleep - self._asleep, asleep
        late = max(now - due, 0.0)
        self._late_max = max(self._late_max, late)
        gap = late + max(slept, 0.0)
        if gap > machine.settings.interval:
            if self._wire_watch is not None:
                self._wire_watch.woke(now)
            self._work_watch.woke(now)
            machine.woke(now, gap)
            self._carry_out(machine)

    def _receive(self, machine: Heartbeat, sockets: PulseSockets, fd: int, most: int) -> None:
        for ifindex, datagram in sockets.read(fd, most):
            if datagram.hop_limit != HOP_LIMIT:
                machine.counters["rx_hop_limit"] += 1
            elif is_stale(datagram.at_unix, time.time(), machine.settings.detection):
                machine.counters["rx_stale"] += 1
            else:
                machine.received(datagram.payload, ifindex, datagram.source, time.monotonic())
                self._carry_out(machine)

    def _carry_out(self, machine: Heartbeat) -> None:
        outputs = machine.outputs()
        if not outputs and machine.lease == self._leased:
            return
        if machine.lease != self._leased:
            self._write_lease(machine.lease)
        now = time.monotonic()
        for output in outputs:
            if isinstance(output, Report):
                # Something goes on: what is said about it is read as it comes.
                self._calm_at = now + machine.settings.detection
                self._nap_until = 0.0
                self._say("wire" if output.name in _FOR_WIRE else "work", {"op": output.name, **output.fields})
            elif output.to is not None and self._sockets is not None:
                failure = self._sockets.send(output.via, output.payload, output.to, now)
                if failure is not None:
                    machine.counters[failure] += 1

    def _each_second(self, machine: Heartbeat, now: float) -> None:
        self._second_at = now + _SECOND
        machine.set_clock(time.time() - time.monotonic())
        counters = {"op": "counters", "counters": dict(machine.counters), "late_max": round(self._late_max, 6)}
        self._late_max = 0.0
        work = self._channels.get("work")
        if work is not None and not work.wants_write:
            self._say("work", counters)
        if self._refused:
            self._use_segments()
        if self._sockets is not None:
            self._sockets.sweep(now)

    def _look_after(self, now: float) -> None:
        """Who hangs cannot say so: without wire, or for long without work, this node leaves to its heirs."""
        if self._leaving:
            return
        if self._wire_watch is not None and (verdict := self._wire_watch.verdict(now)) is not None:
            self._end("wire_hung", f"the process that answers ARP and NDP {verdict}: this node leaves and starts anew")
        elif self._work_watch.is_hung(now):
            self._end("work_hung", "the work process said nothing for 30 s: this node leaves and starts anew")

    def _end(self, name: str, text: str) -> None:
        self._say("work", {"op": "trouble", "name": name, "text": text, "on": True})
        self.leave()

    def _write_lease(self, until: float) -> None:
        self._leased = until
        write_lease(self._page, until)

    # Channels

    def _watch(self, name: str) -> None:
        channel = self._channels[name]
        wanted = EPOLLIN | (EPOLLOUT if channel.wants_write else 0)
        before, self._events[name] = self._events.get(name), wanted
        if before is None:
            self._poll.register(channel.fileno(), wanted)
        elif before != wanted:
            self._poll.modify(channel.fileno(), wanted)

    def _hear(self, name: str, channel: Channel) -> None:
        try:
            channel.flush()
            messages = channel.receive()
        except ChannelClosed:
            self._lose(name)
            return
        self._watch(name)
        if name == "work":
            self._inbox.extend(messages)
        elif self._machine is not None:
            for message in messages:
                if message.get("op") == "probed":
                    self._machine.probed([(result[0], result[1]) for result in message["results"]], time.monotonic())
            self._carry_out(self._machine)

    def _say(self, name: str, message: Message) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        try:
            channel.send(message)
        except ChannelClosed:
            self._lose(name)
        else:
            self._watch(name)

    def _lose(self, name: str) -> None:
        """Without work or wire this node announces nothing for long: the others are told at once."""
        channel = self._channels.pop(name, None)
        if channel is not None:
            del self._channel_of[channel.fileno()]
            self._poll.unregister(channel.fileno())
            channel.close()
            self.leave()

    def leave(self) -> None:
        """Says `leaving`; the loop ends when that is out."""
        if self._leaving:
            return
        self._leaving = True
        if self._machine is not None:
            self._machine.leave(time.monotonic())
            self._carry_out(self._machine)

    def _over(self) -> bool:
        return self._leaving and (self._machine is None or self._machine.left)

    # What work says

    def _obey_some(self) -> None:
        until = time.monotonic() + OBEY_FOR
        while self._inbox and time.monotonic() < until:
            self._obey(self._inbox.popleft())

    def _obey(self, message: Message) -> None:
        op = message.get("op", "")
        try:
            if self._machine is None:
                if op == "setup":
                    self._setup(message)
                elif op == "mode":
                    self._mode = message
            elif op == "segments":
                self._segments = segments_of(message)
                self._use_segments()
            elif op == "alive":
                self._work_watch.heard(time.monotonic())
            elif op == "leave":
                self.leave()
            elif (word := WORDS.get(op)) is not None:
                word(self._machine, message, time.monotonic())
        except (KeyError, TypeError, ValueError) as error:
            self._note("bad_message", message_op=op, error=repr(error))
        if self._machine is not None:
            self._carry_out(self._machine)

    def _setup(self, message: Message) -> None:
        interval = float(message["interval"])
        missing: dict[str, str] = {}
        realtime = bool(message.get("realtime", True))
        if realtime:
            missing = {
                what: why
                for what, why in (("realtime", use_fifo(REALTIME_PRIORITY)), ("locked_memory", lock_memory()))
                if why is not None
            }
            if "realtime" in missing and interval < RELAXED:
                interval = RELAXED
                self._note("relaxed_interval", interval=interval, missing=missing["realtime"])
        for what, why in missing.items():
            self._note(f"no_{what}", missing=why)
        settings = settings_of(message, self._mode, interval=interval)
        if not settings.keys:
            self._note("unauthenticated", advice="anyone on the segment can speak as a member; set a key")
        self._nap = min(NAP * interval, MOST_NAP)
        self._sockets = PulseSockets(self._arrivals, settings)
        self._wire_watch = WireWatch(self._page, settings.detection, realtime=realtime and "realtime" not in missing)
        self._machine = Heartbeat(settings, unix_offset=time.time() - time.monotonic())
        self._second_at = time.monotonic() + _SECOND

    def _use_segments(self) -> None:
        """Sockets for the usable segments and no others; one that cannot be opened is tried again each second."""
        assert self._machine is not None
        assert self._sockets is not None
        opened = self._sockets.use(self._segments)
        refused = self._sockets.refused
        for ifindex, reason in refused.items():
            segment = self._segments[ifindex]
            if self._refused.get(ifindex) != reason and not segment.local:
                self._note("segment_refused", interface=segment.name, address=segment.address, reason=reason)
        self._refused = dict(refused)
        self._machine.set_segments(opened, time.monotonic())
        self._carry_out(self._machine)

    def _note(self, name: str, **fields: Any) -> None:
        self._say("work", {"op": "note", "name": name, "fields": fields})


def _asleep() -> float:
    """Seconds this machine spent suspended, which its monotonic clock does not count."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def main(argument: str) -> int:
    try:
        wanted = json.loads(argument)
        work, wire, lease = (int(wanted[name]) for name in ("work", "wire", "lease"))
        to_work, to_wire = Channel(socket.socket(fileno=work)), Channel(socket.socket(fileno=wire))
        page = mmap.mmap(lease, SIZE)
    except (ValueError, KeyError, TypeError, OSError) as error:
        print(f"pulse: {error!r}: this process is started by `lbctl run-speaker`, not by hand", file=sys.stderr)  # noqa: T201
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Nothing here makes reference cycles, and a collection among 10,000 claims would make a beat late.
    gc.freeze()
    gc.disable()
    return Pulse(to_work, to_wire, page).run()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
