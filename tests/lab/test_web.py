"""The web server behind a node: HTTP in all its small variations, many connections, and the echo."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = _free_port()
    command = [sys.executable, "-m", "lbctl.lab.web", "--name", "n7", "--port", str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield number
        server.terminate()


def _talk(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    """Sends, and reads until the server closes."""
    with socket.create_connection((host, port), timeout=60) as sock:
        sock.sendall(request)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
        return answer


def test_says_its_name_and_whom_it_saw(port: int) -> None:
    head, _, body = _talk(port, b"GET / HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert body == b"n7 saw 127.0.0.1\n"


def test_ipv6(port: int) -> None:
    assert _talk(port, b"GET / HTTP/1.0\r\n\r\n", "::1").endswith(b"n7 saw ::1\n")


def test_one_connection_carries_many_requests_however_they_are_cut(port: int) -> None:
    stream = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"
    for size in (len(stream), 7, 1):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(stream), size):
                sock.sendall(stream[start : start + size])
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        assert answer.count(b"n7 saw 127.0.0.1\n") == 3
        assert answer.count(b"keep-alive") == 2


def test_head_has_no_body(port: int) -> None:
    answer = _talk(port, b"HEAD / HTTP/1.0\r\n\r\n")
    assert b"Content-Length: 17" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("request_", [b"BREW / HTTP/1.1\r\n\r\n", b"\0\r\n\r\n", b"GET\r\n\r\n"])
def test_what_is_no_request_is_refused(port: int, request_: bytes) -> None:
    assert _talk(port, request_).startswith(b"HTTP/1.1 400 ")


def test_an_endless_request_is_cut_short(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock, pytest.raises(OSError):  # noqa: PT012
        while True:
            sock.sendall(b"x" * 4096)


def test_a_client_that_resets_does_no_harm(port: int) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert b"n7 saw" in _talk(port, b"GET / HTTP/1.0\r\n\r\n")


def test_many_short_connections(port: int) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: _talk(port, b"GET / HTTP/1.0\r\n\r\n"), range(1000)))
    assert all(answer.endswith(b"n7 saw 127.0.0.1\n") for answer in answers)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams_come_back_with_its_words(port: int, host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(60)
        for number in range(20):
            sock.sendto(b"question %d" % number, (host, port))
            assert sock.recv(65536) == b"question %d n7 saw %s\n" % (number, host.encode())


def test_a_taken_port_is_one_clear_line(port: int) -> None:
    command = [sys.executable, "-m", "lbctl.lab.web", "--name", "x", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == f"web: cannot listen on port {port}: Address already in use\n"
