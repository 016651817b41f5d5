"""A host that forges ARP as fast as it is told to: what answers to real clients must live through.

`start(host, ...)` starts `python -m bench.arp_flood` in the host's namespace: frames from invented stations that claim
the given addresses, in each form that a claim can have, paced each millisecond. `finish` says how many it sent.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lbctl.protocol.l2 import arp
from tests.support.netns import Host

_FRAMES = 4096
_TICK = 0.001
_MOST = 1000
"""Frames at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    sent: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.sent / self.seconds


def start(host: Host, addresses: Sequence[str], *, rate: int, seconds: float) -> subprocess.Popen[str]:
    """Starts to forge claims to these addresses in turn; `finish` waits for its end."""
    argument = {"interface": host.interface, "addresses": list(addresses), "rate": rate, "seconds": seconds}
    process: subprocess.Popen[str] = host.popen(
        [sys.executable, "-m", "bench.arp_flood"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(argument))
    process.stdin.close()
    process.stdout.readline()  # it begins now
    return process


def finish(process: subprocess.Popen[str]) -> Flood:
    assert process.stdout is not None
    with process.stdout as said:
        text = said.read()
    if process.wait(60) != 0:
        raise RuntimeError("the flood failed")
    return Flood(**json.loads(text))


def forged(addresses: Sequence[bytes], count: int = _FRAMES) -> list[bytes]:
    """Claims by a new station each: announcements in both forms, answers to nobody, questions from the address."""
    frames: list[bytes] = []
    for number, address in zip(range(count), itertools.cycle(addresses), strict=False):
        mac = b"\x06\x66" + number.to_bytes(4, "big")
        match number % 4:
            case 0:
                frames.append(arp.gratuitous_request(mac=mac, address=address))
            case 1:
                frames.append(arp.gratuitous_reply(mac=mac, address=address))
            case 2:
                frames.append(arp.reply(mac=mac, sender_ip=address, target_mac=b"\xff" * 6, target_ip=bytes(4)))
            case _:
                target = b"\x0a\x00" + (number & 0xFFFF).to_bytes(2, "big")
                frames.append(arp.request(mac=mac, sender_ip=address, target_ip=target))
    return frames


def main() -> None:
    wanted = json.loads(sys.stdin.read())
    frames = itertools.cycle(forged([socket.inet_aton(address) for address in wanted["addresses"]]))
    # It is no use being polite: what it shall show is how others live with it.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((wanted["interface"], 0))
    print("began", flush=True)
    owed, sent, send, rate = 0.0, 0, sock.send, wanted["rate"]
    began_at = last = time.monotonic()
    ends_at = began_at + wanted["seconds"]
    while (now := time.monotonic()) < ends_at:
        # What could not be sent in time is not sent late: a flood has no debts.
        owed = min(owed + (now - last) * rate, _MOST)
        last = now
        for frame in itertools.islice(frames, int(owed)):
            send(frame)
            sent += 1
        owed -= int(owed)
        time.sleep(max(0.0, _TICK - (time.monotonic() - now)))
    print(json.dumps(asdict(Flood(sent=sent, seconds=time.monotonic() - began_at))))


if __name__ == "__main__":
    main()
