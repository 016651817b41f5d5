"""What a process sees of its machine, in virtual time: clocks, sockets, channels. Everything that waits is a heap."""

from __future__ import annotations

import heapq
import itertools
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Protocol

from lbctl.net.channel import ChannelClosed, Message
from lbctl.net.packet_socket import Part
from lbctl.net.udp import HOP_LIMIT, Datagram
from lbctl.protocol.heartbeat import identity
from lbctl.speaker import pulse as pulse_module
from lbctl.speaker import wire as wire_module

CHANNEL_DELAY = 0.0001
"""Seconds from one process of a speaker to the next, the reader's wakeup included."""
START = 1000.0


class Clockwork:
    """Everything that is to happen, by time; things of one moment in the order they were asked for."""

    def __init__(self) -> None:
        self.now = START
        self.events = 0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._heap, (when, next(self._numbers), action, arguments))

    def after(self, seconds: float, action: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), action, arguments))

    def run(self, until: float) -> None:
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until:
            when, _, action, arguments = pop(heap)
            if when > self.now:
                self.now = when
            self.events += 1
            action(*arguments)
        self.now = until


class Kernel(Protocol):
    """The machine that the running process is on, as its sockets need it."""

    datagrams: dict[int, SegmentSocket]
    frames: dict[int, PacketSocket]

    def send_datagram(self, payload: bytes, to: tuple[str, int]) -> None: ...

    def send_frame(self, frame: bytes) -> None: ...


