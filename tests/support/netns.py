"""Network namespaces, veth pairs and bridges for tests that want the real kernel and real frames.

    with Segment({"a": ["192.0.2.1/24"], "b": ["192.0.2.2/24", "fd00::2/64"]}) as lan:
        lan["a"].run(["ping", "-c1", "192.0.2.2"])
        with lan["b"].entered():
            sock = socket.socket(...)  # belongs to b for good, whatever thread uses it later

Everything made here is named `lbt-<pid>-<number>-<name>`. It is removed when the block is left, by an exception or
Ctrl-C too; what a killed run left behind is removed by the next one, because the pid in the name is dead then.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tests.support.bars import PATIENCE

_T = TypeVar("_T")
_PREFIX = "lbt-"
_RUN = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_SIOCGIFHWADDR = 0x8927
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


@contextlib.contextmanager
def entered(netns: str) -> Iterator[None]:
    """This thread (only) is in `netns` inside the block; sockets made there stay there. Never await inside it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(_RUN / netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def call_in(netns: str, function: Callable[[], _T]) -> _T:
    """`function()` inside `netns`, in this thread."""
    with entered(netns):
        return function()


def _argv(netns: str, argv: Sequence[str]) -> list[str]:
    return ["ip", "netns", "exec", netns, *argv]


def run_in(
    netns: str, argv: Sequence[str], *, check: bool = True, timeout: float = 120.0, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command inside `netns`. With `check`, a failure raises with what the command printed."""
    done = subprocess.run(_argv(netns, argv), capture_output=True, text=True, timeout=timeout, input=stdin, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} in {netns}: exit {done.returncode}: {done.stderr.strip() or done.stdout}")
    return done


def popen_in(netns: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Starts a command inside `netns`; its pid is the command's own (`ip netns exec` replaces itself)."""
    return subprocess.Popen(_argv(netns, argv), **options)


def sweep() -> None:
    """Deletes namespaces that a test run which no longer exists left behind."""
    if not _RUN.is_dir():
        return
    for entry in _RUN.glob(f"{_PREFIX}*"):
        pid = entry.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            subprocess.run(["ip", "netns", "del", entry.name], capture_output=True, check=False)


_swept = False


def _sweep_once() -> None:
    global _swept
    if not _swept:
        _swept = True
        sweep()


def add_netns(name: str) -> str:
    """Makes a namespace with loopback up and no duplicate address detection; returns its full name. Delete it."""
    _sweep_once()
    full = f"{_PREFIX}{os.getpid()}-{next(_numbers)}-{name}"
    subprocess.run(["ip", "netns", "add", full], check=True, capture_output=True)
    try:
        with entered(full):
            for scope in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/accept_dad").write_text("0")
                Path(f"/proc/sys/net/ipv6/conf/{scope}/router_solicitations").write_text("0")
        run_in(full, ["ip", "link", "set", "lo", "up"])
    except BaseException:
        del_netns(full)
        raise
    return full


def del_netns(full: str) -> None:
    subprocess.run(["ip", "netns", "del", full], capture_output=True, check=False)


@contextlib.contextmanager
def netns(name: str = "ns") -> Iterator[str]:
    """A namespace of its own for the block; yields its full name."""
    full = add_netns(name)
    try:
        yield full
    finally:
        del_netns(full)


def eventually(condition: Callable[[], _T], *, within: float = PATIENCE, every: float = 0.005, what: str = "") -> _T:
    """The first true value of `condition()`; AssertionError when there is none `within` seconds. Blocks the thread."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within} s: {what or condition}; last was {value!r}")
        time.sleep(every)


class Host:
    """A namespace with one interface on a Segment (`eth0`), and a port on the segment's bridge."""

    def __init__(self, segment: Segment, name: str, netns_name: str, interface: str, port: str) -> None:
        self.segment = segment
        self.name = name
        self.netns = netns_name
        self.interface = interface
        self.port = port

    def entered(self) -> contextlib.AbstractContextManager[None]:
        return entered(self.netns)

    def call(self, function: Callable[[], _T]) -> _T:
        return call_in(self.netns, function)

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 120.0, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return run_in(self.netns, argv, check=check, timeout=timeout, stdin=stdin)

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        return popen_in(self.netns, argv, **options)

    def sysctl(self, key: str, value: str) -> None:
        """`key` with slashes, as below /proc/sys: `net/ipv4/ip_forward`."""
        with self.entered():
            Path("/proc/sys", key).write_text(value)

    @property
    def ifindex(self) -> int:
        return self.call(lambda: socket.if_nametoindex(self.interface))

    @property
    def mac(self) -> str:
        """The interface's address as `aa:bb:cc:dd:ee:ff`."""
        with self.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            answer = fcntl.ioctl(sock, _SIOCGIFHWADDR, struct.pack("256s", self.interface.encode()))
        return answer[18:24].hex(":")

    @property
    def ipv4(self) -> str | None:
        """The first IPv4 address of the interface, if it has one."""
        words = self.run(["ip", "-4", "-o", "addr", "show", "dev", self.interface]).stdout.split()
        return words[words.index("inet") + 1].split("/")[0] if words else None

    @property
    def link_local(self) -> str:
        """The fe80:: address of the interface, without a scope."""
        words = self.run(["ip", "-6", "-o", "addr", "show", "dev", self.interface, "scope", "link"]).stdout.split()
        return words[words.index("inet6") + 1].split("/")[0]

    def add_address(self, address: str) -> None:
        nodad = ["nodad"] if ":" in address else []
        self.run(["ip", "addr", "add", address, "dev", self.interface, *nodad])

    def pull(self) -> None:
        """The cable out: the host sees no carrier."""
        self.segment.bridge_ip("link", "set", self.port, "down")

    def plug(self) -> None:
        self.segment.bridge_ip("link", "set", self.port, "up")

    def cut(self) -> None:
        """The silent cut: nothing passes in either direction, and the carrier stays up."""
        self.segment.bridge_ip("link", "set", self.port, "nomaster")

    def heal(self) -> None:
        self.segment.bridge_ip("link", "set", self.port, "master", self.segment.bridge)


class Segment:
    """One Ethernet segment: a bridge in a namespace of its own, and hosts (a namespace each) with `eth0` on it.

    `hosts` maps a name to its addresses with prefix length. `snooping` turns on the bridge's multicast snooping.
    A host may be given as a Host of another Segment: it then gets `eth1`, `eth2`... here.
    """

    bridge = "br0"

    def __init__(self, hosts: Mapping[str, Sequence[str]] | None = None, *, snooping: bool = False) -> None:
        self._wanted = dict(hosts or {})
        self._snooping = snooping
        self._owned: list[str] = []
        self.hosts: dict[str, Host] = {}
        self.netns = ""

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __enter__(self) -> Segment:
        try:
            self.netns = self._own("bridge")
            self.bridge_ip(
                "link", "add", self.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0",
                "mcast_snooping", str(int(self._snooping)),
            )  # fmt: skip
            self.bridge_ip("link", "set", self.bridge, "up")
            for name, addresses in self._wanted.items():
                self.add_host(name, addresses)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        while self._owned:
            del_netns(self._owned.pop())

    def _own(self, name: str) -> str:
        full = add_netns(name)
        self._owned.append(full)
        return full

    def bridge_ip(self, *words: str) -> str:
        """An `ip` command in the bridge's namespace; returns what it printed."""
        return run_in(self.netns, ["ip", *words]).stdout

    def add_host(self, name: str, addresses: Sequence[str] = (), *, also: Host | None = None) -> Host:
        """A host more; `also` = put another interface of that host (of another Segment) on this segment."""
        host_netns = also.netns if also else self._own(name)
        taken = {line.split(":")[1].strip().split("@")[0] for line in _links(host_netns)}
        interface = next(f"eth{n}" for n in itertools.count() if f"eth{n}" not in taken)
        port = f"p{len(self.hosts)}-{name}"[:15]
        self.bridge_ip("link", "add", port, "type", "veth", "peer", "name", interface, "netns", host_netns)
        self.bridge_ip("link", "set", port, "master", self.bridge, "up")
        run_in(host_netns, ["ip", "link", "set", interface, "up"])
        host = Host(self, name, host_netns, interface, port)
        self.hosts[name] = host
        for address in addresses:
            host.add_address(address)
        return host


def _links(netns_name: str) -> list[str]:
    return run_in(netns_name, ["ip", "-o", "link", "show"]).stdout.splitlines()
