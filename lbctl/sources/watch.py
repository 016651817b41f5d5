"""Changes in folders, as they happen where inotify sees them, and at intervals where it does not.

inotify sees what this kernel does: local disks and memory. What another machine does to a network share it does not
see, and its watches can run out; then the caller is told to poll.
"""

# ruff: noqa: PTH114, PTH116, PTH118

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from asyncinotify import Inotify, Mask, Watch

_REMOTE = frozenset(
    ("9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3")
)
"""File systems that other machines change; with them everything that is served by a program (fuse)."""
_MASK = (
    Mask.CLOSE_WRITE
    | Mask.MODIFY
    | Mask.MOVED_TO
    | Mask.MOVED_FROM
    | Mask.CREATE
    | Mask.DELETE
    | Mask.ATTRIB
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
)


class What(Enum):
    """What happened to a name in a folder."""

    WRITTEN = "written"
    """It is complete: closed after writing, moved here, or its permissions changed."""
    BEING_WRITTEN = "being_written"
    """Created or changed by somebody who has it open still."""
    GONE = "gone"
    EVERYTHING = "everything"
    """Too much to tell, or the folder itself: look at all again."""


class Change(NamedTuple):
    path: str
    what: What


class FolderWatch:
    """inotify over a set of folders. A context manager; `trouble` says why it is blind, if it is."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._wake = asyncio.Event()
        self._watches: dict[str, tuple[Watch, tuple[int, int]]] = {}
        self._names: Mapping[str, frozenset[str] | None] = {}
        self.trouble: str | None = None

    def __enter__(self) -> FolderWatch:
        try:
            self._inotify = Inotify(cache_size=1000, sync_timeout=0)
        except OSError as error:
            self.trouble = f"inotify: {error.strerror or error}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()

    def follow(self, folders: Mapping[str, frozenset[str] | None]) -> bool:
        """Watches exactly these (with None all names in them count); True when one was not watched until now."""
        self._names = folders
        if self._inotify is None:
            return False
        added = False
        trouble = None
        for folder in set(self._watches) - set(folders):
            self._forget(folder)
        for folder in folders:
            try:
                found = os.stat(folder)
                identity = (found.st_dev, found.st_ino)
                known = self._watches.get(folder)
                if known is not None and known[1] == identity:
                    continue
                if known is not None:
                    self._forget(folder)
                self._watches[folder] = (self._inotify.add_watch(folder, _MASK), identity)
                added = True
            except FileNotFoundError:
                continue
            except OSError as error:
                trouble = f"inotify on {folder}: {error.strerror or error}"
        self.trouble = trouble
        return added

    def _forget(self, folder: str) -> None:
        assert self._inotify is not None
        watch, _ = self._watches.pop(folder)
        # Two names of one folder share a watch; and it may be gone together with its folder.
        if not any(other is watch for other, _ in self._watches.values()):
            with contextlib.suppress(OSError):
                self._inotify.rm_watch(watch)

    async def next(self, at_most: float) -> list[Change]:
        """What happened since the last call; waits until something does, or `at_most` seconds."""
        if self._inotify is None:
            await asyncio.sleep(at_most)
            return []
        # Not `await inotify.get()`: a timeout that cancels it may lose the events that it has just read.
        self._wake.clear()
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._readable)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._wake.wait()
        changes: list[Change] = []
        while (event := self._inotify.sync_get()) is not None:
            changes += self._changes(event.mask, event.watch, event.name)
        return changes

    def _readable(self) -> None:
        assert self._inotify is not None
        asyncio.get_running_loop().remove_reader(self._inotify.fd)
        self._wake.set()

    def _changes(self, mask: Mask, watch: Watch | None, name: Path | None) -> Iterable[Change]:
        if mask & Mask.Q_OVERFLOW:
            return [Change("", What.EVERYTHING)]
        if watch is None or mask & Mask.IGNORED:
            return []
        folders = [folder for folder, (known, _) in self._watches.items() if known is watch]
        if name is None:
            gone = mask & (Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.UNMOUNT)
            return [Change(folder, What.EVERYTHING) for folder in folders] if gone else []
        changes = []
        for folder in folders:
            names = self._names.get(folder, frozenset())
            if names is None or str(name) in names:
                path = os.path.join(folder, name)
                changes.append(Change(path, _what(path, mask)))
        return changes


def _what(path: str, mask: Mask) -> What:
    if mask & Mask.ISDIR:
        return What.EVERYTHING
    if mask & (Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.ATTRIB):
        return What.WRITTEN
    if mask & (Mask.DELETE | Mask.MOVED_FROM):
        return What.GONE
    # A link appears complete; a new file is about to be written.
    return What.WRITTEN if mask & Mask.CREATE and os.path.islink(path) else What.BEING_WRITTEN


def is_remote(path: str) -> bool:
    """Whether a path lies on a file system that others change behind this kernel's back."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    best, remote = -1, False
    real = os.path.realpath(path)
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, types = left.split(" "), right.split(" ")
        if len(fields) < 5:
            continue
        point = fields[4].replace("\\040", " ")
        inside = point == "/" or real == point or real.startswith(point + "/")
        if inside and len(point) >= best:
            best, remote = len(point), types[0] in _REMOTE or types[0].startswith("fuse")
    return remote
