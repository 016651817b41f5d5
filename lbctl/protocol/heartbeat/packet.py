"""The heartbeat datagram: a fixed header, then TLVs (type, length, value), the authentication TLV last.

    0 magic 2 | 2 version 1 | 3 kind 1 | 4 cluster 8 | 12 node 8 | 20 incarnation 8 | 28 sequence 8 | 36 sent us 8
    44 segment 4 | 48 interval ms 2 | 50 multiplier 1 | 51 saying 1 | 52 role 1 | 53 flags 1 | 54 part 1 | 55 TLVs...

(offset, name, size; big-endian.) Everything up to `segment` changes or identifies; what follows is the same from one
beat to the next while nothing happens, so a receiver compares it as bytes and reads it only when it differs. Unknown
TLVs are skipped, which is how the format grows; a different version is refused whole.

Parsing is bounded by the datagram's size and never raises: it returns a `Refused`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

from lbctl.protocol.heartbeat.identity import address_text, node_hash, packed_address
from lbctl.protocol.heartbeat.stations import (
    Sighting,
    Station,
    pack_sightings,
    pack_stations,
    parse_sightings,
    parse_stations,
)

MAGIC = b"LB"
VERSION = 1
MAX_PACKET = 1400
"""No packet is longer: one MTU with room for a VLAN or tunnel header; a datagram in fragments dies with any of them."""

_HEADER = struct.Struct("!2sBBQQQQQIHBBBBB")
HEADER_SIZE = _HEADER.size
STEADY_AT = 48
"""Offset of the part that repeats from beat to beat: interval, multiplier, saying, role, flags, part and the TLVs."""

_TLV = struct.Struct("!HH")
_RANGE = struct.Struct("!QQ")
_NUMBER = struct.Struct("!Q")
_HEARS = struct.Struct("!QQB")
_DIGEST = struct.Struct("!QQQIQ")
AUTH_SIZE = _TLV.size + 4 + 32
"""Type and length, key id, HMAC-SHA256."""

MIN_INTERVAL_MS, MAX_INTERVAL_MS, MAX_MULTIPLIER = 5, 10_000, 50
MAX_NAME = 253
"""Bytes of a node name: a DNS name, as Kubernetes has it."""
_MAX_LINKS = 16
_LINK_NAME = 15


class Kind(IntEnum):
    BEAT = 1
    CLAIMS = 2
    REQUEST = 3
    ORDERS = 4
    ECHO = 5
    REMEMBERED = 6


class Saying(IntEnum):
    """How a node says it is."""

    ALIVE = 1
    DRAINING = 2
    LEAVING = 3


class Role(IntEnum):
    """A speaker can own and votes; an observer (a controller, a tool) only listens."""

    SPEAKER = 1
    OBSERVER = 2


# Bits are plain numbers: arithmetic on enum.IntFlag costs more than all the rest of reading a beat.
SIGNED = 1
"""Header flag: the authentication TLV ends the packet."""
DEAF = 2
"""Header flag of a beat: no frame at all has come in since the others fell silent, so that they are not to blame."""
TWO_WAY, HERE = 1, 2
"""Flags of one "I hear": that node says that it hears me too; I hear it on this very segment."""


class Tlv(IntEnum):
    NAME = 1
    HEARS = 2
    DIGESTS = 3
    LINKS = 4
    STATIONS = 5
    SIGHTINGS = 6
    ORDERS = 7
    WORLD = 8
    SPAN = 16
    CLAIM = 17
    DROP = 18
    WANT = 19
    ECHOES = 20
    INCARNATION = 21
    ORDER = 22
    AUTH = 0x7FFF


class Refused(Enum):
    """Why a datagram was not read; the value is the name of its counter."""

    TOO_LONG = "rx_too_long"
    TOO_SHORT = "rx_too_short"
    NOT_OURS = "rx_not_heartbeat"
    VERSION = "rx_other_version"
    CLUSTER = "rx_other_cluster"
    VALUES = "rx_impossible_values"
    MALFORMED = "rx_malformed"


class Header(NamedTuple):
    """`sent_us` is the sender's own clock, for echoes; `part` numbers the packets that make up one beat."""

    kind: int
    node: int
    incarnation: int
    sequence: int
    sent_us: int
    segment: int
    interval_ms: int
    multiplier: int
    saying: int
    role: int
    flags: int
    part: int = 0


