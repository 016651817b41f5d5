"""Two small packets beside beats: ECHO, which proves to a sender that it is heard, and REMEMBERED, for a lost clock.

An ECHO says when the newest beat received of each node was sent, by that node's own clock. In `safety` mode it goes out
with every beat: an owner's right to answer is as old as its newest beat that a majority has. It is a packet of its own,
because it is different every time, and beats are cheap to receive for being the same.

REMEMBERED tells a node, whose packets look like replays, which incarnation of it was heard before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from lbctl.protocol.heartbeat.packet import AUTH_SIZE, HEADER_SIZE, MAX_PACKET, Refused, Tlv, tlv, tlvs

_ECHO = struct.Struct("!QQQ")
_INCARNATION = struct.Struct("!QQ")
_PER_PACKET = (MAX_PACKET - HEADER_SIZE - AUTH_SIZE - 4) // _ECHO.size


class Echo(NamedTuple):
    """The newest beat received of one incarnation of a node: `sent_us` is its own clock."""

    node: int
    incarnation: int
    sent_us: int


def pack_echoes(echoes: Iterable[Echo]) -> list[bytes]:
    """The bodies of the ECHO packets for these; none when there are none."""
    packed = [_ECHO.pack(*echo) for echo in echoes]
    pieces = (packed[at : at + _PER_PACKET] for at in range(0, len(packed), _PER_PACKET))
    return [tlv(Tlv.ECHOES, b"".join(piece)) for piece in pieces]


def echo_of(payload: bytes, end: int, me: tuple[int, int]) -> int | Refused:
    """The `sent_us` of my newest beat that the sender has; 0 when this packet does not say."""
    parts = tlvs(payload, HEADER_SIZE, end)
    if parts is None:
        return Refused.MALFORMED
    for kind, value in parts:
        if kind == Tlv.ECHOES:
            if len(value) % _ECHO.size:
                return Refused.MALFORMED
            for node, incarnation, sent_us in _ECHO.iter_unpack(value):
                if (node, incarnation) == me:
                    return int(sent_us)
    return 0


def pack_remembered(node: int, incarnation: int) -> bytes:
    return tlv(Tlv.INCARNATION, _INCARNATION.pack(node, incarnation))


def remembered_of(payload: bytes, end: int, node: int) -> int | Refused:
    """The incarnation of `node` that the sender remembers; 0 when it is about another."""
    parts = tlvs(payload, HEADER_SIZE, end)
    for kind, value in parts or ():
        if kind == Tlv.INCARNATION and len(value) >= _INCARNATION.size:
            whose, incarnation = _INCARNATION.unpack_from(value)
            return int(incarnation) if whose == node else 0
    return Refused.MALFORMED
