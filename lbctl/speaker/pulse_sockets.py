"""The heartbeat sockets of all segments in one epoll: opened as work tells, read fairly, and a member's apart.

What a member sends has a socket of its own from the first packet to it on, and is read whenever it comes. Everybody
else shares one queue a segment and an allowance: a flood of invented heartbeats then costs a bounded part of a core,
and no member's beat is lost or late for it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from select import EPOLLIN, epoll

from lbctl.net.udp import Datagram, SegmentSocket
from lbctl.protocol.heartbeat.segments import Segment, Settings

STRANGERS_A_SECOND = 2000
"""Datagrams of those without a socket of their own: a hundred members that start at once send as many."""
SAVED = 2.0
"""Seconds of that allowance which may be used at once."""
REFILL_EVERY = 0.05
IDLE_FOR = 60.0
"""Seconds without anything to send, after which a member's own socket is closed."""
_REFUSED_FOR = 1.0

Address = tuple[str, int]


class PulseSockets:
    """`epoll` is told of every socket. `refused`: why a usable segment has none, by interface index."""

    def __init__(self, epoll: epoll, settings: Settings) -> None:
        self._epoll = epoll
        self._settings = settings
        self._segments: dict[int, SegmentSocket] = {}
        self._local: set[int] = set()
        self._members: dict[int, tuple[SegmentSocket, socket.socket]] = {}
        self._open: dict[int, tuple[SegmentSocket, socket.socket]] = {}
        self._sent_to: set[tuple[int, Address]] = set()
        self._sent_at: dict[tuple[int, Address], float] = {}
        self._refused_until: dict[tuple[int, Address], float] = {}
        self._allowance = self._most = round(STRANGERS_A_SECOND * SAVED)
        self._refill_at = 0.0
        self._paused: set[int] = set()
        self.refused: dict[int, str] = {}

    def use(self, segments: Mapping[int, Segment]) -> list[Segment]:
        """Sockets for the usable segments and no others; those that have them now."""
        usable = {ifindex: segment for ifindex, segment in segments.items() if segment.usable}
        for ifindex, opened in list(self._segments.items()):
            if ifindex not in usable or usable[ifindex].address != opened.address:
                self._close(ifindex)
        self.refused = {}
        for ifindex, segment in usable.items():
            if ifindex in self._segments:
                continue
            try:
                self._open_segment(segment)
            except OSError as error:
                self.refused[ifindex] = str(error)
        return [segment for ifindex, segment in usable.items() if ifindex in self._segments]

    def read(self, fd: int, most: int) -> Iterator[tuple[int, Datagram]]:
        """What waits in one socket, with the segment's interface index; of strangers no more than is allowed."""
        found = self._members.get(fd) or self._open.get(fd)
        if found is None:
            return
        segment, sock = found
        shared = fd in self._open
        for _ in range(min(most, self._allowance) if shared else most):
            datagram = segment.receive(sock)
            if datagram is None:
                return
            if shared:
                self._allowance -= 1
            yield segment.ifindex, datagram
        if shared and self._allowance <= 0 and fd in self._open and fd not in self._paused:
            self._paused.add(fd)
            self._epoll.modify(fd, 0)

    def refill(self, now: float) -> None:
        """Gives strangers more of their allowance when it is time."""
        if now < self._refill_at:
            return
        self._refill_at = now + REFILL_EVERY
        self._allowance = min(self._most, self._allowance + round(STRANGERS_A_SECOND * REFILL_EVERY))
        paused, self._paused = self._paused, set()
        for fd in paused:
            self._epoll.modify(fd, EPOLLIN)

    def next_refill(self) -> float | None:
        return self._refill_at if self._paused else None

    def send(self, ifindex: int, payload: bytes, to: Address, now: float) -> str | None:
        """Sends to a member or the group; the reason when the kernel would not take it."""
        segment = self._segments.get(ifindex)
        if segment is None:
            return None
        if to in segment.connected or self._connect(segment, to, now):
            self._sent_to.add((ifindex, to))
        return segment.send(payload, to)

    def sweep(self, now: float) -> None:
        """Closes the sockets of members that nothing was sent to for long; called about once a second."""
        self._sent_at.update(dict.fromkeys(self._sent_to, now))
        self._sent_to.clear()
        for (ifindex, to), at in list(self._sent_at.items()):
            if now >= at + IDLE_FOR:
                self._forget(ifindex, to)
        self._refused_until = {key: until for key, until in self._refused_until.items() if now < until}

    def _connect(self, segment: SegmentSocket, to: Address, now: float) -> bool:
        key = (segment.ifindex, to)
        if segment.ifindex in self._local or to[0] in (self._settings.group4, self._settings.group6):
            return False
        if now < self._refused_until.get(key, 0.0):
            return False
        sock = segment.connect(to)
        if sock is None:
            self._refused_until[key] = now + _REFUSED_FOR
            return False
        self._members[sock.fileno()] = segment, sock
        self._epoll.register(sock.fileno(), EPOLLIN)
        return True

    def _forget(self, ifindex: int, to: Address) -> None:
        del self._sent_at[ifindex, to]
        segment = self._segments[ifindex]
        fd = segment.connected[to].fileno()
        self._epoll.unregister(fd)
        del self._members[fd]
        segment.disconnect(to)

    def _open_segment(self, segment: Segment) -> None:
        settings = self._settings
        opened = SegmentSocket(
            ifindex=segment.ifindex,
            name=segment.name,
            address=segment.address,
            port=settings.port,
            group4=settings.group4,
            group6=settings.group6,
            grouped=not segment.local,
        )
        self._segments[segment.ifindex] = opened
        if segment.local:
            self._local.add(segment.ifindex)
        for sock in opened.sockets:
            self._open[sock.fileno()] = opened, sock
            self._epoll.register(sock.fileno(), EPOLLIN)

    def _close(self, ifindex: int) -> None:
        closed = self._segments.pop(ifindex)
        self._local.discard(ifindex)
        for sock in closed.sockets:
            fd = sock.fileno()
            self._epoll.unregister(fd)
            self._members.pop(fd, None)
            self._open.pop(fd, None)
            self._paused.discard(fd)
        self._sent_to = {key for key in self._sent_to if key[0] != ifindex}
        self._sent_at = {key: at for key, at in self._sent_at.items() if key[0] != ifindex}
        closed.close()


def is_stale(at_unix: float, now_unix: float, detection: float) -> bool:
    """Whether a datagram has waited unread for longer than a detection time: it says nothing of now.

    Both times are Unix time, read moments apart, so a clock that is set in between costs what waits then, and no more.
    """
    return 0.0 < at_unix < now_unix - detection
