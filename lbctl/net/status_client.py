"""Asks a daemon's status socket: one GET (or, to change something, POST), one JSON object back.

By hand over a socket, because `http.client` costs a short command 20 ms of imports. HTTP/1.0, so that the answer is
never chunked and ends with the connection.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

DEFAULT_PORT = 7967
"""TCP port of the status API, where a daemon was told to listen and no other port was named."""

_READ = 256 * 1024
_BUSY_PAUSE = 0.02
MAX_ANSWER = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DaemonAddress = UnixAddress | TcpAddress


class AskFailure(StrEnum):
    """Why there is no answer."""

    NOT_RUNNING = "not_running"
    """No socket there, or nobody behind it."""
    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    NOT_UNDERSTOOD = "not_understood"
    """Something answered, but not with our API."""


class AskError(Exception):
    """A daemon that could not be asked; the text is fit for people."""

    def __init__(self, failure: AskFailure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


def parse_address(text: str) -> DaemonAddress:
    """`HOST`, `HOST:PORT`, `[V6]:PORT`, a bare IPv6 address, or `unix:PATH`. Raises ValueError."""
    if text.startswith("unix:"):
        if not text[5:]:
            raise ValueError("unix: needs a path behind it")
        return UnixAddress(Path(text[5:]))
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not [ADDRESS]:PORT")
        port = rest[1:]
        if rest == ":":
            raise ValueError(f"{text!r} has no port behind its colon")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        if not port:
            raise ValueError(f"{text!r} has no port behind its colon")
    if not host:
        raise ValueError(f"{text!r} names no host")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{port!r} is not a port")
    return TcpAddress(host, int(port) if port else DEFAULT_PORT)


def post(
    address: DaemonAddress, path: str, arguments: Mapping[str, str], *, patience: float = 10.0
) -> tuple[int, dict[str, Any]]:
    """POSTs `path` with the arguments as its query; otherwise as `ask`."""
    from urllib.parse import urlencode

    return ask(address, f"{path}?{urlencode(arguments)}", patience=patience, method="POST")


def ask(address: DaemonAddress, path: str, *, patience: float = 2.0, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """GETs `path`; returns the HTTP status and the JSON object. Raises AskError. `patience` seconds for each step."""
    try:
        with _connect(address, patience) as sock:
            # Who has no room for us says so and hangs up before it heard what we want.
            with contextlib.suppress(BrokenPipeError):
                sock.sendall(f"{method} {path} HTTP/1.0\r\nHost: lbctl\r\nAccept: application/json\r\n\r\n".encode())
            answer = bytearray()
            while chunk := sock.recv(_READ):
                answer += chunk
                if len(answer) > MAX_ANSWER:
                    raise AskError(AskFailure.NOT_UNDERSTOOD, f"{address} answers without end")
    except TimeoutError:
        raise AskError(AskFailure.TIMED_OUT, f"{address} does not answer within {patience:g} s") from None
    except PermissionError:
        raise AskError(AskFailure.FORBIDDEN, f"{address}: permission denied; run it as root") from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise AskError(AskFailure.NOT_RUNNING, f"no daemon listens on {address}") from None
    except OSError as error:
        raise AskError(AskFailure.UNREACHABLE, f"{address}: {error.strerror or error}") from None
    if not answer:
        raise AskError(AskFailure.UNREACHABLE, f"{address} hung up without an answer")
    return _understood(address, bytes(answer))


def _connect(address: DaemonAddress, patience: float) -> socket.socket:
    match address:
        case UnixAddress(path):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                _connect_unix(sock, path, patience)
            except BaseException:
                sock.close()
                raise
            return sock
        case TcpAddress(host, port):
            return socket.create_connection((host, port), timeout=patience)


def _connect_unix(sock: socket.socket, path: Path, patience: float) -> None:
    """Waits where too many wait already to be accepted, which the kernel does not do by itself. Raises OSError."""
    until = time.monotonic() + patience
    while True:
        sock.settimeout(patience)
        try:
            return sock.connect(str(path))
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TimeoutError from None
            time.sleep(_BUSY_PAUSE)


def _understood(address: DaemonAddress, answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first = head.split(b"\r\n", 1)[0].split(None, 2)
    try:
        if len(first) < 2 or not first[0].startswith(b"HTTP/"):
            raise ValueError
        status, value = int(first[1]), json.loads(body)
        if not isinstance(value, dict) or not str(value.get("schema", "")).startswith("lbctl.io/"):
            raise ValueError
    except ValueError:
        raise AskError(AskFailure.NOT_UNDERSTOOD, f"what listens on {address} is no lbctl daemon") from None
    return status, value
