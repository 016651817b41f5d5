"""How an owner's list of claims travels: CLAIMS packets, each a span of its changes, and the REQUEST for missing spans.

An owner numbers the changes of its own list: 1, 2, 3... Every claim and every drop carries the number of its newest
change. A CLAIMS packet covers a span (after, upto]: all that changed last within it. Spans may arrive in any order and
more than once; who has the spans (0, version] without a hole has the list. So one form serves for a move (one small
span), for a joiner (everything, in pieces) and for what was lost on the way (the holes).

An entry has its own length: fields that a later version appends are kept and counted in the digest, not understood.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.protocol.heartbeat.identity import address_text, packed_address
from lbctl.protocol.heartbeat.packet import AUTH_SIZE, HEADER_SIZE, MAX_PACKET, Refused, Tlv, tlv, tlvs

_SPAN = struct.Struct("!QQQQB")
_ENTRY = struct.Struct("!BI")
_CLAIM = struct.Struct("!BBQQQQQQ")
_WANT = struct.Struct("!QQ")
_TLV_SIZE = 4
_ROOM = MAX_PACKET - HEADER_SIZE - AUTH_SIZE - _TLV_SIZE - _SPAN.size - 2 * _TLV_SIZE
MAX_WANTED = 64
"""Spans in one request."""

CAUSES: tuple[str, ...] = (
    "other", "started", "first_announced", "owner_gone", "owner_left", "owner_not_eligible", "released",
    "lost_to_better_claim", "not_eligible", "no_longer_allocated", "stopping", "drained", "moved", "rebalanced",
    "failback", "pinned",
)  # fmt: skip
"""Causes by their code on the wire. Only ever append: a code keeps its meaning for good."""

_CODES = {cause: code for code, cause in enumerate(CAUSES)}
_QUORATE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One address that one node says it owns. Its owner is whoever's list it is in; heirs are node hashes.

    `since_ms` is Unix time. `allocation` and `generation` name the grant and the World it was decided on.
    """

    address: str
    epoch: int
    quorate: bool
    since_ms: int
    cause: str
    allocation: int = 0
    generation: int = 0
    heirs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A CLAIMS packet: what changed last in (after, upto], as the owner saw it at `version`.

    Drops up to `floor` are no longer remembered by the owner. `claims` are (change number, the claim's bytes), `drops`
    (change number, address). `final`: this ends the answer to a request, so ask at once for what is still missing.
    """

    after: int
    upto: int
    floor: int
    version: int
    final: bool
    claims: tuple[tuple[int, bytes], ...]
    drops: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which spans of the receiver's list, in its incarnation `incarnation`, the sender does not have."""

    incarnation: int
    spans: tuple[tuple[int, int], ...]


def encode_claim(claim: Claim) -> bytes:
    heirs = (*claim.heirs, 0, 0)
    return _CLAIM.pack(
        _QUORATE if claim.quorate else 0,
        _CODES.get(claim.cause, 0),
        claim.epoch,
        claim.since_ms,
        claim.allocation,
        claim.generation,
        heirs[0],
        heirs[1],
    ) + _sized(packed_address(claim.address))


def decode_claim(content: bytes) -> Claim | None:
    """The claim in an entry; None when the bytes are none."""
    if len(content) <= _CLAIM.size:
        return None
    flags, cause, epoch, since_ms, allocation, generation, *heirs = _CLAIM.unpack_from(content)
    address = _address(content, _CLAIM.size)
    if address is None:
        return None
    return Claim(
        address=address,
        epoch=epoch,
        quorate=bool(flags & _QUORATE),
        since_ms=since_ms,
        cause=CAUSES[cause] if cause < len(CAUSES) else CAUSES[0],
        allocation=allocation,
        generation=generation,
        heirs=tuple(heir for heir in heirs if heir),
    )


def pack_changes(
    span: tuple[int, int], entries: Iterable[tuple[int, bytes | str]], *, floor: int, version: int, final: bool = False
) -> list[bytes]:
    """The bodies of the CLAIMS packets for `span`; `entries` in the order of their numbers, a str is a drop.

    Each body covers the span up to its own last entry, the last one up to the end of `span`.
    """
    bodies: list[bytes] = []
    claims: list[bytes] = []
    drops: list[bytes] = []
    used = 0
    start = last = span[0]
    for number, entry in entries:
        content = _sized(packed_address(entry)) if isinstance(entry, str) else entry
        size = _ENTRY.size + len(content)
        if (used + size > _ROOM or number - start > 0xFFFFFFFF) and (claims or drops):
            bodies.append(_body(_SPAN.pack(start, last, floor, version, 0), claims, drops))
            claims, drops, used, start = [], [], 0, last
        packed = _ENTRY.pack(len(content), min(number - start, 0xFFFFFFFF)) + content
        (drops if isinstance(entry, str) else claims).append(packed)
        used += size
        last = number
    bodies.append(_body(_SPAN.pack(start, span[1], floor, version, int(final)), claims, drops))
    return bodies


def _body(span: bytes, claims: list[bytes], drops: list[bytes]) -> bytes:
    body = tlv(Tlv.SPAN, span)
    if claims:
        body += tlv(Tlv.CLAIM, b"".join(claims))
    if drops:
        body += tlv(Tlv.DROP, b"".join(drops))
    return body


def parse_changes(payload: bytes, end: int) -> Changes | Refused:
    parts = tlvs(payload, HEADER_SIZE, end)
    if parts is None:
        return Refused.MALFORMED
    span: tuple[int, ...] | None = None
    claims: list[tuple[int, bytes]] = []
    drops: list[tuple[int, str]] = []
    for kind, value in parts:
        if kind == Tlv.SPAN and len(value) >= _SPAN.size and span is None:
            span = _SPAN.unpack_from(value)
        elif kind in (Tlv.CLAIM, Tlv.DROP):
            entries = _entries(value)
            if span is None or entries is None:
                return Refused.MALFORMED
            for offset, content in entries:
                number = span[0] + offset
                if not span[0] < number <= span[1]:
                    return Refused.MALFORMED
                if kind == Tlv.CLAIM:
                    claims.append((number, content))
                elif (address := _address(content, 0)) is not None:
                    drops.append((number, address))
                else:
                    return Refused.MALFORMED
    if span is None or span[0] >= span[1]:
        return Refused.MALFORMED
    after, upto, floor, version, flags = span
    return Changes(
        after=after,
        upto=upto,
        floor=floor,
        version=version,
        final=bool(flags & 1),
        claims=tuple(claims),
        drops=tuple(drops),
    )


def pack_request(request: Request) -> bytes:
    spans = b"".join(_WANT.pack(*span) for span in request.spans[:MAX_WANTED])
    return tlv(Tlv.WANT, request.incarnation.to_bytes(8, "big") + spans)


def parse_request(payload: bytes, end: int) -> Request | Refused:
    parts = tlvs(payload, HEADER_SIZE, end)
    for kind, value in parts or ():
        if kind == Tlv.WANT and len(value) >= 8 and (len(value) - 8) % _WANT.size == 0:
            spans = tuple((after, upto) for after, upto in _WANT.iter_unpack(value[8:]) if after < upto)
            return Request(incarnation=int.from_bytes(value[:8], "big"), spans=spans[:MAX_WANTED])
    return Refused.MALFORMED


def _entries(value: bytes) -> list[tuple[int, bytes]] | None:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(value):
        if len(value) - at < _ENTRY.size:
            return None
        length, offset = _ENTRY.unpack_from(value, at)
        at += _ENTRY.size
        if length > len(value) - at:
            return None
        found.append((offset, value[at : at + length]))
        at += length
    return found


def _sized(packed: bytes) -> bytes:
    return bytes((len(packed),)) + packed


def _address(content: bytes, at: int) -> str | None:
    """The address whose length byte is at `at`; what follows it is for later versions."""
    if at >= len(content):
        return None
    size = content[at]
    packed = content[at + 1 : at + 1 + size]
    return address_text(packed) if size in (4, 16) and len(packed) == size else None
