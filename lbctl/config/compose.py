"""The exact parser: libyaml's events to nodes that know where they stand, with every problem of the text named.

It is used for what the fast parser leaves, and to find the position of a finding. It never recurses over its input, so
that no text can exhaust the stack, and it bounds what aliases can multiply.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lbctl.config.block import Value
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Label, Span
from lbctl.config.scalar import Scalar, resolve
from lbctl.config.yaml_error import explain

_DEEPEST = 64
_MOST_COPIES = 100_000
"""How many nodes the aliases of a document may add, all told."""
_ALIAS_HELP = "write the value out; an anchor holds up to the end of its own document, the next ---"
_CORE = "tag:yaml.org,2002:"


@dataclass(slots=True, eq=False)
class Node:
    """A scalar (`value`), a list (`items`) or a mapping (`pairs`), and where in the document it stands."""

    span: Span
    value: Scalar = None
    text: str = ""
    plain: bool = False
    items: list[Node] | None = None
    pairs: list[tuple[Node, Node]] | None = None
    size: int = 1
    _named: dict[str, tuple[Node, Node]] | None = None

    @property
    def is_scalar(self) -> bool:
        return self.items is None and self.pairs is None

    @property
    def named(self) -> dict[str, tuple[Node, Node]]:
        """The pairs of a mapping that is complete, by their keys."""
        if self._named is None:
            self._named = {key.text: (key, value) for key, value in reversed(self.pairs or ())}
        return self._named


@dataclass(slots=True)
class Composed:
    """The document and the findings in it; `root` is None where there is none, or where reading broke off.

    With an error among the findings the node must not be used as a value.
    """

    root: Node | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)


def compose(text: str) -> Composed:
    """Reads `text`, one document. Never raises for what it holds."""
    from yaml import MarkedYAMLError, YAMLError
    from yaml._yaml import CParser

    out = Composed()
    composer = _Composer(out)
    try:
        for event in _events(CParser(text)):
            if not composer.take(event):
                break
    except MarkedYAMLError as error:
        out.diagnostics.append(explain(error, text))
    except YAMLError as error:
        out.diagnostics.append(_finding("LB0004", Span("", 1, 1, 1, 2), str(error)))
    return out


def value_of(node: Node) -> Value:
    """The node as plain values. What aliases share is shared in the result too."""
    return _value_of(node, {})


def _value_of(node: Node, made: dict[int, Value]) -> Value:
    if node.is_scalar:
        return node.value
    known = made.get(id(node))
    if known is None:
        if node.items is not None:
            known = [_value_of(item, made) for item in node.items]
        else:
            known = {key.text: _value_of(value, made) for key, value in node.pairs or ()}
        made[id(node)] = known
    return known


def leading_zeros(root: Node | None) -> Iterator[Diagnostic]:
    """Numbers that YAML 1.1 takes for octal, and YAML 1.2 does not."""
    rest = [root] if root is not None else []
    seen: set[int] = set()
    while rest:
        node = rest.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        rest += node.items or ()
        rest += (value for key, value in node.pairs or () if "password" not in key.text.lower())
        text = node.text
        if node.plain and type(node.value) is int and text.startswith("0") and len(text) > 1 and text.isdecimal():
            octal = "an error" if text.strip("01234567") else f"{int(text, 8)}, octal"
            message = f"{text} means {node.value} here, by YAML 1.2; to YAML 1.1, and so to kubectl, it is {octal}"
            yield _finding("LB0015", node.span, message, help=f"write {node.value}")


def _events(parser: Any) -> Iterator[Any]:
    while (event := parser.get_event()) is not None:
        yield event


def _span(event: Any) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span("", start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _finding(code: str, span: Span, message: str, *, help: str = "", labels: tuple[Label, ...] = ()) -> Diagnostic:
    return Diagnostic(code=code, severity=CODES[code].severity, message=message, span=span, help=help, labels=labels)


class _Composer:
    """Builds nodes on a stack of its own; a mapping there waits for a key or, with one in `keys`, for a value."""

    def __init__(self, out: Composed) -> None:
        self._out = out
        self._open: list[Node] = []
        self._keys: list[Node | None] = []
        self._names: list[dict[str, Node]] = []
        self._anchors: dict[str, Node] = {}
        self._anchor_of: list[str | None] = []
        self._copies = 0

    def take(self, event: Any) -> bool:
        """Takes one event; False when reading must stop."""
        match type(event).__name__:
            case "ScalarEvent":
                node = Node(_span(event), text=event.value, plain=event.style == "" and event.implicit[0])
                node.value = self._scalar(event, node)
                if event.anchor:
                    self._anchors[event.anchor] = node
                self._place(node)
            case "AliasEvent":
                return self._alias(event)
            case "SequenceStartEvent" | "MappingStartEvent":
                return self._start(event)
            case "SequenceEndEvent" | "MappingEndEvent":
                node = self._open.pop()
                self._keys.pop()
                self._names.pop()
                end = _span(event)
                node.span = Span("", node.span.line, node.span.column, end.end_line, end.end_column)
                if anchor := self._anchor_of.pop():
                    self._anchors[anchor] = node
                self._place(node)
            case "DocumentStartEvent":
                self._anchors = {}
                self._copies = 0
            case _:
                pass
        return True

    def _say(self, code: str, span: Span, message: str, *, help: str = "", labels: tuple[Label, ...] = ()) -> None:
        self._out.diagnostics.append(_finding(code, span, message, help=help, labels=labels))

    def _start(self, event: Any) -> bool:
        node = Node(_span(event))
        kind = "seq" if type(event).__name__ == "SequenceStartEvent" else "map"
        if kind == "seq":
            node.items = []
        else:
            node.pairs = []
        if event.tag is not None and event.tag not in ("!", _CORE + kind):
            self._say("LB0008", node.span, f"the tag {event.tag} means nothing here", help="leave the tag out")
        if len(self._open) >= _DEEPEST:
            self._say("LB0007", node.span, f"more than {_DEEPEST} lists and mappings inside one another")
            return False
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        self._open.append(node)
        self._keys.append(None)
        self._names.append({})
        self._anchor_of.append(event.anchor)
        return True

    def _alias(self, event: Any) -> bool:
        span = _span(event)
        node = self._anchors.get(event.anchor)
        if node is None:
            inside = event.anchor in self._anchor_of
            what = "contains itself" if inside else "names no anchor that stands before it"
            self._say("LB0006", span, f"the alias *{event.anchor} {what}", help=_ALIAS_HELP)
            node = Node(span)
        self._copies += node.size
        if self._copies > _MOST_COPIES:
            self._say("LB0006", span, f"aliases make this document larger than {_MOST_COPIES} values")
            return False
        if node.is_scalar:
            node = Node(span, value=node.value, text=node.text)
        self._place(node)
        return True

    def _place(self, node: Node) -> None:
        if not self._open:
            self._out.root = node
            return
        parent = self._open[-1]
        parent.size += node.size
        if parent.items is not None:
            parent.items.append(node)
        elif parent.pairs is not None:
            key = self._keys[-1]
            if key is None:
                self._keys[-1] = self._key(node)
            else:
                self._keys[-1] = None
                self._pair(parent.pairs, key, node)

    def _key(self, node: Node) -> Node:
        if not node.is_scalar:
            self._say("LB0008", node.span, "a list or mapping cannot be a key here", help="use text as the key")
        elif node.plain and node.text == "<<":
            self._say("LB0008", node.span, "merge keys are not part of YAML 1.2", help="write the fields out")
        return node

    def _pair(self, pairs: list[tuple[Node, Node]], key: Node, value: Node) -> None:
        first = self._names[-1].setdefault(key.text, key)
        if first is key or not key.is_scalar:
            pairs.append((key, value))
            return
        self._say(
            "LB0005",
            key.span,
            f'the key "{key.text}" is given twice',
            help="keep one of the two",
            labels=(Label(first.span, "first given here"),),
        )

    def _scalar(self, event: Any, node: Node) -> Scalar:
        text: str = event.value
        if event.tag is None:
            return resolve(text) if node.plain else text
        value = resolve(text)
        match event.tag.removeprefix(_CORE):
            case "!" | "str":
                return text
            case "null" if value is None:
                return None
            case "bool" if isinstance(value, bool):
                return value
            case "int" if isinstance(value, int) and not isinstance(value, bool):
                return value
            case "float" if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(value)
        self._say("LB0008", node.span, f"the tag {event.tag} does not fit here", help="leave the tag out")
        return text
