"""The segment, whose ports fail by one netlink message: a command would take longer than what is measured."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence

from lbctl.net.netlink import ROUTE, Netlink, attribute
from tests.support.netns import Segment, entered

_NEWLINK, _DELLINK = 16, 17
_UP = 1
_MASTER = 10
_LINK = struct.Struct("=BxHiII")

NETWORK = "10.7.0.0/16"
OBSERVER = "observer"
OTHER_SIDE = "observer2"
"""A second station, for the other side of a partition."""


def node_address(number: int) -> str:
    return f"10.7.0.{number}"


def vips(count: int) -> tuple[str, ...]:
    return tuple(f"10.7.{16 + number // 250}.{1 + number % 250}" for number in range(count))


class Switch:
    """Nodes and an observer on one segment. As a context manager it is made and removed again."""

    def __init__(self, names: Sequence[str]) -> None:
        hosts = {name: [f"{node_address(number)}/16", f"fd00:7::{number}/64"] for number, name in enumerate(names, 1)}
        self.lan = Segment({**hosts, OBSERVER: ["10.7.15.1/16"], OTHER_SIDE: ["10.7.15.2/16"]})
        self._index: dict[str, int] = {}

    def __enter__(self) -> Switch:
        self.lan.__enter__()
        try:
            self.macs: Mapping[str, str] = {host.mac: name for name, host in self.lan.hosts.items()}
            self._read()
        except BaseException:
            self.lan.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._netlink.close()
        self.lan.close()

    def mac(self, name: str) -> str:
        return next(mac for mac, owner in self.macs.items() if owner == name)

    def _read(self) -> None:
        with entered(self.lan.netns):
            self._netlink = Netlink(ROUTE)
            self._bridge = socket.if_nametoindex(Segment.bridge)
            self._index = {name: socket.if_nametoindex(host.port) for name, host in self.lan.hosts.items()}

    def down(self, name: str) -> None:
        """The cable is out: the node sees that it has no carrier."""
        self._change(name, flags=0, change=_UP)

    def up(self, name: str) -> None:
        self._change(name, flags=_UP, change=_UP)

    def detach(self, name: str) -> None:
        """The port passes nothing either way, and the node's carrier stays."""
        self._change(name, more=attribute(_MASTER, struct.pack("=I", 0)))

    def attach(self, name: str, bridge: int | None = None) -> None:
        self._change(name, more=attribute(_MASTER, struct.pack("=I", self._bridge if bridge is None else bridge)))

    def remove(self, name: str) -> None:
        """The port, and with it the node's interface, for good."""
        list(self._netlink.request(_DELLINK, _LINK.pack(0, 0, self._index[name], 0, 0)))

    def second_bridge(self) -> int:
        """Another bridge, for the other side of a partition; its number for `attach`."""
        self.lan.bridge_ip(
            "link", "add", "br1", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"
        )
        self.lan.bridge_ip("link", "set", "br1", "up")
        with entered(self.lan.netns):
            return socket.if_nametoindex("br1")

    def _change(self, name: str, *, flags: int = 0, change: int = 0, more: bytes = b"") -> None:
        list(self._netlink.request(_NEWLINK, _LINK.pack(0, 0, self._index[name], flags, change) + more))