class Digest(NamedTuple):
    """What a complete copy of one owner's claims looks like: its version, how many, and the sum of their hashes."""

    node: int
    incarnation: int
    version: int
    claims: int
    hash: int


class Heard(NamedTuple):
    """One "I hear": a node, its incarnation, and the flags `TWO_WAY` and `HERE`."""

    node: int
    incarnation: int
    flags: int


class Link(NamedTuple):
    """An interface the sender speaks on: so that a MAC seen on the wire can be given a node's name."""

    mac: bytes
    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hears:
    """All the nodes heard whose hash lies in [low, high]: a node in that range that is not listed is not heard."""

    low: int = 0
    high: int = 2**64 - 1
    entries: tuple[Heard, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The TLVs of a beat. `world`: the generation of the World the sender decides by, 0 when it has none.

    `orders`: the digest of the orders that it knows, as `orders` packs it.
    """

    name: str
    hears: Hears | None = None
    digests: tuple[Digest, ...] = ()
    links: tuple[Link, ...] = ()
    stations: tuple[Station, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    world: int = 0
    orders: bytes = b""


def encode_header(header: Header, cluster: int) -> bytes:
    kind, node, incarnation, sequence, sent_us, segment, *steady = header
    return _HEADER.pack(MAGIC, VERSION, kind, cluster, node, incarnation, sequence, sent_us, segment, *steady)


def parse_header(payload: bytes, cluster: int) -> Header | Refused:
    """The header of a packet of this cluster, with values that can be."""
    if len(payload) < HEADER_SIZE:
        return Refused.TOO_SHORT
    if len(payload) > MAX_PACKET:
        return Refused.TOO_LONG
    magic, version, kind, its_cluster, *rest = _HEADER.unpack_from(payload)
    if magic != MAGIC:
        return Refused.NOT_OURS
    if version != VERSION:
        return Refused.VERSION
    if its_cluster != cluster:
        return Refused.CLUSTER
    header = Header._make((kind, *rest))
    if (
        not MIN_INTERVAL_MS <= header.interval_ms <= MAX_INTERVAL_MS
        or not 1 <= header.multiplier <= MAX_MULTIPLIER
        or not 1 <= header.saying <= 3
        or not 1 <= header.role <= 2
    ):
        return Refused.VALUES
    if header.flags & SIGNED and len(payload) < HEADER_SIZE + AUTH_SIZE:
        return Refused.TOO_SHORT
    return header


def body_end(payload: bytes, header: Header) -> int:
    """Where the TLVs end and the authentication TLV, if there is one, begins."""
    return len(payload) - AUTH_SIZE if header.flags & SIGNED else len(payload)


def tlv(kind: int, value: bytes) -> bytes:
    return _TLV.pack(kind, len(value)) + value


def tlvs(payload: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]] | None:
    """(type, value) of every TLV in payload[start:end]; None when the lengths do not add up."""
    found: list[tuple[int, bytes]] = []
    at = start
    while at < end:
        if end - at < _TLV.size:
            return None
        kind, length = _TLV.unpack_from(payload, at)
        at += _TLV.size
        if length > end - at:
            return None
        found.append((kind, payload[at : at + length]))
        at += length
    return iter(found)


def beat_bodies(
    *,
    name: str,
    hears: Sequence[Heard],
    digests: Sequence[Digest],
    links: Sequence[Link],
    stations: Sequence[Station] = (),
    sightings: Sequence[Sighting] = (),
    world: int = 0,
    orders: bytes = b"",
) -> list[bytes]:
    """The TLVs of one beat, in as many packets as the list of those heard needs (one up to some 65 nodes)."""
    fixed = tlv(Tlv.NAME, name.encode()[:MAX_NAME])
    if links:
        fixed += tlv(Tlv.LINKS, b"".join(_pack_link(link) for link in links[:_MAX_LINKS]))
    if stations:
        fixed += tlv(Tlv.STATIONS, pack_stations(stations))
    if sightings:
        fixed += tlv(Tlv.SIGHTINGS, pack_sightings(sightings))
    if world:
        fixed += tlv(Tlv.WORLD, _NUMBER.pack(world))
    if orders:
        fixed += tlv(Tlv.ORDERS, orders)
    fixed += tlv(Tlv.DIGESTS, b"".join(_DIGEST.pack(*digest) for digest in digests))
    room = (MAX_PACKET - HEADER_SIZE - AUTH_SIZE - len(fixed) - _TLV.size - _RANGE.size) // _HEARS.size
    entries = sorted(hears)
    bodies = []
    low = start = 0
    while True:
        stop = start + room
        while start + 1 < stop < len(entries) and entries[stop].node == entries[stop - 1].node:
            stop -= 1  # one node's incarnations stay in one range
        last = stop >= len(entries)
        high = 2**64 - 1 if last else entries[stop - 1].node
        value = _RANGE.pack(low, high) + b"".join(_HEARS.pack(*entry) for entry in entries[start:stop])
        bodies.append(fixed + tlv(Tlv.HEARS, value))
        if last:
            return bodies
        low, start = high + 1, stop


def parse_beat(payload: bytes, end: int, node: int) -> Beat | Refused:
    """The TLVs of a beat whose header names `node`; the name must be that node's."""
    name: str | None = None
    hears: Hears | None = None
    digests: tuple[Digest, ...] = ()
    links: tuple[Link, ...] = ()
    stations: tuple[Station, ...] | None = ()
    sightings: tuple[Sighting, ...] | None = ()
    world = 0
    orders = b""
    parts = tlvs(payload, HEADER_SIZE, end)
    if parts is None:
        return Refused.MALFORMED
    for kind, value in parts:
        match kind:
            case Tlv.NAME:
                name = _text(value)
            case Tlv.HEARS:
                if len(value) < _RANGE.size or (len(value) - _RANGE.size) % _HEARS.size:
                    return Refused.MALFORMED
                low, high = _RANGE.unpack_from(value)
                entries = tuple(Heard(*entry) for entry in _HEARS.iter_unpack(value[_RANGE.size :]))
                hears = Hears(low=low, high=high, entries=entries)
            case Tlv.DIGESTS:
                if len(value) % _DIGEST.size:
                    return Refused.MALFORMED
                digests = tuple(Digest(*digest) for digest in _DIGEST.iter_unpack(value))
            case Tlv.LINKS:
                found = _links(value)
                if found is None:
                    return Refused.MALFORMED
                links = found
            case Tlv.STATIONS:
                stations = parse_stations(value)
            case Tlv.SIGHTINGS:
                sightings = parse_sightings(value)
            case Tlv.WORLD if len(value) >= _NUMBER.size:
                (world,) = _NUMBER.unpack_from(value)
            case Tlv.ORDERS:
                orders = value
            case _:
                pass
    if not name or len(name.encode()) > MAX_NAME or node_hash(name) != node or stations is None or sightings is None:
        return Refused.MALFORMED
    return Beat(
        name=name,
        hears=hears,
        digests=digests,
        links=links,
        stations=stations,
        sightings=sightings,
        world=world,
        orders=orders,
    )


def _pack_link(link: Link) -> bytes:
    name, address = link.name.encode()[:_LINK_NAME], packed_address(link.address)
    return link.mac[:6].ljust(6, b"\0") + bytes((len(name),)) + name + bytes((len(address),)) + address


def _text(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def _links(value: bytes) -> tuple[Link, ...] | None:
    links: list[Link] = []
    at = 0
    while at < len(value) and len(links) < _MAX_LINKS:
        name_at = at + 7
        address_at = name_at + value[at + 6] + 1 if at + 6 < len(value) else len(value) + 1
        if address_at > len(value):
            return None
        stop = address_at + value[address_at - 1]
        name, packed = _text(value[name_at : address_at - 1]), value[address_at:stop]
        if name is None or stop > len(value) or len(packed) not in (4, 16):
            return None
        links.append(Link(value[at : at + 6], name, address_text(packed)))
        at = stop
    return tuple(links)
