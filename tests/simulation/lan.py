"""One segment in memory: who reaches whom, and what gets lost, late, doubled or out of order on the way."""

from __future__ import annotations

import random
from typing import Protocol

from tests.simulation.kernel import Clockwork

BROADCAST = b"\xff" * 6


class Station(Protocol):
    """Whatever is plugged in: a node or a client."""

    def take_datagram(self, payload: bytes, source: tuple[str, int]) -> None: ...

    def take_frame(self, frame: bytes) -> None: ...


def address_of(index: int) -> str:
    return f"10.0.{index // 250}.{index % 250 + 1}"


def mac_of(index: int) -> bytes:
    return bytes((2, 0, 0, 0, index >> 8, index & 255))


class Lan:
    """Stations by index. `loss` and `copies` are chances, `delay` and `jitter` seconds; jitter puts out of order."""

    def __init__(self, clockwork: Clockwork, chance: random.Random) -> None:
        self.clockwork = clockwork
        self.chance = chance
        self.stations: list[Station] = []
        self.loss = 0.0
        self.copies = 0.0
        self.delay = 0.0002
        self.jitter = 0.00005
        self.parts: dict[int, int] = {}
        self.one_way: set[tuple[int, int]] = set()
        self.deaf: set[int] = set()
        self.mute: set[int] = set()
        self.unplugged: set[int] = set()
        self.delivered = 0
        self._index: dict[str, int] = {}
        self._by_mac: dict[bytes, int] = {}
        self._reach: list[list[bool]] = []

    def plug(self, station: Station) -> int:
        index = len(self.stations)
        self.stations.append(station)
        self._index[address_of(index)] = index
        self._by_mac[mac_of(index)] = index
        self.rewire()
        return index

    def rewire(self) -> None:
        """After any change of who reaches whom."""
        count = range(len(self.stations))
        self._reach = [[self._passes(a, b) for b in count] for a in count]

    def _passes(self, a: int, b: int) -> bool:
        if a in self.mute or b in self.deaf or a in self.unplugged or b in self.unplugged or (a, b) in self.one_way:
            return False
        return a != b and self.parts.get(a, 0) == self.parts.get(b, 0)

    def passes(self, a: int, b: int) -> bool:
        """Whether anything gets from a to b."""
        return self._reach[a][b]

    def mutual(self, a: int, b: int) -> bool:
        return self._reach[a][b] and self._reach[b][a]

    def heal(self) -> None:
        """Cables and switches are as new."""
        self.parts.clear()
        self.one_way.clear()
        self.deaf.clear()
        self.mute.clear()
        self.rewire()

    def datagram(self, sender: int, payload: bytes, to: tuple[str, int]) -> None:
        source = (address_of(sender), to[1])
        target = self._index.get(to[0])
        if target is not None:
            self._carry(sender, target, payload, source)
        elif to[0].startswith("239."):
            for station in range(len(self.stations)):
                self._carry(sender, station, payload, source)

    def frame(self, sender: int, frame: bytes) -> None:
        target = self._by_mac.get(frame[:6])
        if target is not None:
            self._carry(sender, target, frame, None)
        elif frame[0] & 1:
            for station in range(len(self.stations)):
                self._carry(sender, station, frame, None)

    def _carry(self, sender: int, target: int, content: bytes, source: tuple[str, int] | None) -> None:
        if not self._reach[sender][target]:
            return
        rng = self.chance.random
        if self.loss and rng() < self.loss:
            return
        for _ in range(2 if self.copies and rng() < self.copies else 1):
            delay = self.delay + self.jitter * rng()
            station = self.stations[target]
            self.delivered += 1
            if source is None:
                self.clockwork.after(delay, station.take_frame, content)
            else:
                self.clockwork.after(delay, station.take_datagram, content, source)
