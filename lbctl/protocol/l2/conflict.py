"""Notices a station that says one of our addresses, reports it, and has the address defended.

RFC 5227 section 2.4 leaves a host three ways: give the address up, defend it once in ten seconds, or go on whatever
happens. An address of ours is ours by configuration, and clients are sent to it: it is never given up to a stranger. So
one announcement at once, at most one in ten seconds for an address on an interface (two that defend without limit would
flip every cache on the segment for ever), and where a claim was heard meanwhile, one more when those ten seconds are
over, since the stranger's word is the last one until then. NDP alike, which knows no such rule of its own.

Other speakers ("friends") are never foreign: who of us owns an address is settled by claims, not on the wire. What is
given up to one of them that was heard saying it is reported as yielded.

What strangers send costs counters, not memory: there is one note for each address that is answered, with four MACs.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.drop import Drop
from lbctl.protocol.l2.ethernet import TYPE_ARP, TYPE_IPV6
from lbctl.protocol.l2.table import Place, Table
from lbctl.protocol.machine import Report, Send

REPORT_INTERVAL = 1.0
"""Seconds between two reports of one MAC for one address."""
MACS_REPORTED = 4
"""Stations reported for one address within REPORT_INTERVAL; of invented ones there may be thousands."""
DEFEND_INTERVAL = 10.0
"""RFC 5227 section 1.1, DEFEND_INTERVAL."""
YIELD_TIME = 2.0
"""Seconds between a friend's word and our giving up, in either order, in which the one explains the other."""
MAX_REMEMBERED = 4096
"""Notes that are kept of addresses nobody forges any more, and of those just given up."""

FOREIGN = "foreign"
DEFENDED = "defended"
YIELDED = "yielded"


_Saying = tuple[bytes, bytes]
"""An address, and the MAC that has it by somebody's word."""


class _Note:
    """What is known of the strangers at one place."""

    __slots__ = ("defended_at", "full_until", "heard_at", "last", "owed", "reported")

    def __init__(self) -> None:
        self.defended_at = -DEFEND_INTERVAL
        self.full_until = 0.0
        self.heard_at = 0.0
        self.last = b""
        self.owed = False
        self.reported: dict[bytes, float] = {}


