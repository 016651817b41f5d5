"""Diagnostics as people read them: where, the line itself, a caret under the place, and what to do."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

from lbctl.cli.render import Style, paint, wrap
from lbctl.config.diagnostic import Diagnostic, Label, Severity, Span
from lbctl.config.secret_lines import ShownLines

STYLES = {Severity.ERROR: Style.BAD, Severity.WARNING: Style.DOUBT, Severity.NOTE: Style.STRONG}
_TAB = "    "
_UNSAFE = frozenset(("Cc", "Cf", "Cn", "Co", "Zl", "Zp"))
_UNSEEN = "\N{REPLACEMENT CHARACTER}"
_WIDEST = 160
"""Longer lines are cut around the place that is meant."""

Lines = Callable[[str], ShownLines]
"""The lines of a file, by its name, without those that may hold a secret."""


def shown_lines(contents: Mapping[str, bytes]) -> Lines:
    """Of files by their names; each is looked at once, and only if somebody asks."""
    known: dict[str, ShownLines] = {}

    def lines(file: str) -> ShownLines:
        if file not in known:
            known[file] = ShownLines(contents.get(file, b""))
        return known[file]

    return lines


def human(diagnostic: Diagnostic, lines: Lines, *, width: int | None = None, allowed: bool = False) -> str:
    """One finding in several lines, without a line end at its end. Sentences are wrapped at `width`, source is not."""
    style = Style.FAINT if allowed else STYLES[diagnostic.severity]
    name = f"{'allowed ' if allowed else ''}{diagnostic.severity}[{diagnostic.code}]"
    message = _wrapped(literal(diagnostic.message), behind=len(name) + 2, indent=2, width=width)
    head = paint(name, style) + paint(f": {message}", Style.STRONG)
    if diagnostic.of_file:
        shown = [f"  {paint('-->', Style.FAINT)} {literal(diagnostic.span.file)}"]
        gutter = 1
    else:
        places = [diagnostic.span, *(label.span for label in diagnostic.labels)]
        gutter = max(len(str(span.line)) for span in places)
        shown = [f"{' ' * gutter} {paint('-->', Style.FAINT)} {place(diagnostic.span)}"]
        if not diagnostic.sensitive:
            shown += _snippets(diagnostic, style, gutter, lines)
    if diagnostic.help:
        text = _wrapped(literal(diagnostic.help), behind=gutter + 9, indent=gutter + 9, width=width)
        shown.append(f"{' ' * gutter} {paint('=', Style.FAINT)} {paint('help', Style.GOOD)}: {text}")
    return "\n".join([head, *shown])


def place(span: Span) -> str:
    """File, line and column, on one line and with nothing that a terminal would obey."""
    return literal(str(span))


def _wrapped(text: str, *, behind: int, indent: int, width: int | None) -> str:
    """`text` in lines, the first of which begins `behind` columns from the left, the others `indent`."""
    if width is None:
        return text
    return "\n".join(wrap("-" * behind + text, indent=indent, width=max(width, 40)))[behind:]


def _snippets(diagnostic: Diagnostic, style: Style, gutter: int, lines: Lines) -> Iterable[str]:
    primary = diagnostic.span
    here = [label for label in diagnostic.labels if label.span.file == primary.file]
    marks = sorted([(primary, "^", style, ""), *((_mark(label)) for label in here)], key=lambda mark: mark[0].line)
    yield from _snippet(marks, gutter, lines(primary.file))
    for label in diagnostic.labels:
        if label.span.file != primary.file:
            yield f"{' ' * gutter} {paint(':::', Style.FAINT)} {place(label.span)}"
            yield from _snippet([_mark(label)], gutter, lines(label.span.file))


_Mark = tuple[Span, str, Style, str]


def _mark(label: Label) -> _Mark:
    return (label.span, "-", Style.FAINT, label.message)


def _snippet(marks: Sequence[_Mark], gutter: int, lines: ShownLines) -> Iterable[str]:
    """Source lines with a caret line under each; lines that are far apart are joined by dots."""
    seen = [
        (mark, text) for mark in marks if mark[0].line <= len(lines) and (text := lines[mark[0].line - 1]) is not None
    ]
    if not seen:
        return
    bar = paint("|", Style.FAINT)
    yield f"{' ' * gutter} {bar}"
    before = None
    for (span, character, style, message), text in seen:
        if before is not None and span.line > before + 1:
            yield paint("." * max(gutter, 3), Style.FAINT)
        end = span.end_column if span.end_line == span.line else len(text) + 1
        shown, left, width = _window(text, span.column - 1, max(end, span.column + 1) - 1)
        if span.line != before:
            yield f"{paint(str(span.line).rjust(gutter), Style.FAINT)} {bar} {shown}"
        under = " " * left + paint(character * width + (f" {message}" if message else ""), style)
        yield f"{' ' * gutter} {bar} {under}"
        before = span.line


def _window(text: str, start: int, end: int) -> tuple[str, int, int]:
    """The line as shown (tabs widened, long ones cut), and where in it the place begins and its width, in cells."""
    begin = max(0, start - _WIDEST // 2) if len(text) > _WIDEST else 0
    stop = min(len(text), begin + _WIDEST)
    end = max(start + 1, min(end, stop))
    head = "…" if begin else ""
    tail = "…" if stop < len(text) else ""
    before, inside = _cells(text[begin:start]), _cells(text[start:end]) or 1
    return head + literal(text[begin:stop]) + tail, len(head) + before, inside


def literal(text: str) -> str:
    """Text that a terminal takes literally: no control characters, nothing that reorders, hides or breaks a line.

    What stands for bytes of a file name that are no text is left, for the stream to escape.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_TAB if c == "\t" else _UNSEEN if unicodedata.category(c) in _UNSAFE else c for c in text)


def _cells(text: str) -> int:
    """Columns of a terminal that the text takes."""
    if text.isascii() and "\t" not in text:
        return len(text)
    from rich.cells import cell_len  # 20 ms, and only wide characters need it

    return cell_len(literal(text))


def summary(diagnostics: Sequence[Diagnostic], files: int, objects: int, *, allowed: int = 0) -> str:
    """The last line: how many of what in how many files, how many are left out, and how many
    `allowed` by comments."""
    counts = {severity: sum(d.severity is severity for d in diagnostics) for severity in Severity}
    found = [
        paint(_count(counts[severity], severity.value), STYLES[severity]) for severity in Severity if counts[severity]
    ]
    where = f"{_count(files, 'file')}, {_count(objects, 'usable object' if counts[Severity.ERROR] else 'object')}"
    left = sum(diagnostic.left_out for diagnostic in diagnostics)
    more = f"; {left:,} more left out" if left else ""
    more += f"; {allowed:,} allowed by comments" if allowed else ""
    if not found:
        return f"{paint('ok', Style.GOOD)}: {where}, nothing found{more}"
    return f"{', '.join(found)} in {where}{more}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def as_document(diagnostic: Diagnostic) -> dict[str, object]:
    """One finding as plain values, for JSON."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "help": diagnostic.help or None,
        **_span(diagnostic.span),
        "left_out": diagnostic.left_out or None,
        "related": [{**_span(label.span), "message": label.message} for label in diagnostic.labels],
    }


def _span(span: Span) -> dict[str, object]:
    return {
        # Bytes of a name that are no text have no place in JSON (RFC 8259 section 8.1).
        "file": span.file.encode("utf-8", "backslashreplace").decode(),
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
