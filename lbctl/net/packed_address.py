"""Addresses as frames carry them, and as text. `ipaddress` does the same; pulse and wire do without its import."""

from __future__ import annotations

import socket
import struct


def packed(text: str) -> bytes:
    """4 or 16 bytes. Raises ValueError."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:
        raise ValueError(f"{text!r} is no address") from None


def text_of(address: bytes) -> str:
    """The canonical text (RFC 5952), with an embedded IPv4 address in hexadecimal as `ipaddress` writes it."""
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address)
    text = socket.inet_ntop(socket.AF_INET6, address)
    if "." not in text:
        return text
    head = text.rpartition(":")[0]
    high, low = struct.unpack("!HH", address[12:])
    return f"{head}:{high:x}:{low:x}"
