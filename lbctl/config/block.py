"""The fast parser: the plain block style that manifests are written in, at an eighth of the exact parser's time.

It takes a strict subset (block mappings and lists, plain and simply quoted scalars, flow collections on one line, and
JSON documents) and raises `NotSimple` for everything else, valid or not: then `compose` decides. Whatever it does take
means exactly what libyaml and YAML 1.2 say; tests compare the two on random texts. Lines are remembered across
documents, since most lines of most manifests are the same.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, NoReturn

from lbctl.config.scalar import Scalar, resolve

Value = Scalar | list["Value"] | dict[str, "Value"]

_DEEPEST = 40
_MOST_LINES_REMEMBERED = 8192

_KEY = r"[A-Za-z_][A-Za-z0-9_./-]*"
_PLAIN = r"(?:[A-Za-z0-9_./+(~]|-(?=[A-Za-z0-9.]))[^ :#]*(?:(?::+| +)[^ :#]+)*"
_LINE = re.compile(
    rf"( *)(- +)?(?:({_KEY}):(?: +|\Z))?"
    rf"(?:({_PLAIN})|\"([^\"\\]*)\"|'([^']*)'|([\[{{].*[\]}}]))? *(?:(?<![^ ])#.*)?\Z"
)
_FLOW_PLAIN = r"(?:[A-Za-z0-9_./+(~]|-(?=[A-Za-z0-9.]))[^ :#,?\[\]{}]*(?:(?::+| +)[^ :#,?\[\]{}]+)*"
_FLOW_TOKEN = re.compile(rf" *(?:([\[\]{{}},])|({_KEY}): +|({_FLOW_PLAIN})|\"([^\"\\]*)\"|'([^']*)') *")
_BRACKET = re.compile(r"[\[\]{}]")
_NOT_TEXT = frozenset(("null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"))


class NotSimple(Exception):
    """The text is outside the subset; it may well be valid."""


class _Missing:
    """Stands for "nothing after the colon"."""


_MISSING = _Missing()


class _Line(NamedTuple):
    """One line: its indentation, whether it begins a list item, the column of what follows the dash, key and value."""

    indent: int
    dash: bool
    column: int
    key: str | None
    value: Value | _Missing


_END = _Line(-1, False, -1, None, _MISSING)
_SKIP = _Line(-2, False, -2, None, _MISSING)


class BlockParser:
    """Parses documents; holds nothing but the lines it has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, _Line] = {}

    def parse(self, text: str) -> Value:
        """The value of one document, which may begin with its `---` line.

        Raises NotSimple when the text is outside the subset. The value must not be changed: parts are shared.
        """
        if text.startswith("#"):
            text = _without_prelude(text)
        if text.startswith("---"):
            marker, _, text = text.partition("\n")
            if marker.rstrip(" ") != "---":
                raise NotSimple
        if text.lstrip("\n ").startswith("{"):
            return _json(text)
        seen = self._seen
        lines = [line for row in text.split("\n") if (line := seen.get(row) or self._learn(row)) is not _SKIP]
        lines.append(_END)
        first = lines[0]
        if first.indent != 0:
            raise NotSimple
        value, at = _list(lines, 0, 0, 0) if first.dash else _mapping(lines, 0, 0, 0)
        if lines[at] is not _END:
            raise NotSimple
        return value

    def _learn(self, row: str) -> _Line:
        line = _scan(row)
        if len(self._seen) >= _MOST_LINES_REMEMBERED:
            self._seen.clear()
        self._seen[row] = line
        return line


def _without_prelude(text: str) -> str:
    """The text from its `---` line on, if nothing but comments stands before that."""
    before, marker, after = text.partition("\n---")
    simple = marker and all(not line or line.startswith("#") for line in before.split("\n"))
    return "---" + after if simple else text


def _scan(row: str) -> _Line:
    if not (found := _LINE.match(row)) or "\t" in row:
        raise NotSimple
    spaces, dash, key, plain, double, single, flow = found.groups()
    value: Value | _Missing = _MISSING
    if plain is not None:
        value = resolve(plain)
    elif double is not None:
        value = double
    elif single is not None:
        value = single
    elif flow is not None:
        value = _flow(flow)
    elif key is None and dash is None:
        return _SKIP
    if key in _NOT_TEXT:
        raise NotSimple
    indent = len(spaces)
    return _Line(indent, dash is not None, indent + len(dash or ""), key, value)


