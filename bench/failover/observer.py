"""A station on the segment that writes down who says which address when, by the kernel's own timestamps.

It hears all gratuitous ARP, because that is broadcast, and asks for addresses in turn, so that a second answerer is
seen. A real-time process of its own (`python -m bench.failover.observer`), driven by one JSON object a line; how late
it was itself is the measure of what its machine does to everybody.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple

from lbctl.net.packet_socket import Kind, PacketSocket
from lbctl.protocol.l2 import arp
from lbctl.protocol.l2.ethernet import mac_from_text, mac_to_text
from tests.support.netns import Host

_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_TIMESPEC = struct.Struct("@qq")
_TICK = 0.001
_BUFFER = 32 * 1024 * 1024


class Frame(NamedTuple):
    """`mac` says at `at` (nanoseconds of the Unix clock) that it has `vip`: unasked, or as an `answer` to us."""

    at: int
    mac: str
    vip: str
    answer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    frames: tuple[Frame, ...]
    late: float
    """Seconds by which the observer was late at worst."""
    dropped: int
    """Frames that did not fit into its buffer."""


class Observer:
    """The process, on `host`. It asks for nothing until told to."""

    def __init__(self, host: Host) -> None:
        argument = json.dumps({"ifindex": host.ifindex, "mac": host.mac, "address": host.ipv4})
        self._process: subprocess.Popen[str] = host.popen(
            [sys.executable, "-m", "bench.failover.observer", argument],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def ask(self, vips: Iterable[str], *, rate: int = 1000) -> None:
        """Asks for these in turn from now on, `rate` a second."""
        self._say({"ask": list(vips), "rate": rate})

    def take(self) -> Seen:
        """All that was seen since the last `take`."""
        found = self._say({"take": True})
        macs, vips = found["macs"], found["vips"]
        frames = tuple(Frame(at, macs[mac], vips[vip], bool(answer)) for at, mac, vip, answer in found["frames"])
        return Seen(frames=frames, late=found["late"], dropped=found["dropped"])

    def _say(self, words: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the observer ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


class _Watch:
    def __init__(self, ifindex: int, mac: bytes, address: bytes) -> None:
        self._socket = PacketSocket(ifindex, Kind.ARP)
        self._socket.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._head = arp.request(mac=mac, sender_ip=address, target_ip=bytes(4))[: arp.TARGET_IP.start]
        self._mac = mac
        self._targets: list[bytes] = []
        self._rate = 0
        self._next = 0
        self._began = 0.0
        self._sent = 0
        self._frames: list[tuple[int, bytes, bytes, bool]] = []
        self._late = 0.0
        self._unread = b""

    def run(self) -> None:
        due = time.monotonic() + _TICK
        while True:
            ready, _, _ = select.select([0], [], [], max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if ready:
                if not self._listen():
                    return
                due = time.monotonic() + _TICK  # the time that telling took is nobody's lateness
                continue
            self._late = max(self._late, now - due)
            self._receive()
            self._ask(now)
            due = time.monotonic() + _TICK

    def _listen(self) -> bool:
        chunk = os.read(0, 1 << 20)
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            words = json.loads(line)
            if "take" in words:
                self._receive()
                self._tell()
            else:
                self._targets = [socket.inet_aton(text) for text in words["ask"]]
                self._rate, self._sent, self._began = words["rate"], 0, time.monotonic()
                _print({})
        return bool(chunk)

    def _tell(self) -> None:
        macs = {mac: number for number, mac in enumerate({frame[1] for frame in self._frames})}
        vips = {vip: number for number, vip in enumerate({frame[2] for frame in self._frames})}
        _print(
            {
                "macs": [mac_to_text(mac) for mac in macs],
                "vips": [socket.inet_ntoa(vip) for vip in vips],
                "frames": [(at, macs[mac], vips[vip], int(answer)) for at, mac, vip, answer in self._frames],
                "late": self._late,
                "dropped": self._socket.count_drops(),
            }
        )
        self._frames.clear()
        self._late = 0.0

    def _ask(self, now: float) -> None:
        if not self._targets:
            return
        due = int((now - self._began) * self._rate)
        # What was missed is not made up for: a burst would be a load that nobody asked for.
        for _ in range(min(due - self._sent, 32)):
            self._next = (self._next + 1) % len(self._targets)
            self._socket.send(self._head + self._targets[self._next])
        self._sent = due

    def _receive(self) -> None:
        while True:
            try:
                frame, ancillary, _, _ = self._socket.sock.recvmsg(64, 64)
            except BlockingIOError:
                return
            answer = frame[:6] == self._mac and frame[20:22] == b"\x00\x02"
            if answer or (frame[arp.SENDER_IP] == frame[arp.TARGET_IP] and frame[arp.SENDER_IP] != bytes(4)):
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                at = seconds * 1_000_000_000 + nanoseconds
                self._frames.append((at, frame[arp.SENDER_MAC], frame[arp.SENDER_IP], answer))


def _print(words: object) -> None:
    print(json.dumps(words), flush=True)


def main() -> None:
    wanted = json.loads(sys.argv[1])
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass
    gc.disable()
    watch = _Watch(wanted["ifindex"], mac_from_text(wanted["mac"]), socket.inet_aton(wanted["address"]))
    _print({})
    watch.run()


if __name__ == "__main__":
    main()
