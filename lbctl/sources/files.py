"""The world out of manifests on disk: files and folders, followed as they change.

    source = FilesSource([Path("/etc/lbctl")], last_good=published)
    async for world in source.worlds(): ...

What is broken, missing or forbidden never takes anything away: a file keeps its last good state until it is good again,
and before it ever was, what `last_good` knew stays. Only a file that is really gone takes its objects with it.
"""

# ruff: noqa: PTH100, PTH114, PTH116

from __future__ import annotations

import asyncio
import gc
import logging
import os
import stat
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lbctl.config.check import Secrets
from lbctl.config.diagnostic import Diagnostic
from lbctl.model.snapshot import MAPS, World
from lbctl.sources.manifests import GONE_TIME, Manifests
from lbctl.sources.tree import Listing, Stamp, is_manifest, list_manifests, stamp
from lbctl.sources.watch import Change, FolderWatch, What, is_remote
from lbctl.telemetry.log import event

_log = logging.getLogger("lbctl.files")

_QUIET_TIME = 0.02
"""Seconds without another change before a burst of changes is read."""
_LONGEST_BURST = 0.08
_OPEN_TIME = 1.0
"""Seconds after the last change to a file that its writer does not close, until it is read as it is."""
_POLL_TIME = 0.5
"""Where inotify sees nothing; a file is read once it stayed the same for one round, so within a second."""
_SLOW_POLL = 20
"""Looking may take one in so many parts of the time."""
_MANY = 1000
_BACKSTOP_TIME = 60.0
"""Also where inotify sees everything: level, not edge."""


