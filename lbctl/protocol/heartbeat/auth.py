"""Who may speak: HMAC-SHA256 (RFC 2104) over cluster, source address, header (so: segment, sequence) and content.

Keys are optional. Every key of the ring is accepted, so that a key can be replaced without a gap: give the new one to
all nodes as a second key, then make it the first everywhere, then take the old one away. The first key signs.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from enum import Enum
from typing import TYPE_CHECKING

from lbctl.protocol.heartbeat.identity import packed_address
from lbctl.protocol.heartbeat.packet import AUTH_SIZE, Tlv

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_PREFIX = struct.Struct("!HHI")
_MAC = 32
_BLOCK = 64
"""Bytes of a block of SHA-256."""
MAX_SOURCES = 1024
"""Sources whose beginning is remembered."""


class Unverified(Enum):
    """Why a packet does not count as said by a member; the value is the name of its counter."""

    UNSIGNED = "rx_unsigned"
    UNKNOWN_KEY = "rx_unknown_key"
    FORGED = "rx_forged"


class Keyring:
    """Signs and verifies for one cluster. Without keys everything is taken as it comes, and the speaker warns."""

    def __init__(self, cluster: str, keys: tuple[tuple[int, bytes], ...] = ()) -> None:
        self._cluster = hashlib.sha256(b"lbctl heartbeat 1\0" + cluster.encode()).digest()
        self._keys = {key_id & 0xFFFFFFFF: key for key_id, key in keys}
        self._signing = keys[0][0] & 0xFFFFFFFF if keys else None
        self._begun: dict[tuple[int, bytes | str], tuple[Hash, Hash]] = {}

    @property
    def signs(self) -> bool:
        return self._signing is not None

    def sign(self, content: bytes, source: bytes) -> bytes:
        """The whole packet: content and authentication TLV; `source` is the packed address it will be sent from."""
        if self._signing is None:
            return content
        content += _PREFIX.pack(Tlv.AUTH, AUTH_SIZE - 4, self._signing)
        return content + self._mac(self._signing, content, source)

    def verify(self, payload: bytes, signed: bool, source: str) -> Unverified | None:
        """None when the packet may be believed."""
        if not self._keys:
            return None
        if not signed:
            return Unverified.UNSIGNED
        kind, length, key_id = _PREFIX.unpack_from(payload, len(payload) - AUTH_SIZE)
        if kind != Tlv.AUTH or length != AUTH_SIZE - 4 or key_id not in self._keys:
            return Unverified.UNKNOWN_KEY
        expected = self._mac(key_id, payload[:-_MAC], source)
        return None if hmac.compare_digest(expected, payload[-_MAC:]) else Unverified.FORGED

    def _mac(self, key_id: int, content: bytes, source: bytes | str) -> bytes:
        """HMAC-SHA256, from where it stands after the key, the cluster and the source: these come in every packet."""
        begun = self._begun.get((key_id, source))
        if begun is None:
            begun = self._begin(key_id, source)
        inner = begun[0].copy()
        inner.update(content)
        outer = begun[1].copy()
        outer.update(inner.digest())
        return outer.digest()

    def _begin(self, key_id: int, source: bytes | str) -> tuple[Hash, Hash]:
        if len(self._begun) >= MAX_SOURCES:
            self._begun.clear()
        key = self._keys[key_id]
        block = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        packed = packed_address(source) if isinstance(source, str) else source
        inner.update(self._cluster + bytes((len(packed),)) + packed)
        begun = inner, hashlib.sha256(bytes(byte ^ 0x5C for byte in block))
        self._begun[key_id, source] = begun
        return begun
