"""The published file as bytes: a World and the reasons of the pending, to one JSON document and back.

    {"schema": "lbctl.io/published/v1", "checksum": "sha256:...", "body": {...}}

The checksum is over the exact bytes of `body`, so that a copy that is half old and half new is found out. Both
directions do little work for what did not change: the encoder keeps the text of some objects together, the decoder
each text's object.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any

import msgspec

from lbctl.model.address import address_key
from lbctl.model.frozen_map import FrozenMap, changed_keys
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.plan.reason import Refusal
from lbctl.sources import published_bgp as bgp
from lbctl.sources import published_pool as pool
from lbctl.sources import published_schema as schema
from lbctl.sources.base import SourceError
from lbctl.sources.published_schema import SCHEMA

PENDING = "pending"
_HASH = "sha256"


class Trouble(StrEnum):
    """Why a published file was not taken."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    TORN = "torn"
    NEWER_SCHEMA = "newer_schema"
    OTHER_CLUSTER = "other_cluster"
    OLDER = "older"


class PublishedError(SourceError):
    """A published file that must not be used; `trouble` names why."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message, retryable=True)
        self.trouble = trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published file. `ledger` names the ledger it was made from: generations count up within one ledger.

    `pending` has a service that has no address, or that has one and would like another, and why.
    """

    world: World
    pending: Mapping[ServiceKey, tuple[Refusal, ...]]
    cluster: str
    ledger: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A map of the World: the document's member, the map's name, and how its objects go to and fro."""

    member: str
    map: str
    wire: type[Any]
    to_wire: Callable[[Any], Any]
    to_model: Callable[[Any], Any]
    key: Callable[[Any], Any]
    order: Callable[[Any], Any] | None = None
    """What sorts the keys, where they do not sort by themselves."""

    def encode(self, _key: Any, value: Any) -> bytes:
        return _encoder.encode(self.to_wire(value))


_by_name, _by_key = attrgetter("name"), attrgetter("key")
_by_service, _by_address = attrgetter("service"), attrgetter("address")

KINDS: tuple[Kind, ...] = (
    Kind("pools", "pools", pool.PoolWire, pool.pool_wire, pool.pool_of, _by_name),
    Kind("l2Advertisements", "l2_advertisements", bgp.L2Wire, bgp.l2_wire, bgp.l2_of, _by_name),
    Kind("bgpAdvertisements", "bgp_advertisements", bgp.BGPWire, bgp.bgp_wire, bgp.bgp_of, _by_name),
    Kind("bgpPeers", "bgp_peers", bgp.PeerWire, bgp.peer_wire, bgp.peer_of, _by_name),
    Kind("bfdProfiles", "bfd_profiles", bgp.BFDWire, bgp.bfd_wire, bgp.bfd_of, _by_name),
    Kind("communities", "communities", bgp.CommunityWire, bgp.community_wire, bgp.community_of, _by_name),
    Kind("nodes", "nodes", schema.NodeWire, schema.node_wire, schema.node_of, _by_name),
    Kind("namespaces", "namespaces", schema.NamespaceWire, schema.namespace_wire, schema.namespace_of, _by_name),
    Kind("allocations", "allocations", pool.AllocationWire, pool.allocation_wire, pool.allocation_of, _by_service),
    Kind(
        "quarantined",
        "quarantined",
        pool.QuarantineWire,
        pool.quarantine_wire,
        pool.quarantine_of,
        _by_address,
        order=address_key,
    ),
    Kind("services", "services", schema.ServiceWire, schema.service_wire, schema.service_of, _by_key),
    Kind("endpointSlices", "slices", schema.SliceWire, schema.slice_wire, schema.slice_of, _by_key),
)

_encoder = msgspec.json.Encoder()


def _encode_pending(key: ServiceKey, refusals: tuple[Refusal, ...]) -> bytes:
    return _encoder.encode(schema.pending_wire((key, refusals)))


_BLOCK = 64
"""So many objects are encoded again because one of them has changed."""


class _Section:
    """What was said of one map last time: the map itself, its keys in order, in blocks, and the text of each block."""

    def __init__(self, order: Callable[[Any], Any] | None = None) -> None:
        self._rank: Callable[[Any], Any] = order or (lambda key: key)
        self._source: Mapping[Any, Any] = FrozenMap()
        self._blocks: list[list[Any]] = []
        self._firsts: list[Any] = []
        self._texts: list[bytes] = []
        self._joined = b""

    def update(self, source: Mapping[Any, Any], encode: Callable[[Any, Any], bytes]) -> bytes:
        if source is self._source:
            return self._joined
        changed = changed_keys(self._source, source)
        if not self._blocks or len(changed) > len(source) // _BLOCK:
            self._blocks, self._firsts, self._texts = [], [], []
            self._replace(0, 0, sorted(source, key=self._rank), source, encode)
        else:
            for place, keys in sorted(self._by_block(changed).items(), reverse=True):
                left = [key for key in self._blocks[place] if key not in keys]
                left += [key for key in keys if key in source]
                self._replace(place, place + 1, sorted(left, key=self._rank), source, encode)
        self._source = source
        self._joined = b",\n".join(self._texts)
        return self._joined

    def _by_block(self, keys: Iterable[Any]) -> dict[int, set[Any]]:
        """The keys by the number of the block that they are in, or belong into."""
        found: dict[int, set[Any]] = {}
        for key in keys:
            found.setdefault(max(0, bisect_right(self._firsts, self._rank(key)) - 1), set()).add(key)
        return found

    def _replace(
        self, begin: int, end: int, keys: list[Any], source: Mapping[Any, Any], encode: Callable[[Any, Any], bytes]
    ) -> None:
        """Puts these keys in the place of some blocks."""
        size = len(keys) if len(keys) <= 2 * _BLOCK else _BLOCK
        blocks = [keys[at : at + size] for at in range(0, len(keys), size or 1)]
        self._blocks[begin:end] = blocks
        self._firsts[begin:end] = [self._rank(block[0]) for block in blocks]
        self._texts[begin:end] = [b",\n".join([encode(key, source[key]) for key in block]) for block in blocks]


class DocumentEncoder:
    """Makes documents, one after the other, of one controller."""

    def __init__(self, *, cluster: str, ledger: str) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._sections = {PENDING: _Section(), **{kind.member: _Section(kind.order) for kind in KINDS}}

    def encode(self, world: World, pending: Mapping[ServiceKey, tuple[Refusal, ...]]) -> tuple[bytes, ...]:
        """The document's bytes, in parts to be written one after the other."""
        head = {
            "cluster": self._cluster,
            "ledger": self._ledger,
            "generation": world.generation,
            "madeUnix": world.made_unix,
        }
        parts = [_encoder.encode(head)[:-1]]
        for kind in KINDS:
            section = self._sections[kind.member].update(getattr(world, kind.map), kind.encode)
            parts += [b',\n"%s":[\n' % kind.member.encode(), section, b"\n]"]
        section = self._sections[PENDING].update(pending, _encode_pending)
        parts += [b',\n"pending":[\n', section, b"\n]}"]
        digest = hashlib.new(_HASH)
        for part in parts:
            digest.update(part)
        start = b'{"schema":"%s","checksum":"%s:%s","body":' % (
            SCHEMA.encode(),
            _HASH.encode(),
            digest.hexdigest().encode(),
        )
        return (start, *parts, b"}\n")


