"""The fast parser: what it takes means what libyaml says; what it leaves, it leaves."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbctl.config.block import BlockParser, NotSimple, Value
from lbctl.config.compose import compose, value_of
from lbctl.config.document import BadText, decode

SAMPLES = [
    "a: 1\nb: two\n",
    "---\na: 1\n",
    "--- \na: 1\n",
    "a:\n  b:\n    c: 1\n  d: 2\n",
    "a:\n- 1\n- 2\nb: 3\n",
    "a:\n  - x: 1\n    y: 2\n  - x: 3\n",
    "- a: 1\n  b:\n  - 1\n- c\n",
    "a: [1, two, \"3\", '4']\nb: {c: 1, d: [x, y]}\nc: []\nd: {}\n",
    "a: fd00::1\nb: [fd00::1, 2001:db8::/32]\n",
    "a: 64512:10\nb: on\nc: 0777\nd: 1e3\ne: .5\nf: -7\ng: ~\nh:\n",
    'a: x # comment\n# comment\nb: "x # y" # z\n',
    "a: \"\"\nb: ''\n",
    "a:\n  # comment\n\n  b: 1\n",
    '{"a": [1, 2.5, true, null, "x"], "b": {}}',
    '{\n  "a": 1\n}\n',
    "a: x y  z\n",
    "a: -1\nb: - \n",
    "a: x: y\n",
    "a:\n b: 1\n  c: 2\n",
    "a: 1\n b: 2\n",
    "a: x\n  y\n",
    "a: 'it''s'\n",
    'a: "x\\ny"\n',
    "a: |\n  text\n",
    "a: &x 1\nb: *x\n",
    "a: 1\na: 2\n",
    "true: 1\n",
    "a: !!str 1\n",
    "a:\tb\n",
    "a: b\t\n",
    "a: x #y\nb: x#y\n",
    "a: [a: b]\n",
    "a: {b: c}}\n",
    "a: [a]] \n",
    "a: [1, ]\n",
    "a: [[1], [2, [3]]]\n",
    "a: \u00e4\u00f6\nb: \u3000x\n",
    "...\n",
    "%YAML 1.2\n---\na: 1\n",
    "a: 1\n...\nb: 2\n",
    "- - a\n",
    "-\n  a: 1\n",
    "- a\n  b\n",
    "a: ? b\n",
    "? a\n: b\n",
    "a:\n  - b\n - c\n",
    "a:\n- b\n  - c\n",
    "  a: 1\n",
    "  a: 1\nb: 2\n",
    "a : 1\n",
    "a:  1\n",
    '{"a": 1, "a": 2}',
    '{"a": 01}',
    '{"a": NaN}',
    '{"a": 1e400}',
    '{"a": "\\ud83d\\ude00"}',
    '{"a": 1}}',
    '{"a": 1} # x',
    "--- # x\na: 1\n",
    "--- {a: 1}\n",
    "a: 1 # x\n #y\n",
]


def same(one: object, other: object) -> bool:
    """Equal in value and in type, all the way down (1, 1.0 and True are three values)."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def slow(text: str) -> Value | NotSimple:
    composed = compose(text)
    if composed.diagnostics:
        return NotSimple(composed.diagnostics[0].message)
    return NotSimple("no document") if composed.root is None else value_of(composed.root)


