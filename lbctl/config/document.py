"""Bytes of a file to YAML documents, by text alone, so that an unchanged document is recognised and never parsed again.

`---` at the beginning of a line starts a document wherever it stands, even within a block scalar (YAML 1.2 section
9.1.2), so splitting needs no parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

UTF8_BOM = b"\xef\xbb\xbf"
_OTHER_ENCODINGS = (
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\xfe\xff", "UTF-16"),
    (b"\xff\xfe", "UTF-16"),
)

_PLAIN_ASCII = bytes([*range(0x20, 0x7F), 0x0A])
_FORBIDDEN = "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
"""Compiled when it is needed first: that takes 4 ms, and most manifests are ASCII."""


class BadText(NamedTuple):
    """Why bytes are no text: a code, where (line and column from 1), what, what to do."""

    code: str
    line: int
    column: int
    message: str
    help: str


def foreign_encoding(raw: bytes) -> str | None:
    """The name of the encoding other than UTF-8 that a file's first bytes announce, if they do."""
    return next((name for mark, name in _OTHER_ENCODINGS if raw.startswith(mark)), None)


def split(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The documents of a file in order: how many lines stand before each, and its bytes with its `---` line.

    Line ends become `\\n`, a UTF-8 byte order mark is dropped. Nothing is checked here.
    """
    if raw.startswith(UTF8_BOM):
        raw = raw[len(UTF8_BOM) :]
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"%" in raw and (raw.startswith(b"%") or b"\n%" in raw):
        yield from _split_with_directives(raw)
        return
    lines = begin = 0
    seek = 0
    while (at := raw.find(b"\n---", seek)) >= 0:
        seek = at + 4
        if seek < len(raw) and raw[seek] not in b" \t\n":
            continue
        piece = raw[begin : at + 1]
        if not begin and not raw.startswith(b"---") and all(map(_is_prelude, piece.splitlines())):
            continue  # comments before the first marker belong to the document behind it
        if not _is_blank(piece):
            yield lines, piece
        lines += piece.count(b"\n")
        begin = at + 1
    if not _is_blank(piece := raw[begin:]):
        yield lines, piece


def _split_with_directives(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """As `split`, keeping `%` lines with the document they stand before."""
    lines = 0
    piece: list[bytes] = []
    for line in raw.splitlines(keepends=True):
        starts = line.startswith(b"---") and line[3:4] in (b"", b" ", b"\t", b"\n")
        if starts and any(not _is_prelude(part) for part in piece):
            ends = len(piece)
            while _is_prelude(piece[ends - 1]):
                ends -= 1
            yield lines, b"".join(piece[:ends])
            lines += ends
            piece = piece[ends:]
        piece.append(line)
    if not _is_blank(whole := b"".join(piece)):
        yield lines, whole


def _is_prelude(line: bytes) -> bool:
    """Whether a line may stand before the `---` of the document it belongs to."""
    return not line.strip() or line.startswith((b"%", b"#"))


def _is_blank(piece: bytes) -> bool:
    """Whether a document holds nothing but white space and its own marker."""
    return b":" not in piece and piece.strip() in (b"", b"---", b"...")


def decode(raw: bytes) -> str | BadText:
    """The text of one document, or the first reason why it is none."""
    if not raw.translate(None, _PLAIN_ASCII):
        return raw.decode("ascii")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        return BadText(
            "LB0001",
            before.count(b"\n") + 1,
            len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1,
            f"byte 0x{raw[error.start]:02x} is not UTF-8 text",
            "save the file as UTF-8",
        )
    if found := re.search(_FORBIDDEN, text):
        before_it = text[: found.start()]
        return BadText(
            "LB0002",
            before_it.count("\n") + 1,
            found.start() - before_it.rfind("\n"),
            f"character U+{ord(found.group()):04X} is not allowed in YAML",
            "remove it, or write it as an escape in double quotes",
        )
    return text
