"""A paced flood of ARP requests, and how long each answer took. Used by bench/responder.py and by tests.

`run(host, ...)` starts `python -m bench.arp_load` in the host's namespace: one real-time process that sends a few
frames each millisecond and takes the arrival of answers from the kernel's own timestamps, so that its own reading
delays nothing.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lbctl.net.packet_socket import Kind, PacketSocket
from lbctl.protocol.l2 import arp
from lbctl.protocol.l2.ethernet import mac_from_text
from tests.support.netns import Host

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_TICK = 0.001
_PATIENCE = 5.0
LATE = 0.020


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of a run. Times in milliseconds; `lost` are requests without an answer."""

    sent: int
    lost: int
    doubled: int
    p50: float
    p99: float
    max: float
    late: int
    """Answers that took longer than 20 ms."""
    behind: float
    """The most that the generator itself fell behind its pace."""


def start(
    host: Host, addresses: Sequence[str], *, rate: int, seconds: float, probes: bool = False, core: int | None = None
) -> subprocess.Popen[str]:
    """Starts a flood from `host` for these addresses in turn; `finish` waits for its result.

    `probes` = without a sender address: a kernel that is asked makes no neighbor entry for the asker then.
    """
    argument = {
        "ifindex": host.ifindex,
        "mac": host.mac,
        "addresses": list(addresses),
        "rate": rate,
        "seconds": seconds,
        "probes": probes,
        "core": core,
    }
    process: subprocess.Popen[str] = host.popen(
        [sys.executable, "-m", "bench.arp_load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(argument))
    process.stdin.close()
    process.stdout.readline()  # it begins now
    return process


def finish(process: subprocess.Popen[str]) -> Load:
    assert process.stdout is not None
    with process.stdout as said:
        text = said.read()
    if process.wait(30) != 0:
        raise RuntimeError("the load generator failed")
    return Load(**json.loads(text))


def run(
    host: Host, addresses: Sequence[str], *, rate: int, seconds: float, probes: bool = False, core: int | None = None
) -> Load:
    return finish(start(host, addresses, rate=rate, seconds=seconds, probes=probes, core=core))


def _flood(ifindex: int, mac: bytes, targets: list[bytes], rate: int, seconds: float, probes: bool) -> Load:
    sock = PacketSocket(ifindex, Kind.ARP)
    sock.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    waiting: dict[bytes, deque[int]] = {}
    took: list[int] = []
    doubled = 0
    head = arp.request(mac=mac, sender_ip=bytes(4), target_ip=bytes(4))[: arp.SENDER_IP.start]
    no_mac = bytes(6)

    def receive() -> None:
        nonlocal doubled
        while True:
            try:
                frame, ancillary, _, _ = sock.sock.recvmsg(64, 64)
            except BlockingIOError:
                return
            if frame[:6] != mac or frame[20:22] != b"\x00\x02":
                continue
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            # The asker's address comes back in the answer: it tells one request for an address from the next.
            sent_at = waiting.get(frame[arp.SENDER_IP] + frame[arp.TARGET_IP])
            if not sent_at:
                doubled += 1
                continue
            took.append(seconds * 1_000_000_000 + nanoseconds - sent_at.popleft())

    total = int(rate * seconds)
    sent = 0
    behind = 0.0
    began_at = time.monotonic()
    while sent < total:
        now = time.monotonic()
        due = min(total, int((now - began_at) * rate) + 1)
        behind = max(behind, (due - sent) / rate - _TICK)
        for number in range(sent, due):
            asker = bytes(4) if probes else (0x0A000000 | number & 0xFFFFFF).to_bytes(4, "big")
            target = targets[number % len(targets)]
            waiting.setdefault(target + asker, deque()).append(time.time_ns())
            if not sock.send(head + asker + no_mac + target):
                raise RuntimeError("the transmit queue is full")
        sent = due
        receive()
        select.select([], [], [], max(0.0, _TICK - (time.monotonic() - now)))
    patience_ends = time.monotonic() + _PATIENCE
    while len(took) < sent and (left := patience_ends - time.monotonic()) > 0:
        select.select([sock], [], [], left)
        receive()
    receive()
    took.sort()

    def at(share: float) -> float:
        return took[min(len(took) - 1, int(len(took) * share))] / 1e6 if took else float("nan")

    return Load(
        sent=sent,
        lost=sent - len(took),
        doubled=doubled,
        p50=at(0.5),
        p99=at(0.99),
        max=at(1.0),
        late=sum(1 for nanoseconds in took if nanoseconds > LATE * 1e9),
        behind=behind * 1000,
    )


def main() -> None:
    wanted = json.load(sys.stdin)
    if wanted["core"] is not None:
        os.sched_setaffinity(0, {wanted["core"]})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass
    print("begins", flush=True)
    load = _flood(
        wanted["ifindex"],
        mac_from_text(wanted["mac"]),
        [socket.inet_aton(text) for text in wanted["addresses"]],
        wanted["rate"],
        wanted["seconds"],
        wanted["probes"],
    )
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
