"""Which manifests there are: files as named, folders with all that lies below them.

A folder's manifests are the files *.yaml, *.yml and *.json; names that begin with a dot are passed over (editors' swap
files, and the `..data` folders by which Kubernetes swaps a mounted ConfigMap).
"""

# Plain strings and os calls: pathlib costs three times the rest for 30,000 files.
# ruff: noqa: PTH100, PTH112, PTH115, PTH116, PTH118

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".yaml", ".yml", ".json")
_MOST_LINKS = 40
LARGEST = 256 << 20
"""Bytes of a file that is read."""


class Stamp(NamedTuple):
    """What changes when a file's content does."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class Unreadable(NamedTuple):
    """A path that could not be looked at, and why. `root`: it is one of those that were asked for."""

    path: str
    why: str
    root: bool


@dataclass(slots=True)
class Listing:
    """Files in the order of their names, and where to look for changes.

    `watch`: folders and the names in them that matter (None: all names). `folders` are the roots that are folders, with
    device and inode, and `below` how many files each of them holds. `links` are the links that were followed.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    watch: dict[str, frozenset[str] | None] = field(default_factory=dict)
    folders: dict[str, tuple[int, int]] = field(default_factory=dict)
    below: dict[str, int] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)


def is_manifest(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def list_manifests(paths: Iterable[Path]) -> Listing:
    """Looks at every path. Never raises for what is missing or forbidden; that is in `unreadable`."""
    listing = Listing()
    seen: set[tuple[int, int]] = set()
    walked: set[tuple[int, int]] = set()
    for path in paths:
        root = os.path.abspath(path)
        _watch_way_to(root, listing)
        try:
            found = os.stat(root)
        except OSError as error:
            listing.unreadable.append(Unreadable(root, error.strerror or str(error), root=True))
            continue
        if stat.S_ISDIR(found.st_mode):
            listing.folders[root] = (found.st_dev, found.st_ino)
            before = len(listing.files)
            _folder(root, listing, seen, walked, root=True)
            listing.below[root] = len(listing.files) - before
        elif stat.S_ISREG(found.st_mode):
            _file(root, found, listing, seen)
        else:
            listing.unreadable.append(Unreadable(root, "neither a file nor a folder", root=True))
    listing.files = dict(sorted(listing.files.items()))
    return listing


def _folder(
    folder: str, listing: Listing, seen: set[tuple[int, int]], walked: set[tuple[int, int]], *, root: bool
) -> None:
    listing.watch[folder] = None
    try:
        here = os.stat(folder)
        identity = (here.st_dev, here.st_ino)
        if identity in walked:
            return  # a link to a folder that we are in, or were: its files are known by their first name
        walked.add(identity)
        with os.scandir(folder) as entries:
            # Links come last: what they lead to has its own name before theirs, whatever order the disk has.
            for entry in sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name)):
                if not entry.name.startswith("."):
                    _entry(entry, listing, seen, walked)
    except OSError as error:
        listing.unreadable.append(Unreadable(folder, error.strerror or str(error), root=root))


def _entry(entry: os.DirEntry[str], listing: Listing, seen: set[tuple[int, int]], walked: set[tuple[int, int]]) -> None:
    try:
        if entry.is_symlink():
            _watch_way_to(entry.path, listing)
        if entry.is_dir():
            _folder(entry.path, listing, seen, walked, root=False)
        elif entry.name.endswith(SUFFIXES):
            found = entry.stat()
            if stat.S_ISREG(found.st_mode):
                _file(entry.path, found, listing, seen)
    except FileNotFoundError:
        return  # gone meanwhile, or a link to nothing
    except OSError as error:
        listing.unreadable.append(Unreadable(entry.path, error.strerror or str(error), root=False))


def _file(path: str, found: os.stat_result, listing: Listing, seen: set[tuple[int, int]]) -> None:
    """Takes a file in, unless it is there under another name already."""
    identity = (found.st_dev, found.st_ino)
    if identity not in seen:
        seen.add(identity)
        if found.st_size > LARGEST:
            listing.unreadable.append(Unreadable(path, too_large(), root=False))
            return
        listing.files[path] = stamp(found)


def too_large() -> str:
    """Why what has more than LARGEST bytes is not read."""
    return f"larger than {LARGEST >> 20} MiB, which no manifest is"


def stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _watch_way_to(path: str, listing: Listing) -> None:
    """Watches where `path` would appear or be swapped: its folder (or the nearest that exists), link by link."""
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        while folder != path and not os.path.isdir(folder):
            path, (folder, name) = folder, os.path.split(folder)
        known = listing.watch.get(folder, frozenset())
        if known is not None:
            listing.watch[folder] = known | {name}
        link = os.path.join(folder, name)
        try:
            path = os.path.join(folder, os.readlink(link))
        except OSError:
            return
        listing.links.add(link)
