"""The little of netlink that the proxy asks the kernel by itself: attributes, one request, its answers.

Connection tracking has no command that every host has, and whether our table still stands is asked every second: a
socket and `struct` cost microseconds where a process costs milliseconds.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

ROUTE, NETFILTER = 0, 12
"""The families of netlink sockets used here (NETLINK_ROUTE, NETLINK_NETFILTER)."""
_REQUEST, _ACK, _DUMP = 0x01, 0x04, 0x300
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")
_TIME = 10.0
_BUFFER = 1 << 20


def attribute(kind: int, payload: bytes, *, nested: bool = False) -> bytes:
    """One attribute, padded."""
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind | (_NESTED if nested else 0)) + payload + b"\0" * (-length % 4)


def attributes(body: memoryview | bytes) -> Iterator[tuple[int, memoryview]]:
    """Kind and payload of each attribute; ends early at bytes that make none."""
    view, offset = memoryview(body), 0
    while offset + 4 <= len(view):
        length, kind = _ATTRIBUTE.unpack_from(view, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, view[offset + 4 : offset + length]
        offset += (length + 3) & ~3


class Netlink:
    """A socket to the kernel of the network namespace it is made in. It blocks: use it in a thread, or for little."""

    def __init__(self, protocol: int) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sock.settimeout(_TIME)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._sock.close()

    def request(self, kind: int, body: bytes, *, dump: bool = False) -> Iterator[memoryview]:
        """Sends one request and yields the body of each answer. Raises OSError with the kernel's error."""
        self._sequence += 1
        flags = _REQUEST | (_DUMP if dump else _ACK)
        self._sock.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        while True:
            answer = memoryview(self._sock.recv(_BUFFER))
            offset = 0
            while offset + _HEADER.size <= len(answer):
                length, answered, _, sequence, _ = _HEADER.unpack_from(answer, offset)
                content = answer[offset + _HEADER.size : offset + length]
                offset += (length + 3) & ~3
                if sequence != self._sequence:
                    continue
                if answered in (_ERROR, _DONE):
                    (code,) = _ERRNO.unpack_from(content)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return
                yield content
