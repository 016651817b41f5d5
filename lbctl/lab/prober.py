"""Asks an address for an answer every few milliseconds and measures how long it stayed away: a client's view of a
failover. Started by `Lab.probe`; by hand: `python -m lbctl.lab.prober 192.168.3.170 --port 8080 --for 5`.

Prints JSON lines: `start` when it begins (from then on SIGTERM ends it in good order), `ready` at the first answer,
`silent` when none came for a while, `back` with the gap when they come again, and `end` with the sums. The *gap* is the
time between two answers that follow each other, as they arrive: with answers every 5 ms it reads 5 ms when nothing is
wrong. Each question is one of its own and does not wait for the ones before it, so a connection that the kernel tries
again after a second hides nothing. `late_ms` is how much the prober itself was behind its schedule at worst: a gap is
not to be believed more exactly than that.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum

SCHEMA = 1
_SILENT_AFTER = 10
"""Missing answers, before it says `silent`."""
_REQUEST = b"GET / HTTP/1.0\r\n\r\n"


class Mode(StrEnum):
    CONNECT = "connect"
    """A TCP connection, closed as soon as it stands."""
    HTTP = "http"
    """A TCP connection, a request and its answer, which tells the backend."""
    UDP = "udp"
    ICMP = "icmp"


@dataclass(slots=True, kw_only=True)
class _Question:
    sock: socket.socket
    sent: float
    connected: bool = False
    answer: bytes = b""


class Prober:
    """Asks `target`. Times are seconds of CLOCK_MONOTONIC; `patience` is how long a connection may take."""

    def __init__(self, target: str, port: int, mode: Mode, every: float, patience: float) -> None:
        self._target = target
        self._port = port
        self._mode = mode
        self._every = every
        self._patience = patience
        self._family = socket.AF_INET6 if ipaddress.ip_address(target).version == 6 else socket.AF_INET
        self._poll = select.epoll()
        self._asking: dict[int, _Question] = {}
        self._in_order: deque[_Question] = deque()
        self._shared = self._open_shared()
        self._sent_at: dict[int, float] = {}
        self._sent = 0
        self._latencies: list[float] = []
        self._answered = 0
        self._by: Counter[str] = Counter()
        self._last_answer: float | None = None
        self._gap = 0.0
        self._gap_ended = 0.0
        self._silent = False
        self._late = 0.0
        self.stopped = False

    def run(self, duration: float) -> None:
        """Asks until `duration` has gone by or `stopped` is set, then prints the `end` line."""
        _say("start")
        begin = time.monotonic()
        due = begin
        while not self.stopped and time.monotonic() - begin < duration:
            now = time.monotonic()
            if now >= due:
                self._late = max(self._late, now - due)
                self._ask(now)
                # Missed turns are not made up for: a burst of questions would measure something else.
                due = max(due + self._every, now)
                self._give_up(now)
                self._watch(now)
            for fd, _ in self._poll.poll(max(0.0, due - time.monotonic())):
                self._hear(fd, time.monotonic())
        self._finish(time.monotonic())

    # -- asking -------------------------------------------------------------------------------------------------------

    def _open_shared(self) -> socket.socket | None:
        """The one socket of a mode without connections."""
        v6 = self._family == socket.AF_INET6
        match self._mode:
            case Mode.UDP:
                sock = socket.socket(self._family, socket.SOCK_DGRAM)
                sock.connect((self._target, self._port))
            case Mode.ICMP:
                sock = socket.socket(
                    self._family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
                )
                sock.connect((self._target, 0))
            case _:
                return None
        sock.setblocking(False)
        self._poll.register(sock, select.EPOLLIN)
        return sock

    def _ask(self, now: float) -> None:
        self._sent += 1
        with contextlib.suppress(OSError):  # no route, no buffer, an ICMP error: a question without an answer
            match self._mode:
                case Mode.UDP:
                    self._ask_datagram(struct.pack("!Q", self._sent), self._sent, now)
                case Mode.ICMP:
                    sequence = self._sent & 0xFFFF
                    self._ask_datagram(_echo_request(self._family, os.getpid() & 0xFFFF, sequence), sequence, now)
                case _:
                    self._ask_connection(now)

    def _ask_datagram(self, payload: bytes, key: int, now: float) -> None:
        assert self._shared is not None
        self._sent_at[key] = now
        self._shared.send(payload)

    def _ask_connection(self, now: float) -> None:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        sock.setblocking(False)
        question = _Question(sock=sock, sent=now)
        try:
            error = sock.connect_ex((self._target, self._port))
            if error not in (0, 115):  # EINPROGRESS
                raise OSError(error, os.strerror(error))
            self._poll.register(sock, select.EPOLLIN | select.EPOLLOUT)
        except OSError:
            sock.close()
            raise
        self._asking[sock.fileno()] = question
        self._in_order.append(question)

    def _give_up(self, now: float) -> None:
        while self._in_order and (self._in_order[0].sock.fileno() < 0 or now - self._in_order[0].sent > self._patience):
            question = self._in_order.popleft()
            if question.sock.fileno() >= 0:
                self._close(question)
        while self._sent_at:
            key = next(iter(self._sent_at))
            if now - self._sent_at[key] <= self._patience:
                break
            del self._sent_at[key]

    def _close(self, question: _Question) -> None:
        fd = question.sock.fileno()
        self._poll.unregister(fd)
        del self._asking[fd]
        if self._mode is Mode.CONNECT:
            # Reset instead of close: thousands of connections in TIME_WAIT would run out of ports.
            question.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        question.sock.close()

    # -- hearing ------------------------------------------------------------------------------------------------------

    def _hear(self, fd: int, now: float) -> None:
        if self._shared is not None and fd == self._shared.fileno():
            self._hear_datagrams(self._shared, now)
        elif question := self._asking.get(fd):
            self._hear_connection(question, now)

    def _hear_datagrams(self, sock: socket.socket, now: float) -> None:
        while True:
            try:
                payload = sock.recv(65536)
            except OSError:
                return
            if self._mode is Mode.UDP:
                key, words = (struct.unpack_from("!Q", payload)[0], payload[8:]) if len(payload) >= 8 else (-1, b"")
            else:
                key, words = _echo_reply(self._family, os.getpid() & 0xFFFF, payload), b""
            sent = self._sent_at.pop(key, None)
            if sent is not None:
                self._answer(sent, now, words)

    def _hear_connection(self, question: _Question, now: float) -> None:
        try:
            if not question.connected:
                error = question.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, os.strerror(error))
                question.connected = True
                if self._mode is Mode.CONNECT:
                    self._answer(question.sent, now, b"")
                    self._close(question)
                    return
                question.sock.send(_REQUEST)
                self._poll.modify(question.sock, select.EPOLLIN)
                return
            chunk = question.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self._close(question)
            return
        question.answer += chunk
        if not chunk:
            head, _, body = question.answer.partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 200 "):
                self._answer(question.sent, now, body)
            self._close(question)

    def _answer(self, sent: float, now: float, words: bytes) -> None:
        self._answered += 1
        self._latencies.append(now - sent)
        if b" saw " in words:
            self._by[words.split(b" saw ")[0].split()[-1].decode(errors="replace")] += 1
        if self._last_answer is None:
            _say("ready", latency_ms=_ms(now - sent))
        else:
            gap = now - self._last_answer
            if gap > self._gap:
                self._gap, self._gap_ended = gap, time.time()
            if self._silent:
                _say("back", gap_ms=_ms(gap))
        self._silent = False
        self._last_answer = now

    def _watch(self, now: float) -> None:
        if self._last_answer is not None and not self._silent and now - self._last_answer > _SILENT_AFTER * self._every:
            self._silent = True
            _say("silent")

    def _finish(self, now: float) -> None:
        open_gap = now - self._last_answer if self._last_answer is not None else None
        if open_gap is not None and open_gap > self._gap:
            self._gap, self._gap_ended = open_gap, time.time()
        ranked = sorted(self._latencies)
        _say(
            "end",
            mode=self._mode,
            target=self._target,
            port=self._port,
            every_ms=_ms(self._every),
            sent=self._sent,
            answered=self._answered,
            gap_ms=_ms(self._gap) if self._last_answer is not None else None,
            gap_ended_unix=round(self._gap_ended, 3),
            late_ms=_ms(self._late),
            latency_p50_ms=_ms(ranked[len(ranked) // 2]) if ranked else None,
            latency_p99_ms=_ms(ranked[len(ranked) * 99 // 100]) if ranked else None,
            by=dict(sorted(self._by.items())),
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _say(event: str, **fields: object) -> None:
    print(json.dumps({"schema": SCHEMA, "event": event, "at_unix": round(time.time(), 6), **fields}), flush=True)


def _echo_request(family: int, identifier: int, sequence: int) -> bytes:
    """RFC 792, RFC 4443 section 4.1; the kernel fills in the checksum of ICMPv6 only."""
    kind = 128 if family == socket.AF_INET6 else 8
    header = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    total = sum(struct.unpack("!4H", header))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", kind, 0, 0 if family == socket.AF_INET6 else checksum, identifier, sequence)


def _echo_reply(family: int, identifier: int, packet: bytes) -> int:
    """The sequence number, or -1 when it is not an answer to us. IPv4 raw sockets deliver the IP header too."""
    offset, kind = (0, 129) if family == socket.AF_INET6 else ((packet[0] & 0x0F) * 4, 0)
    if len(packet) < offset + 8:
        return -1
    got, code, _, whose, sequence = struct.unpack_from("!BBHHH", packet, offset)
    return sequence if (got, code, whose) == (kind, 0, identifier) else -1


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures how long an address does not answer.")
    parser.add_argument("target", help="IPv4 or IPv6 address")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.CONNECT)
    parser.add_argument("--every", type=float, default=5.0, metavar="MS")
    parser.add_argument("--patience", type=float, default=1000.0, metavar="MS", help="a question's time to be answered")
    parser.add_argument("--for", type=float, default=float("inf"), metavar="SECONDS", dest="duration")
    options = parser.parse_args()
    prober = Prober(options.target, options.port, options.mode, options.every / 1000, options.patience / 1000)

    def stop(*_: object) -> None:
        prober.stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with contextlib.suppress(OSError):
        # Its own lateness would be read as the cluster's.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    prober.run(options.duration)
    return 0


if __name__ == "__main__":
    sys.exit(main())
