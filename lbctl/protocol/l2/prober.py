"""Asks whether anybody has an address before it is used first (RFC 5227 section 2.1.1, RFC 4862 section 5.4).

Three probes 20 ms apart, then 100 ms of listening, on each interface where the address will be announced: what RFC 5227
spreads over seconds, for the wired segments that speakers stand on, where a host answers within milliseconds. A probe
claims nothing: its sender address is 0.0.0.0 or ::, so no cache learns from it.

Who speaks for the address meanwhile (as sender, or as another prober) has it, unless it is one of us ("friends"): two
speakers whose worlds differ in age may both find an address unused, and which of them takes it is settled by claims.

A second use asks before a takeover without a majority, where heartbeats alone may have failed: two probes and 20 ms of
listening (QUICK), and whoever answers has it, a speaker too. There two speakers that cannot hear each other's claims
may ask at the same moment; so that not both give in, the probe of another counts only where its MAC is the lower one.

Probes are paced. Nobody waits for a first use as clients wait for a takeover, each probe is a broadcast that wakes
every host of the segment, and storm control counts broadcasts (docs/decisions).
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Mapping

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.drop import Drop
from lbctl.protocol.l2.ethernet import TYPE_ARP, TYPE_IPV6
from lbctl.protocol.machine import Report, Send

PROBES = 3
GAP = 0.02
"""Seconds from one probe of an address to the next."""
LISTEN = 0.1
"""Seconds of listening after the last probe."""
RATE = 1000.0
"""Frames a second, over all interfaces: 1,000 addresses take 3 s, and a thousandth of a gigabit's smallest frames."""
BURST = 0.01
"""Seconds that may be caught up on at once, because no loop wakes every millisecond."""

QUICK_PROBES = 2
QUICK_LISTEN = 0.02
QUICK_RATE = 10_000.0
"""Clients wait: a hundred addresses are asked for in 10 ms, a thousand in 100, each twice."""

CLEAN = "probe_clean"
CONFLICT = "probe_conflict"


_Said = tuple[bytes, bytes, bool]
"""An address, who speaks of it, and whether by a probe of its own."""


class _Run:
    """The probing of one address, begun."""

    __slots__ = ("sent", "serial", "where")

    def __init__(self, serial: int, where: tuple[int, ...]) -> None:
        self.serial = serial
        self.where = where
        self.sent = 0


