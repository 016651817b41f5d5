"""Results on stdout: aligned columns, a little colour where a person looks, JSON and YAML for programs.

Columns are padded by hand: a rich table of a thousand rows costs 400 ms, these cost one. Colour follows NO_COLOR and
FORCE_COLOR, and is off when stdout is no terminal, so that a pipe gets plain text.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

WIDTH = 80
ELLIPSIS = "…"


class Style(Enum):
    """What a piece of text means; how that looks is decided in `paint`."""

    GOOD = "32"
    BAD = "1;31"
    DOUBT = "33"
    STRONG = "1"
    FAINT = "2"


def colours() -> bool:
    """Whether stdout takes colour (no-color.org; force-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, *styles: Style) -> str:
    """`text` with styles, or as it is where colour is off."""
    if not styles or not text or not colours():
        return text
    return f"\033[{';'.join(style.value for style in styles)}m{text}\033[0m"


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is, None where it is none (a pipe is never cut off)."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else None


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    shrink: Sequence[Sequence[int]] = (),
    styles: Sequence[Sequence[Style | None]] | None = None,
    width: int | None = WIDTH,
    cut: bool = False,
) -> str:
    """Left-aligned columns two blanks apart, one where that makes them fit `width`; the last is not padded.

    With `cut`, what still does not fit is cut with an ellipsis: of the columns in the first group of `shrink` always
    the widest, then of the second. `styles` colours cells of the rows.
    """
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    gap = 1 if width is not None and sum(widths) + 2 * (len(widths) - 1) > width else 2
    if cut and width is not None:
        _cut(widths, header, shrink, width - gap * (len(widths) - 1))
    out: list[str] = []
    for number, line in enumerate(lines):
        cells: list[str] = []
        for column, text in enumerate(line):
            shown = text if len(text) <= widths[column] else text[: widths[column] - 1] + ELLIPSIS
            padding = " " * (widths[column] - len(shown)) if column + 1 < len(line) else ""
            style = styles[number - 1][column] if styles and number else None
            cells.append((paint(shown, style) if style else shown) + padding)
        joined = (" " * gap).join(cells).rstrip()
        out.append(joined if number else paint(joined, Style.FAINT))
    return "\n".join(out)


def _cut(widths: list[int], header: Sequence[str], shrink: Sequence[Sequence[int]], room: int) -> None:
    for group in shrink:
        while sum(widths) > room:
            able = [column for column in group if widths[column] > max(len(header[column]), 8)]
            if not able:
                break
            widths[max(able, key=lambda column: widths[column])] -= 1


def wrap(text: str, *, indent: int, width: int | None) -> list[str]:
    """`text` in lines of at most `width`, every line but the first indented by `indent`; long words stay whole. In one
    line without a width."""
    if width is None:
        return [text]
    lines: list[str] = []
    line = ""
    for word in text.split():
        room = width - (indent if lines else 0)
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return [lines[0], *(" " * indent + rest for rest in lines[1:])]


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text.rstrip("\n")


def age(seconds: float) -> str:
    """A duration as kubectl writes it: 45s, 12m, 3h20m, 5d4h, 120d."""
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days >= 10:
        return f"{days}d"
    if days:
        return f"{days}d{hours}h" if hours else f"{days}d"
    if hours:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if minutes >= 10:
        return f"{minutes}m"
    if minutes:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    return f"{whole}s"


def clock(unix: float, *, now: float) -> str:
    """Local time of day; with the date when it was not today."""
    then = time.localtime(unix)
    today = time.localtime(now)
    form = "%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d %H:%M:%S"
    return time.strftime(form, then)
