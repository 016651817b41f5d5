"""Which lines of a document may hold a secret: those are never shown, whatever is to be said of them.

Looked at is the text, not what it ought to mean, since a password is most easily shown where something is misspelt or
broken. In doubt a line is hidden, and where the parts of a text cannot be told from one another, all of it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Severity
from lbctl.config.document import UTF8_BOM, split

if TYPE_CHECKING:
    from lbctl.config.compose import Node

_WORD = re.compile(r"pass|pasw|psw|pwd|assw|p\w{0,4}w\w{0,2}rd|md5|psk|\bauth", re.IGNORECASE)
"""What a password is called, be it misspelt."""
_REFERENCE = re.compile(r"passwordSecret(?![A-Za-z])")
"""The name of a Secret is none."""
_SECRET = re.compile(
    r"\bkind\b[^\n]{0,20}\n?[^\n]{0,20}\bS\w{0,3}cr\w{0,2}t\b|string-?_?dat|kubernetes\.io/basic-auth", re.IGNORECASE
)
"""A Secret: all of it is hidden. So is one whose kind is misspelt."""
_ESCAPE = re.compile(r"\\[xuU]")
_NEEDS_LOOK = re.compile(r"bgp-?peer|peer-?a|my-?asn|\bpeers\b|data", re.IGNORECASE)
"""Where an escape may stand for a letter of `password`."""
_DEEPEST = 4
_HELP = {"LB0013": "write # lbctl: allow LB0207, then, if you like, why", "LB0015": "write it without the zeros"}
_QUOTING = frozenset(("LB0006", "LB0008", "LB0013", "LB0015"))
"""Codes of findings about the text as such, which quote whatever stands in it."""


class HiddenLines:
    """The lines (from 1) of one document that may hold a secret; asked for, not listed: most often there are none."""

    def __init__(self, text: str, _depth: int = 0) -> None:
        self.all = _SECRET.search(text) is not None
        self._lines: set[int] = set()
        if self.all:
            return
        if _ESCAPE.search(text) and _NEEDS_LOOK.search(text):
            self.all = True
        elif _names_one(text):
            self._look(text, _depth)

    @property
    def any(self) -> bool:
        """Whether there is such a line at all."""
        return self.all or bool(self._lines)

    def __contains__(self, line: int) -> bool:
        return self.all or line in self._lines

    def _look(self, text: str, depth: int) -> None:
        from lbctl.config.compose import compose

        composed = compose(text)
        if composed.root is None or any(each.severity is Severity.ERROR for each in composed.diagnostics):
            self.all = True
            return
        source = text.split("\n")
        self._lines |= {number for number, line in enumerate(source, 1) if _names_one(line)}
        rest: list[Node] = [composed.root]
        seen: set[int] = set()
        while rest and not self.all:
            node = rest.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            rest += node.items or ()
            for key, value in node.pairs or ():
                rest += (key, value)
                if _names_one(key.text):
                    self._hide_value(key, value, source)
            if node.is_scalar and node.span.line != node.span.end_line and _names_one(node.text):
                self._hide_scalar(node, source, depth)

    def _hide_value(self, key: Node, value: Node, source: Sequence[str]) -> None:
        first, last = key.span.line, max(key.span.end_line, value.span.end_line)
        # What an alias stands for is written elsewhere, and what has an anchor may be needed elsewhere.
        if value.span.line < first or any("*" in line or "&" in line for line in source[first - 1 : last]):
            self.all = True
        self._lines.update(range(first, last + 1))

    def _hide_scalar(self, node: Node, source: Sequence[str], depth: int) -> None:
        """Text in a text, which a ConfigMap holds: line for line where it stands as it is, else as a whole."""
        first = node.span.line
        begins = source[first - 1][node.span.column - 1 : node.span.column]
        within = HiddenLines(node.text, depth + 1) if begins == "|" and depth < _DEEPEST else None
        if within is None or within.all:
            self._lines.update(range(first, node.span.end_line + 1))
        else:
            self._lines.update(first + number for number in within._lines)


def _names_one(text: str) -> bool:
    return _WORD.search(text) is not None and _WORD.search(_REFERENCE.sub("", text)) is not None


def guarded(found: Diagnostic, hidden: HiddenLines) -> Diagnostic:
    """The finding with its place marked where that is hidden; words of the text are not in its message then."""
    if found.span.line not in hidden and found.span.end_line not in hidden:
        return found
    if found.code not in _QUOTING:
        return found if found.sensitive else replace(found, sensitive=True)
    code = CODES[found.code]
    return replace(found, message=code.title, help=_HELP.get(found.code, found.help), sensitive=True)


class Secrets:
    """Marks the findings in one document; its text is looked at with the first of them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._hidden: HiddenLines | None = None

    def hide(self, found: Diagnostic) -> Diagnostic:
        """See `guarded`."""
        if self._hidden is None:
            self._hidden = HiddenLines(self._text)
        return guarded(found, self._hidden)


class ShownLines(Sequence[str | None]):
    """The lines of a file as they may be shown, None for those that must not be."""

    def __init__(self, raw: bytes) -> None:
        text = raw.removeprefix(UTF8_BOM).decode("utf-8", errors="replace")
        self._lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._documents = list(split(raw))
        self._starts = [before for before, _ in self._documents]
        self._hidden: dict[int, HiddenLines] = {}

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, at: int) -> str | None: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str | None]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str | None] | None:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        line = self._lines[at]
        return None if self._is_hidden(at % len(self)) else line

    def _is_hidden(self, at: int) -> bool:
        number = bisect_right(self._starts, at) - 1
        if number < 0:
            return bool(self._documents) and self._is_hidden(self._starts[0])
        if number not in self._hidden:
            self._hidden[number] = HiddenLines(self._documents[number][1].decode("utf-8", errors="replace"))
        return at - self._starts[number] + 1 in self._hidden[number]
