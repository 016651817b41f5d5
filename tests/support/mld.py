"""What a switch with MLD snooping would learn: the version 2 reports that arrive at a host (RFC 3810 section 5.2)."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType

from tests.support.bars import PATIENCE
from tests.support.netns import Host

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_ALLMULTI = 2
_REPORT_V2 = 143
_JOINS = (2, 4)  # change to exclude mode; mode is exclude
_LEAVES = (3, 1)  # change to include mode; mode is include: of no source, so nothing


class MldListener:
    """Collects the groups joined and left in the reports that `host` receives."""

    def __init__(self, host: Host) -> None:
        self.joined: set[bytes] = set()
        self.left: set[bytes] = set()
        with host.entered():
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._sock.bind((host.interface, _ETH_P_ALL))
            request = struct.pack("iHH8s", socket.if_nametoindex(host.interface), _ALLMULTI, 0, b"")
            self._sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)

    def __enter__(self) -> MldListener:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._sock.close()

    def forget(self) -> None:
        while select.select([self._sock], [], [], 0)[0]:
            self._sock.recv(2048)
        self.joined.clear()
        self.left.clear()

    def wait_joined(self, groups: set[bytes], *, within: float = PATIENCE) -> None:
        self._wait(lambda: groups - self.joined, within)

    def wait_left(self, groups: set[bytes], *, within: float = PATIENCE) -> None:
        self._wait(lambda: groups - self.left, within)

    def _wait(self, missing: Callable[[], set[bytes]], within: float) -> None:
        deadline = time.monotonic() + within
        while lacking := missing():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{len(lacking)} groups not reported within {within} s")
            if select.select([self._sock], [], [], left)[0]:
                self._read(self._sock.recv(9000))

    def _read(self, frame: bytes) -> None:
        # Ethernet, IPv6 with a hop-by-hop header (router alert), ICMPv6.
        if frame[12:14] != b"\x86\xdd" or frame[20] != 0 or frame[54] != 58:
            return
        at = 54 + 8 * (frame[55] + 1)
        if frame[at] != _REPORT_V2:
            return
        (count,) = struct.unpack_from("!H", frame, at + 6)
        at += 8
        for _ in range(count):
            kind, auxiliary, sources = struct.unpack_from("!BBH", frame, at)
            group = frame[at + 4 : at + 20]
            if kind in _JOINS:
                self.joined.add(group)
                self.left.discard(group)
            elif kind in _LEAVES and not sources:
                self.left.add(group)
                self.joined.discard(group)
            at += 20 + 16 * sources + 4 * auxiliary
