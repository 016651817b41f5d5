"""Splitting bytes into documents, and bytes that are no text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.config.document import BadText, decode, foreign_encoding, split


@pytest.mark.parametrize(
    ("raw", "documents"),
    [
        (b"", []),
        (b"\n \n", []),
        (b"---\n", []),
        (b"a: 1\n", [(0, b"a: 1\n")]),
        (b"a: 1", [(0, b"a: 1")]),
        (b"---\na: 1\n---\nb: 2\n", [(0, b"---\na: 1\n"), (2, b"---\nb: 2\n")]),
        (b"a: 1\n---\n---\n\n---\nb: 2\n", [(0, b"a: 1\n"), (4, b"---\nb: 2\n")]),
        (b"a: 1\n--- # note\nb: 2\n", [(0, b"a: 1\n"), (1, b"--- # note\nb: 2\n")]),
        (b"a: 1\n---\tb\n", [(0, b"a: 1\n"), (1, b"---\tb\n")]),
        (b"a: 1\n----\nb\n", [(0, b"a: 1\n----\nb\n")]),
        (b"a: 1\n---b\n", [(0, b"a: 1\n---b\n")]),
        (b"a: 1\n ---\n", [(0, b"a: 1\n ---\n")]),
        (b"a: 1\n---", [(0, b"a: 1\n")]),
        (b"\xef\xbb\xbfa: 1\n", [(0, b"a: 1\n")]),
        (b"a: 1\r\n---\r\nb: 2\r\n", [(0, b"a: 1\n"), (1, b"---\nb: 2\n")]),
        (b"a: 1\r---\rb: 2\r", [(0, b"a: 1\n"), (1, b"---\nb: 2\n")]),
        (b"%YAML 1.2\n---\na: 1\n", [(0, b"%YAML 1.2\n---\na: 1\n")]),
        (
            b"%YAML 1.2\n---\na: 1\n...\n# next\n%YAML 1.2\n---\nb: 2\n---\nc: 3\n",
            [(0, b"%YAML 1.2\n---\na: 1\n...\n"), (4, b"# next\n%YAML 1.2\n---\nb: 2\n"), (8, b"---\nc: 3\n")],
        ),
        (b"# only a comment\n", [(0, b"# only a comment\n")]),
        (b"# license\n\n---\na: 1\n---\nb: 2\n", [(0, b"# license\n\n---\na: 1\n"), (4, b"---\nb: 2\n")]),
        (b"# license\na: 1\n---\nb: 2\n", [(0, b"# license\na: 1\n"), (2, b"---\nb: 2\n")]),
        (b"---\n# a\n---\nb: 2\n", [(0, b"---\n# a\n"), (2, b"---\nb: 2\n")]),
    ],
)
def test_split(raw: bytes, documents: list[tuple[int, bytes]]) -> None:
    assert list(split(raw)) == documents


pieces = st.sampled_from(
    [b"a: 1\n", b"---\n", b"--- x\n", b"%Y\n", b"\n", b"...\n", b"x\n---\n", b"----\n", b"  b: 2\n", b"# c\n"]
)


@given(st.lists(pieces).map(b"".join))
def test_split_loses_no_text_and_counts_lines(raw: bytes) -> None:
    lines = raw.split(b"\n")
    covered = 0
    for before, document in split(raw):
        assert before >= covered
        assert not b"".join(lines[covered:before]).replace(b"-", b"").replace(b".", b"").strip()
        length = document.count(b"\n")
        assert document == b"".join(line + b"\n" for line in lines[before : before + length])
        covered = before + length


@pytest.mark.parametrize(
    ("raw", "code", "line", "column"),
    [
        (b"a: \xff", "LB0001", 1, 4),
        ("a: ä\nb: ".encode() + b"\xe4\n", "LB0001", 2, 4),
        (b"a\nb: \x00", "LB0002", 2, 4),
        (b"a: \x1b[31m", "LB0002", 1, 4),
        (b"a: \x7f", "LB0002", 1, 4),
        ("a: \u2028".encode(), "LB0002", 1, 4),
        ("a: \x85".encode(), "LB0002", 1, 4),
        ("äa\n: \ufeffa".encode(), "LB0002", 2, 3),
        (b"a: \xed\xa0\x80", "LB0001", 1, 4),
    ],
)
def test_what_is_no_text_is_named(raw: bytes, code: str, line: int, column: int) -> None:
    found = decode(raw)
    assert isinstance(found, BadText)
    assert (found.code, found.line, found.column) == (code, line, column)
    assert found.help


@pytest.mark.parametrize("text", ["a: 1\n", "a:\tb\n", "ä: 日本\n", "a: \U0001f600\n", ""])
def test_text_is_text(text: str) -> None:
    assert decode(text.encode()) == text


@given(st.binary())
def test_decode_and_split_never_raise(raw: bytes) -> None:
    for _, document in split(raw):
        decode(document)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_other_encodings_are_known_by_their_mark(encoding: str) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    assert (foreign_encoding(mark + "a: 1".encode(encoding)) or "").startswith(encoding[:6].upper())
    assert foreign_encoding(b"a: 1") is None
