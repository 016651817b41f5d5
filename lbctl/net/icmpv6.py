"""Membership in the solicited-node groups of addresses that stand on no interface.

A switch with MLD snooping delivers a neighbor solicitation only where the group was reported, and a NIC filters what
nobody joined. So the groups are really joined: the kernel then sends the MLD reports, answers queries, and repeats them
when a carrier returns. One socket may hold only as many memberships as net.core.optmem_max has room for (some 300 in
older kernels), hence a pool of sockets.

Level-triggered: `want` says where an address needs its group, `step` does a few of the system calls that lead there,
so that 10,000 addresses never keep an answer waiting.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable

from lbctl.protocol.l2.ndp import solicited_node

Membership = tuple[bytes, int]
"""A group and the index of the interface on which it is joined."""

_PER_SOCKET = 256
_FULL = frozenset((errno.ENOBUFS, errno.ENOMEM))
_NOT_JOINED = frozenset((errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO))


class SolicitedNodeGroups:
    def __init__(self, *, per_socket: int = _PER_SOCKET) -> None:
        self._per_socket = per_socket
        self._places: dict[bytes, frozenset[int]] = {}
        self._needed: dict[Membership, int] = {}
        self._joined: dict[Membership, socket.socket] = {}
        self._load: dict[socket.socket, int] = {}
        self._todo: dict[Membership, None] = {}
        self.refused: dict[int, str] = {}
        """Interfaces whose kernel would not join (index -> its words), until `retry`."""
        self._refused: set[Membership] = set()

    @property
    def joined(self) -> int:
        return len(self._joined)

    @property
    def pending(self) -> int:
        return len(self._todo)

    def want(self, address: bytes, interfaces: Iterable[int]) -> None:
        """The interfaces on which `address` (16 bytes) needs its group now; none = nowhere."""
        before = self._places.get(address, frozenset())
        after = frozenset(interfaces)
        if before == after:
            return
        if after:
            self._places[address] = after
        else:
            del self._places[address]
        group = solicited_node(address)
        for ifindex in after - before:
            self._count((group, ifindex), 1)
        for ifindex in before - after:
            self._count((group, ifindex), -1)

    def step(self, limit: int = 16) -> None:
        """At most `limit` joins or leaves. What the kernel refuses is kept for `retry`, see `refused`."""
        while self._todo and limit:
            limit -= 1
            membership, _ = self._todo.popitem()
            if membership in self._needed:
                if membership not in self._joined:
                    self._join(membership)
            elif membership in self._joined:
                self._leave(membership)

    def retry(self) -> None:
        """Tries again what was refused: the interface may have got its IPv6 meanwhile."""
        self._todo.update(dict.fromkeys(self._refused))
        self._refused.clear()
        self.refused.clear()

    def close(self) -> None:
        """Closes the sockets, with which the kernel leaves all groups."""
        for sock in self._load:
            sock.close()
        self._load.clear()
        self._joined.clear()

    def _count(self, membership: Membership, by: int) -> None:
        count = self._needed.get(membership, 0) + by
        if count:
            self._needed[membership] = count
        else:
            del self._needed[membership]
            self._refused.discard(membership)
        if (count > 0) != (membership in self._joined):
            self._todo[membership] = None
        else:
            self._todo.pop(membership, None)

    def _join(self, membership: Membership) -> None:
        group, ifindex = membership
        request = struct.pack("@16sI", group, ifindex)
        while True:
            sock: socket.socket | None = None
            try:
                sock = self._roomy()
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            except OSError as error:
                if sock is not None and self._load[sock] and error.errno in _FULL:
                    self._load[sock] = self._per_socket  # the kernel's limit is below ours: on to the next socket
                    continue
                self._refused.add(membership)
                self.refused[ifindex] = error.strerror or str(error)
                return
            self._joined[membership] = sock
            self._load[sock] += 1
            return

    def _leave(self, membership: Membership) -> None:
        group, ifindex = membership
        sock = self._joined.pop(membership)
        self._load[sock] -= 1
        try:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, struct.pack("@16sI", group, ifindex))
        except OSError as error:
            if error.errno not in _NOT_JOINED:  # else the interface went, and the membership with it
                raise

    def _roomy(self) -> socket.socket:
        for sock, load in self._load.items():
            if load < self._per_socket:
                return sock
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._load[sock] = 0
        return sock
