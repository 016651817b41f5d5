"""The process that speaks ARP and NDP: answers out of a table, announces, probes, and notices strangers.

`python -m lbctl.speaker.wire '{"work": FD, "pulse": FD, "lease": FD}'`, started by the work process; the messages are
in docs/processes.md. One loop around `poll`, in this order: what pulse says (it takes rights away), the frames, what
work says, then one slice each of whatever is long (a big table, a burst of announcements, group joins), so that no
answer ever waits for more than a slice. It ends when either channel closes, and only then: SIGINT and SIGTERM reach the
whole process group, and an orderly end is for work to conduct.
"""

from __future__ import annotations

import contextlib
import gc
import json
import mmap
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from lbctl.net.channel import Channel, ChannelClosed, Message
from lbctl.net.icmpv6 import SolicitedNodeGroups
from lbctl.net.packed_address import packed
from lbctl.net.packet_socket import PacketSocket, PacketSockets, Part
from lbctl.net.realtime import lock_memory, use_fifo
from lbctl.protocol.l2.conflict import DEFENDED, Conflict
from lbctl.protocol.l2.ethernet import mac_from_text
from lbctl.protocol.l2.gratuitous import ANNOUNCED, Gratuitous
from lbctl.protocol.l2.prober import QUICK_LISTEN, QUICK_PROBES, QUICK_RATE, Prober
from lbctl.protocol.l2.responder import Responder
from lbctl.protocol.l2.solicitor import Solicitor
from lbctl.protocol.l2.table import Table
from lbctl.protocol.machine import Report, Send
from lbctl.speaker.shared_page import SIZE, WireStamps, write_pid
from lbctl.speaker.wire_ports import WirePorts
from lbctl.speaker.wire_reports import WireReports
from lbctl.speaker.wire_rights import WireRights

# How much of anything long is done before the sockets are looked at again: together about a millisecond.
ANSWERS_A_TURN = 64
ANNOUNCEMENTS_A_TURN = 32
JOINS_A_TURN = 4
REALTIME_PRIORITY = 1
MOST_ASLEEP = 0.05
"""Seconds until the loop turns without any event: pulse sees by its stamp that this process lives."""
KERNEL_TIME = 2.0
"""Seconds that a call may take which waits for a lock of the kernel, before pulse begins to wonder."""
_STOPPED = 3 * MOST_ASLEEP
"""Seconds without a turn after which what waits in the sockets may be old, and says nothing of now."""
_SEND_RETRY = 0.001
_SEND_TRIES = 100
_COUNTERS_EVERY = 1.0
_RETRY_EVERY = 5.0
_BEHIND_TIME = 1.0
"""Seconds for which no address is found clean because frames still wait to be read; longer is a flood."""


