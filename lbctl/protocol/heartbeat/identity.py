"""Short fixed-size names on the wire: hashes of cluster, node and segment names, and the rendezvous tie-break."""

from __future__ import annotations

import hashlib
import ipaddress
from functools import lru_cache


def _hash(text: str, *, size: int, purpose: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size, person=purpose).digest(), "big")


@lru_cache(maxsize=4096)
def node_hash(name: str) -> int:
    """The 8-byte number that stands for a node's name in every packet."""
    return _hash(name, size=8, purpose=b"lbctl node")


def cluster_hash(name: str) -> int:
    """The 8-byte number of a cluster: packets of another cluster are not ours to read."""
    return _hash(name, size=8, purpose=b"lbctl cluster")


def segment_tag(name: str) -> int:
    """The 4-byte number of a segment, 0 for one without a name. Two tags that are both set and differ do not mix."""
    return _hash(name, size=4, purpose=b"lbctl segment") if name else 0


def rendezvous(node: int, address: str) -> int:
    """The last word between two claims that are otherwise equal: the higher number keeps the address."""
    return _hash(address, size=8, purpose=node.to_bytes(8, "big"))


@lru_cache(maxsize=32768)
def packed_address(text: str) -> bytes:
    """4 or 16 bytes. Raises ValueError for text that is no address."""
    return ipaddress.ip_address(text).packed


def is_address(text: str) -> bool:
    """Whether a text is an address, and so no name that the kernel's resolver would have to look up."""
    try:
        packed_address(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=32768)
def address_text(packed: bytes) -> str:
    """The canonical text of 4 or 16 bytes."""
    return str(ipaddress.ip_address(packed))