class Conflict:
    """Says Report(FOREIGN, fields), Report(DEFENDED, fields) and Report(YIELDED, fields).

    The fields are {"address": bytes, "mac": bytes, "ifindex": int}. Behind DEFENDED an announcement is due there.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._friends: frozenset[bytes] = frozenset()
        self._notes: dict[Place, _Note] = {}
        self._forgotten_at = -REPORT_INTERVAL
        self._owed: list[tuple[float, Place]] = []
        self._friendly: dict[Place, tuple[bytes, float]] = {}
        self._given_up: dict[Place, float] = {}
        self._outputs: list[Send | Report] = []
        self.foreign = 0
        self.defences = 0
        self.suppressed = 0

    def set_friends(self, macs: Iterable[bytes]) -> None:
        self._friends = frozenset(macs)

    def stop(self, places: Iterable[Place], now: float) -> None:
        """These are answered no longer."""
        given_up = self._given_up
        while given_up and now - next(iter(given_up.values())) > YIELD_TIME:
            del given_up[next(iter(given_up))]
        for place in places:
            self._notes.pop(place, None)
            mac, at = self._friendly.pop(place, (b"", 0.0))
            if mac and now - at <= YIELD_TIME:
                self._say(YIELDED, place, mac)
            elif len(given_up) < MAX_REMEMBERED:
                given_up.pop(place, None)
                given_up[place] = now

    def received(self, frame: bytes, ifindex: int, now: float) -> None:
        # In few steps where nothing is to be done: this is where a flood ends.
        said = self._said(frame, ifindex)
        if said is None:
            return
        address, mac = said
        table = self._table
        if mac in table.macs:
            return
        place = (address, ifindex)
        if mac in self._friends:
            self._hear_friend(place, mac, now)
            return
        if not table.answered(place) or now >= table.lease_at:
            return
        self.foreign += 1
        note = self._notes.get(place)
        if note is None:
            note = self._begin(place, now)
        note.heard_at = now
        note.last = mac
        if now >= note.full_until and self._may_report(note, mac, now):
            self._say(FOREIGN, place, mac)
        else:
            self.suppressed += 1
        if now >= note.defended_at + DEFEND_INTERVAL:
            self._defend(place, note, now)
        elif not note.owed:
            note.owed = True
            heapq.heappush(self._owed, (note.defended_at + DEFEND_INTERVAL, place))

    def next_timeout(self) -> float | None:
        return self._owed[0][0] if self._owed else None

    def handle_timeout(self, now: float) -> None:
        while self._owed and self._owed[0][0] <= now:
            _, place = heapq.heappop(self._owed)
            note = self._notes.get(place)
            if note is not None and note.owed and now >= note.defended_at + DEFEND_INTERVAL:
                note.owed = False
                if self._table.answered(place) and now < self._table.lease_at:
                    self._defend(place, note, now)

    def outputs(self) -> list[Send | Report]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _said(self, frame: bytes, ifindex: int) -> _Saying | None:
        """Who says which address, if it may be one of ours. It is looked up before anything is parsed."""
        ethertype = frame[arp.ETHERTYPE]
        if ethertype == TYPE_ARP:
            address = frame[arp.SENDER_IP]
            if self._matters(address, ifindex) and (mac := arp.sender(frame)) is not None:
                return address, mac
        elif ethertype == TYPE_IPV6 and (
            self._matters(frame[ndp.TARGET], ifindex) or self._matters(frame[ndp.SOURCE], ifindex)
        ):
            return self._said_by_ndp(frame)
        return None

    def _matters(self, address: bytes, ifindex: int) -> bool:
        return address in self._table.answering or (address, ifindex) in self._given_up

    def _said_by_ndp(self, frame: bytes) -> _Saying | None:
        message = ndp.parse(frame)
        if isinstance(message, Drop):
            return None
        mac = message.link_layer or message.source
        if message.type == ndp.ADVERTISEMENT:
            return message.target, mac
        return (message.source_ip, mac) if message.source_ip != ndp.NO_ADDRESS else None

    def _hear_friend(self, place: Place, mac: bytes, now: float) -> None:
        if self._table.answered(place):
            self._friendly.pop(place, None)
            if len(self._friendly) >= MAX_REMEMBERED:
                del self._friendly[next(iter(self._friendly))]
            self._friendly[place] = (mac, now)
        elif (at := self._given_up.pop(place, None)) is not None and now - at <= YIELD_TIME:
            self._say(YIELDED, place, mac)

    def _begin(self, place: Place, now: float) -> _Note:
        if len(self._notes) >= MAX_REMEMBERED and now - self._forgotten_at >= REPORT_INTERVAL:
            self._forgotten_at = now
            self._notes = {key: note for key, note in self._notes.items() if now - note.heard_at < DEFEND_INTERVAL}
        note = self._notes[place] = _Note()
        return note

    def _may_report(self, note: _Note, mac: bytes, now: float) -> bool:
        reported = note.reported
        at = reported.get(mac)
        if at is not None:
            if now - at < REPORT_INTERVAL:
                return False
        elif len(reported) >= MACS_REPORTED:
            oldest = next(iter(reported))
            if now - reported[oldest] < REPORT_INTERVAL:
                return False
            del reported[oldest]
        reported.pop(mac, None)
        reported[mac] = now
        if len(reported) >= MACS_REPORTED:
            note.full_until = reported[next(iter(reported))] + REPORT_INTERVAL
        return True

    def _defend(self, place: Place, note: _Note, now: float) -> None:
        note.defended_at = now
        note.owed = False
        self.defences += 1
        self._say(DEFENDED, place, note.last)

    def _say(self, name: str, place: Place, mac: bytes) -> None:
        address, ifindex = place
        self._outputs.append(Report(name, {"address": address, "mac": mac, "ifindex": ifindex}))
