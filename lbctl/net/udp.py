"""Heartbeat sockets: one segment's datagrams, and nothing that came or goes another way.

Two sockets a segment, both bound to its interface (SO_BINDTODEVICE): one bound to the node's own address, so that every
packet leaves with the source that its signature covers, and one bound to the group, which only receives. Each member
may have one more, connected to it: the kernel then keeps its packets apart from all others, so that whatever strangers
send fills a queue of their own and no member's packet is lost for it, and sending needs no route anew. Packets leave
with hop limit 255 and count only when they arrive with it (as RFC 5082 has it): no router has passed them on. Unicast
goes to neighbours on the link only (SO_DONTROUTE), never by way of a gateway: for an address that is not on the link
the kernel asks there, in vain.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

HOP_LIMIT = 255
RECEIVE_BUFFER = 4 * 1024 * 1024
"""Room for the claims of a few thousand addresses that all arrive while this process waits for a core."""
MAX_CONNECTED = 256
"""Members of a segment with a socket of their own."""
_MAX_DATAGRAM = 2048
_ANCILLARY = 128
_DSCP_CS6 = 0xC0
_PRIORITY_CONTROL = 7

# Linux numbers that this version of the socket module has no names for.
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_IP_TTL = 2
_IP_RECVTTL = 12
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
_SOL_SOCKET = int(socket.SOL_SOCKET)
_HOP_LIMITS = ((int(socket.IPPROTO_IP), _IP_TTL), (int(socket.IPPROTO_IPV6), int(socket.IPV6_HOPLIMIT)))
_TIMESPEC = struct.Struct("=qq")
_INT = struct.Struct("=i")


class Datagram(NamedTuple):
    """What arrived. `at_unix` is when the kernel took it from the link (0.0 if it did not say)."""

    payload: bytes
    source: tuple[str, int]
    at_unix: float
    hop_limit: int


class SegmentSocket:
    """The heartbeat sockets of one segment. Raises OSError from the constructor, and only from there.

    `own_port` 0 takes any free port, for an observer: two sockets on the group's port would take each other's packets.
    `grouped` False joins no group, for the loopback interface.
    """

    def __init__(
        self,
        *,
        ifindex: int,
        name: str,
        address: str,
        port: int,
        group4: str,
        group6: str,
        own_port: int | None = None,
        grouped: bool = True,
    ) -> None:
        self.ifindex = ifindex
        self.address = address
        self._port = port
        self._own_port = port if own_port is None else own_port
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._scoped = self._family == socket.AF_INET6
        self._group = group6 if ":" in address else group4
        self._opened: list[socket.socket] = []
        self._device = name
        self.connected: dict[tuple[str, int], socket.socket] = {}
        try:
            self._unicast = self._open_unicast(name)
            if grouped:
                self._open_group(name)
        except OSError:
            self.close()
            raise

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """To be polled: the group's first."""
        return tuple(reversed(self._opened))

    def send(self, payload: bytes, to: tuple[str, int]) -> str | None:
        """Sends to an address and port on this link, or to the group; the reason when the kernel would not take it."""
        try:
            sock = self.connected.get(to)
            if sock is not None:
                sock.send(payload)
            else:
                self._unicast.sendto(payload, self._sockaddr(*to))
        except BlockingIOError:
            return "tx_full"
        except OSError:
            # No route, no neighbour, address or link just gone: heartbeats are repeated, and silence is the signal.
            return "tx_failed"
        return None

    def receive(self, sock: socket.socket) -> Datagram | None:
        """The next datagram that waits in one of `sockets`; None when there is none."""
        try:
            payload, ancillary, _, source = sock.recvmsg(_MAX_DATAGRAM, _ANCILLARY)
        except OSError:
            # Nothing waits, or an error of the link is told by this call once: the next one goes on.
            return None
        at_unix = 0.0
        hop_limit = -1
        for level, kind, value in ancillary:
            if level == _SOL_SOCKET:
                if kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
                    seconds, nanoseconds = _TIMESPEC.unpack_from(value)
                    at_unix = seconds + nanoseconds / 1e9
            elif (level, kind) in _HOP_LIMITS:
                hop_limit = _INT.unpack_from(value)[0] if len(value) >= _INT.size else -1
        host, port = source[:2]
        return Datagram(payload, (host.partition("%")[0] if self._scoped else host, port), at_unix, hop_limit)

    def connect(self, to: tuple[str, int]) -> socket.socket | None:
        """A socket of its own for what comes from and goes to that address and port; None when there can be none."""
        if len(self.connected) >= MAX_CONNECTED:
            return None
        before = len(self._opened)
        try:
            sock = self._open_unicast(self._device)
            sock.connect(self._sockaddr(*to))
        except OSError:
            for refused in self._opened[before:]:
                refused.close()
            del self._opened[before:]
            return None
        self.connected[to] = sock
        return sock

    def disconnect(self, to: tuple[str, int]) -> None:
        sock = self.connected.pop(to)
        self._opened.remove(sock)
        sock.close()

    def close(self) -> None:
        for sock in self._opened:
            sock.close()
        self._opened.clear()
        self.connected.clear()

    def _open_unicast(self, device: str) -> socket.socket:
        sock = self._socket(device)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY_CONTROL)
        if self._family == socket.AF_INET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _DSCP_CS6)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HOP_LIMIT)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOP_LIMIT)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._request())
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _DSCP_CS6)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOP_LIMIT)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOP_LIMIT)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("@I", self.ifindex))
        sock.bind(self._sockaddr(self.address, self._own_port))
        return sock

    def _open_group(self, device: str) -> None:
        sock = self._socket(device)
        if self._family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._request())
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, self._request())
        sock.bind(self._sockaddr(self._group, self._port))

    def _request(self) -> bytes:
        """A struct ip_mreqn or ipv6_mreq: the group, on this interface."""
        group = socket.inet_pton(self._family, self._group)
        any4 = bytes(4) if self._family == socket.AF_INET else b""
        return group + any4 + struct.pack("@I", self.ifindex)

    def _socket(self, device: str) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._opened.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if self._family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        return sock

    def _sockaddr(self, address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        return (address, port) if self._family == socket.AF_INET else (address, port, 0, self.ifindex)
