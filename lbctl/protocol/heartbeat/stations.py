"""What a beat says of MACs: those its sender speaks from besides its segments', and those found where none should be.

Both lists are cut to what fits a budget, so that a beat stays one packet whatever a node has or finds; the sender puts
first what is news.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lbctl.protocol.heartbeat.identity import address_text, packed_address

STATIONS_ROOM = 128
"""Bytes of a beat for stations: eight or more of them."""
SIGHTINGS_ROOM = 192
"""Bytes of a beat for sightings: some twelve of IPv4. They are taken off the list once the World says them."""
_NAME = 15
_MAC = 6


class Station(NamedTuple):
    """An interface that its node announces on and has no heartbeats on (it has no address)."""

    mac: bytes
    interface: str


class Sighting(NamedTuple):
    """An address, and the MAC that answered when it was probed before its first use; all zero: nobody any more."""

    address: str
    mac: bytes
    interface: str


def pack_stations(stations: Sequence[Station]) -> bytes:
    packed = [station.mac[:_MAC].ljust(_MAC, b"\0") + _name(station.interface) for station in stations]
    return _joined(packed, STATIONS_ROOM)


def pack_sightings(sightings: Sequence[Sighting]) -> bytes:
    packed = []
    for sighting in sightings:
        address = packed_address(sighting.address)
        mac = sighting.mac[:_MAC].ljust(_MAC, b"\0")
        packed.append(bytes((len(address),)) + address + mac + _name(sighting.interface))
    return _joined(packed, SIGHTINGS_ROOM)


def parse_stations(value: bytes) -> tuple[Station, ...] | None:
    """None when the lengths do not add up."""
    found: list[Station] = []
    at = 0
    while at < len(value):
        name, end = _read_name(value, at + _MAC)
        if name is None:
            return None
        found.append(Station(value[at : at + _MAC], name))
        at = end
    return tuple(found)


def parse_sightings(value: bytes) -> tuple[Sighting, ...] | None:
    """None when the lengths do not add up."""
    found: list[Sighting] = []
    at = 0
    while at < len(value):
        size = value[at]
        mac_at = at + 1 + size
        name, end = _read_name(value, mac_at + _MAC)
        if size not in (4, 16) or name is None:
            return None
        found.append(Sighting(address_text(value[at + 1 : mac_at]), value[mac_at : mac_at + _MAC], name))
        at = end
    return tuple(found)


def _name(text: str) -> bytes:
    name = text.encode()[:_NAME]
    return bytes((len(name),)) + name


def _read_name(value: bytes, at: int) -> tuple[str | None, int]:
    """The name whose length stands at `at`, and where it ends; None when it does not fit or is no text."""
    if at >= len(value) or at + 1 + value[at] > len(value):
        return None, at
    end = at + 1 + value[at]
    try:
        text = value[at + 1 : end].decode()
    except UnicodeDecodeError:
        return None, at
    return (text if text.isprintable() else None), end


def _joined(entries: Sequence[bytes], room: int) -> bytes:
    """As many of the first entries as fit."""
    packed = b""
    for entry in entries:
        if len(packed) + len(entry) > room:
            break
        packed += entry
    return packed