def once(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    assert len(dict(pairs)) == len(pairs), "a key twice"
    return dict(pairs)


def compare(text: str) -> bool:
    """Checks the fast parser against libyaml; whether the fast parser took the text."""
    if isinstance(decode(text.encode()), BadText):
        return False
    try:
        fast = BlockParser().parse(text)
    except NotSimple:
        return False
    exact = slow(text)
    if isinstance(exact, NotSimple) and text.removeprefix("---").lstrip().startswith("{"):
        # JSON allows tabs, and line ends before a colon, where libyaml does not.
        return same(fast, json.loads(text.removeprefix("---"), object_pairs_hook=once))
    assert not isinstance(exact, NotSimple), f"took {text!r} as {fast!r}, which is not YAML: {exact}"
    assert same(fast, exact), f"{text!r}: {fast!r} is not {exact!r}"
    return True


@pytest.mark.parametrize("text", SAMPLES)
def test_sample_means_what_libyaml_says(text: str) -> None:
    compare(text)


PLAIN_STYLE = SAMPLES[:17]


@pytest.mark.parametrize("text", PLAIN_STYLE[:16])
def test_plain_style_is_taken(text: str) -> None:
    assert compare(text)


keys = st.sampled_from(["a", "b", "name", "x-y", "metallb.io/a", "null", "on", "A_1", "true", "1", '"q"', "<<", "a b"])
WORDS = """1 ¦0777 ¦0x1F ¦0o17 ¦1.5 ¦.5 ¦1. ¦-1 ¦+1 ¦1e3 ¦.inf ¦-.INF ¦.nan ¦true ¦False ¦null ¦~ ¦on ¦yes ¦64512:10
::1 ¦fd00::1 ¦fd00:: ¦10.0.0.1/24 ¦a b ¦a  b ¦a: b ¦a:b ¦a #b ¦a#b ¦'' ¦"" ¦'x' ¦"x" ¦'it''s' ¦"a\\nb" ¦"a: b" ¦'a # b'
[] ¦{} ¦[a, b] ¦[a,b] ¦{a: b} ¦{a: b, c: [1, 2]} ¦[{a: 1}, {b: 2}] ¦[a, ] ¦{a} ¦{a: } ¦[a: b] ¦{a:1} ¦[::1] ¦[a:] ¦|
>- ¦&x y ¦*x ¦!t x
- ¦- x ¦? ¦? x ¦: ¦, ¦] ¦} ¦%x ¦@x ¦`x ¦x: ¦(a) ¦/a ¦2026-01-01 ¦a,b ¦a] ¦a} ¦a'b ¦a"b ¦a	b ¦'a ¦"a
... ¦--- ¦é ¦= ¦<< ¦[a b, "c d"] ¦[1] # x ¦[1]#x ¦"x" y ¦"x"#y ¦{"a": 1} ¦{a : 1} ¦[a , b]
[a?, b] ¦[a::? b] ¦~x ¦+ ¦. ¦-- ¦-.5"""
scalars = st.one_of(
    st.sampled_from([word.strip() for word in WORDS.replace("\n", "¦").split("¦")]),
    st.text(alphabet="ab01 .:-#,[]{}'\"\\&*!|>%@`~/+eExo\t", max_size=8),
)


@st.composite
def blocks(draw: st.DrawFn, depth: int = 0, indent: int = 0) -> str:
    """Text near block style: mostly right, with slips."""
    pad = " " * indent
    comment = st.sampled_from(["", "", "", "", " # c", "#c", "  ", "\t"])
    out: list[str] = []
    is_list = draw(st.integers(0, 3)) == 0
    for _ in range(draw(st.integers(1, 3))):
        slip = draw(st.integers(0, 25))
        if slip == 0:
            out.append(draw(st.sampled_from(["", "  ", "# c", pad + "# c", " ", "---", "...", "\t"])))
        here = pad + (" " if slip == 1 else "")
        head = f"{here}- " if is_list else f"{here}{draw(keys)}:"
        nested = depth < 3 and draw(st.integers(0, 2)) == 0
        if not nested:
            space = "" if is_list else draw(st.sampled_from([" ", " ", " ", "  ", ""]))
            out.append(f"{head}{space}{draw(scalars)}{draw(comment)}")
        elif is_list:
            inner = draw(blocks(depth + 1, indent + 2))
            out.append(head + inner[indent + 2 :] if draw(st.booleans()) else f"{here}-\n{inner}")
        else:
            step = draw(st.sampled_from([2, 2, 4, 1, 0]))
            out.append(head + draw(comment) + "\n" + draw(blocks(depth + 1, indent + step)))
    return "\n".join(out)


@settings(max_examples=400, deadline=None)
@given(blocks())
def test_near_block_style_means_what_libyaml_says(text: str) -> None:
    compare(text)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_changed_samples_mean_what_libyaml_says(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 2))
        text = text[:at] + data.draw(st.text(alphabet="ab1 -:#,[]{}'\"\n\t", max_size=2)) + text[at + cut :]
    compare(text)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
@example({"a": [1, 2.0, True, None, "x"]})
def test_json_means_what_libyaml_says(value: object) -> None:
    compare(json.dumps({"k": value}))
    compare(json.dumps({"k": value}, indent=2, ensure_ascii=False))


def test_depth_is_bounded() -> None:
    deep = "".join(" " * n + "a:\n" for n in range(100))
    with pytest.raises(NotSimple):
        BlockParser().parse(deep)
    with pytest.raises(NotSimple):
        BlockParser().parse("a: " + "[" * 100 + "]" * 100)
    with pytest.raises(NotSimple):
        BlockParser().parse('{"a": ' + "[" * 100 + "]" * 100 + "}")


def test_lines_remembered_are_bounded_and_harmless() -> None:
    parser = BlockParser()
    for number in range(10_000):
        assert parser.parse(f"a: {number}\nb: x{number}\n") == {"a": number, "b": f"x{number}"}
    assert parser.parse("a: 7\nb: x7\n") == {"a": 7, "b": "x7"}
