"""Real pulse processes in namespaces; the test plays work and wire through the channels and reads the lease."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from lbctl.net.channel import Channel, ChannelClosed
from tests.support.bars import PATIENCE
from tests.support.netns import Host

_incarnations = iter(range(1000, 10_000))


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a pulse and the moment at which the test read it."""

    at: float
    to: str
    message: dict[str, Any]


@dataclass
class PulseProcess:
    """One node: the process, and what it has said so far."""

    host: Host
    address: str
    process: subprocess.Popen[bytes]
    work: Channel
    wire: Channel
    lease: mmap.mmap
    incarnation: int
    said: list[Said] = field(default_factory=list)
    mine: dict[str, list[Any]] = field(default_factory=dict)
    answering: set[str] = field(default_factory=set)
    claims: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def lease_until(self) -> float:
        until: float = struct.unpack_from("<d", self.lease)[0]
        return until

    def tell(self, op: str, **fields: Any) -> None:
        self.work.send({"op": op, **fields})

    def ops(self, op: str) -> list[Said]:
        return [said for said in self.said if said.message["op"] == op]

    def notes(self, name: str) -> list[dict[str, Any]]:
        return [said.message["fields"] for said in self.ops("note") if said.message["name"] == name]

    def is_ready(self) -> bool:
        return bool(self.ops("ready"))

    def counts(self, *names: str) -> bool:
        """Whether it hears all these both ways."""
        return all((m := self.members.get(n)) and m["two_way"] and m["state"] == "alive" for n in names)

    def read(self, to: str) -> None:
        channel = self.work if to == "work" else self.wire
        try:
            messages = channel.receive()
        except ChannelClosed:
            self.ended.add(to)
            return
        at = time.monotonic()
        for message in messages:
            self.said.append(Said(at, to, message))
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "answer":
                self.answering.difference_update(message["drop"])
                self.answering.update(message["set"])
            case "mine":
                for address, _ in message["drop"]:
                    self.mine.pop(address)
                self.mine.update({row[0]: row for row in message["set"]})
            case "claims":
                claims = self.claims.setdefault(message["node"], {})
                if message["complete"]:
                    claims.clear()
                for address in message["drop"]:
                    claims.pop(address)
                claims.update({row[0]: row for row in message["set"]})
            case "member":
                self.members[message["node"]] = message
            case "counters":
                self.counters = message["counters"]
            case "probe" if message["set"]:
                self.wire.send({"op": "probed", "results": [[address, None, None] for address in message["set"]]})

    def end(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(PATIENCE)
        self.work.close()
        self.wire.close()
        self.lease.close()


class Pulses:
    """Some pulses on one segment, and the loop that reads them all."""

    def __init__(self) -> None:
        self.nodes: dict[str, PulseProcess] = {}
        self._all: list[PulseProcess] = []

    def __getitem__(self, name: str) -> PulseProcess:
        return self.nodes[name]

    def __iter__(self) -> Iterator[PulseProcess]:
        return iter(self.nodes.values())

    def __enter__(self) -> Pulses:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for node in self._all:
            node.end()

    def start(self, host: Host, address: str, *, peers: Sequence[tuple[str, str]] = (), **setup: Any) -> PulseProcess:
        """A pulse on a host, set up and given its segment and peers (name, address)."""
        work, its_work = socket.socketpair()
        wire, its_wire = socket.socketpair()
        lease = os.memfd_create("lease")
        os.ftruncate(lease, mmap.PAGESIZE)
        fds = {"work": its_work.fileno(), "wire": its_wire.fileno(), "lease": lease}
        argv = [sys.executable, "-P", "-m", "lbctl.speaker.pulse", json.dumps(fds)]
        if setup.pop("unprivileged", False):
            argv = ["setpriv", "--bounding-set", "-sys_nice,-ipc_lock", "--inh-caps", "-sys_nice,-ipc_lock", *argv]
        process = host.popen(argv, pass_fds=tuple(fds.values()))
        page = mmap.mmap(lease, mmap.PAGESIZE)
        os.close(lease)
        its_work.close()
        its_wire.close()
        incarnation = setup.pop("incarnation", None) or next(_incarnations)
        node = PulseProcess(host, address, process, Channel(work), Channel(wire), page, incarnation)
        self.nodes[host.name] = node
        self._all.append(node)
        known: dict[str, Any] = {
            "cluster": "test", "node": host.name, "incarnation": incarnation, "interval": 0.05, "multiplier": 3,
            "port": 7966, "group4": "239.255.76.66", "group6": "ff02::4c42", "keys": [], "role": "speaker",
            "realtime": True,
        }  # fmt: skip
        node.tell("setup", **{**known, **setup})
        node.tell("peers", peers=[{"name": name, "addresses": [peer]} for name, peer in peers])
        segment = {"ifindex": host.ifindex, "name": host.interface, "address": address, "usable": True}
        node.tell("segments", segments=[{**segment, "mac": host.mac}])
        return node

    def read(self, timeout: float) -> bool:
        """Reads whatever is said within `timeout` seconds, returning after the first of it; whether there was any."""
        poll = select.poll()
        by_fd = {}
        for node in self._all:
            for to, channel in (("work", node.work), ("wire", node.wire)):
                if to not in node.ended and channel.fileno() >= 0:
                    poll.register(channel.fileno(), select.POLLIN)
                    by_fd[channel.fileno()] = node, to
        ready = poll.poll(timeout * 1000)
        for fd, _ in ready:
            node, to = by_fd[fd]
            node.read(to)
        return bool(ready)

    def until(self, condition: Callable[[], bool], *, within: float = PATIENCE) -> float:
        """Reads until a condition holds; the moment. AssertionError when it does not."""
        deadline = time.monotonic() + within
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"not within {within} s: {self._state()}"
            self.read(min(left, 0.2))
        return time.monotonic()

    def for_seconds(self, seconds: float, check: Callable[[], None] | None = None) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(min(left, 0.01))
            if check is not None:
                check()

    def _state(self) -> str:
        lines = [
            f"{node.name}: mine {sorted(node.mine)[:5]}, last {[said.message for said in node.said[-3:]]}, members "
            + ", ".join(f"{m['node']} {m['state']} {m['two_way']}" for m in node.members.values())
            for node in self
        ]
        return "\n".join(["", *lines])
