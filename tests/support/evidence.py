"""What the daemons of a failed test were doing: who has ended, and the last lines of each log.

A report of CI is cut somewhere, so this comes first, is short, and says nothing twice: of each log only what was not
shown with an earlier failure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

LINES = 15
"""Of each log, at most."""
ENOUGH = 40
"""Of all logs together; who has ended comes first."""
IN_SHORT = 5
"""Lines of a log that are printed at the moment of the failure, of so many daemons at most:"""
MOST_IN_SHORT = 2
_WIDTH = 220


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """One daemon: its name, what has become of it, and its log."""

    name: str
    ended: bool
    log: Path

    @property
    def fate(self) -> str:
        return f"{self.name}: {'ENDED' if self.ended else 'runs'}"


Source = Callable[[], list[Witness]]
_sources: dict[str, Source] = {}
_shown: dict[Path, int] = {}
_kept: list[str] = []


def register(name: str, source: Source) -> None:
    """`source` tells of the daemons of one cluster for as long as it is there; an empty list when it is no more."""
    _sources[name] = source


def forget(name: str) -> None:
    _sources.pop(name, None)


def keep() -> None:
    """For a cluster that is about to be removed, because of a failure: what there is to be said of it, now."""
    if found := gathered():
        _kept.append(found)


def gathered() -> str:
    """What there is to say of every cluster that is there; empty when nothing is. Never raises."""
    kept, _kept[:] = list(_kept), []
    witnesses: list[Witness] = []
    for source in list(_sources.values()):
        with contextlib.suppress(Exception):
            witnesses += source()
    witnesses.sort(key=lambda witness: not witness.ended)
    lines = [f"daemons: {', '.join(witness.fate for witness in witnesses)}"] if witnesses else []
    left = ENOUGH
    for witness in witnesses:
        new = list(_unshown(witness.log))[-min(LINES, left) :] if left > 0 else []
        left -= len(new)
        if new:
            lines += [f"--- {witness.fate}, the last of its log:", *new]
    return "\n".join([*kept, *lines])


def in_short(found: str) -> list[str]:
    """Of what was `gathered`: who there is, and the very last words of who has ended, or of the first."""
    sections: list[list[str]] = [[]]
    for line in found.splitlines():
        if line.startswith("--- "):
            sections.append([])
        sections[-1].append(line)
    short = sections[0][-1:]
    ended = [section for section in sections[1:] if ": ENDED" in section[0]] or sections[1:2]
    for section in ended[:MOST_IN_SHORT]:
        short += [section[0], *section[1:][-IN_SHORT:]]
    return short


def _unshown(log: Path) -> Iterator[str]:
    try:
        content = log.read_bytes()
    except OSError:
        return
    begin = _shown.get(log, 0)
    _shown[log] = len(content)
    # A log that is shorter than it was is another one.
    for line in content[begin if begin <= len(content) else 0 :].decode(errors="replace").splitlines():
        if " debug " not in line:
            yield line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "..."
