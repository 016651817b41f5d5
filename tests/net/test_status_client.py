"""The client of the status socket: addresses, and every way in which nobody answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lbctl.net.status_client import AskError, AskFailure, TcpAddress, UnixAddress, ask, parse_address
from lbctl.net.status_server import SocketInUse, check_free


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", TcpAddress("192.0.2.1", 7967)),
        ("node1:99", TcpAddress("node1", 99)),
        ("fd00::1", TcpAddress("fd00::1", 7967)),
        ("[fd00::1]", TcpAddress("fd00::1", 7967)),
        ("[fd00::1]:99", TcpAddress("fd00::1", 99)),
        ("unix:/run/x", UnixAddress(Path("/run/x"))),
    ],
)
def test_addresses(text: str, address: object) -> None:
    assert parse_address(text) == address
    assert parse_address(str(parse_address(text))) == address


@pytest.mark.parametrize(
    "text", ["", "unix:", ":99", "node1:", "node1:0", "node1:65536", "node1:x", "[fd00::1", "[fd00::1]99", "[fd00::1]:"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(text)


@contextmanager
def answering(path: Path, answer: bytes | None) -> Iterator[list[bytes]]:
    """One connection is taken, its request kept, and the answer sent; None = never answer."""
    asked: list[bytes] = []
    done = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            asked.append(connection.recv(4096))
            if answer is None:
                done.wait(10)
            else:
                connection.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            done.set()
            thread.join()


def test_one_question_one_answer(tmp_path: Path) -> None:
    body = b'HTTP/1.0 404 Not Found\r\nX: y\r\n\r\n{"schema": "lbctl.io/where/v1", "a": 1}'
    with answering(tmp_path / "s", body) as asked:
        status, answer = ask(UnixAddress(tmp_path / "s"), "/v1/where?target=x")
    assert (status, answer["a"]) == (404, 1)
    assert asked[0].startswith(b"GET /v1/where?target=x HTTP/1.0\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\n[]",
        b'HTTP/1.1 200 OK\r\n\r\n{"schema": "other/v1"}',
        b"HTTP/1.1 okay\r\n\r\n{}",
    ],
)
def test_something_else_that_answers_is_found_out(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path / "s", answer), pytest.raises(AskError) as failed:
        ask(UnixAddress(tmp_path / "s"), "/")
    assert failed.value.failure is AskFailure.NOT_UNDERSTOOD
    assert "is no lbctl daemon" in str(failed.value)


def test_a_daemon_that_ends_while_it_is_asked(tmp_path: Path) -> None:
    with answering(tmp_path / "s", b""), pytest.raises(AskError) as failed:
        ask(UnixAddress(tmp_path / "s"), "/")
    assert failed.value.failure is AskFailure.UNREACHABLE
    assert "hung up" in str(failed.value)


def test_silence_runs_into_the_time_limit(tmp_path: Path) -> None:
    with answering(tmp_path / "s", None), pytest.raises(AskError) as failed:
        ask(UnixAddress(tmp_path / "s"), "/", patience=0.05)
    assert failed.value.failure is AskFailure.TIMED_OUT


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(AskError) as failed:
        ask(UnixAddress(tmp_path / "none"), "/")
    assert failed.value.failure is AskFailure.NOT_RUNNING
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(AskError) as failed:
            ask(TcpAddress(*bound.getsockname()), "/")
    assert failed.value.failure is AskFailure.NOT_RUNNING


def test_a_name_that_leads_nowhere() -> None:
    with pytest.raises(AskError) as failed:
        ask(TcpAddress("no-such-host.invalid"), "/")
    assert failed.value.failure is AskFailure.UNREACHABLE
    assert "no-such-host.invalid" in str(failed.value)


def test_who_is_too_busy_to_accept_is_waited_for_and_named(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        server.bind(str(path))
        server.listen(0)
        first = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        first.connect(str(path))
        with pytest.raises(AskError, match=r"does not answer within 0\.1 s") as caught:
            ask(UnixAddress(path), "/v1/status", patience=0.1)
        assert caught.value.failure is AskFailure.TIMED_OUT
        with pytest.raises(SocketInUse):
            check_free(path)

        def serve() -> None:
            server.accept()[0].close()
            with server.accept()[0] as asked:
                asked.recv(4096)
                asked.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"schema": "lbctl.io/x/v1"}')

        late = threading.Timer(0.2, serve)
        late.start()
        assert ask(UnixAddress(path), "/v1/status", patience=60.0)[0] == 200
        late.join()
