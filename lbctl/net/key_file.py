"""The key file: the secrets that sign heartbeats, one a line, the first one signs and all are accepted.

To change a key without a gap: add the new one as second line everywhere, then make it the first everywhere, then take
the old one away. Empty lines and lines that start with # say nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

MIN_LENGTH = 16
"""Characters of a secret: what is shorter can be guessed from one recorded packet."""

Keys = tuple[tuple[int, bytes], ...]
"""Pairs (id, secret). The id follows from the secret, so that nodes agree on it whatever the order of the lines."""


class KeyFileError(Exception):
    """The key file cannot be used; the text is for people."""


def read_keys(path: Path) -> Keys:
    """The keys of a file. Raises KeyFileError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"key file {path}: {error.strerror or error}") from error
    keys: list[tuple[int, bytes]] = []
    for number, line in enumerate(content.splitlines(), start=1):
        secret = line.strip()
        if not secret or secret.startswith(b"#"):
            continue
        if len(secret) < MIN_LENGTH:
            raise KeyFileError(
                f"key file {path}, line {number}: shorter than {MIN_LENGTH} characters; "
                "`openssl rand -hex 32` makes a good one"
            )
        keys.append((int.from_bytes(hashlib.sha256(b"lbctl key id\0" + secret).digest()[:4], "big"), secret))
    if not keys:
        raise KeyFileError(f"key file {path}: no key in it; `openssl rand -hex 32` makes one")
    return tuple(keys)
