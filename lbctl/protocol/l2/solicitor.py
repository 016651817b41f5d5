"""Asks neighbors that should be there to say something: is this node deaf, or is the segment silent?

Pulse wants to know when it hears no other speaker any more. Asked are the routers that packets leave by, and the
stations that were heard last on each interface, by ARP and by neighbor solicitation from an address of the node's own;
an answer is a frame like any other, and counts by having arrived. Routers are asked through the whole segment, the
stations alone, at the MAC they were heard from, which wakes nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.ethernet import TYPE_ARP, TYPE_IPV6, is_station
from lbctl.protocol.machine import Report, Send

MAX_STATIONS = 8
"""Stations remembered on an interface, the newest ones."""
MAX_ROUTERS = 4
MIN_INTERVAL = 0.2
"""Seconds from one round to the next: five a second, however often pulse wants to know."""
_NO_IPV4 = bytes(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What of an interface it takes to ask there: its MAC, the node's own addresses, the routers by which it leaves."""

    mac: bytes
    addresses: Sequence[bytes] = ()
    routers: Sequence[bytes] = ()


class Solicitor:
    """Says Send for each question, when asked."""

    def __init__(self) -> None:
        self._footings: Mapping[int, Footing] = {}
        self._stations: dict[int, dict[bytes, bytes]] = {}
        self._not_before = 0.0
        self._outputs: list[Send | Report] = []
        self.sent = 0

    def set_footings(self, footings: Mapping[int, Footing]) -> None:
        """The usable interfaces: the whole list."""
        self._footings = dict(footings)
        self._stations = {ifindex: known for ifindex, known in self._stations.items() if ifindex in footings}

    def received(self, frame: bytes, ifindex: int, now: float) -> None:
        """Remembers who sent it. One frame now and then is enough; of a flood nobody is worth remembering."""
        ethertype = frame[arp.ETHERTYPE]
        if ethertype == TYPE_ARP:
            address, mac = frame[arp.SENDER_IP], frame[arp.SENDER_MAC]
            known = len(address) == 4 and address != _NO_IPV4
        elif ethertype == TYPE_IPV6:
            address, mac = frame[ndp.SOURCE], frame[6:12]
            known = len(address) == 16 and address != ndp.NO_ADDRESS and address[0] != 0xFF
        else:
            return
        footing = self._footings.get(ifindex)
        if footing is None or not known or not is_station(mac) or mac == footing.mac or address in footing.addresses:
            return
        stations = self._stations.setdefault(ifindex, {})
        stations.pop(address, None)
        stations[address] = mac
        if len(stations) > MAX_STATIONS:
            del stations[next(iter(stations))]

    def ask(self, now: float) -> None:
        """One round of questions, where the last one is long enough ago."""
        if now < self._not_before:
            return
        self._not_before = now + MIN_INTERVAL
        for ifindex, footing in self._footings.items():
            stations = self._stations.get(ifindex, {})
            targets: list[tuple[bytes, bytes | None]] = [(router, None) for router in footing.routers[:MAX_ROUTERS]]
            targets += [(address, mac) for address, mac in stations.items() if address not in footing.routers]
            for address, mac in targets:
                if (frame := _question(footing, address, mac)) is not None:
                    self._outputs.append(Send(frame, ifindex))
                    self.sent += 1

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        pass

    def outputs(self) -> list[Send | Report]:
        outputs, self._outputs = self._outputs, []
        return outputs


def _question(footing: Footing, target: bytes, to: bytes | None) -> bytes | None:
    """None where the node has no address of the family to ask from."""
    source = next((own for own in footing.addresses if len(own) == len(target)), None)
    if source is None:
        return None
    if len(target) == 16:
        return ndp.solicitation(mac=footing.mac, source_ip=source, target=target, to_mac=to)
    if to is None:
        return arp.request(mac=footing.mac, sender_ip=source, target_ip=target)
    return arp.request(mac=footing.mac, sender_ip=source, target_ip=target, to=to)
