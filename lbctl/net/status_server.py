"""The status socket of a daemon: JSON over HTTP on a unix socket that only its owner may open, and on TCP if asked for.

    async with StatusServer({"/v1/status": status}, Path("/run/lbctl/speaker.sock")):
        ...

A handler gets the query as a mapping and returns an `Answer`; it never sees HTTP. A route is a path (GET), or a method
and a path: `"POST /v1/drain"`. What is not a GET changes something, and is served on the unix socket only, to those who
may open it. It takes its arguments from the query as well; a body is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import web

from lbctl.net.status_gate import Gate

# A long poll must not hold up the end of the daemon, which has 2 s.
_SHUTDOWN_TIME = 0.2
_BACKLOG = 1024
"""Connections that may wait to be accepted while the loop is busy; the kernel cuts it to net.core.somaxconn."""
_OWNERS = 256
"""Connections at a time on the unix socket. Its owner means no harm, but may forget to close them."""
ERROR_SCHEMA = "lbctl.io/error/v1"


class SocketInUse(Exception):
    """Another process listens on the socket already."""


class CannotListen(Exception):
    """The TCP address cannot be had; one line that says which, and why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a value that is made JSON, and the HTTP status."""

    body: Any
    status: int = 200


Query = Mapping[str, str]
Handler = Callable[[Query], Awaitable[Answer]]


class StatusServer:
    """Serves `routes` on `unix_path` (mode 0600, its directory is made) and on `listen` = (host, port) if given.

    `start` raises SocketInUse when somebody answers there already, CannotListen when `listen` cannot be had, and
    OSError when the socket cannot be made; a socket file that nobody answers is what a killed process left, and is
    replaced.
    """

    def __init__(self, routes: Mapping[str, Handler], unix_path: Path, listen: tuple[str, int] | None = None) -> None:
        self._routes = dict(routes)
        self._path = unix_path
        self._listen = listen
        self._runner: web.AppRunner | None = None
        self._inode: int | None = None
        self._servers: list[asyncio.Server] = []
        self._gates: list[Gate] = []

    async def start(self) -> None:
        app = web.Application()
        for route, handler in self._routes.items():
            method, _, path = route.rpartition(" ")
            app.router.add_route(method or "GET", path, self._adapted(handler, writes=bool(method)))
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_TIME)
        await runner.setup()
        self._runner = runner
        try:
            assert runner.server is not None
            loop = asyncio.get_running_loop()
            owners = Gate(runner.server, limit=_OWNERS)
            self._gates.append(owners)
            self._servers.append(await loop.create_unix_server(owners, sock=self._bound(), backlog=_BACKLOG))
            if self._listen is not None:
                strangers = Gate(runner.server)
                self._gates.append(strangers)
                self._servers.append(await self._listening(strangers, *self._listen))
        except BaseException:
            await self.close()
            raise

    @staticmethod
    async def _listening(strangers: Gate, host: str, port: int) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(strangers, host, port, backlog=_BACKLOG, reuse_address=True)
        except socket.gaierror as error:
            why = error.strerror or str(error)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(f"cannot listen on {f'[{host}]' if ':' in host else host}:{port}: {why}")

    def _bound(self) -> socket.socket:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            check_free(self._path)
            if self._path.is_socket():
                self._path.unlink()
            # The mode must hold from the first moment on; chmod after bind would leave a gap.
            before = os.umask(0o177)
            try:
                sock.bind(str(self._path))
            finally:
                os.umask(before)
            self._inode = self._path.stat().st_ino
        except BaseException:
            sock.close()
            raise
        return sock

    def _adapted(self, handler: Handler, *, writes: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            with contextlib.ExitStack() as stack:
                for gate in self._gates:
                    stack.enter_context(gate.busy(request.protocol))
                refusal = _refusal(request) if writes else None
                answer = refusal or await handler(dict(request.query))
                body = _encoded(answer.body)
                return web.Response(body=body, status=answer.status, content_type="application/json")

        return handle

    async def close(self) -> None:
        """Stops; a successor's socket of the same name is left alone."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        self._gates.clear()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        inode, self._inode = self._inode, None
        with contextlib.suppress(OSError):
            if inode is not None and self._path.stat().st_ino == inode:
                self._path.unlink()

    async def __aenter__(self) -> StatusServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


def check_free(unix_path: Path) -> None:
    """Raises SocketInUse when somebody answers there."""
    if unix_path.is_socket() and _answers(unix_path):
        raise SocketInUse(f"another process listens on {unix_path}")


def _refusal(request: web.Request) -> Answer | None:
    """Why a request that would change something is not heard."""
    sock = request.transport.get_extra_info("socket") if request.transport is not None else None
    if sock is None or sock.family != socket.AF_UNIX:
        return Answer(
            {"schema": ERROR_SCHEMA, "error": "nothing can be changed over TCP, only over the unix socket"}, 403
        )
    if request.can_read_body:
        return Answer({"schema": ERROR_SCHEMA, "error": "a body is not taken; arguments go into the query"}, 413)
    return None


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            # Too busy to be connected to (EAGAIN) is not gone: its socket must not be taken away.
            return True
        return True


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body, enc_hook=str)
    except UnicodeEncodeError:
        # A file name need not be UTF-8; its other bytes are shown as \xff.
        return msgspec.json.encode(_as_text(msgspec.to_builtins(body, enc_hook=str, str_keys=True)))


def _as_text(value: Any) -> Any:
    match value:
        case str():
            try:
                return value.encode(errors="surrogateescape").decode(errors="backslashreplace")
            except UnicodeEncodeError:
                return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_as_text(key): _as_text(each) for key, each in value.items()}
        case list() | tuple():
            return [_as_text(each) for each in value]
        case _:
            return value
