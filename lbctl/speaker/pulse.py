"""The process that speaks heartbeats: who lives, what this node claims, and whether wire may answer.

`python -m lbctl.speaker.pulse '{"work": FD, "wire": FD, "lease": FD}'`, started by the work process; the messages are
in docs/processes.md. One loop around `poll` and one machine (`protocol.heartbeat.machine`), which decides everything.
In each turn every datagram that has arrived is handed over before time is looked at, so that a late turn declares
nobody dead who spoke in time. The loop does as little as it can: it must be on time while every core is busy.

It ends when either channel closes or when work says `leave`, and says so to the members first; the lease is taken away
at that moment. SIGINT and SIGTERM reach the whole process group, and an orderly end is for work to conduct.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from lbctl.net.channel import Channel, ChannelClosed, Message
from lbctl.net.realtime import lock_memory, use_fifo
from lbctl.net.udp import HOP_LIMIT, SegmentSocket
from lbctl.protocol.heartbeat.machine import Heartbeat
from lbctl.protocol.heartbeat.orders import order_of
from lbctl.protocol.heartbeat.segments import LOOPBACK, Segment, Settings
from lbctl.protocol.heartbeat.stations import Sighting, Station
from lbctl.protocol.machine import Report

REALTIME_PRIORITY = 10
RELAXED = 0.3
"""Seconds between beats when real-time scheduling is refused: a busy core may delay this process by 100 ms."""
DATAGRAMS_A_TURN = 512
"""From one socket, before the rest is looked at: a flood must not silence us."""
OBEY_FOR = 0.005
"""Seconds of carrying out what work says, before the rest is looked at: tables of thousands come in one go."""
_SECOND = 1.0
_LEASE = struct.Struct("<d")
FRAMES_AT = 16
"""Offset in the page: the moment of the last frame of another host, by wire."""
_FOR_WIRE = frozenset({"answer", "probe", "solicit"})


class Pulse:
    """Everything the process has. `run` returns its exit status."""

    def __init__(self, work: Channel, wire: Channel, lease: mmap.mmap) -> None:
        self._channels = {"work": work, "wire": wire}
        self._channel_of = {work.fileno(): "work", wire.fileno(): "wire"}
        self._lease = lease
        self._leased = 0.0
        self._frames = FRAMES_AT if len(lease) >= FRAMES_AT + _LEASE.size else None
        self._machine: Heartbeat | None = None
        self._settings: Settings | None = None
        self._segments: dict[int, Segment] = {LOOPBACK.ifindex: LOOPBACK}
        self._sockets: dict[int, SegmentSocket] = {}
        self._by_fd: dict[int, tuple[SegmentSocket, socket.socket]] = {}
        self._unopened: dict[int, str] = {}
        self._inbox: deque[Message] = deque()
        self._poll = select.poll()
        self._events: dict[str, int] = {}
        self._leaving = False
        self._second_at = 0.0
        self._late_max = 0.0
        self._asleep = _asleep()
        self._fresh_after = 0.0

    def run(self) -> int:
        for name in list(self._channels):
            self._watch(name)
        try:
            while not self._over():
                due = self._machine.next_timeout() if self._machine is not None else None
                self._turn(self._poll.poll(self._patience(due)), due)
        finally:
            self._write_lease(0.0)
        return 0

    # One turn of the loop

    def _patience(self, due: float | None) -> float | None:
        """Milliseconds until something is to be done without any event."""
        if self._inbox:
            return 0.0
        if self._machine is None:
            return None
        wake_at = self._second_at if due is None or due > self._second_at else due
        return max(0.0, wake_at - time.monotonic()) * 1000

    def _turn(self, events: list[tuple[int, int]], due: float | None) -> None:
        now = time.monotonic()
        machine = self._machine
        is_due = due is not None and now >= due
        if machine is not None and due is not None:
            self._notice_gap(machine, now, due)
        if is_due:
            for segment, sock in self._by_fd.values():
                self._receive(segment, sock, most=DATAGRAMS_A_TURN)
        for fd, _ in events:
            if fd in self._by_fd:
                if not is_due:
                    # One by one: there is seldom a second one, and poll says so if there is.
                    self._receive(*self._by_fd[fd], most=1)
            elif (name := self._channel_of.get(fd)) is not None:
                self._hear(name, self._channels[name])
        if self._inbox:
            self._obey_some()
        if machine is None:
            return
        if is_due:
            if self._frames is not None and (seen_at := _LEASE.unpack_from(self._lease, self._frames)[0]) > 0.0:
                machine.frames_seen(seen_at)
            machine.handle_timeout(now)
            self._carry_out(machine)
        if now >= self._second_at:
            self._each_second(machine, now)

    def _notice_gap(self, machine: Heartbeat, now: float, due: float) -> None:
        """A turn that comes more than an interval late: this process, or the whole machine, was stopped."""
        asleep = _asleep()
        slept, self._asleep = asleep - self._asleep, asleep
        late = max(now - due, 0.0)
        self._late_max = max(self._late_max, late)
        gap = late + max(slept, 0.0)
        if gap > machine.settings.interval:
            self._fresh_after = time.time() - machine.settings.detection
            machine.woke(now, gap)
            self._carry_out(machine)

    def _receive(self, segment: SegmentSocket, sock: socket.socket, *, most: int) -> None:
        machine = self._machine
        if machine is None:
            return
        for _ in range(most):
            datagram = segment.receive(sock)
            if datagram is None:
                return
            if datagram.hop_limit != HOP_LIMIT:
                machine.counters["rx_hop_limit"] += 1
            elif 0.0 < datagram.at_unix < self._fresh_after:
                machine.counters["rx_stale"] += 1
            else:
                machine.received(datagram.payload, segment.ifindex, datagram.source, time.monotonic())
                self._carry_out(machine)

    def _carry_out(self, machine: Heartbeat) -> None:
        outputs = machine.outputs()
        if not outputs and machine.lease == self._leased:
            return
        if machine.lease != self._leased:
            self._write_lease(machine.lease)
        for output in outputs:
            if isinstance(output, Report):
                self._say("wire" if output.name in _FOR_WIRE else "work", {"op": output.name, **output.fields})
            elif output.to is not None and (segment := self._sockets.get(output.via)) is not None:
                failure = segment.send(output.payload, output.to)
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
        if self._unopened:
            self._use_segments()

    def _write_lease(self, until: float) -> None:
        self._leased = until
        _LEASE.pack_into(self._lease, 0, until)

    # Channels

    def _watch(self, name: str) -> None:
        channel = self._channels[name]
        wanted = select.POLLIN | (select.POLLOUT if channel.wants_write else 0)
        if self._events.get(name) != wanted:
            self._events[name] = wanted
            self._poll.register(channel.fileno(), wanted)

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
        handler = _WORK_SAYS.get(message.get("op", ""))
        if handler is None or (self._machine is None and handler is not Pulse._setup):
            return
        try:
            handler(self, message)
        except (KeyError, TypeError, ValueError) as error:
            self._note("bad_message", message_op=message.get("op"), error=repr(error))
        if self._machine is not None:
            self._carry_out(self._machine)

    def _setup(self, message: Message) -> None:
        if self._machine is not None:
            return
        interval = float(message["interval"])
        missing: dict[str, str] = {}
        if message.get("realtime", True):
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
        keys = tuple((int(key_id), bytes.fromhex(secret)) for key_id, secret in message.get("keys", ()))
        if not keys:
            self._note("unauthenticated", advice="anyone on the segment can speak as a member; set a key")
        self._settings = Settings(
            cluster=message["cluster"],
            node=message["node"],
            incarnation=int(message["incarnation"]) % 2**64,
            interval=interval,
            multiplier=int(message["multiplier"]),
            port=int(message["port"]),
            group4=message["group4"],
            group6=message["group6"],
            keys=keys,
            observer=message.get("role") == "observer",
        )
        self._machine = Heartbeat(self._settings, unix_offset=time.time() - time.monotonic())
        self._second_at = time.monotonic() + _SECOND

    def _on_segments(self, message: Message) -> None:
        self._segments = {
            int(entry["ifindex"]): Segment(
                ifindex=int(entry["ifindex"]),
                name=entry["name"],
                address=entry["address"],
                usable=bool(entry["usable"]),
                mac=entry.get("mac", ""),
                tag=entry.get("tag", ""),
            )
            for entry in message["segments"]
        }
        self._segments[LOOPBACK.ifindex] = LOOPBACK
        self._use_segments()

    def _use_segments(self) -> None:
        """Sockets for the usable segments and no others; one that cannot be opened is tried again each second."""
        assert self._machine is not None
        assert self._settings is not None
        usable = {ifindex: segment for ifindex, segment in self._segments.items() if segment.usable}
        for ifindex, opened in list(self._sockets.items()):
            if ifindex not in usable or usable[ifindex].address != opened.address:
                self._close_segment(ifindex)
        failures: dict[int, str] = {}
        for ifindex, segment in usable.items():
            if ifindex in self._sockets:
                continue
            try:
                self._open_segment(segment, self._settings)
            except OSError as error:
                failures[ifindex] = str(error)
                if self._unopened.get(ifindex) != str(error) and not segment.local:
                    self._note("segment_refused", interface=segment.name, address=segment.address, reason=str(error))
        self._unopened = failures
        open_now = [segment for ifindex, segment in usable.items() if ifindex in self._sockets]
        self._machine.set_segments(open_now, time.monotonic())
        self._carry_out(self._machine)

    def _open_segment(self, segment: Segment, settings: Settings) -> None:
        opened = SegmentSocket(
            ifindex=segment.ifindex,
            name=segment.name,
            address=segment.address,
            port=settings.port,
            group4=settings.group4,
            group6=settings.group6,
            grouped=not segment.local,
        )
        self._sockets[segment.ifindex] = opened
        for sock in opened.sockets:
            self._by_fd[sock.fileno()] = opened, sock
            self._poll.register(sock.fileno(), select.POLLIN)

    def _close_segment(self, ifindex: int) -> None:
        closed = self._sockets.pop(ifindex)
        for sock in closed.sockets:
            self._poll.unregister(sock.fileno())
            del self._by_fd[sock.fileno()]
        closed.close()

    def _on_peers(self, message: Message) -> None:
        peers = [(entry["name"], entry["addresses"]) for entry in message["peers"]]
        self._told().set_peers(peers, time.monotonic())

    def _on_say(self, message: Message) -> None:
        self._told().say(
            [Station(_mac(mac), interface) for mac, interface in message["stations"]],
            [Sighting(address, _mac(mac), interface) for address, mac, interface in message["conflicts"]],
        )

    def _on_prepare(self, message: Message) -> None:
        self._told().prepare(
            int(message["generation"]),
            [(address, int(allocation), heirs) for address, allocation, heirs in message["set"]],
            message["drop"],
            bool(message["complete"]),
            time.monotonic(),
        )

    def _on_claim(self, message: Message) -> None:
        over = bool(message.get("over", False))
        self._told().claim(message["addresses"], message["cause"], time.monotonic(), over)

    def _on_release(self, message: Message) -> None:
        self._told().release(message["addresses"], message["cause"], time.monotonic())

    def _on_restore(self, message: Message) -> None:
        self._told().restore([(address, int(epoch)) for address, epoch in message["epochs"]])

    def _on_orders(self, message: Message) -> None:
        self._told().order([order_of(row) for row in message["set"]], time.monotonic())

    def _on_handover(self, _: Message) -> None:
        self._told().hand_over(time.monotonic())

    def _on_leave(self, _: Message) -> None:
        self.leave()

    def _told(self) -> Heartbeat:
        assert self._machine is not None
        return self._machine

    def _note(self, name: str, **fields: Any) -> None:
        self._say("work", {"op": "note", "name": name, "fields": fields})


_WORK_SAYS: dict[str, Callable[[Pulse, Message], None]] = {
    "setup": Pulse._setup,
    "segments": Pulse._on_segments,
    "peers": Pulse._on_peers,
    "say": Pulse._on_say,
    "prepare": Pulse._on_prepare,
    "claim": Pulse._on_claim,
    "release": Pulse._on_release,
    "restore": Pulse._on_restore,
    "orders": Pulse._on_orders,
    "handover": Pulse._on_handover,
    "leave": Pulse._on_leave,
}


def _mac(text: str) -> bytes:
    """Six bytes; all zero for no MAC."""
    return bytes.fromhex(text.replace(":", "")) or bytes(6)


def _asleep() -> float:
    """Seconds this machine spent suspended, which its monotonic clock does not count."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def main(argument: str) -> int:
    try:
        wanted = json.loads(argument)
        work, wire, lease = (int(wanted[name]) for name in ("work", "wire", "lease"))
        to_work, to_wire = Channel(socket.socket(fileno=work)), Channel(socket.socket(fileno=wire))
        page = mmap.mmap(lease, os.fstat(lease).st_size)
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
