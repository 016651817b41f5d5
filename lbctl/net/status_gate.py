"""Who may hold a connection to the status listener, and for how long: strangers must not use up our descriptors.

    server = await loop.create_server(Gate(web_server), host, port)

A connection is busy while a request is answered, and idle else: before the request is whole, and after its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LIMIT = 64
"""Connections at a time; one more ends the one that has been idle for longest, or is turned away."""
IDLE_TIME = 5.0
"""Seconds that a request may take to come in, and that a connection may wait for the next one."""
_DRAIN_TIME = 30.0
"""Seconds that the peer may take to fetch an answer."""
_FULL_BODY = b'{"schema": "lbctl.io/error/v1", "error": "too many connections; try again"}'
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%s" % (len(_FULL_BODY), _FULL_BODY)
)


class Gate:
    """Makes the protocol of each new connection: `make` makes the one that speaks HTTP, which is kept behind ours."""

    def __init__(
        self, make: Callable[[], asyncio.Protocol], *, limit: int = LIMIT, idle_time: float | None = None
    ) -> None:
        self._make = make
        self._limit = limit
        self.idle_time = IDLE_TIME if idle_time is None else idle_time
        self._open: dict[object, _Connection] = {}

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self._make(), self)

    @contextmanager
    def busy(self, inner: object) -> Iterator[None]:
        """While a request of the protocol `inner` is answered; nothing where it did not come through here."""
        connection = self._open.get(inner)
        if connection is None:
            yield
            return
        connection.begin()
        try:
            yield
        finally:
            connection.rest()

    def admit(self, inner: object, connection: _Connection) -> bool:
        if len(self._open) >= self._limit:
            idle = [each for each in self._open.values() if each.idle_since is not None]
            if not idle:
                return False
            min(idle, key=lambda each: each.idle_since or 0.0).end()
        self._open[inner] = connection
        return True

    def forget(self, inner: object) -> None:
        self._open.pop(inner, None)


class _Connection(asyncio.Protocol):
    """Passes everything on to the HTTP protocol, and ends the connection when it is idle for too long."""

    def __init__(self, inner: asyncio.Protocol, gate: Gate) -> None:
        self._inner = inner
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._admitted = False
        self.idle_since: float | None = None

    def begin(self) -> None:
        self.idle_since = None
        self._stop_timer()

    def rest(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self.idle_since = self._loop.time()
        self._stop_timer()
        self._timer = self._loop.call_later(self._gate.idle_time, self._expired)

    def _expired(self) -> None:
        assert self._transport is not None
        assert self.idle_since is not None
        waited = self._loop.time() - self.idle_since
        if self._transport.get_write_buffer_size() and waited < _DRAIN_TIME:
            self._timer = self._loop.call_later(self._gate.idle_time, self._expired)
        else:
            self.end()

    def end(self) -> None:
        self._gate.forget(self._inner)
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._admitted = self._gate.admit(self._inner, self)
        if self._admitted:
            self._inner.connection_made(transport)
            self.rest()
        else:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._gate.forget(self._inner)
        if self._admitted:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._admitted:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        if self._admitted:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._admitted:
            self._inner.resume_writing()