def _mapping(lines: list[_Line], at: int, column: int, depth: int) -> tuple[Value, int]:
    """The mapping whose keys stand at `column`, from line `at` on, whose own dash (if any) is already accounted for."""
    if depth > _DEEPEST:
        raise NotSimple
    out: dict[str, Value] = {}
    line = lines[at]
    while True:
        key, value = line.key, line.value
        if key is None or key in out:
            raise NotSimple
        at += 1
        line = lines[at]
        if isinstance(value, _Missing):
            if line.indent > column:
                value, at = (_list if line.dash else _mapping)(lines, at, line.indent, depth + 1)
            elif line.indent == column and line.dash:
                value, at = _list(lines, at, column, depth + 1)
            else:
                value = None
            line = lines[at]
        out[key] = value
        if line.indent != column or line.dash:
            return out, at


def _list(lines: list[_Line], at: int, column: int, depth: int) -> tuple[Value, int]:
    """The list whose dashes stand at `column`, from line `at` on."""
    if depth > _DEEPEST:
        raise NotSimple
    out: list[Value] = []
    line = lines[at]
    while line.indent == column and line.dash:
        if line.key is None:
            if isinstance(line.value, _Missing):
                raise NotSimple
            out.append(line.value)
            at += 1
        else:
            item, at = _mapping(lines, at, line.column, depth + 1)
            out.append(item)
        line = lines[at]
    return out, at


def _flow(text: str) -> Value:
    """A flow collection that begins and ends on one line."""
    value, at = _flow_value(text, 0, 0)
    if at != len(text) or not isinstance(value, (list, dict)):
        raise NotSimple
    return value


def _flow_value(text: str, at: int, depth: int) -> tuple[Value, int]:
    if depth > _DEEPEST or not (found := _FLOW_TOKEN.match(text, at)):
        raise NotSimple
    at = found.end()
    mark, key, plain, double, single = found.groups()
    if plain is not None:
        return resolve(plain), at
    if double is not None or single is not None:
        return (double if double is not None else single), at
    if key is not None or mark not in ("[", "{"):
        raise NotSimple
    return _flow_list(text, at, depth) if mark == "[" else _flow_mapping(text, at, depth)


def _flow_list(text: str, at: int, depth: int) -> tuple[Value, int]:
    out: list[Value] = []
    if text.startswith("]", at):
        return out, at + 1
    while True:
        value, at = _flow_value(text, at, depth + 1)
        out.append(value)
        mark, at = _flow_mark(text, at)
        if mark == "]":
            return out, at
        if mark != ",":
            raise NotSimple


def _flow_mapping(text: str, at: int, depth: int) -> tuple[Value, int]:
    out: dict[str, Value] = {}
    if text.startswith("}", at):
        return out, at + 1
    while True:
        if not (found := _FLOW_TOKEN.match(text, at)) or (key := found.group(2)) is None:
            raise NotSimple
        if key in out or key in _NOT_TEXT:
            raise NotSimple
        out[key], at = _flow_value(text, found.end(), depth + 1)
        mark, at = _flow_mark(text, at)
        if mark == "}":
            return out, at
        if mark != ",":
            raise NotSimple


def _flow_mark(text: str, at: int) -> tuple[str, int]:
    found = _FLOW_TOKEN.match(text, at)
    if not found or found.group(1) is None:
        raise NotSimple
    return found.group(1), found.end()


def _json(text: str) -> Value:
    """A JSON object, read strictly. Escapes are left to YAML, which reads some of them otherwise."""
    if "\\" in text:
        raise NotSimple
    depth = 0
    for bracket in _BRACKET.findall(text):
        depth += 1 if bracket in "[{" else -1
        if depth > _DEEPEST:
            raise NotSimple
    try:
        value: Value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_refuse, parse_int=resolve, parse_float=resolve
        )
    except ValueError:
        raise NotSimple from None
    return value


def _once(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise NotSimple
    return out


def _refuse(_: str) -> NoReturn:
    raise NotSimple
