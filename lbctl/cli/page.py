"""Lines of an answer for people: heads, and groups of rows below a line that says what they have in common."""

from __future__ import annotations

from collections.abc import Sequence

from lbctl.cli.render import Style, paint, wrap

MOST = 10
"""So many of a kind are listed; the others are counted."""


class Page:
    """Lines, wrapped where a person would have to scroll."""

    def __init__(self, width: int) -> None:
        self.lines: list[str] = []
        self._width = max(width, 40)

    def line(self, text: str) -> None:
        self.lines.append(text)

    def text(self, text: str, *, indent: int, at: int = 0, mark: str = "", style: Style | None = None) -> None:
        """`mark` begins the text, in its style."""
        first, *rest = wrap(mark + text, indent=indent - at, width=self._width - at)
        if style is not None:
            first = paint(first[: len(mark)], style) + first[len(mark) :]
        self.lines += [" " * at + line for line in (first, *rest)]

    def head(self, text: str) -> None:
        self.line(paint(text, Style.STRONG))

    def group(self, sign: tuple[str, Style], head: str, rows: Sequence[Sequence[str]]) -> None:
        """A line that says what and why, and below it for whom."""
        self.text(f" {head}", indent=4, at=2, mark=sign[0], style=sign[1])
        shown = [list(row) for row in rows[:MOST]]
        columns = max((len(row) for row in shown), default=0)
        for row in shown:
            row += [""] * (columns - len(row))
        widths = [max(len(row[column]) for row in shown) for column in range(columns)]
        for row in shown:
            cells = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
            if len(cells) + 6 <= self._width:
                self.line("      " + cells)
            else:
                self._broken([cell for cell in row if cell])
        if len(rows) > MOST:
            self.line(f"      and {len(rows) - MOST:,} more (-o json has them all)")

    def _broken(self, cells: Sequence[str]) -> None:
        """A row that is too long for one line: as many cells as fit on each, and the gap between them stays."""
        line, at = cells[0], 6
        for cell in cells[1:]:
            if at + len(line) + 2 + len(cell) <= self._width:
                line = f"{line}  {cell}"
                continue
            self._wrapped(line, at)
            line, at = cell, 10
        self._wrapped(line, at)

    def _wrapped(self, line: str, at: int) -> None:
        if at + len(line) <= self._width:
            self.line(" " * at + line)
        else:
            self.text(line, indent=at + 2, at=at)

    def gap(self) -> None:
        self.line("")


def count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