class FilesSource:
    """Yields a World first of all, then each time it changed. Its maps have no allocations.

    `last_good` is a World of an earlier run. Objects in it stay in force as long as some manifest was never read well
    since the start (`complete` is False then), so that a restart with a broken or missing file loses nothing.
    """

    def __init__(self, paths: Sequence[Path], *, last_good: World | None = None) -> None:
        self._paths = tuple(paths)
        self._roots = tuple(os.path.abspath(path) for path in paths)
        self._manifests = Manifests(self._roots, last_good)
        self._listing = Listing()
        self._open_until: dict[str, float] = {}
        self._looked_at = 0.0
        self._looking_took = 0.0
        self._watch_trouble: str | None = None

    @property
    def troubles(self) -> tuple[str, ...]:
        """One line for each thing that is not as it should be."""
        watch = (self._watch_trouble,) if self._watch_trouble else ()
        return (*self._manifests.state.troubles, *watch)

    @property
    def complete(self) -> bool:
        """Whether every path was read well at least once, so that what is not in the world does not exist."""
        return self._manifests.state.complete

    @property
    def readable(self) -> bool:
        """Whether there was ever something to read; until then its World says nothing, not that there is nothing."""
        return self._manifests.state.readable

    @property
    def secrets(self) -> Secrets:
        """Passwords of BGP sessions by namespace and name of their Secret."""
        reading = self._manifests.state.reading
        return {} if reading is None else reading.secrets

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings in what is in force; those of refused files are in `troubles` and in the log."""
        reading = self._manifests.state.reading
        return () if reading is None else reading.diagnostics

    async def worlds(self) -> AsyncIterator[World]:
        began = time.monotonic()
        remote = [path for path in self._paths if is_remote(str(path))]
        with FolderWatch() as watch:
            await asyncio.to_thread(self._look, watch)
            await self._update(set(self._listing.files))
            if len(self._manifests.files) > _MANY or time.monotonic() - began > 1.0:
                # They live as long as we do; without this the first change would wait for a look through all of them.
                gc.freeze()
            world = self._manifests.state.world
            counts: dict[str, Any] = {name: len(objects) for name in MAPS if (objects := getattr(world, name))}
            files = len(self._manifests.files)
            event(_log, "manifests_read", files=files, seconds=time.monotonic() - began, **counts)
            yield world
            while True:
                self._say_watch(watch.trouble)
                blind = bool(remote) or watch.trouble is not None
                if await self._update(await self._changes(watch, polling=blind)):
                    yield self._manifests.state.world

    async def _update(self, dirty: set[str]) -> bool:
        with _without_collector():
            return await asyncio.to_thread(self._manifests.update, self._listing, dirty, time.monotonic())

    def _look(self, watch: FolderWatch) -> None:
        """Lists the manifests, with watches on their folders from before they were listed."""
        began = time.monotonic()
        self._listing = list_manifests(self._paths)
        while watch.follow(self._listing.watch):
            self._listing = list_manifests(self._paths)
        self._looked_at = time.monotonic()
        self._looking_took = self._looked_at - began

    async def _changes(self, watch: FolderWatch, *, polling: bool) -> set[str]:
        """Waits until something is to be done; returns the files to read."""
        look_at = self._looked_at + (max(_POLL_TIME, _SLOW_POLL * self._looking_took) if polling else _BACKSTOP_TIME)
        changes = await watch.next(self._patience(time.monotonic(), look_at))
        burst_ends = time.monotonic() + _LONGEST_BURST
        while changes and time.monotonic() < burst_ends and (more := await watch.next(_QUIET_TIME)):
            changes += more
        now = time.monotonic()
        dirty, look = self._sort_out(changes, now)
        due = self._due(now)
        self._look_at(dirty | due)
        if look or now >= look_at:
            before = self._listing
            await asyncio.to_thread(self._look, watch)
            dirty |= self._changed_files(before, polling=polling and not look)
            dirty |= self._manifests.files.keys() - self._listing.files.keys()
        return dirty | due

    def _patience(self, now: float, look_at: float) -> float:
        """Seconds until something has to be done even though nothing happens."""
        until = [look_at]
        until += self._open_until.values()
        until += [since + GONE_TIME for since in self._manifests.gone.values()]
        return max(0.005, min(until) - now)

    def _due(self, now: float) -> set[str]:
        """Files that have been quiet, or gone, for long enough."""
        quiet = {path for path, until in self._open_until.items() if until <= now}
        for path in quiet:
            del self._open_until[path]
        return quiet | {path for path, since in self._manifests.gone.items() if since + GONE_TIME <= now}

    def _sort_out(self, changes: Iterable[Change], now: float) -> tuple[set[str], bool]:
        """Which files to read, and whether to look again which files there are."""
        dirty: set[str] = set()
        look = False
        for path, what in changes:
            folder, _, name = path.rpartition("/")
            # What happens to a link on the way to a file, or to the folder that it leads to, says nothing by name.
            below = self._listing.watch.get(folder, ()) is None
            ours = path in self._listing.files or (is_manifest(name) and below)
            if below and not ours and what is not What.EVERYTHING and not self._is_link(path):
                continue  # the hidden file that a careful writer renames when it is complete
            if what is What.EVERYTHING or not ours or (what is What.GONE and path in self._roots):
                look = look or what is not What.BEING_WRITTEN
            elif what is What.BEING_WRITTEN:
                self._open_until[path] = now + _OPEN_TIME
                dirty.discard(path)
            else:
                self._open_until.pop(path, None)
                dirty.add(path)
        return dirty, look

    def _is_link(self, path: str) -> bool:
        return path in self._listing.links or os.path.islink(path)

    def _look_at(self, paths: set[str]) -> None:
        """Brings the listing up to date for these files only."""
        for path in paths:
            try:
                found = os.stat(path)
            except OSError:
                self._listing.files.pop(path, None)
            else:
                if stat.S_ISREG(found.st_mode):
                    self._listing.files[path] = stamp(found)

    def _changed_files(self, before: Listing, *, polling: bool) -> set[str]:
        """Files whose stamp is not the one they were read with; when polling, only once it is the same twice."""
        changed = set()
        for path, found in self._listing.files.items():
            file = self._manifests.files.get(path)
            if file is not None and file.stamp == found and not _is_racy(found, file.read_at):
                continue
            if (not polling or before.files.get(path) == found) and path not in self._open_until:
                changed.add(path)
        return changed

    def _say_watch(self, trouble: str | None) -> None:
        text = f"{trouble}; looking every {_POLL_TIME} s instead" if trouble else None
        if text and text != self._watch_trouble:
            event(_log, "watch_blind", level=logging.WARNING, why=text)
        self._watch_trouble = text


def _is_racy(found: Stamp, read_at: float) -> bool:
    """Whether a write within the clock tick of our read would have left the stamp as it was."""
    return abs(read_at - found.modified_ns / 1e9) < 0.02


@contextmanager
def _without_collector() -> Iterator[None]:
    """Reading makes very many objects and no cycles; looking for cycles meanwhile would double the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
