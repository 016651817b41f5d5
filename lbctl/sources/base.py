"""What a source is: something that yields Worlds, newest last, and never an empty one in place of a good one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from lbctl.model.snapshot import World


class SourceError(Exception):
    """The world could not be read. `retryable` says whether trying again may help without anybody's doing."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class Source(Protocol):
    """Yields the World each time it changed. Objects that did not change are the very same objects as before.

    What cannot be read keeps its last good state; the source says so in the log and in `troubles`.
    """

    def worlds(self) -> AsyncIterator[World]: ...

    @property
    def troubles(self) -> tuple[str, ...]: ...
