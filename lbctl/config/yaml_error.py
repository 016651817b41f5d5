"""What libyaml says when it gives up, in words that say what to do."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Label, Span

_TAB_INDENT = re.compile(r"[ -]*\t")


_OPENS = {"]": "[", "}": "{"}


class _Advice(NamedTuple):
    """`opened`: the position to show is where the thing was opened, not where its end was missed."""

    message: str
    help: str
    opened: bool = False


_ADVICE: dict[tuple[str, str], _Advice] = {
    ("", "mapping values are not allowed"): _Advice(
        "this ':' starts a mapping where none can be",
        "put the value in double quotes, or check the indentation of this line and the one above",
    ),
    ("quoted scalar", "unexpected end of stream"): _Advice(
        "the quote that opens here is never closed", "close it at the end of the value", opened=True
    ),
    ("quoted scalar", "unexpected document indicator"): _Advice(
        "the quote that opens here is never closed", "close it at the end of the value", opened=True
    ),
    ("flow sequence", "did not find expected"): _Advice(
        "the [ that opens here is never closed, or a comma is missing in it", "close it with ]", opened=True
    ),
    ("flow mapping", "did not find expected"): _Advice(
        "the { that opens here is never closed, or a comma is missing in it", "close it with }", opened=True
    ),
    ("simple key", "could not find expected ':'"): _Advice(
        "this line is neither 'key: value' nor a list item",
        "is a space missing after ':', or the ':' itself?",
        opened=True,
    ),
    ("block mapping", "did not find expected key"): _Advice(
        "this does not fit the mapping it stands in",
        "line it up with the other keys; text after a quoted value must go",
    ),
    ("block collection", "did not find expected '-'"): _Advice(
        "this does not fit the list it stands in", "begin it with '- ', or indent it like the key of the list"
    ),
    ("", "cannot start any token"): _Advice(
        "a value cannot begin with this character", "put the value in double quotes"
    ),
    ("quoted scalar", "unknown escape character"): _Advice(
        "this escape means nothing in double quotes", "write \\\\ for a backslash, or use single quotes"
    ),
    ("", "expected <document start>"): _Advice(
        "the document ended before this line", "separate documents by a line of ---, or check the indentation"
    ),
    ("", "incompatible YAML document"): _Advice("this YAML version is not known", "leave the %YAML line out"),
}


def explain(error: Any, text: str) -> Diagnostic:
    """The finding for a yaml.MarkedYAMLError in `text`."""
    context, problem = error.context or "", error.problem or ""
    advice = next(
        (advice for (where, what), advice in _ADVICE.items() if where in context and what in problem),
        _Advice(problem or "this is not YAML", ""),
    )
    mark = error.problem_mark or error.context_mark
    if advice.opened and error.context_mark:
        mark = error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.split("\n")
    labels: tuple[Label, ...] = ()
    here = lines[line][column:] if line < len(lines) else ""
    if here[:1] in ("]", "}") and "block" in context:
        advice = _Advice(
            f"this {here[0]} closes nothing", f"remove it, or open the list or mapping before it by {_OPENS[here[0]]}"
        )
    elif here.startswith(":") and "did not find expected node content" in problem:
        advice = _Advice("within [ ] and { } a value cannot begin with ':'", 'put it in double quotes: "::/0"')
    code = "LB0004"
    for candidate in (line, line - 1):
        if 0 <= candidate < len(lines) and (found := _TAB_INDENT.match(lines[candidate])):
            code, line, column = "LB0003", candidate, found.end() - 1
            advice = _Advice("a tab cannot indent a line in YAML", "replace the tabs at the line's start by spaces")
            break
    while line > 0 and (line >= len(lines) or (not lines[line] and column == 0)):
        # libyaml notices an end that came too early behind the last line; show the last text instead.
        line -= 1
        column = len(lines[line])
    return Diagnostic(
        code=code,
        severity=CODES[code].severity,
        message=advice.message,
        span=Span("", line + 1, column + 1, line + 1, column + 2),
        help=advice.help,
        labels=labels,
    )
