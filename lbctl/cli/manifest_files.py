"""The bytes of manifests that a command line names: files, folders, and `-` for standard input."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lbctl.cli.progress import Progress
from lbctl.sources import tree

STDIN = "-"
STDIN_NAME = "<stdin>"
_NOWHERE = "\0"
"""What no path begins with."""


class Unread(NamedTuple):
    """What could not be read, by the name to show, and why."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class ManifestFiles(NamedTuple):
    """Bytes by the name to show; what could not be read; the folders named that hold no manifest."""

    contents: dict[str, bytes]
    unread: tuple[Unread, ...]
    empty: tuple[str, ...]


def read_manifests(paths: Sequence[Path]) -> ManifestFiles:
    """Reads all that `paths` name. What is larger than any manifest is not read, be it a file or standard input."""
    here = _prefix()
    contents: dict[str, bytes] = {}
    unread: list[Unread] = []
    named = [path for path in paths if str(path) != STDIN]
    if len(named) < len(paths):
        try:
            contents[STDIN_NAME] = _stdin()
        except OSError as error:
            unread.append(Unread(STDIN_NAME, error.strerror or str(error)))
    listing = tree.list_manifests(named)
    unread += (Unread(each.path.removeprefix(here), each.why) for each in listing.unreadable)
    with Progress("reading", len(listing.files)) as progress:
        for path in listing.files:
            try:
                contents[path.removeprefix(here)] = Path(path).read_bytes()
            except OSError as error:
                unread.append(Unread(path.removeprefix(here), error.strerror or str(error)))
            progress.advance(1)
    empty = [folder for folder, below in listing.below.items() if not below]
    if any(each.path in empty for each in listing.unreadable):
        empty = []
    return ManifestFiles(contents, tuple(unread), tuple(folder.removeprefix(here) for folder in empty))


def _stdin() -> bytes:
    """Raises OSError."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    raw = sys.stdin.buffer.read(tree.LARGEST + 1)
    if len(raw) > tree.LARGEST:
        raise OSError(errno.EFBIG, tree.too_large())
    return raw


def _prefix() -> str:
    """What need not be said of a path: where we are."""
    try:
        here = str(Path.cwd())
    except OSError:
        return _NOWHERE
    return here + "/" if here != "/" else _NOWHERE
