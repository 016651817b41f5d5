"""The journal: who owned what, when and why, as JSON lines that survive restarts.

A thread of its own writes. Whoever appends never waits for a disk, and a disk that fails or is full costs lines and a
warning, nothing else: no decision may hang on it.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of the file at which it becomes the previous one; the one before that is gone."""
BACKLOG = 20_000
"""Records that may wait for the disk."""
_BATCH = 1000


class Journal:
    """Appends to `path`; `PATH.1` is what came before it. `close` writes what waits, within its patience."""

    def __init__(self, path: Path, *, size_limit: int = SIZE_LIMIT, backlog: int = BACKLOG) -> None:
        self._path = path
        self._limit = size_limit
        self._queue: queue.Queue[Record | None] = queue.Queue(backlog)
        self._thread: threading.Thread | None = None
        self._closing = False
        self._lost = 0
        self._error = ""

    @property
    def trouble(self) -> str | None:
        """What is wrong with the disk, for people; None while all that was appended could be written."""
        if self._error:
            return f"journal {self._path}: {self._error}" + (f"; {self._lost} records lost" if self._lost else "")
        return None

    def append(self, record: Record) -> None:
        """Writes it down some time soon. Never waits, never raises."""
        if self._thread is None:
            self._closing = False
            self._thread = threading.Thread(target=self._write_on, name="journal", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._lost += 1
            self._error = self._error or "the disk is too slow"

    def read(self) -> Iterator[dict[str, Any]]:
        """All records there are, oldest first. Lines that a crash tore are left out; so is what cannot be read."""
        for path in (_previous(self._path), self._path):
            with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
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
            self._closing = True
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=patience)
            thread.join(patience)

    def _write_on(self) -> None:
        while True:
            batch = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH:
                    batch.append(self._queue.get_nowait())
            records = [record for record in batch if record is not None]
            if records:
                self._write(records)
            if len(records) < len(batch) or (self._closing and self._queue.empty()):
                return

    def _write(self, records: list[Record]) -> None:
        text = "".join(json.dumps(record, separators=(",", ":"), default=str) + "\n" for record in records)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                if file.tell() and not _ends_line(self._path):
                    text = "\n" + text
                file.write(text.encode())
                size = file.tell()
            if size > self._limit:
                self._path.replace(_previous(self._path))
        except OSError as error:
            self._lost += len(records)
            self._error = error.strerror or str(error)
        else:
            self._error = ""


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def _ends_line(path: Path) -> bool:
    """Whether the last write came to its end; a line that a full disk cut short must not swallow the next one."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"
