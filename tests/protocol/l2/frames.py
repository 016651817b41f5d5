"""Addresses and a table that the tests of this folder share."""

from __future__ import annotations

import socket

from lbctl.protocol.l2.table import Table
from lbctl.protocol.machine import Report, Send

NODE = bytes.fromhex("02000000000a")
CLIENT = bytes.fromhex("02000000000c")
STRANGER = bytes.fromhex("02000000000e")
ETH0, ETH1 = 2, 3


def ip(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


VIP4, VIP6 = ip("192.0.2.100"), ip("2001:db8::100")
CLIENT4, CLIENT6 = ip("192.0.2.2"), ip("2001:db8::2")


def answering(*addresses: bytes, where: frozenset[int] = frozenset({ETH0}), lease_at: float = 1e9) -> Table:
    """A table with eth0 and eth1 usable (the same MAC) that answers `addresses` where it is said."""
    table = Table()
    table.lease_at = lease_at
    table.set_ports({ETH0: NODE, ETH1: NODE})
    for address in addresses:
        table.allow(address, where)
        table.claim(address)
    return table


def sends(outputs: list[Send | Report]) -> list[Send]:
    return [output for output in outputs if isinstance(output, Send)]


def reports(outputs: list[Send | Report]) -> list[Report]:
    return [output for output in outputs if isinstance(output, Report)]
