"""When to announce an address unasked: gratuitous ARP in both forms, unsolicited NA.

At 0, 0.3, 1.2 and 5 s, because frames get lost just when links move, then once a minute with jitter, which repairs
caches and switch tables that learned something else meanwhile. Both ARP forms each time: some equipment learns from
requests only, some from replies only.

A takeover of thousands of addresses sends the first form for each address before any second form, and hands out at
most `at_once` frames a call, so that the caller answers questions in between.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.ethernet import TYPE_ARP
from lbctl.protocol.l2.table import Place, Table
from lbctl.protocol.machine import Report, Send

GAPS = (0.3, 0.9, 3.8)
"""Seconds between the first four rounds of an address (at 0, 0.3, 1.2 and 5 s)."""
PERIOD = 60.0
SPREAD = 0.2
"""How far jitter moves a period, to either side: 10,000 addresses taken at once do not stay one burst for ever."""
_LEASE_POLL = 0.01

ANNOUNCED = "announced"


class _Form(Enum):
    FIRST = 1  # the request form, or the NA
    SECOND = 2  # the reply form


_Turn = tuple[Place, int, int, int, _Form]
"""A frame to send: place, serial of its schedule, number of the repeat (0 = the schedule), round, form."""
REPEATS = 2
"""Rounds after the first one of a repeat, by the same gaps: a client may not take a change for a second."""


class Gratuitous:
    """Says Send for each frame, and Report(ANNOUNCED, {"addresses": [...]}) behind the first frames of a place.

    `jitter` returns numbers in [0, 1). `rate` limits the frames a second, for switch ports with ARP inspection; None =
    no limit.
    """

    def __init__(
        self, table: Table, *, jitter: Callable[[], float], at_once: int = 64, rate: float | None = None
    ) -> None:
        self._table = table
        self._jitter = jitter
        self._at_once = at_once
        self._gap = 1 / rate if rate else 0.0
        self._serial = 0
        self._active: dict[Place, int] = {}
        self._urgent: deque[_Turn] = deque()
        self._ready: deque[_Turn] = deque()
        self._repeats = 0
        self._repeating: dict[Place, int] = {}
        self._queued: set[Place] = set()
        self._later: list[tuple[float, int, int, int, Place]] = []
        self._not_before = 0.0
        self._outputs: list[Send | Report] = []
        self.sent = 0

    @property
    def pending(self) -> int:
        """Frames that are due and not handed out yet."""
        return len(self._urgent) + len(self._ready)

    def start(self, places: Iterable[Place]) -> None:
        """These became answerable (or moved to another MAC): announce from the start of the schedule."""
        for place in places:
            self._serial += 1
            self._active[place] = self._serial
            self._urgent.append((place, self._serial, 0, 0, _Form.FIRST))

    def stop(self, places: Iterable[Place]) -> None:
        for place in places:
            self._active.pop(place, None)
            self._repeating.pop(place, None)

    def repeat(self, addresses: Iterable[bytes]) -> None:
        """Extra rounds, at 0, 0.3 and 1.2 s, for each address being announced; the schedule goes on as it was."""
        for address in addresses:
            for ifindex in sorted(self._table.answering.get(address, ())):
                place = (address, ifindex)
                serial = self._active.get(place)
                if serial is not None and place not in self._queued:
                    self._repeats += 1
                    self._repeating[place] = self._repeats
                    self._queued.add(place)
                    self._ready.append((place, serial, self._repeats, 0, _Form.FIRST))

    def next_timeout(self) -> float | None:
        if self._urgent or self._ready:
            return self._not_before
        return self._later[0][0] if self._later else None

    def handle_timeout(self, now: float) -> None:
        later = self._later
        while later and later[0][0] <= now:
            _, serial, repeat, round_, place = heapq.heappop(later)
            self._ready.append((place, serial, repeat, round_, _Form.FIRST))
        if not self.pending or now < self._not_before:
            return
        if now >= self._table.lease_at:
            # Not lost, only held: whether the right to announce returns is pulse's business.
            self._not_before = now + _LEASE_POLL
            return
        self._hand_out(now)

    def outputs(self) -> list[Send | Report]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def is_true(self, send: Send) -> bool:
        """Whether a frame handed out earlier still says what is: it may have waited in a queue meanwhile."""
        frame = send.payload
        port = self._table.ports.get(send.via)
        address = frame[arp.SENDER_IP] if frame[arp.ETHERTYPE] == TYPE_ARP else frame[ndp.TARGET]
        return port is not None and frame[6:12] == port.mac and self._table.answered((address, send.via))

    def _hand_out(self, now: float) -> None:
        announced: list[bytes] = []
        left = 1 if self._gap else self._at_once
        while left and (self._urgent or self._ready):
            turn = self._urgent.popleft() if self._urgent else self._ready.popleft()
            place, serial, repeat, round_, form = turn
            if repeat and form is _Form.FIRST:
                if round_ == 0:
                    self._queued.discard(place)
                if self._repeating.get(place) != repeat:
                    continue
                if round_ == REPEATS:
                    del self._repeating[place]
            if self._active.get(place) != serial or not self._table.answered(place):
                continue
            address, ifindex = place
            self._outputs.append(Send(_frame(address, self._table.ports[ifindex].mac, form), ifindex))
            left -= 1
            if form is _Form.SECOND:
                continue
            if len(address) == 4:
                self._ready.append((place, serial, repeat, round_, _Form.SECOND))
            if not repeat or round_ < REPEATS:
                heapq.heappush(self._later, (now + self._until_next(round_), serial, repeat, round_ + 1, place))
            if round_ == 0 and not repeat:
                announced.append(address)
        sent = len(self._outputs)
        self.sent += sent
        self._not_before = max(self._not_before, now) + self._gap * sent if self._gap else 0.0
        if announced:
            self._outputs.append(Report(ANNOUNCED, {"addresses": announced}))

    def _until_next(self, round_: int) -> float:
        if round_ < len(GAPS):
            return GAPS[round_]
        return PERIOD * (1 - SPREAD + 2 * SPREAD * self._jitter())


def _frame(address: bytes, mac: bytes, form: _Form) -> bytes:
    if len(address) == 16:
        return ndp.unsolicited(mac=mac, address=address)
    if form is _Form.FIRST:
        return arp.gratuitous_request(mac=mac, address=address)
    return arp.gratuitous_reply(mac=mac, address=address)
