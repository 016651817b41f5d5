"""Who may speak: HMAC-SHA256 (RFC 2104) over cluster, source address, header (so: segment, sequence) and content.

Keys are optional. Every key of the ring is accepted, so that a key can be replaced without a gap: give the new one to
all nodes as a second key, then make it the first everywhere, then take the old one away. The first key signs.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from enum import Enum

from lbctl.protocol.heartbeat.identity import packed_address
from lbctl.protocol.heartbeat.packet import AUTH_SIZE, Tlv

_PREFIX = struct.Struct("!HHI")
_MAC = 32


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

    @property
    def signs(self) -> bool:
        return self._signing is not None

    def sign(self, content: bytes, source: bytes) -> bytes:
        """The whole packet: content and authentication TLV; `source` is the packed address it will be sent from."""
        if self._signing is None:
            return content
        content += _PREFIX.pack(Tlv.AUTH, AUTH_SIZE - 4, self._signing)
        return content + self._mac(self._keys[self._signing], content, source)

    def verify(self, payload: bytes, signed: bool, source: str) -> Unverified | None:
        """None when the packet may be believed."""
        if not self._keys:
            return None
        if not signed:
            return Unverified.UNSIGNED
        kind, length, key_id = _PREFIX.unpack_from(payload, len(payload) - AUTH_SIZE)
        key = self._keys.get(key_id)
        if kind != Tlv.AUTH or length != AUTH_SIZE - 4 or key is None:
            return Unverified.UNKNOWN_KEY
        expected = self._mac(key, payload[:-_MAC], packed_address(source))
        return None if hmac.compare_digest(expected, payload[-_MAC:]) else Unverified.FORGED

    def _mac(self, key: bytes, content: bytes, source: bytes) -> bytes:
        return hmac.digest(key, self._cluster + bytes((len(source),)) + source + content, "sha256")