class Wire:
    """Everything the process has. `run` returns when a channel closed."""

    def __init__(self, work: Channel, pulse: Channel, page: mmap.mmap) -> None:
        self._work = work
        self._pulse = pulse
        self._stamps = WireStamps(page)
        self._table = Table()
        self._responder = Responder(self._table)
        self._gratuitous = Gratuitous(self._table, jitter=_jitter, at_once=ANNOUNCEMENTS_A_TURN)
        self._conflict = Conflict(self._table)
        self._prober = Prober()
        # The second one asks for pulse, before it takes something without a majority.
        self._asker = Prober(rate=QUICK_RATE, probes=QUICK_PROBES, listen=QUICK_LISTEN, lowest_asker_wins=True)
        self._probers = (self._prober, self._asker)
        self._solicitor = Solicitor()
        self._groups = SolicitedNodeGroups()
        self._rights = WireRights(self._table, self._gratuitous, self._conflict, self._groups)
        self._reports = WireReports(work, pulse)
        self._poll = select.poll()
        self._sockets = PacketSockets(self._poll)
        self._ports = WirePorts(self._sockets, self._groups, self._rights, self._reports)
        self._burst: deque[Send | Report] = deque()
        self._tries = 0
        self._turned_at = 0.0
        self._stale_since: float | None = None
        self._behind_since: float | None = None
        self._lost = dict.fromkeys(("queue_full", "receive_failed", "bad_messages"), 0)
        self._counters_at = 0.0
        self._retry_at = 0.0

    def note(self, name: str, **fields: Any) -> None:
        """For the log of the work process."""
        self._reports.note(name, **fields)

    def run(self) -> None:
        channels = (self._work, self._pulse)
        events = dict.fromkeys(channels, 0)
        try:
            while True:
                for channel in channels:
                    wanted = select.POLLIN | (select.POLLOUT if channel.wants_write else 0)
                    if wanted != events[channel]:
                        events[channel] = wanted
                        self._poll.register(channel, wanted)
                wait = self._wait()
                began = time.monotonic()
                self._turn(dict(self._poll.poll(wait)), began)
        except ChannelClosed:
            return
        finally:
            self._close()

    # One turn of the loop

    def _wait(self) -> float:
        """Milliseconds until something is due without any event."""
        if self._rights.pending or self._groups.pending:
            return 0
        now = time.monotonic()
        wake_at = min(self._counters_at, self._retry_at, now + MOST_ASLEEP)
        if self._burst:
            wake_at = min(wake_at, now + _SEND_RETRY)
        elif (announce_at := self._gratuitous.next_timeout()) is not None:
            wake_at = min(wake_at, announce_at)
        for machine in (*self._probers, self._conflict):
            if (at := machine.next_timeout()) is not None:
                wake_at = min(wake_at, at)
        return max(0.0, wake_at - now) * 1000

    def _turn(self, events: dict[int, int], began: float) -> None:
        """`began` is when the sockets were looked at."""
        now = time.monotonic()
        if now - self._turned_at > _STOPPED:
            self._stale_since = now
        self._turned_at = now
        self._stamps.turned(now)
        pulse, work = self._pulse.fileno(), self._work.fileno()
        if events.get(pulse, 0) & ~select.POLLOUT:
            for message in self._pulse.receive():
                self._take(message, self._take_from_pulse)
        behind = False
        found = [sock for fd in events if (sock := self._sockets.by_fd.get(fd)) is not None]
        # Who asks is answered before anything that others say is weighed.
        for sock in sorted(found, key=_is_of_claims):
            behind = self._answer(sock, now) or behind
        self._note_reading(began, behind)
        if events.get(work, 0) & ~select.POLLOUT:
            for message in self._work.receive():
                self._take(message, self._take_from_work)
        self._carry_out()
        self._watch_conflicts()
        self._announce()
        self._probe()
        if self._groups.pending:
            with self._kernel_may_wait():
                self._groups.step(JOINS_A_TURN)
        now = time.monotonic()
        if now >= self._retry_at:
            self._retry_at = now + _RETRY_EVERY
            self._retry()
        if now >= self._counters_at:
            self._counters_at = now + _COUNTERS_EVERY
            self._count()
        self._reports.send()

    @contextlib.contextmanager
    def _kernel_may_wait(self) -> Iterator[None]:
        """Opening and closing packet sockets and joining groups take locks that others may hold for long: whoever adds
        interfaces or removes namespaces. That is no hanging, and a takeover would cost more than the wait."""
        self._stamps.turned(time.monotonic() + KERNEL_TIME)
        try:
            yield
        finally:
            self._stamps.turned(time.monotonic())

    # What pulse and work say

    def _take(self, message: Message, take: Callable[[str, Message], None]) -> None:
        """A message of ours that we cannot read costs itself, not every address of the node."""
        op = str(message.get("op"))
        try:
            take(op, message)
        except (KeyError, TypeError, ValueError) as error:
            self._refuse(op, error)

    def _refuse(self, op: str, error: Exception) -> None:
        self._lost["bad_messages"] += 1
        self.note("bad_message", op=op, error=str(error))

    def _take_from_pulse(self, op: str, message: Message) -> None:
        match op:
            case "answer":
                self._rights.take_answer(message, time.monotonic())
            case "probe":
                for text in message.get("drop", ()):
                    self._asker.stop(packed(text))
                    self._reports.forget(text, found=True)
                for text in message.get("set", ()):
                    self._asker.start(packed(text), self._rights.allowed(text))
            case "solicit":
                self._solicitor.ask(time.monotonic())
                self._carry(self._solicitor.outputs())

    def _take_from_work(self, op: str, message: Message) -> None:
        match op:
            case "table":
                self._rights.take_table(message)
            case "interfaces":
                self._use_interfaces(message["interfaces"])
            case "repeat":
                self._gratuitous.repeat([packed(text) for text in message["addresses"]])
            case "pace":
                rate = message["rate"]
                self._gratuitous.set_pace([packed(text) for text in message["addresses"]], rate and float(rate))
            case "friends":
                macs = [mac_from_text(text) for text in message["macs"]]
                self._conflict.set_friends(macs)
                self._prober.set_friends(macs)
            case "probe":
                for text in message["drop"]:
                    self._prober.stop(packed(text))
                    self._reports.forget(text, found=False)
                for text, where in message["set"]:
                    self._prober.start(packed(text), self._rights.places(where))

    def _carry_out(self) -> None:
        if self._rights.pending:
            for address in self._rights.carry_out(time.monotonic(), self._refuse):
                if self._asker.wants(address):
                    self._asker.start(address, self._table.allowed.get(address, frozenset()))

    # Interfaces

    def _use_interfaces(self, interfaces: list[Message] | None = None) -> None:
        with self._kernel_may_wait():
            relinked = self._ports.use(interfaces, time.monotonic())
        self._gratuitous.again(relinked)
        footings = self._ports.footings
        for prober in self._probers:
            prober.set_ports({ifindex: footing.mac for ifindex, footing in footings.items()})
        self._solicitor.set_footings(footings)
        self._stamps.use(footings)

    def _retry(self) -> None:
        """What the kernel refused: an interface that was just going, a group where IPv6 was off."""
        if self._ports.refused:
            self._use_interfaces()
        with self._kernel_may_wait():
            self._ports.retry_groups()

    # Frames

    def _answer(self, sock: PacketSocket, turned_at: float) -> bool:
        """Takes the frames of one turn; whether there may be more. What conflicts there are is looked at afterwards."""
        ifindex, own = sock.ifindex, self._table.macs
        responder = None if _is_of_claims(sock) else self._responder
        conflict = self._conflict
        probers = [prober for prober in self._probers if prober.pending]
        heard = False
        try:
            for _ in range(ANSWERS_A_TURN):
                frame = sock.receive()
                if frame is None:
                    return False
                now = self._now()
                if not heard and frame[6:12] not in own:
                    heard = True
                    self._solicitor.received(frame, ifindex, now)
                    if self._stale_since is None:
                        # Not the time of reading: who was stopped since then may have read something old.
                        self._stamps.heard(ifindex, turned_at)
                if responder is not None:
                    responder.received(frame, ifindex, now)
                    self._carry(responder.outputs())
                conflict.received(frame, ifindex, now)
                for prober in probers:
                    prober.received(frame, ifindex, now)
        except OSError:
            self._lost["receive_failed"] += 1  # the interface went down; work will say so
            return False
        return True

    def _carry(self, outputs: list[Send | Report]) -> None:
        for output in outputs:
            if isinstance(output, Report):
                self._report(output)
            elif not self._sockets.send(output.payload, output.via):
                self._lost["queue_full"] += 1

    def _now(self) -> float:
        """The clock, with the lease brought up to date first: it may not look longer than it is."""
        self._table.lease_at = self._stamps.lease_at()
        return time.monotonic()

    def _watch_conflicts(self) -> None:
        at = self._conflict.next_timeout()
        if at is not None and at <= (now := self._now()):
            self._conflict.handle_timeout(now)
        self._carry(self._conflict.outputs())

    def _announce(self) -> None:
        if not self._burst:
            announce_at = self._gratuitous.next_timeout()
            if announce_at is None or announce_at > time.monotonic():
                return
            self._gratuitous.handle_timeout(self._now())
            self._burst.extend(self._gratuitous.outputs())
        while self._burst:
            output = self._burst[0]
            if isinstance(output, Report):
                self._report(output)
            elif self._gratuitous.is_true(output):
                # The lease is looked at again for each frame: a burst may be long, or wait for a full queue.
                if self._now() >= self._table.lease_at:
                    return
                if not self._sockets.send(output.payload, output.via):
                    if self._tries < _SEND_TRIES:
                        self._tries += 1
                        return
                    self._lost["queue_full"] += 1
            self._tries = 0
            self._burst.popleft()

    def _note_reading(self, began: float, behind: bool) -> None:
        """Up to when it is known what arrived. This process may have slept, and a socket hold more than one turn."""
        if not behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = began
        if not behind or (self._stale_since is not None and began - self._stale_since > _BEHIND_TIME):
            self._stale_since = None
        if self._behind_since is None or began - self._behind_since > _BEHIND_TIME:
            for prober in self._probers:
                prober.heard_until = began

    def _probe(self) -> None:
        for prober in self._probers:
            probe_at = prober.next_timeout()
            if probe_at is not None and probe_at <= (now := time.monotonic()):
                prober.handle_timeout(now)
            for output in prober.outputs():
                if isinstance(output, Send):
                    self._carry([output])
                    continue
                tell = self._reports.found if prober is self._asker else self._reports.probed
                tell(output.fields["address"], output.fields.get("mac"), output.fields.get("ifindex"))

    # What is told

    def _report(self, report: Report) -> None:
        fields = report.fields
        if report.name == ANNOUNCED:
            answering = self._table.answering
            self._reports.announced((address for address in fields["addresses"] if address in answering), time.time())
            return
        if report.name == DEFENDED:
            self._gratuitous.once((fields["address"], fields["ifindex"]))
        self._reports.saw(report, time.monotonic(), time.time())

    def _count(self) -> None:
        counters = {
            "announcements": self._gratuitous.sent,
            "probes": sum(prober.sent for prober in self._probers),
            "probe_conflicts": sum(prober.conflicts for prober in self._probers),
            "solicitations": self._solicitor.sent,
            "answering": len(self._table.answering),
            "groups_joined": self._groups.joined,
            "kernel_drops": self._sockets.count_drops(),
            "send_failed": self._sockets.send_failed,
            **self._lost,
        }
        self._reports.count(self._responder, self._conflict, counters)

    def _close(self) -> None:
        self._sockets.close()
        self._groups.close()
        self._work.close()
        self._pulse.close()


def _is_of_claims(sock: PacketSocket) -> bool:
    return sock.part is Part.CLAIMS


def _jitter() -> float:
    return int.from_bytes(os.urandom(2), "big") / 65536


def main(argument: str) -> int:
    try:
        wanted = json.loads(argument)
        work, pulse, lease = (int(wanted[name]) for name in ("work", "pulse", "lease"))
        to_work, to_pulse = Channel(socket.socket(fileno=work)), Channel(socket.socket(fileno=pulse))
        page = mmap.mmap(lease, SIZE)
    except (ValueError, KeyError, TypeError, OSError) as error:
        print(f"wire: {error!r}: this process is started by `lbctl run-speaker`, not by hand", file=sys.stderr)  # noqa: T201
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write_pid(page, os.getpid())
    wire = Wire(to_work, to_pulse, page)
    if (reason := use_fifo(REALTIME_PRIORITY)) is not None:
        wire.note("no_realtime", reason=reason)
    if (reason := lock_memory()) is not None:
        wire.note("memory_not_locked", reason=reason)
    # Nothing here makes reference cycles, and a collection among 10,000 addresses would be felt in the answers.
    gc.freeze()
    gc.disable()
    wire.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) == 2 else ""))
