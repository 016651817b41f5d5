"""What this node may say on layer 2 now: the one value that responder, gratuitous schedule and conflict watch share.

An address is answered on an interface when work *allows* it there, pulse *claims* it, and the interface is usable.
A change of any of the three returns the places (address and interface index) that became answerable or ceased to be, so
that starting to answer always comes before announcing. All of it counts only while `now < lease_at`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lbctl.protocol.l2 import arp
from lbctl.protocol.l2.ndp import Advertiser

Place = tuple[bytes, int]
"""An address, and the index of an interface on which it may be said."""

_NOWHERE: frozenset[int] = frozenset()


class Change(NamedTuple):
    started: Sequence[Place]
    stopped: Sequence[Place]


_NO_CHANGE = Change((), ())


class Port:
    """An interface as far as frames need it: its MAC, and the parts of answers that are the same for all addresses."""

    __slots__ = ("advertiser", "mac", "reply_head")

    def __init__(self, mac: bytes) -> None:
        self.mac = mac
        self.reply_head = arp.reply_head(mac)
        self.advertiser = Advertiser(mac)


class Table:
    def __init__(self) -> None:
        self.lease_at = 0.0
        """Until when (monotonic seconds) anything may be said at all."""
        self.ports: dict[int, Port] = {}
        self.allowed: dict[bytes, frozenset[int]] = {}
        self.claimed: set[bytes] = set()
        self.answering: dict[bytes, frozenset[int]] = {}
        """The claimed addresses that are allowed somewhere, with where. A port may still be missing."""
        self.macs: frozenset[bytes] = frozenset()

    def answered(self, place: Place) -> bool:
        address, ifindex = place
        return ifindex in self.answering.get(address, _NOWHERE) and ifindex in self.ports

    def set_ports(self, macs: Mapping[int, bytes]) -> Change:
        """The usable interfaces and their MACs: the whole list. One with a new MAC counts as started again."""
        new = {index for index, mac in macs.items() if index not in self.ports or self.ports[index].mac != mac}
        gone = self.ports.keys() - macs.keys()
        self.ports = {index: Port(mac) if index in new else self.ports[index] for index, mac in macs.items()}
        self.macs = frozenset(macs.values())
        started: list[Place] = []
        stopped: list[Place] = []
        if new or gone:
            for address, where in self.answering.items():
                started.extend((address, index) for index in sorted(where & new))
                stopped.extend((address, index) for index in sorted(where & gone))
        return Change(started, stopped)

    def allow(self, address: bytes, where: frozenset[int]) -> Change:
        """The interfaces on which `address` may be answered once it is claimed; none = nowhere."""
        if where:
            self.allowed[address] = where
        else:
            self.allowed.pop(address, None)
        return self._settle(address)

    def claim(self, address: bytes) -> Change:
        self.claimed.add(address)
        return self._settle(address)

    def release(self, address: bytes) -> Change:
        self.claimed.discard(address)
        before = self.answering.pop(address, None)
        if before is None:
            return _NO_CHANGE
        return Change((), [(address, index) for index in before if index in self.ports])

    def _settle(self, address: bytes) -> Change:
        before = self.answering.get(address, _NOWHERE)
        after = self.allowed.get(address, _NOWHERE) if address in self.claimed else _NOWHERE
        if after is before:
            return _NO_CHANGE
        if after:
            self.answering[address] = after
        else:
            del self.answering[address]
        ports = self.ports
        return Change(
            [(address, index) for index in after if index not in before and index in ports] if after else (),
            [(address, index) for index in before if index not in after and index in ports] if before else (),
        )