class VirtualTime:
    """Stands for the module `time` in the processes; set to its machine's clocks before each turn of one."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.mono = 0.0
        self.unix = 0.0
        self.kernel: Kernel | None = None

    def monotonic(self) -> float:
        return self.mono

    def time(self) -> float:
        return self.unix

    def clock_gettime(self, _: int) -> float:
        return self.mono


TIME = VirtualTime()
_descriptors = itertools.count(1000)


class Reader(Protocol):
    def ready(self, fd: int) -> None: ...


class End:
    """One end of a channel between two processes: `net.channel.Channel` without bytes."""

    def __init__(self, clockwork: Clockwork, tap: Callable[[Message], None] | None = None) -> None:
        self.fd = next(_descriptors)
        self.reader: Reader | None = None
        self.peer: End
        self.closed = False
        self.hung_up = False
        self.wants_write = False
        self._clockwork = clockwork
        self._tap = tap
        self._inbox: deque[Message] = deque()

    def fileno(self) -> int:
        return self.fd

    def send(self, message: Message) -> None:
        if self.hung_up:
            raise ChannelClosed("closed by the other process")
        if self._tap is not None:
            self._tap(message)
        self._clockwork.after(CHANNEL_DELAY, self.peer.arrive, message)

    def flush(self) -> None:
        pass

    def receive(self) -> list[Message]:
        messages = list(self._inbox)
        self._inbox.clear()
        if not messages and self.hung_up:
            raise ChannelClosed("closed by the other process")
        return messages

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._clockwork.after(CHANNEL_DELAY, self.peer.hang_up)

    def arrive(self, message: Message) -> None:
        if not self.closed:
            self._inbox.append(message)
            self._wake()

    def hang_up(self) -> None:
        self.hung_up = True
        if not self.closed:
            self._wake()

    @property
    def waits(self) -> bool:
        return not self.closed and (self.hung_up or bool(self._inbox))

    def _wake(self) -> None:
        if self.reader is not None:
            self.reader.ready(self.fd)


def channel(clockwork: Clockwork, tap: Callable[[Message], None] | None = None) -> tuple[End, End]:
    """Two ends; `tap` sees what the first one sends."""
    a, b = End(clockwork, tap), End(clockwork)
    a.peer, b.peer = b, a
    return a, b


class _Socket:
    def __init__(self) -> None:
        self.fd = next(_descriptors)

    def fileno(self) -> int:
        return self.fd


class Epoll:
    """`select.epoll` of pulse, as far as it asks what has arrived."""

    def register(self, fd: int, events: int) -> None:
        pass

    modify = register

    def unregister(self, fd: int) -> None:
        pass

    def fileno(self) -> int:
        return 0

    def poll(self, _: float) -> list[tuple[int, int]]:
        assert TIME.kernel is not None
        return [(link.fd, 1) for link in TIME.kernel.datagrams.values() if link.waiting]


class SegmentSocket:
    """`net.udp.SegmentSocket` on a simulated link."""

    def __init__(self, *, ifindex: int, address: str, **_: Any) -> None:
        assert TIME.kernel is not None
        self.ifindex = ifindex
        self.address = address
        self.sockets = (_Socket(),)
        self.fd = self.sockets[0].fd
        self.waiting: deque[Datagram] = deque()
        self.connected: dict[tuple[str, int], _Socket] = {}
        self._kernel = TIME.kernel
        if ifindex != 1:
            self._kernel.datagrams[ifindex] = self

    def send(self, payload: bytes, to: tuple[str, int]) -> str | None:
        if self.ifindex != 1:
            self._kernel.send_datagram(payload, to)
        return None

    def connect(self, _: tuple[str, int]) -> None:
        """All share one queue here, and it loses nothing."""

    def receive(self, _: object) -> Datagram | None:
        return self.waiting.popleft() if self.waiting else None

    def arrive(self, payload: bytes, source: tuple[str, int], at_unix: float) -> None:
        self.waiting.append(Datagram(payload, source, at_unix, HOP_LIMIT))

    def close(self) -> None:
        if self._kernel.datagrams.get(self.ifindex) is self:
            del self._kernel.datagrams[self.ifindex]


class PacketSocket:
    """`net.packet_socket.PacketSocket` for both kinds of frames."""

    part = Part.ALL

    def __init__(self, ifindex: int) -> None:
        self.ifindex = ifindex
        self.fd = next(_descriptors)
        self.waiting: deque[bytes] = deque()

    def receive(self) -> bytes | None:
        return self.waiting.popleft() if self.waiting else None


class PacketSockets:
    """`net.packet_socket.PacketSockets` on a simulated link."""

    def __init__(self, _: object) -> None:
        assert TIME.kernel is not None
        self._kernel = TIME.kernel
        self.by_fd: dict[int, PacketSocket] = {}
        self.send_failed = 0

    @property
    def interfaces(self) -> frozenset[int]:
        return frozenset(self._kernel.frames)

    def use(self, wanted: Iterable[int]) -> dict[int, str]:
        frames = self._kernel.frames
        wanted = frozenset(wanted)
        for ifindex in frames.keys() - wanted:
            del self.by_fd[frames.pop(ifindex).fd]
        for ifindex in wanted - frames.keys():
            opened = frames[ifindex] = PacketSocket(ifindex)
            self.by_fd[opened.fd] = opened
        return {}

    def send(self, frame: bytes, ifindex: int) -> bool:
        if ifindex in self._kernel.frames:
            self._kernel.send_frame(frame)
        return True

    def all_multicast(self, _: int) -> None:
        pass

    def count_drops(self) -> int:
        return 0

    def close(self) -> None:
        self.use(())


_FAKES: dict[str, Any] = {
    "time": TIME,
    "SegmentSocket": SegmentSocket,
    "epoll": Epoll,
    "STRANGERS_A_SECOND": 10**9,
    "use_fifo": lambda _: None,
    "lock_memory": lambda: None,
    "PacketSockets": PacketSockets,
    "_jitter": lambda: 0.5,
}
"""What the modules of pulse and wire have under these names is replaced."""


def _of_the_processes() -> list[Any]:
    prefixes = (pulse_module.__name__, wire_module.__name__)
    return [module for name, module in sorted(sys.modules.items()) if name.startswith(prefixes)]


_rendezvous = lru_cache(maxsize=65536)(identity.rendezvous)


@contextmanager
def installed() -> Iterator[None]:
    """The processes' modules see this kernel while it lasts."""
    fakes: list[tuple[Any, str, Any]] = [
        (module, name, fake) for module in _of_the_processes() for name, fake in _FAKES.items() if hasattr(module, name)
    ]
    # All nodes of a story, and all stories, work out the same few of them.
    fakes.append((identity, "rendezvous", _rendezvous))
    before = [(module, name, getattr(module, name)) for module, name, _ in fakes]
    for module, name, fake in fakes:
        setattr(module, name, fake)
    try:
        yield
    finally:
        for module, name, real in before:
            setattr(module, name, real)
