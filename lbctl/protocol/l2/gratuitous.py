"""When to announce an address unasked: gratuitous ARP in both forms, unsolicited NA.

At 0, 0.3, 1.2 and 5 s, because frames get lost just when links move, then once a minute, which repairs caches and
switch tables that learned something else meanwhile. Both ARP forms each time: some equipment learns from requests only,
some from replies only. The first of the minutely rounds comes at any moment of a minute, so that ten thousand addresses
taken at once are a trickle from then on, and jitter keeps them apart.

A takeover of thousands of addresses sends the first form for each address before any second form, and hands out at
most `at_once` frames a call, so that the caller answers questions in between.

Switch ports that count ARP frames (dynamic ARP inspection) shut down after a burst. Addresses with a pace are announced
so many a second on each interface, the oldest first, and those with the same pace share it; both forms then leave
together.
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
"""How far jitter moves a period, to either side."""
REPEATS = 2
"""Rounds after the first one of a repeat, by the same gaps: a client may not take a change for a second."""
_LEASE_POLL = 0.01
_ONCE = -1

ANNOUNCED = "announced"


class _Form(Enum):
    FIRST = 1  # the request form, or the NA
    SECOND = 2  # the reply form


_Turn = tuple[Place, int, int, int, _Form]
"""Something to send: place, serial of its schedule, number of the repeat (0 = the schedule), round, form."""


class _Lane:
    """Turns that share a pace: all that have none, or those of one pace on one interface."""

    __slots__ = ("gap", "not_before", "ready", "urgent")

    def __init__(self, gap: float, not_before: float = 0.0) -> None:
        self.gap = gap
        self.not_before = not_before
        self.urgent: deque[_Turn] = deque()
        self.ready: deque[_Turn] = deque()

    @property
    def pending(self) -> int:
        return len(self.urgent) + len(self.ready)


class Gratuitous:
    """Says Send for each frame, and Report(ANNOUNCED, {"addresses": [...]}) behind the first frames of a place.

    `jitter` returns numbers in [0, 1).
    """

    def __init__(self, table: Table, *, jitter: Callable[[], float], at_once: int = 64) -> None:
        self._table = table
        self._jitter = jitter
        self._at_once = at_once
        self._serial = 0
        self._active: dict[Place, int] = {}
        self._gaps: dict[bytes, float] = {}
        self._unpaced = _Lane(0.0)
        self._paced: dict[tuple[float, int], _Lane] = {}
        self._repeats = 0
        self._repeating: dict[Place, int] = {}
        self._queued: set[Place] = set()
        self._once: set[Place] = set()
        self._later: list[tuple[float, int, int, int, Place]] = []
        self._held_until = 0.0
        self._outputs: list[Send | Report] = []
        self.sent = 0

    @property
    def pending(self) -> int:
        """What is due and not handed out yet."""
        return self._unpaced.pending + sum(lane.pending for lane in self._paced.values())

    def start(self, places: Iterable[Place]) -> None:
        """These became answerable (or moved to another MAC or port): announce from the start of the schedule."""
        for place in places:
            self._serial += 1
            self._active[place] = self._serial
            self._lane(place).urgent.append((place, self._serial, 0, 0, _Form.FIRST))

    def stop(self, places: Iterable[Place]) -> None:
        for place in places:
            self._active.pop(place, None)
            self._repeating.pop(place, None)

    def again(self, ifindexes: Iterable[int]) -> None:
        """Whatever is announced there starts anew: the link behind the interface is another one."""
        where = frozenset(ifindexes)
        self.start([place for place in self._active if place[1] in where])

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
                    self._lane(place).ready.append((place, serial, self._repeats, 0, _Form.FIRST))

    def once(self, place: Place) -> None:
        """One round more, ahead of all rounds but the first ones: somebody else just said the address."""
        serial = self._active.get(place)
        if serial is not None and place not in self._once:
            self._once.add(place)
            self._lane(place).ready.appendleft((place, serial, _ONCE, 0, _Form.FIRST))

    def set_pace(self, addresses: Iterable[bytes], rate: float | None) -> None:
        """From now on so many of the addresses of this rate a second on each interface; None = as fast as it goes."""
        for address in addresses:
            if rate:
                self._gaps[address] = 1 / rate
            else:
                self._gaps.pop(address, None)
        lanes = [self._unpaced, *self._paced.values()]
        before, self._paced = self._paced, {}
        self._unpaced = _Lane(0.0)
        # What waits already goes by the new pace, in the order in which it came.
        for turn in sorted((turn for lane in lanes for turn in lane.urgent), key=lambda turn: turn[1]):
            self._lane(turn[0], before).urgent.append(turn)
        for turn in [turn for lane in lanes for turn in lane.ready]:
            self._lane(turn[0], before).ready.append(turn)

    def next_timeout(self) -> float | None:
        times = [lane.not_before for lane in self._paced.values() if lane.pending]
        if self._unpaced.pending:
            times.append(0.0)
        at = max(min(times), self._held_until) if times else None
        if self._later and (at is None or self._later[0][0] < at):
            return self._later[0][0]
        return at

    def handle_timeout(self, now: float) -> None:
        later = self._later
        while later and later[0][0] <= now:
            _, serial, repeat, round_, place = heapq.heappop(later)
            self._lane(place).ready.append((place, serial, repeat, round_, _Form.FIRST))
        if now < self._held_until or not self.pending:
            return
        if now >= self._table.lease_at:
            # Not lost, only held: whether the right to announce returns is pulse's business.
            self._held_until = now + _LEASE_POLL
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

    def _lane(self, place: Place, before: dict[tuple[float, int], _Lane] | None = None) -> _Lane:
        """`before`: the lanes there were, whose last frame still counts for the pace of their interface."""
        address, ifindex = place
        gap = self._gaps.get(address)
        if gap is None:
            return self._unpaced
        lane = self._paced.get((gap, ifindex))
        if lane is None:
            old = before.get((gap, ifindex)) if before is not None else None
            lane = self._paced[gap, ifindex] = _Lane(gap, old.not_before if old is not None else 0.0)
        return lane

    def _hand_out(self, now: float) -> None:
        announced: list[bytes] = []
        # Those with a pace first: they are few at a time, and would wait long behind a big burst.
        for lane in self._paced.values():
            while lane.pending and now >= lane.not_before and len(self._outputs) < self._at_once:
                if self._say(_next(lane), now, announced, paced=True):
                    lane.not_before = max(lane.not_before, now) + lane.gap
        lane = self._unpaced
        while (lane.urgent or lane.ready) and len(self._outputs) < self._at_once:
            self._say(_next(lane), now, announced, paced=False)
        self.sent += len(self._outputs)
        if announced:
            self._outputs.append(Report(ANNOUNCED, {"addresses": announced}))

    def _say(self, turn: _Turn, now: float, announced: list[bytes], *, paced: bool) -> bool:
        """Whether it is still to be said; then it is, and its next round is put on the list."""
        place, serial, repeat, round_, form = turn
        if repeat and form is _Form.FIRST and not self._still_wanted(place, repeat, round_):
            return False
        if self._active.get(place) != serial or not self._table.answered(place):
            return False
        address, ifindex = place
        mac = self._table.ports[ifindex].mac
        self._outputs.append(Send(_frame(address, mac, form), ifindex))
        if form is _Form.SECOND:
            return True
        if len(address) == 4:
            if paced:
                self._outputs.append(Send(_frame(address, mac, _Form.SECOND), ifindex))
            else:
                self._unpaced.ready.append((place, serial, repeat, round_, _Form.SECOND))
        if not repeat or (repeat != _ONCE and round_ < REPEATS):
            heapq.heappush(self._later, (now + self._until_next(round_), serial, repeat, round_ + 1, place))
        if round_ == 0 and not repeat:
            announced.append(address)
        return True

    def _still_wanted(self, place: Place, repeat: int, round_: int) -> bool:
        if repeat == _ONCE:
            self._once.discard(place)
            return True
        if round_ == 0:
            self._queued.discard(place)
        if self._repeating.get(place) != repeat:
            return False
        if round_ == REPEATS:
            del self._repeating[place]
        return True

    def _until_next(self, round_: int) -> float:
        if round_ < len(GAPS):
            return GAPS[round_]
        if round_ == len(GAPS):
            return PERIOD * self._jitter()
        return PERIOD * (1 - SPREAD + 2 * SPREAD * self._jitter())


def _next(lane: _Lane) -> _Turn:
    return lane.urgent.popleft() if lane.urgent else lane.ready.popleft()


def _frame(address: bytes, mac: bytes, form: _Form) -> bytes:
    if len(address) == 16:
        return ndp.unsolicited(mac=mac, address=address)
    if form is _Form.FIRST:
        return arp.gratuitous_request(mac=mac, address=address)
    return arp.gratuitous_reply(mac=mac, address=address)
