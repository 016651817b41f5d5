"""The journal: who owned what, when and why, as JSON lines that survive restarts.

A thread of its own writes. Whoever appends never waits for a disk. While the disk fails or is full the lines wait, as
many as `BACKLOG`, and are tried again each second; what is beyond that is lost and counted. No decision may hang on it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of the file at which it becomes the previous one; the one before that is gone."""
BACKLOG = 20_000
"""Records that may wait for the disk."""
RETRY = 1.0
"""Seconds after which what could not be written is tried again."""
_BATCH = 1000


class Journal:
    """Appends to `path`; `PATH.1` is what came before it. `close` writes what waits, within its patience."""

    def __init__(
        self, path: Path, *, size_limit: int = SIZE_LIMIT, backlog: int = BACKLOG, retry: float = RETRY
    ) -> None:
        self._path = path
        self._limit = size_limit
        self._retry = retry
        self._queue: queue.Queue[Record | None] = queue.Queue(backlog)
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._given_up = threading.Event()
        self._lost = 0
        self._error = ""

    @property
    def trouble(self) -> str | None:
        """What is wrong with the disk, for people; None when all that waited could be written."""
        if not self._error:
            return None
        lost = f"; {self._lost} records are lost" if self._lost else ""
        return f"journal {self._path} cannot be written: {self._error}; tried again each {self._retry:g} s{lost}"

    def append(self, record: Record) -> None:
        """Writes it down some time soon. Never waits, never raises."""
        if self._thread is None:
            self._closing.clear()
            self._given_up.clear()
            self._thread = threading.Thread(target=self._write_on, name="journal", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._lost += 1
            self._error = self._error or "the disk is too slow"

    def read(self) -> Iterator[dict[str, Any]]:
        """All records there are, oldest first. Lines that a crash tore are left out; so is what cannot be read."""
        for descriptor in self._both():
            with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines, contextlib.suppress(OSError):
                for line in lines:
                    try:
                        record = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(record, dict):
                        yield record

    def close(self, patience: float = 0.5) -> None:
        """Ends the thread; what a stuck disk did not take after `patience` seconds is lost."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._closing.set()
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=patience)
            thread.join(patience)
            self._given_up.set()

    def _both(self) -> list[int]:
        """Open descriptors of the file before and of the present one, also while one becomes the other."""
        while True:
            found: dict[Path, int] = {}
            for path in (self._path, _previous(self._path)):
                with contextlib.suppress(OSError):
                    found[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            files = {os.fstat(descriptor).st_ino for descriptor in found.values()}
            if len(files) == len(found):
                return [found[path] for path in (_previous(self._path), self._path) if path in found]
            for descriptor in found.values():
                os.close(descriptor)

    def _write_on(self) -> None:
        while True:
            batch = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH:
                    batch.append(self._queue.get_nowait())
            records = [record for record in batch if record is not None]
            while records and not self._write(records):
                if self._closing.wait(self._retry):
                    self._lost += len(records)
                    break
            ended = len(records) < len(batch) or (self._closing.is_set() and self._queue.empty())
            if ended or self._given_up.is_set():
                return

    def _write(self, records: list[Record]) -> bool:
        """Whether all of them are in the file. If not, none is, lest some be there twice after the next try."""
        text = "".join(json.dumps(record, separators=(",", ":"), default=str) + "\n" for record in records)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_size > self._limit:
                    self._path.replace(_previous(self._path))
            with self._path.open("ab", buffering=0) as file:
                size = file.seek(0, os.SEEK_END) if file.seekable() else 0
                if size and not _ends_line(self._path):
                    text = "\n" + text
                try:
                    _write_all(file, text.encode())
                except OSError:
                    with contextlib.suppress(OSError):
                        file.truncate(size)
                    raise
        except OSError as error:
            self._error = error.strerror or str(error)
            return False
        self._error = ""
        return True


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def _write_all(file: FileIO, content: bytes) -> None:
    while content:
        content = content[file.write(content) :]


def _ends_line(path: Path) -> bool:
    """Whether the last write came to its end; a line that a full disk cut short must not swallow the next one."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"