class Prober:
    """Says Send for each probe, and for each address one Report: CLEAN {"address"}, or CONFLICT {"address", "mac",
    "ifindex"} with the MAC that has it.

    An address waits while none of its interfaces is usable. What was begun is finished first, so that of a thousand
    addresses the first are ready after 140 ms.
    """

    def __init__(
        self, *, rate: float = RATE, probes: int = PROBES, listen: float = LISTEN, lowest_asker_wins: bool = False
    ) -> None:
        self._frame_time = 1 / rate
        self._lowest_asker_wins = lowest_asker_wins
        self._probes = probes
        self._listen = listen
        self._ports: Mapping[int, bytes] = {}
        self._macs: frozenset[bytes] = frozenset()
        self._friends: frozenset[bytes] = frozenset()
        self._wanted: dict[bytes, frozenset[int]] = {}
        self._waiting: dict[bytes, None] = {}
        self._running: dict[bytes, _Run] = {}
        self._due: list[tuple[float, int, bytes]] = []
        self._ends: deque[tuple[float, int, bytes]] = deque()
        self._serial = 0
        self._paid_until = 0.0
        self._throttled_until = 0.0
        self._outputs: list[Send | Report] = []
        self.heard_until = math.inf
        """Up to when every frame that came in was handed in: no silence after it counts. For a shell that may lag."""
        self.sent = 0
        self.conflicts = 0

    @property
    def pending(self) -> int:
        """Addresses whose answer is still to come."""
        return len(self._wanted)

    def wants(self, address: bytes) -> bool:
        """Whether its answer is still to come."""
        return address in self._wanted

    def set_ports(self, macs: Mapping[int, bytes]) -> None:
        """The usable interfaces and their MACs: the whole list. What was probed on one that changed starts again."""
        before, self._ports = self._ports, dict(macs)
        self._macs = frozenset(macs.values())
        changed = {index for index in {*before, *macs} if before.get(index) != macs.get(index)}
        for address, where in self._wanted.items():
            if where & changed:
                self._begin(address)

    def set_friends(self, macs: Iterable[bytes]) -> None:
        """The MACs of the other speakers."""
        self._friends = frozenset(macs)

    def start(self, address: bytes, where: frozenset[int]) -> None:
        """Probe `address` on these interfaces, where not already at it."""
        if self._wanted.get(address) != where:
            self._wanted[address] = where
            self._begin(address)

    def stop(self, address: bytes) -> None:
        """Nobody wants to know any more; no report follows."""
        self._wanted.pop(address, None)
        self._waiting.pop(address, None)
        self._running.pop(address, None)

    def received(self, frame: bytes, ifindex: int, now: float) -> None:
        if not self._running:
            return
        ethertype = frame[arp.ETHERTYPE]
        if ethertype == TYPE_ARP:
            said = self._said_by_arp(frame)
        elif ethertype == TYPE_IPV6:
            said = self._said_by_ndp(frame)
        else:
            return
        if said is None:
            return
        address, mac, asked = said
        run = self._running.get(address)
        if run is None or ifindex not in run.where or mac in self._macs or mac in self._friends:
            return
        if asked and self._lowest_asker_wins and mac > self._ports[ifindex]:
            return
        self.conflicts += 1
        self.stop(address)
        self._outputs.append(Report(CONFLICT, {"address": address, "mac": mac, "ifindex": ifindex}))

    def next_timeout(self) -> float | None:
        times: list[float] = []
        if self._waiting:
            times.append(self._throttled_until)
        if self._due:
            times.append(max(self._due[0][0], self._throttled_until))
        if self._ends:
            times.append(self._ends[0][0])
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= min(now, self.heard_until):
            _, serial, address = self._ends.popleft()
            run = self._running.get(address)
            if run is not None and run.serial == serial:
                self.stop(address)
                self._outputs.append(Report(CLEAN, {"address": address}))
        while now >= self._throttled_until:
            if self._paid_until > now + BURST:
                self._throttled_until = self._paid_until - BURST / 2
                return
            address_due = self._next(now)
            if address_due is None:
                return
            self._probe(address_due, now)

    def outputs(self) -> list[Send | Report]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _begin(self, address: bytes) -> None:
        self._running.pop(address, None)
        if self._wanted[address] & self._ports.keys():
            self._waiting[address] = None
        else:
            self._waiting.pop(address, None)

    def _next(self, now: float) -> bytes | None:
        """The address to send the next probe for."""
        while self._due and self._due[0][0] <= now:
            _, serial, address = heapq.heappop(self._due)
            run = self._running.get(address)
            if run is not None and run.serial == serial:
                return address
        if not self._waiting:
            return None
        address = next(iter(self._waiting))
        del self._waiting[address]
        self._serial += 1
        self._running[address] = _Run(self._serial, tuple(sorted(self._wanted[address] & self._ports.keys())))
        return address

    def _probe(self, address: bytes, now: float) -> None:
        run = self._running[address]
        for ifindex in run.where:
            self._outputs.append(Send(_frame(address, self._ports[ifindex]), ifindex))
        self.sent += len(run.where)
        self._paid_until = max(self._paid_until, now) + self._frame_time * len(run.where)
        run.sent += 1
        if run.sent < self._probes:
            heapq.heappush(self._due, (now + GAP, run.serial, address))
        else:
            self._ends.append((now + self._listen, run.serial, address))

    def _said_by_arp(self, frame: bytes) -> _Said | None:
        # The addresses are looked up before anything is parsed: nearly every frame ends here.
        running = self._running
        if frame[arp.SENDER_IP] not in running and frame[arp.TARGET_IP] not in running:
            return None
        packet = arp.parse(frame)
        if packet is None:
            return None
        if packet.sender_ip in running:
            return packet.sender_ip, packet.sender_mac, False
        return (packet.target_ip, packet.sender_mac, True) if packet.is_probe else None

    def _said_by_ndp(self, frame: bytes) -> _Said | None:
        running = self._running
        if frame[ndp.TARGET] not in running and frame[22:38] not in running:
            return None
        message = ndp.parse(frame)
        if isinstance(message, Drop):
            return None
        mac = message.link_layer or message.source
        asks = message.type == ndp.SOLICITATION and message.source_ip != ndp.NO_ADDRESS
        if message.target in running and not asks:
            return message.target, mac, message.type == ndp.SOLICITATION
        return (message.source_ip, mac, False) if message.source_ip in running else None


def _frame(address: bytes, mac: bytes) -> bytes:
    if len(address) == 4:
        return arp.probe(mac=mac, target_ip=address)
    return ndp.solicitation(mac=mac, source_ip=ndp.NO_ADDRESS, target=address)
