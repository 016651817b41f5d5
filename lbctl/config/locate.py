"""From the path of a value to its place in the text."""

from __future__ import annotations

from lbctl.config.codes import CODES
from lbctl.config.compose import Node
from lbctl.config.diagnostic import Diagnostic, Label, Span
from lbctl.config.schema import Path, Problem, kind_of

_START = Span("", 1, 1, 1, 2)


def diagnose(problem: Problem, root: Node | None) -> Diagnostic:
    """The finding for a problem in the document `root` (None: it cannot be composed, and the start must do)."""
    joined = None if problem.sensitive or problem.at_key else _joined(root, problem.path)
    if joined is not None:
        return Diagnostic(
            code=problem.code,
            severity=CODES[problem.code].severity,
            message=f"this line and the next are one value: {joined}",
            span=span_of(root, problem.path),
            help="give the '- ' of the next line the indentation of the one above: then it begins an item of its own",
        )
    labels: tuple[Label, ...] = ()
    if problem.other is not None:
        path, message = problem.other
        labels = (Label(span_of(root, path), message),)
    return Diagnostic(
        code=problem.code,
        severity=CODES[problem.code].severity,
        message=problem.message,
        span=span_of(root, problem.path, at_key=problem.at_key, part=problem.part),
        help=problem.help,
        labels=labels,
        sensitive=problem.sensitive,
    )


def span_of(root: Node | None, path: Path, *, at_key: bool = False, part: tuple[int, int] | None = None) -> Span:
    """Where the value at `path` stands: a scalar itself, a collection by its key, what lacks by its parent."""
    if root is None:
        return _START
    node, key = root, None
    for step in path:
        found = _step(node, step)
        if found is None:
            break
        key, node = found
    if key is not None and (at_key or not node.is_scalar or _is_empty(node.span)):
        return key.span
    if node.is_scalar:
        return _part(node, part) if part else node.span
    return _first_line(node)


def _joined(root: Node | None, path: Path) -> str | None:
    """The value at `path`, where a list item was taken for more of the line above it, being indented too deep."""
    node = root
    for step in path:
        found = None if node is None else _step(node, step)
        node = found[1] if found else None
    if node is None or not node.plain or node.span.line == node.span.end_line or " - " not in node.text:
        return None
    return kind_of(node.text).removeprefix("the text ")


def _step(node: Node, step: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(step, int):
        return (None, node.items[step]) if node.items is not None and step < len(node.items) else None
    return node.named.get(step)


def _is_empty(span: Span) -> bool:
    return (span.line, span.column) == (span.end_line, span.end_column)


def _part(node: Node, part: tuple[int, int]) -> Span:
    """Characters of a scalar, where what is written is what is meant (no escapes, no folding)."""
    span = node.span
    if span.line != span.end_line:
        return span
    quotes = span.end_column - span.column - len(node.text)
    if quotes not in (0, 2):
        return span
    start = span.column + quotes // 2
    return Span(span.file, span.line, start + part[0], span.line, start + part[1])


def _first_line(node: Node) -> Span:
    """A list or mapping without a key of its own: the first key or item in it."""
    while not node.is_scalar:
        if node.pairs:
            return node.pairs[0][0].span
        if not node.items:
            break
        node = node.items[0]
    span = node.span
    return span if span.line == span.end_line else Span("", span.line, span.column, span.line, span.column + 1)
