"""Notices a station that says one of our addresses, reports it, and defends the address as RFC 5227 section 2.4 (c).

At most one report a second for an address and MAC, and one defence in ten seconds for an address: two that defend
without limit would flip every cache on the segment for ever. Other speakers ("friends") are never foreign: who of
us owns an address is settled by claims, not on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.drop import Drop
from lbctl.protocol.l2.ethernet import TYPE_ARP, TYPE_IPV6
from lbctl.protocol.l2.table import Table
from lbctl.protocol.machine import Report, Send

REPORT_INTERVAL = 1.0
DEFEND_INTERVAL = 10.0
"""RFC 5227 section 1.1, DEFEND_INTERVAL."""
MAX_REMEMBERED = 4096
"""Reports remembered for their rate limit: a flood of invented MACs may cost counters, not memory."""

FOREIGN = "foreign"


class _Saying(NamedTuple):
    address: bytes
    mac: bytes


class Conflict:
    """Says Report(FOREIGN, {"address": bytes, "mac": bytes, "ifindex": int}), and Send for a defence."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._friends: frozenset[bytes] = frozenset()
        self._reported: dict[_Saying, float] = {}
        self._forgotten_at = -REPORT_INTERVAL
        self._defended: dict[tuple[bytes, int], float] = {}
        self._outputs: list[Send | Report] = []
        self.foreign = 0
        self.defences = 0
        self.suppressed = 0

    def set_friends(self, macs: Iterable[bytes]) -> None:
        self._friends = frozenset(macs)

    def received(self, frame: bytes, ifindex: int, now: float) -> None:
        saying = self._foreign(frame, ifindex)
        if saying is None or now >= self._table.lease_at:
            return
        self.foreign += 1
        if self._may_report(saying, now):
            self._outputs.append(
                Report(FOREIGN, {"address": saying.address, "mac": saying.mac, "ifindex": ifindex}),
            )
        else:
            self.suppressed += 1
        self._defend(saying.address, ifindex, now)

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        pass

    def outputs(self) -> list[Send | Report]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _foreign(self, frame: bytes, ifindex: int) -> _Saying | None:
        ethertype = frame[arp.ETHERTYPE]
        if ethertype == TYPE_ARP:
            saying = self._said_by_arp(frame)
        elif ethertype == TYPE_IPV6:
            saying = self._said_by_ndp(frame)
        else:
            return None
        if saying is None or saying.mac in self._table.macs or saying.mac in self._friends:
            return None
        return saying if self._table.answered((saying.address, ifindex)) else None

    def _said_by_arp(self, frame: bytes) -> _Saying | None:
        # The address is looked up before anything is parsed: nearly every frame ends here.
        if frame[arp.SENDER_IP] not in self._table.answering:
            return None
        packet = arp.parse(frame)
        return _Saying(packet.sender_ip, packet.sender_mac) if packet else None

    def _said_by_ndp(self, frame: bytes) -> _Saying | None:
        answering = self._table.answering
        if frame[ndp.TARGET] not in answering and frame[22:38] not in answering:
            return None
        message = ndp.parse(frame)
        if isinstance(message, Drop):
            return None
        mac = message.link_layer or message.source
        if message.type == ndp.ADVERTISEMENT:
            return _Saying(message.target, mac)
        return _Saying(message.source_ip, mac) if message.source_ip != ndp.NO_ADDRESS else None

    def _may_report(self, saying: _Saying, now: float) -> bool:
        reported = self._reported
        last = reported.get(saying)
        if last is not None and now - last < REPORT_INTERVAL:
            return False
        if last is None and len(reported) >= MAX_REMEMBERED:
            if now - self._forgotten_at < REPORT_INTERVAL:
                return False
            self._forgotten_at = now
            self._reported = reported = {key: at for key, at in reported.items() if now - at < REPORT_INTERVAL}
            if len(reported) >= MAX_REMEMBERED:
                return False
        reported[saying] = now
        return True

    def _defend(self, address: bytes, ifindex: int, now: float) -> None:
        place = (address, ifindex)
        last = self._defended.get(place)
        if last is not None and now - last < DEFEND_INTERVAL:
            return
        self._defended[place] = now
        self.defences += 1
        mac = self._table.ports[ifindex].mac
        if len(address) == 4:
            frame = arp.gratuitous_request(mac=mac, address=address)
        else:
            frame = ndp.unsolicited(mac=mac, address=address)
        self._outputs.append(Send(frame, ifindex))
