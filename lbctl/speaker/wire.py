"""The process that speaks ARP and NDP: answers out of a table, announces, probes, and notices strangers.

`python -m lbctl.speaker.wire '{"work": FD, "pulse": FD, "lease": FD}'`, started by the work process; the messages are
in docs/processes.md. One loop around `poll`, in this order: what pulse says (it takes rights away), the frames, what
work says, then one slice each of whatever is long (a big table, a burst of announcements, group joins), so that no
answer ever waits for more than a slice. It ends when either channel closes, and only then: SIGINT and SIGTERM reach the
whole process group, and an orderly end is for work to conduct.
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
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from lbctl.net.channel import Channel, ChannelClosed, Message
from lbctl.net.icmpv6 import SolicitedNodeGroups
from lbctl.net.packet_socket import PacketSocket, PacketSockets
from lbctl.net.realtime import lock_memory, use_fifo
from lbctl.protocol.l2.conflict import FOREIGN, Conflict
from lbctl.protocol.l2.ethernet import mac_from_text, mac_to_text
from lbctl.protocol.l2.gratuitous import ANNOUNCED, Gratuitous
from lbctl.protocol.l2.prober import CLEAN, CONFLICT, Prober
from lbctl.protocol.l2.responder import Responder
from lbctl.protocol.l2.table import Table
from lbctl.protocol.machine import Report, Send

# How much of anything long is done before the sockets are looked at again: together about a millisecond.
ANSWERS_A_TURN = 64
ANNOUNCEMENTS_A_TURN = 32
CHANGES_A_TURN = 32
JOINS_A_TURN = 4
REALTIME_PRIORITY = 1
_SEND_RETRY = 0.001
_SEND_TRIES = 100
_COUNTERS_EVERY = 1.0
_RETRY_EVERY = 5.0
_NOTES_KEPT = 64
_BEHIND_TIME = 1.0
"""Seconds for which no address is found clean because frames still wait to be read; longer is a flood."""
_LEASE = struct.Struct("<d")


class Wire:
    """Everything the process has. `run` returns when a channel closed."""

    def __init__(self, work: Channel, pulse: Channel, lease: mmap.mmap) -> None:
        self._work = work
        self._pulse = pulse
        self._lease = lease
        self._table = Table()
        self._responder = Responder(self._table)
        self._gratuitous = Gratuitous(self._table, jitter=_jitter, at_once=ANNOUNCEMENTS_A_TURN)
        self._conflict = Conflict(self._table)
        self._prober = Prober()
        self._groups = SolicitedNodeGroups()
        self._poll = select.poll()
        self._interfaces: list[Message] = []
        self._sockets = PacketSockets(self._poll)
        self._refused: dict[int, str] = {}
        self._groupless: dict[int, str] = {}
        self._to_claim: dict[str, None] = {}
        self._to_allow: dict[str, Sequence[int]] = {}
        # One set for all addresses that are allowed on the same interfaces.
        self._places: Callable[[tuple[int, ...]], frozenset[int]] = lru_cache(maxsize=256)(frozenset)
        self._burst: deque[Send | Report] = deque()
        self._tries = 0
        self._announced: dict[str, float] = {}
        self._probed: dict[str, list[Any]] = {}
        self._behind_since: float | None = None
        self._notes: deque[Message] = deque(maxlen=_NOTES_KEPT)
        self._lost = dict.fromkeys(("queue_full", "receive_failed", "reports_suppressed", "bad_messages"), 0)
        self._counters_at = 0.0
        self._retry_at = 0.0

    def note(self, name: str, **fields: Any) -> None:
        """For the log of the work process. The oldest are lost when it does not read for long."""
        self._notes.append({"op": "note", "name": name, "fields": fields})

    def run(self) -> None:
        self._poll.register(self._pulse, select.POLLIN)
        work_events = select.POLLIN
        self._poll.register(self._work, work_events)
        try:
            while True:
                wanted = select.POLLIN | (select.POLLOUT if self._work.wants_write else 0)
                if wanted != work_events:
                    work_events = wanted
                    self._poll.modify(self._work, work_events)
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
        if self._to_claim or self._to_allow or self._groups.pending:
            return 0
        now = time.monotonic()
        wake_at = min(self._counters_at, self._retry_at)
        if self._burst:
            wake_at = min(wake_at, now + _SEND_RETRY)
        elif (announce_at := self._gratuitous.next_timeout()) is not None:
            wake_at = min(wake_at, announce_at)
        if (probe_at := self._prober.next_timeout()) is not None:
            wake_at = min(wake_at, probe_at)
        return max(0.0, wake_at - now) * 1000

    def _turn(self, events: dict[int, int], began: float) -> None:
        """`began` is when the sockets were looked at."""
        pulse, work = self._pulse.fileno(), self._work.fileno()
        if pulse in events:
            for message in self._pulse.receive():
                self._take(message)
        behind = False
        for fd in events:
            if (sock := self._sockets.by_fd.get(fd)) is not None:
                behind = self._answer(sock) or behind
        self._note_reading(began, behind)
        if events.get(work, 0) & ~select.POLLOUT:
            for message in self._work.receive():
                self._take(message)
        self._carry_out()
        self._announce()
        self._probe()
        if self._groups.pending:
            self._groups.step(JOINS_A_TURN)
        now = time.monotonic()
        if now >= self._retry_at:
            self._retry_at = now + _RETRY_EVERY
            self._retry()
        if now >= self._counters_at:
            self._counters_at = now + _COUNTERS_EVERY
            self._count()
        self._tell_work()

    # What pulse and work say

    def _take(self, message: Message) -> None:
        """A message of ours that we cannot read costs itself, not every address of the node."""
        try:
            match message.get("op"):
                case "answer":
                    self._take_answer(message)
                case "table":
                    self._take_table(message)
                case "interfaces":
                    self._interfaces = message["interfaces"]
                    self._use_interfaces()
                case "repeat":
                    self._gratuitous.repeat([_packed(text) for text in message["addresses"]])
                case "friends":
                    macs = [mac_from_text(text) for text in message["macs"]]
                    self._conflict.set_friends(macs)
                    self._prober.set_friends(macs)
                case "probe":
                    for text in message["drop"]:
                        self._prober.stop(_packed(text))
                        self._probed.pop(text, None)
                    for text, where in message["set"]:
                        self._prober.start(_packed(text), self._places(tuple(where)))
        except (KeyError, TypeError, ValueError) as error:
            self._bad_message(str(message.get("op")), error)

    def _bad_message(self, op: str, error: Exception) -> None:
        self._lost["bad_messages"] += 1
        self.note("bad_message", op=op, error=str(error))

    def _take_answer(self, message: Message) -> None:
        # A right that is taken away is gone before the next frame is looked at; one that is given can wait its turn.
        for text in message.get("drop", ()):
            self._to_claim.pop(text, None)
            self._gratuitous.stop(self._table.release(_packed(text)).stopped)
        self._to_claim.update(dict.fromkeys(message.get("set", ())))

    def _take_table(self, message: Message) -> None:
        if message.get("complete"):
            self._to_allow = dict.fromkeys(map(_text, self._table.allowed), ())
        self._to_allow.update(dict.fromkeys(message.get("drop", ()), ()))
        self._to_allow.update(message.get("set", ()))

    def _carry_out(self) -> None:
        """A few of the changes that are still to be made."""
        for text in list(islice(self._to_claim, CHANGES_A_TURN)):
            del self._to_claim[text]
            try:
                self._gratuitous.start(self._table.claim(_packed(text)).started)
            except ValueError as error:
                self._bad_message("answer", error)
        for text in list(islice(self._to_allow, CHANGES_A_TURN)):
            where = self._to_allow.pop(text)
            try:
                self._allow(_packed(text), self._places(tuple(where)))
            except (TypeError, ValueError) as error:
                self._bad_message("table", error)

    def _allow(self, address: bytes, where: frozenset[int]) -> None:
        change = self._table.allow(address, where)
        self._gratuitous.stop(change.stopped)
        self._gratuitous.start(change.started)
        if len(address) == 16:
            self._groups.want(address, where & self._sockets.interfaces)

    # Interfaces

    def _use_interfaces(self) -> None:
        """Sockets for the usable interfaces and for no other; then the table and the groups follow."""
        macs: dict[int, bytes] = {}
        names: dict[int, str] = {}
        refused: dict[int, str] = {}
        for interface in self._interfaces:
            ifindex = interface["ifindex"]
            names[ifindex] = interface["name"]
            if interface["usable"]:
                try:
                    macs[ifindex] = mac_from_text(interface["mac"])
                except ValueError as error:
                    refused[ifindex] = str(error)
        for ifindex, reason in self._sockets.use(macs).items():
            del macs[ifindex]
            refused[ifindex] = reason
        for ifindex, reason in refused.items():
            if self._refused.get(ifindex) != reason:
                self.note("interface_refused", interface=names[ifindex], reason=reason)
        self._refused = refused
        same = self._table.ports.keys() == macs.keys()
        change = self._table.set_ports(macs)
        self._prober.set_ports(macs)
        self._gratuitous.stop(change.stopped)
        self._gratuitous.start(change.started)
        if not same:
            for address, where in self._table.allowed.items():
                if len(address) == 16:
                    self._groups.want(address, where & macs.keys())

    def _retry(self) -> None:
        """What the kernel refused: an interface that was just going, a group where IPv6 was off."""
        if self._refused:
            self._use_interfaces()
        if self._groups.refused:
            for ifindex, reason in self._groups.refused.items():
                if self._groupless.get(ifindex) != reason:
                    self._sockets.all_multicast(ifindex)
                    self.note("groups_refused", ifindex=ifindex, reason=reason)
            self._groupless = dict(self._groups.refused)
            self._groups.retry()

    # Frames

    def _answer(self, sock: PacketSocket) -> bool:
        """Takes the frames of one turn; whether there may be more."""
        ifindex, prober = sock.ifindex, (self._prober,) if self._prober.pending else ()
        machines = (self._responder, self._conflict, *prober)
        try:
            for _ in range(ANSWERS_A_TURN):
                frame = sock.receive()
                if frame is None:
                    return False
                now = self._now()
                for machine in machines:
                    machine.received(frame, ifindex, now)
                    for output in machine.outputs():
                        if isinstance(output, Report):
                            self._report(output)
                        elif not self._sockets.send(output.payload, output.via):
                            self._lost["queue_full"] += 1
        except OSError:
            self._lost["receive_failed"] += 1  # the interface went down; work will say so
            return False
        return True

    def _now(self) -> float:
        """The clock, with the lease brought up to date first: it may not look longer than it is."""
        lease: float = _LEASE.unpack_from(self._lease)[0]
        self._table.lease_at = lease
        return time.monotonic()

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
        if self._behind_since is None or began - self._behind_since > _BEHIND_TIME:
            self._prober.heard_until = began

    def _probe(self) -> None:
        probe_at = self._prober.next_timeout()
        if probe_at is not None and probe_at <= (now := time.monotonic()):
            self._prober.handle_timeout(now)
        for output in self._prober.outputs():
            if isinstance(output, Report):
                self._report(output)
            elif not self._sockets.send(output.payload, output.via):
                self._lost["queue_full"] += 1

    # What work is told

    def _report(self, report: Report) -> None:
        if report.name == ANNOUNCED:
            at = time.time()
            answering = self._table.answering
            self._announced.update((_text(key), at) for key in report.fields["addresses"] if key in answering)
        elif report.name == CLEAN:
            text = _text(report.fields["address"])
            self._probed[text] = [text, None, None]
        elif report.name == CONFLICT:
            text = _text(report.fields["address"])
            self._probed[text] = [text, mac_to_text(report.fields["mac"]), report.fields["ifindex"]]
        elif report.name == FOREIGN:
            if self._work.wants_write:
                self._lost["reports_suppressed"] += 1
                return
            fields = report.fields
            self._work.send(
                {
                    "op": "foreign",
                    "address": _text(fields["address"]),
                    "mac": mac_to_text(fields["mac"]),
                    "ifindex": fields["ifindex"],
                    "at_unix": time.time(),
                }
            )

    def _tell_work(self) -> None:
        """Passes on what waits, as long as work reads: nothing grows here because work is stuck."""
        if self._work.wants_write:
            self._work.flush()
        if self._announced and not self._work.wants_write:
            by_time: dict[float, list[str]] = {}
            for address, at in self._announced.items():
                by_time.setdefault(at, []).append(address)
            self._announced.clear()
            for at, addresses in by_time.items():
                self._work.send({"op": "announced", "addresses": addresses, "at_unix": at})
        if self._probed and not self._work.wants_write:
            results = list(self._probed.values())
            self._probed.clear()
            self._work.send({"op": "probed", "results": results})
        while self._notes and not self._work.wants_write:
            self._work.send(self._notes.popleft())

    def _count(self) -> None:
        if self._work.wants_write:
            return
        responder, conflict = self._responder, self._conflict
        counters = {
            "arp_answers": responder.arp_answers,
            "ndp_answers": responder.ndp_answers,
            "announcements": self._gratuitous.sent,
            "foreign": conflict.foreign,
            "foreign_suppressed": conflict.suppressed,
            "defences": conflict.defences,
            "probes": self._prober.sent,
            "probe_conflicts": self._prober.conflicts,
            "answering": len(self._table.answering),
            "groups_joined": self._groups.joined,
            "kernel_drops": self._sockets.count_drops(),
            "send_failed": self._sockets.send_failed,
            **self._lost,
        }
        counters.update((f"dropped_{reason.value}", count) for reason, count in responder.dropped.items())
        self._work.send({"op": "counters", "counters": counters})

    def _close(self) -> None:
        self._sockets.close()
        self._groups.close()
        self._work.close()
        self._pulse.close()


def _jitter() -> float:
    return int.from_bytes(os.urandom(2), "big") / 65536


def _packed(text: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:
        raise ValueError(f"{text!r} is no address") from None


def _text(address: bytes) -> str:
    """The canonical text (RFC 5952), with an embedded IPv4 address in hexadecimal as `ipaddress` writes it."""
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address)
    text = socket.inet_ntop(socket.AF_INET6, address)
    if "." not in text:
        return text
    head = text.rpartition(":")[0]
    high, low = struct.unpack("!HH", address[12:])
    return f"{head}:{high:x}:{low:x}"


def main(argument: str) -> int:
    try:
        wanted = json.loads(argument)
        work, pulse, lease = (int(wanted[name]) for name in ("work", "pulse", "lease"))
        to_work, to_pulse = Channel(socket.socket(fileno=work)), Channel(socket.socket(fileno=pulse))
        page = mmap.mmap(lease, _LEASE.size, prot=mmap.PROT_READ)
    except (ValueError, KeyError, TypeError, OSError) as error:
        print(f"wire: {error!r}: this process is started by `lbctl run-speaker`, not by hand", file=sys.stderr)  # noqa: T201
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
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
