"""The comments of a document, which parsers throw away: found by a scan of the text, valid or not.

The scan knows just enough of YAML to tell a comment from a `#` within a quoted, plain or block scalar. Of text that is
not valid YAML it may see the wrong ones; nothing but what is said about comments depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BLANK = " \t"
_MARKER = re.compile(r"(?:---|\.\.\.)(?=[ \t]|\Z)")
_PLAIN = re.compile(r"(?:[^ \t:]|:(?=[^ \t])|[ \t]+(?=[^ \t#:])|[ \t]+(?=:[^ \t]))+")
_FLOW_PLAIN = re.compile(r"(?:[^ \t:,\[\]{}]|:(?=[^ \t,\[\]{}])|[ \t]+(?=[^ \t#:,\[\]{}])|[ \t]+(?=:[^ \t,\[\]{}]))+")
_PROPERTY = re.compile(r"[&*!][^ \t]*")
_FLOW_PROPERTY = re.compile(r"[&*!][^ \t,\[\]{}]*")
_BLOCK_HEADER = re.compile(r"[|>][-+]?([1-9])?[-+]?(?=[ \t]|\Z)")
_INDICATOR = re.compile(r"[-?:](?=[ \t]|\Z)")
_REST_OF = {'"': re.compile(r'(?:[^"\\]|\\.)*"'), "'": re.compile(r"(?:[^']|'')*'(?!')")}


class Comment(NamedTuple):
    """A comment from its `#` to the end of its line, which counts from 1 as the column does.

    `alone`: nothing else stands on the line. `head`: nothing of the document stands before it.
    """

    line: int
    column: int
    text: str
    alone: bool
    head: bool


def comments(text: str) -> Iterator[Comment]:
    """All comments of one document, in order. Line ends are `\\n`."""
    scan = _Scan()
    for number, line in enumerate(text.split("\n"), 1):
        head = not scan.content
        at = scan.line(line)
        if at is not None:
            yield Comment(number, at + 1, line[at:], not line[:at].strip(_BLANK), head and not scan.content)


class _Scan:
    """What is open at the end of a line, and so decides what the next one means."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Nothing is open, as at the beginning of a document."""
        self.content = False
        self._quote = ""
        self._plain = False
        self._flow = 0
        self._parent = -1
        """The column of the innermost key or dash; what belongs to it stands further to the right."""
        self._block: tuple[int, bool] | None = None
        """Of a block scalar: the least column of its lines, and whether that is settled."""

    def line(self, line: str) -> int | None:
        """Takes one line; where in it a comment begins, if one does."""
        indent = len(line) - len(line.lstrip(" "))
        if self._block is not None and self._in_block(line, indent):
            return None
        at = 0
        if found := _MARKER.match(line):
            self._begin()  # a marker ends whatever was open
            at = found.end()
        elif line.startswith("%") and not self.content:
            return _after_blank(line)
        elif not self._quote and not self._flow and indent <= self._parent and line.strip(_BLANK):
            self._plain = False
        return self._tokens(line, at)

    def _in_block(self, line: str, indent: int) -> bool:
        assert self._block is not None
        column, known = self._block
        blank = not line.strip(" ")
        if not known:
            # The first lines decide, blank ones too.
            column = max(column, indent)
            self._block = (column, not blank)
        if blank or indent >= column:
            return True
        self._block = None
        return False

    def _tokens(self, line: str, at: int) -> int | None:
        start: int | None = None
        while at < len(line):
            character = line[at]
            if self._quote:
                found = _REST_OF[self._quote].match(line, at)
                if found is None:
                    return None
                self._quote = ""
                at = found.end()
            elif character in _BLANK:
                at += 1
            elif character == "#" and (at == 0 or line[at - 1] in _BLANK):
                self._plain = False
                return at
            else:
                self.content = True
                at, start = self._token(line, at, start)
        return None

    def _token(self, line: str, at: int, start: int | None) -> tuple[int, int | None]:
        """Takes what begins at `at`; `start` is where the node began that a colon would make a key."""
        character = line[at]
        if self._plain:
            return self._take_plain(line, at, start)
        if self._flow or character in "[{":
            if character in "[{":
                self._flow += 1
                return at + 1, at if start is None else start
            if character in "]},:":
                self._flow -= character in "]}"
                return at + 1, start
        elif found := _INDICATOR.match(line, at):
            self._parent = start if character == ":" and start is not None else at
            return at + 1, None
        elif found := _BLOCK_HEADER.match(line, at):
            right_of, given = max(self._parent, 0), found[1]
            self._block = (right_of + int(given or 1), given is not None)
            return found.end(), None
        start = at if start is None else start
        if character in "\"'":
            self._quote = character
            return at + 1, start
        if found := (_FLOW_PROPERTY if self._flow else _PROPERTY).match(line, at):
            return found.end(), start
        return self._take_plain(line, at, start)

    def _take_plain(self, line: str, at: int, start: int | None) -> tuple[int, int | None]:
        found = (_FLOW_PLAIN if self._flow else _PLAIN).match(line, at)
        end = found.end() if found else at
        # It may go on in the next line, unless a colon or a comma ends it here.
        self._plain = not line[end:].strip(_BLANK)
        return max(end, at + (found is None)), start


def _after_blank(line: str) -> int | None:
    found = re.search(r"[ \t]#", line)
    return None if found is None else found.start() + 1