class _Document(msgspec.Struct):
    schema: str
    checksum: str
    body: msgspec.Raw


class Head(msgspec.Struct, frozen=True, rename="camel"):
    """What a document says of itself."""

    cluster: str
    ledger: str
    generation: int
    made_unix: float


@dataclass(frozen=True, slots=True)
class _Fragments:
    """The objects of one section, by their bytes, and the map they make. `digest` is of the whole section."""

    digest: bytes
    by_bytes: dict[bytes, Any]
    map: FrozenMap[Any, Any]


_sections_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class DocumentDecoder:
    """Reads documents. An object whose bytes are as they were last time is the very same object again."""

    def __init__(self) -> None:
        self._fragments: dict[str, _Fragments] = {}
        self._fresh: dict[str, _Fragments] = {}
        self._decoders = {kind.member: msgspec.json.Decoder(kind.wire) for kind in KINDS}
        self._pending_decoder = msgspec.json.Decoder(schema.PendingWire)

    def decode(
        self,
        document: bytes,
        *,
        only: Collection[str] | None = None,
        check: Callable[[Head], None] = lambda _: None,
    ) -> Published:
        """Raises PublishedError.

        `only` names the World's maps that are wanted, the others stay empty. `check` looks at the head of a document
        that is whole, and raises where it is not to be used.
        """
        try:
            outer = msgspec.json.decode(document, type=_Document)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PublishedError(Trouble.TORN, f"not a whole document: {error}") from error
        if outer.schema != SCHEMA:
            raise PublishedError(
                Trouble.NEWER_SCHEMA,
                f"its schema is {outer.schema!r} and this lbctl reads {SCHEMA!r}; update lbctl here",
            )
        body = bytes(outer.body)
        if outer.checksum != f"{_HASH}:{hashlib.new(_HASH, body).hexdigest()}":
            raise PublishedError(Trouble.TORN, "its checksum does not match its content")
        try:
            head = msgspec.json.decode(body, type=Head)
            check(head)
            sections = _sections_decoder.decode(body)
            self._fresh = {}
            maps = {
                kind.map: self._section(kind.member, sections.get(kind.member), self._decoders[kind.member], kind)
                for kind in KINDS
                if only is None or kind.map in only
            }
            pending = self._section(PENDING, sections.get(PENDING), self._pending_decoder, _PENDING_KIND)
        except (msgspec.DecodeError, ValueError) as error:
            # The checksum holds, so these are the bytes that some controller wrote.
            raise PublishedError(Trouble.UNREADABLE, f"it cannot be understood: {error}") from error
        # Only now, so that a document that is not used leaves what was known in place.
        self._fragments |= self._fresh
        return Published(
            world=World(generation=head.generation, made_unix=head.made_unix, **maps),
            pending=MappingProxyType(dict(pending.values())),
            cluster=head.cluster,
            ledger=head.ledger,
        )

    def _section(
        self, member: str, raw: msgspec.Raw | None, decoder: msgspec.json.Decoder[Any], kind: Kind
    ) -> Mapping[Any, Any]:
        text = bytes(raw) if raw is not None else b"[]"
        digest = hashlib.blake2b(text, digest_size=16).digest()
        known = self._fragments.get(member)
        if known is not None and known.digest == digest:
            return known.map
        before = known.by_bytes if known is not None else {}
        objects: dict[Any, Any] = {}
        changed: dict[Any, Any] = {}
        by_bytes: dict[bytes, Any] = {}
        to_model, key = kind.to_model, kind.key
        for item in _items_decoder.decode(text):
            fragment = bytes(item)
            value = before.get(fragment)
            if value is None:
                value = to_model(decoder.decode(fragment))
                changed[key(value)] = value
            by_bytes[fragment] = value
            objects[key(value)] = value
        if known is None:
            map = FrozenMap(objects)
        else:
            gone = known.map.keys() - objects.keys() if len(objects) < len(known.map) + len(changed) else ()
            map = known.map.having(changed, gone)
        fresh = _Fragments(digest, by_bytes, map)
        self._fresh[member] = fresh
        return fresh.map


_PENDING_KIND = Kind(PENDING, PENDING, schema.PendingWire, schema.pending_wire, schema.pending_of, itemgetter(0))
