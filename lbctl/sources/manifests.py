"""What is in force of the manifests: the newest state of each file that is good, alone and beside the others.

No file is taken at half: one that cannot be read, has an error in it, or contradicts what is in force already keeps its
last good state. Only when a file is broken at first sight are its good documents taken, since there is nothing to keep.
"""

# Plain strings and os calls: pathlib costs three times the rest for 30,000 files.

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lbctl.config.assemble import FileReading, Reading
from lbctl.config.diagnostic import Diagnostic, Severity
from lbctl.config.reader import Reader
from lbctl.model.frozen_map import FrozenMap, changed_keys
from lbctl.model.snapshot import SOURCE_MAPS, World, evolve
from lbctl.sources.tree import Listing, Stamp, stamp
from lbctl.telemetry.log import event

_log = logging.getLogger("lbctl.files")

GONE_TIME = 0.1
"""Seconds for which a missing file is not missed: editors take the old one away before they put the new one there."""
_MOST_LOGGED = 20


@dataclass(slots=True)
class ManifestFile:
    """One manifest. `wanted` is what it says now, `used` what is in force: the same unless `wanted` is refused."""

    stamp: Stamp | None = None
    wanted: FileReading | None = None
    used: FileReading | None = None
    trouble: str | None = None
    read_at: float = 0.0
    used_since: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What came out of the last update; replaced as a whole, so that another thread may read it at any time."""

    world: World
    reading: Reading | None
    troubles: tuple[str, ...]
    complete: bool
    readable: bool
    """Whether there was ever something to read, in this run or in the one whose World was published last."""


class Manifests:
    """Files by path, and the World they make. Used by one thread at a time; `state` may be read by any."""

    def __init__(self, roots: Sequence[str], last_good: World | None) -> None:
        self._roots = tuple(roots)
        self._last_good = last_good
        self._was_readable = last_good is not None
        self._reader = Reader()
        self.files: dict[str, ManifestFile] = {}
        self.gone: dict[str, float] = {}
        """Files that were there, and when they were first missed (monotonic)."""
        self._in_force: FrozenMap[str, FileReading] = FrozenMap()
        # Paths with something to settle, so that a change costs what changed and not a walk over all files.
        self._new: set[str] = set()
        self._troubled: set[str] = set()
        self._never_good: set[str] = set()
        self._removed: set[str] = set()
        self._made_from: World | None = None
        """What was read, where the world says that and nothing else."""
        self._full_roots: dict[str, tuple[int, int]] = {}
        self._good_roots: set[str] = set()
        self._root_troubles: dict[str, str] = {}
        self.state = State(world=World(), reading=None, troubles=(), complete=False, readable=False)

    def update(self, listing: Listing, dirty: Iterable[str], now: float) -> bool:
        """Reads the files `dirty` and puts the world together again; True when it is another one, or the first, or when
        it is to be understood otherwise (`complete`, `readable`).

        Files that are not in `listing` any more count as dirty too, and must be named. `now` is of the monotonic clock.
        """
        old = self.state
        touched = self._note_roots(listing)
        dirty = sorted(dirty)
        touched |= self._note_gone(listing, dirty, now)
        for path in dirty:
            if path in listing.files:
                touched |= self._read(path)
        reading, world = old.reading, old.world
        if touched or reading is None:
            reading = self._assemble(first=old.reading is None)
            _log_findings(_news(old.reading.diagnostics if old.reading else (), reading.diagnostics))
            world = self._next_world(reading)
        conflicts = tuple(str(conflict) for conflict in reading.conflicts)
        files = tuple(self.files[path].trouble or "" for path in sorted(self._troubled))
        self.state = State(
            world=world,
            reading=reading,
            troubles=(*self._root_troubles.values(), *files, *conflicts),
            complete=self._is_complete(),
            readable=self._was_readable or bool(self._good_roots),
        )
        state = self.state
        return world is not old.world or (state.complete, state.readable) != (old.complete, old.readable)

    def _is_complete(self) -> bool:
        return not self._never_good and all(root in self._good_roots for root in self._roots)

    def _note_roots(self, listing: Listing) -> bool:
        """Says which paths cannot be looked at, or have become an empty folder that is not the one it was."""
        troubles = {}
        for path, why, is_root in listing.unreadable:
            kept = "; what it held stays in force" if path in self._good_roots or not is_root else ""
            troubles[path] = f"{path}: {why}{kept}"
        for folder, identity in listing.folders.items():
            if folder in troubles:
                continue
            if listing.below[folder]:
                self._full_roots[folder] = identity
            elif self._full_roots.get(folder, identity) != identity:
                troubles[folder] = f"{folder}: another folder than before, and empty; what was there stays in force"
            elif folder not in self._full_roots and self._last_good is not None:
                troubles[folder] = f"{folder}: no manifest in it; what was published last stays in force"
        for path, text in troubles.items():
            if self._root_troubles.get(path) != text:
                event(_log, "path_not_usable", level=logging.ERROR, why=text)
        for path in self._root_troubles.keys() - troubles.keys():
            event(_log, "path_usable_again", path=path)
        before, self._root_troubles = self._root_troubles, troubles
        self._good_roots.update(root for root in self._roots if root not in troubles)
        return before.keys() != troubles.keys()

    def _note_gone(self, listing: Listing, dirty: Iterable[str], now: float) -> bool:
        """Forgets files that are gone, unless it is the folder above them that is missing."""
        touched = False
        for path in {*dirty, *self.gone} & self.files.keys():
            lost = any(path == root or path.startswith(root + "/") for root in self._root_troubles)
            if path in listing.files or lost:
                self.gone.pop(path, None)
            elif now - self.gone.setdefault(path, now) >= GONE_TIME:
                del self.files[path], self.gone[path]
                self._removed.add(path)
                for paths in (self._new, self._troubled, self._never_good):
                    paths.discard(path)
                touched = True
                event(_log, "manifest_gone", file=path)
        return touched

    def _read(self, path: str) -> bool:
        """Reads one file; True when what it says has changed."""
        file = self.files.get(path)
        if file is None:
            file = self.files[path] = ManifestFile()
            self._never_good.add(path)
        try:
            raw = _content(path, file)
        except FileNotFoundError:
            return False
        except OSError as error:
            file.stamp = None
            return self._cannot(path, file, f"{path}: {error.strerror or error}")
        if file.used is not None and file.used.documents and not raw.strip():
            return self._cannot(path, file, f"{path}: became empty (remove the file to remove what was in it)")
        reading = self._reader.read_file(path, raw)
        before = file.wanted
        if before is None or before.documents != reading.documents or (before.diagnostics != reading.diagnostics):
            file.wanted = reading
            self._new.add(path)
            return True
        # The same text as before: what was in force stays the very same, and so does the complaint about it.
        if before is file.used and not before.failed:
            self._is_good(path, file)
        return False

    def _cannot(self, path: str, file: ManifestFile, why: str) -> bool:
        """A file that cannot be used leaves everything as it is, and says so."""
        text = f"{why}; {self._kept(file)}" if file.used is not None else why
        if file.trouble != text:
            file.trouble = text
            self._troubled.add(path)
            event(_log, "manifest_unusable", level=logging.ERROR, why=text)
        return False

    def _kept(self, file: ManifestFile) -> str:
        if file.used is None:
            return "the file is left out"
        since = time.strftime("%H:%M:%S", time.localtime(file.used_since))
        return f"its last good state, of {since}, stays in force"

    def _is_good(self, path: str, file: ManifestFile) -> None:
        self._never_good.discard(path)
        if file.trouble is not None:
            file.trouble = None
            self._troubled.discard(path)
            event(_log, "manifest_good_again", file=path)

    def _assemble(self, *, first: bool) -> Reading:
        """Puts all files together; files that contradict what is in force are held back.

        At the start that is what was published last: which of two files came first must not depend on a restart.
        """
        new = {path: wanted for path in sorted(self._new) if (wanted := self.files[path].wanted) is not None}
        held = {path: _first_error(wanted) for path, wanted in new.items() if wanted.failed and path in self._in_force}
        in_force = self._in_force.having({}, self._removed)
        changed = {*new, *self._removed}
        self._removed = set()
        while True:
            chosen = in_force.having({path: wanted for path, wanted in new.items() if path not in held})
            reading = self._reader.assemble(chosen, changed)
            culprits = dict(self._strangers(reading, held) if first else self._culprits(reading, held))
            if not culprits:
                break
            held |= culprits
        self._in_force = chosen
        for path in new:
            if (why := held.get(path)) is not None:
                self._hold(path, self.files[path], why)
            else:
                self._put_in_force(path, self.files[path])
        return reading

    def _culprits(self, reading: Reading, held: Mapping[str, Diagnostic]) -> Iterator[tuple[str, Diagnostic]]:
        """Files that have just changed and have a part in a conflict."""
        for conflict in reading.conflicts:
            for path in {conflict.span.file, *(label.span.file for label in conflict.labels)}:
                if path in self._new and path not in held:
                    yield path, conflict

    def _strangers(self, reading: Reading, held: Mapping[str, Diagnostic]) -> Iterator[tuple[str, Diagnostic]]:
        """Files that contradict one that says just what was published last, and do not say it themselves."""
        if self._last_good is None:
            return
        for conflict in reading.conflicts:
            paths = {conflict.span.file, *(label.span.file for label in conflict.labels)}
            paths = {path for path in paths if path in self._new and path not in held}
            known = {path for path in paths if self._was_published(self._last_good, path)}
            if known:
                for path in paths - known:
                    yield path, conflict

    def _was_published(self, published: World, path: str) -> bool:
        wanted = self.files[path].wanted
        objects = [each for each in wanted.objects if each.map in SOURCE_MAPS] if wanted is not None else []
        return bool(objects) and all(getattr(published, each.map).get(each.key) == each.value for each in objects)

    def _put_in_force(self, path: str, file: ManifestFile) -> None:
        self._new.discard(path)
        file.used = file.wanted
        file.used_since = time.time()
        if file.used is not None and file.used.failed:
            file.trouble = f"{_first_error(file.used)}; its other documents are in force"
            self._troubled.add(path)
        else:
            self._is_good(path, file)

    def _hold(self, path: str, file: ManifestFile, why: Diagnostic) -> None:
        """Keeps the last good state of a file that is broken, or that contradicts another."""
        said = f"{why}; {self._kept(file)}"
        text = said if why.span.file == path else f"{path}: {said}"
        if file.trouble == text:
            return
        file.trouble = text
        self._troubled.add(path)
        event(_log, "manifest_refused", level=logging.ERROR, file=path, kept=self._kept(file))
        _log_findings(file.wanted.diagnostics if file.wanted is not None and file.wanted.failed else (why,))

    def _next_world(self, reading: Reading) -> World:
        """The next World, with every map that has not changed taken over from the one before."""
        if self._is_complete():
            self._last_good = None  # from now on what is in no manifest does not exist
        old_world = self.state.world
        changed: dict[str, FrozenMap[Any, Any]] = {}
        for name in SOURCE_MAPS:
            read: FrozenMap[Any, Any] = getattr(reading.world, name)
            old: FrozenMap[Any, Any] = getattr(old_world, name)
            # What is equal stays the very same object, also where its text was written anew.
            if self._last_good is not None:
                new = old.become({**getattr(self._last_good, name), **read})
            elif self._made_from is not None:
                new = _follow(old, getattr(self._made_from, name), read)
            else:
                new = old.become(read) if old else read
            if new is not old:
                changed[name] = new
        self._made_from = reading.world if self._last_good is None else None
        if not changed and old_world.generation:
            return old_world
        return evolve(old_world, made_unix=time.time(), **changed)


def _follow(old: FrozenMap[Any, Any], before: FrozenMap[Any, Any], after: FrozenMap[Any, Any]) -> FrozenMap[Any, Any]:
    """`old`, which equals `before`, with what is another in `after`."""
    keys = changed_keys(before, after)
    changed = {key: value for key in keys if key in after and old.get(key) != (value := after[key])}
    dropped = [key for key in keys if key not in after]
    if keys and old is before and len(changed) + len(dropped) == len(keys):
        return after
    return old.having(changed, dropped)


def _content(path: str, file: ManifestFile) -> bytes:
    """The whole file; its stamp is of before it was read, so that a change while reading is seen later."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        file.stamp = stamp(found)
        file.read_at = time.time()
        raw = os.read(descriptor, found.st_size + 1)
        while more := os.read(descriptor, 1 << 20):
            raw += more
    finally:
        os.close(descriptor)
    return raw


def _first_error(reading: FileReading) -> Diagnostic:
    return next(found for found in reading.diagnostics if found.severity is Severity.ERROR)


def _news(old: tuple[Diagnostic, ...], new: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """What was not found before; a finding that only moved to another line is not new."""
    known = {(finding.code, finding.span.file, finding.message) for finding in old}
    return tuple(finding for finding in new if (finding.code, finding.span.file, finding.message) not in known)


_LEVELS = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING, Severity.NOTE: logging.DEBUG}


def _log_findings(findings: Iterable[Diagnostic]) -> None:
    """Errors first, and of very many only some."""
    loud = sorted((f for f in findings if f.severity is not Severity.NOTE), key=lambda f: f.severity != Severity.ERROR)
    for finding in loud[:_MOST_LOGGED]:
        fields: dict[str, Any] = {
            "at": finding.span,
            "code": finding.code,
            "message": finding.message,
            "help": finding.help,
        }
        event(_log, "manifest_finding", level=_LEVELS[finding.severity], **{k: v for k, v in fields.items() if v})
    if len(loud) > _MOST_LOGGED:
        event(_log, "manifest_findings_more", level=logging.WARNING, more=len(loud) - _MOST_LOGGED)
