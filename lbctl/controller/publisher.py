"""Puts the published file in place: whole or not at all, at any instant and through a power cut.

The new content is written beside the file, brought to the disk, and only then given the file's name; a reader has the
old file or the new one. A controller that is killed in between leaves the part, which the next one overwrites.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from lbctl.controller.errors import state_error
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.plan.reason import Refusal
from lbctl.sources.published_document import DocumentEncoder


class Publisher:
    """Writes one published file, from one process at a time."""

    def __init__(self, path: Path, encoder: DocumentEncoder) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._encoder = encoder

    def publish(self, world: World, pending: Mapping[ServiceKey, tuple[Refusal, ...]]) -> None:
        """On return the file is on the disk. Raises StateError, and then the file is the one that was there."""
        parts = self._encoder.encode(world, pending)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                for part in parts:
                    _write_all(fd, part)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(self._part, self._path)  # noqa: PTH104 the fault tests count the calls of os
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._part.unlink()
            raise state_error(error, self._path) from error


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
