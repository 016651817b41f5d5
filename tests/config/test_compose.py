"""The exact parser: positions, and what is said of text that is not YAML."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.config.block import Value
from lbctl.config.compose import compose, value_of
from lbctl.config.document import BadText, decode


def problems(text: str) -> list[tuple[str, int, int]]:
    return [(found.code, found.span.line, found.span.column) for found in compose(text).diagnostics]


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "word"),
    [
        ("a: b: c\n", "LB0004", 1, 5, "starts a mapping"),
        ("a: 1\n b: 2\n", "LB0004", 2, 3, "starts a mapping"),
        ("a:\n\tb: c\n", "LB0003", 2, 1, "tab"),
        ("a:\n  - x\n\t- y\n", "LB0003", 3, 1, "tab"),
        ("a:\n  b: 1\n  \tc: 2\n", "LB0003", 3, 3, "tab"),
        ("a:\n- b: 1\n-\tc: 2\n", "LB0003", 3, 2, "tab"),
        ('a: "x\nb: 1\n', "LB0004", 1, 4, "never closed"),
        ("a: 'x\n---\n", "LB0004", 1, 4, "never closed"),
        ("a: [1, 2\nb: 1\n", "LB0004", 1, 4, "never closed"),
        ("a: {b: 1\n", "LB0004", 1, 4, "never closed"),
        ("a:\n  b: c\n d: e\n", "LB0004", 3, 2, "does not fit the mapping"),
        ("- a\nb: c\n", "LB0004", 2, 1, "does not fit the list"),
        ("a: 1\nb:2\nc: 3\n", "LB0004", 2, 1, "neither"),
        ("@x: 1\n", "LB0004", 1, 1, "cannot begin"),
        ('a: "\\q"\n', "LB0004", 1, 5, "escape"),
        ("a: 'x' y\n", "LB0004", 1, 8, "does not fit the mapping"),
        ("%YAML 3.0\n---\na: 1\n", "LB0004", 1, 1, "version"),
        ("a: *x\n", "LB0006", 1, 4, "no anchor"),
        ("a: &x [*x]\n", "LB0006", 1, 8, "contains itself"),
        ("a: 1\nb: 2\na: 3\n", "LB0005", 3, 1, '"a" is given twice'),
        ('a: 1\n"a": 3\n', "LB0005", 2, 1, "twice"),
        ("<<: {a: 1}\n", "LB0008", 1, 1, "merge"),
        ("? [a]\n: b\n", "LB0008", 1, 3, "key"),
        ("a: !custom b\n", "LB0008", 1, 4, "!custom"),
        ("a: !!int x\n", "LB0008", 1, 4, "tag"),
        ("a: !!set {b}\n", "LB0008", 1, 4, "tag"),
    ],
)
def test_what_is_wrong_is_said(text: str, code: str, line: int, column: int, word: str) -> None:
    found = compose(text).diagnostics
    assert [(f.code, f.span.line, f.span.column) for f in found] == [(code, line, column)]
    assert word in found[0].message
    assert found[0].help


def test_first_of_two_keys_is_shown() -> None:
    (found,) = compose("a: 1\nb: 2\na: 3\n").diagnostics
    assert [(label.span.line, label.message) for label in found.labels] == [(1, "first given here")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: !!str 1\nb: !!int '3'\nc: !!float 1\nd: ! 1\n", {"a": "1", "b": 3, "c": 1.0, "d": "1"}),
        ("d: !!null ''\ne: !!bool true\nf: !!seq []\ng: !!map {}\n", {"d": None, "e": True, "f": [], "g": {}}),
        ("a: &x {b: 1}\nc: *x\n", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x 1\n*x : 2\n", {"a": 1, "1": 2}),
        ("1: a\ntrue: b\n", {"1": "a", "true": "b"}),
        ("a: |\n  x\n   y\nb: >-\n  c\n  d\n", {"a": "x\n y\n", "b": "c d"}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("%YAML 1.2\n---\na: on\n", {"a": "on"}),
    ],
)
def test_values(text: str, value: Value) -> None:
    composed = compose(text)
    assert not composed.diagnostics
    assert composed.root is not None
    assert value_of(composed.root) == value


def test_a_second_document_needs_its_marker() -> None:
    """Documents are split at `---` before they come here; `...` alone does not start another one."""
    assert problems("a: 1\n...\nb: 2\n") == [("LB0004", 3, 1)]


def test_deep_nesting_is_refused_without_recursion() -> None:
    assert problems("[" * 100_000) == [("LB0007", 1, 65)]
    assert problems("a: " + "{b: " * 1000) == [("LB0007", 1, 256)]
    assert [code for code, _, _ in problems("- " * 100_000)] == ["LB0007"]


def test_aliases_cannot_multiply_a_document() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 12)]
    found = compose("\n".join(rows)).diagnostics
    assert [f.code for f in found] == ["LB0006"]
    assert "larger than" in found[0].message


def test_many_keys_cost_no_square() -> None:
    composed = compose("".join(f"k{n}: 1\n" for n in range(20_000)))
    assert not composed.diagnostics
    assert composed.root is not None
    assert composed.root.size == 40_001


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-#,[]{}'\"\\&*!|>%@`~? \n\t", max_size=40))
def test_any_text_gives_nodes_or_problems_inside_the_text(text: str) -> None:
    if isinstance(decode(text.encode()), BadText):
        return
    lines = text.split("\n")
    for found in compose(text).diagnostics:
        assert 1 <= found.span.line <= len(lines)
        assert 1 <= found.span.column <= len(lines[found.span.line - 1]) + 1
