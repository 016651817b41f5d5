"""Manifests as text that a person would have written: block style, quotes only where they are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from lbctl.config.block import Value
from lbctl.config.scalar import resolve

_PLAIN = re.compile(r"[A-Za-z0-9_./][-A-Za-z0-9_./:+@]*(?<!:)\Z")
_NUMBER_OF_OLD = re.compile(r"[0-9][0-9_]*(:[0-9_.]+)+\Z|0o?[0-7_]+\Z|[0-9]{4}-[0-9]+-[0-9]+")
_ESCAPED = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_WORDS_OF_OLD = frozenset(("y", "n", "yes", "no", "on", "off"))


def document(manifest: Mapping[str, Value]) -> str:
    """One document, with a line end at its end and no `---`."""
    return "".join(line + "\n" for line in _mapping(manifest, 0))


def scalar(value: Value) -> str:
    """A scalar such that readers of YAML 1.1 and 1.2 alike get the same value."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = (
        _PLAIN.match(value) is not None
        and resolve(value) == value
        and isinstance(resolve(value), str)
        and not _NUMBER_OF_OLD.match(value)
        and value.lower() not in _WORDS_OF_OLD
    )
    return value if plain else _quoted(value)


def _quoted(value: str) -> str:
    """In double quotes; what YAML would not take as it is (section 5.1) as an escape."""
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _mapping(pairs: Mapping[str, Value], indent: int) -> Iterator[str]:
    space = " " * indent
    for key, value in pairs.items():
        name = f"{space}{scalar(key)}:"
        match value:
            case dict() if value:
                yield name
                yield from _mapping(value, indent + 2)
            case list() if value:
                yield name
                yield from _list(value, indent)
            case dict() | list():
                yield f"{name} {'{}' if isinstance(value, dict) else '[]'}"
            case _:
                yield f"{name} {scalar(value)}"


def _list(items: list[Value], indent: int) -> Iterator[str]:
    space = " " * indent
    for item in items:
        match item:
            case dict() if item:
                first, *rest = _mapping(item, indent + 2)
                yield f"{space}- {first.lstrip()}"
                yield from rest
            case dict() | list():
                yield f"{space}- {_flow(item)}"
            case _:
                yield f"{space}- {scalar(item)}"


def _flow(value: Value) -> str:
    """On one line, as in JSON."""
    match value:
        case dict():
            return "{" + ", ".join(f"{_quoted(key)}: {_flow(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str():
            return _quoted(value)
        case _:
            return scalar(value)
