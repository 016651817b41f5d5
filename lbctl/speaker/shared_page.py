"""The page of memory that pulse and wire share: the lease, and what wire last saw, in doubles that cost no message.

Times are seconds of CLOCK_MONOTONIC, native doubles (little-endian wherever lbctl runs), each written by one process
and aligned, so that a reader never sees half of one. docs/processes.md has the layout.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable

SIZE = 4096
LEASE = 0
"""Offset: until when wire may answer. Pulse writes it."""
TURN = 8
"""Offset: when wire's loop turned last, or until when a call of the kernel may take it."""
HEARD = 16
"""Offset: when wire last received a frame that this host did not send, on any interface."""
PID = 24
"""Offset: wire's process id, 32 bits; 0 = not said."""
SLOTS = 64
"""Offset of the first of SLOT_COUNT slots of SLOT_SIZE bytes: an interface, and when such a frame came in on it."""
SLOT_SIZE = 16
SLOT_COUNT = 250
_TIME = struct.Struct("d")
_INTERFACE = struct.Struct("=II")
_PID = struct.Struct("=I")


def read_time(page: mmap.mmap, offset: int) -> float:
    """0.0 = never."""
    at: float = _TIME.unpack_from(page, offset)[0]
    return at


def write_lease(page: mmap.mmap, until: float) -> None:
    """Pulse's side of the page; 0.0 = wire must not answer."""
    _TIME.pack_into(page, LEASE, until)


def write_pid(page: mmap.mmap, pid: int) -> None:
    """Wire's side of the page."""
    _PID.pack_into(page, PID, pid)


def read_pid(page: mmap.mmap) -> int:
    """Who wire is; 0 = not said."""
    pid: int = _PID.unpack_from(page, PID)[0]
    return pid


def heard_by_interface(page: mmap.mmap) -> dict[int, float]:
    """When wire last received a frame on each interface that it uses; 0.0 = not yet."""
    heard: dict[int, float] = {}
    for number in range(SLOT_COUNT):
        offset = SLOTS + SLOT_SIZE * number
        ifindex: int = _INTERFACE.unpack_from(page, offset)[0]
        if ifindex:
            heard[ifindex] = read_time(page, offset + _INTERFACE.size)
    return heard


class WireStamps:
    """Wire's side of the page."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page
        self._slots: dict[int, int] = {}

    def lease_at(self) -> float:
        at: float = _TIME.unpack_from(self._page, LEASE)[0]
        return at

    def turned(self, now: float) -> None:
        _TIME.pack_into(self._page, TURN, now)

    def heard(self, ifindex: int, now: float) -> None:
        _TIME.pack_into(self._page, HEARD, now)
        offset = self._slots.get(ifindex)
        if offset is not None:
            _TIME.pack_into(self._page, offset, now)

    def use(self, interfaces: Iterable[int]) -> None:
        """These have slots from now on, as far as there are any; one that comes back begins at never."""
        wanted = frozenset(interfaces)
        for ifindex in self._slots.keys() - wanted:
            offset = self._slots.pop(ifindex)
            _INTERFACE.pack_into(self._page, offset - _INTERFACE.size, 0, 0)
        taken = set(self._slots.values())
        free = (
            offset
            for number in range(SLOT_COUNT)
            if (offset := SLOTS + SLOT_SIZE * number + _INTERFACE.size) not in taken
        )
        for ifindex, offset in zip(sorted(wanted - self._slots.keys()), free, strict=False):
            _TIME.pack_into(self._page, offset, 0.0)
            _INTERFACE.pack_into(self._page, offset - _INTERFACE.size, ifindex, 0)
            self._slots[ifindex] = offset
