"""Comments: found where libyaml has none of its scalars, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from yaml import YAMLError
from yaml._yaml import CParser

from lbctl.config.comment import Comment, comments

HASH = re.compile(r"(?:(?<=[ \t\n])|\A)#")


def places(text: str) -> list[tuple[int, int]]:
    return [(comment.line, comment.column) for comment in comments(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# a\n", ["# a"]),
        ("a: 1 # b", ["# b"]),
        ("a: 1#b", []),
        ("a: '# b'  # c", ["# c"]),
        ("a: 'it''s # b' # c", ["# c"]),
        ('a: "x \\" # b" # c', ["# c"]),
        ("a: it's # b", ["# b"]),
        ('a: "b\n  # c\n  d" # e', ["# e"]),
        ("a: b\n  'c # d\ne: 'f # g'", ["# d"]),
        ("a: |\n  # b\n # c\nd: 1 # e", ["# c", "# e"]),
        ("a: | # b\n  # c\n", ["# b"]),
        ("a: |2\n    # b\n  # c\n # d\n", ["# d"]),
        ("a:\n  >-\n  # b\n# c\n", ["# c"]),
        ("- - |\n   # b\n  # c\n", ["# c"]),
        ("- a: |\n   # b\n", []),
        ("--- |\n # a\n# b\n", ["# b"]),
        ("a: [b, 'c # d', # e\n  f]", ["# e"]),
        ("a: {b: c # d\n }", ["# d"]),
        ("a: b|c # d", ["# d"]),
        ("a: !tag &x |\n  # b\n", []),
        ("? |\n  # a\n: b # c", ["# c"]),
        ("--- # a\nb: 1", ["# a"]),
        ("%YAML 1.2 # a\n---\nb: 1", ["# a"]),
        ("a:\t# b", ["# b"]),
        ("'a': |\n  # b\n", []),
        ('"a # b": c # d', ["# d"]),
        ("a: b\n  c # d\n  # e\nf: g", ["# d", "# e"]),
    ],
)
def test_comments(text: str, found: list[str]) -> None:
    assert [comment.text for comment in comments(text)] == found


def test_where_they_stand() -> None:
    text = "# a\n---\n# b\nc: 1 # d\n  # e\n"
    assert list(comments(text)) == [
        Comment(1, 1, "# a", alone=True, head=True),
        Comment(3, 1, "# b", alone=True, head=True),
        Comment(4, 6, "# d", alone=False, head=False),
        Comment(5, 3, "# e", alone=True, head=False),
    ]


def by_libyaml(text: str) -> Iterator[tuple[int, int]]:
    """Where a `#` that may begin a comment stands in no scalar. Raises YAMLError."""
    parser = CParser(text)
    while parser.get_event() is not None:
        pass
    scanner = CParser(text)
    spans = []
    while (each := scanner.get_token()) is not None:
        if type(each).__name__ == "ScalarToken":
            start, end = each.start_mark, each.end_mark
            # A comment may stand behind the header of a block scalar.
            begin = (start.line + 1, 0) if getattr(each, "style", None) in ("|", ">") else (start.line, start.column)
            spans.append((begin, (end.line, end.column)))
    lines = text.split("\n")
    for number, line in enumerate(lines):
        for found in HASH.finditer(line):
            place = (number, found.start())
            if not any(begin <= place < end for begin, end in spans):
                yield number + 1, found.start() + 1
                break


PARTS = (
    """a|b:|c|#|-|'|"|[|]|{|}|,|:|?|&|*|!|it's|'q'|"r"|\\|''|>-|---|...|&x|*x|!t|#e|k:|%|1|a: |- |'c # d'|"e # f"|"""
    "x y|: |? | # g|[h, |{i: |j]|k}|m: >"
)
words = st.sampled_from([*PARTS.split("|"), "|", "|2", "|+", "|-1", "l: |"])
lines = st.builds(lambda indent, parts: " " * indent + " ".join(parts), st.integers(0, 5), st.lists(words, max_size=4))
texts = st.lists(lines, max_size=7).map("\n".join)


@settings(max_examples=1000, deadline=None)
@given(texts)
@example("- |\n\n  a\n # b\n  # c")
@example(">-\n#e")
@example(">-\n  \n #e")
@example("b: a\n\n 'c # d'")
@example("&x #e\na")
def test_as_libyaml_sees_them(text: str) -> None:
    try:
        expected = list(by_libyaml(text))
    except YAMLError:
        event("not YAML")
        places(text)
        return
    event("YAML with comments" if expected else "YAML without")
    assert places(text) == expected


@given(st.text())
def test_any_text_is_scanned(text: str) -> None:
    for line, column in places(text):
        assert text.split("\n")[line - 1][column - 1] == "#"
