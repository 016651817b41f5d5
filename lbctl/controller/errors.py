"""What can be wrong with the state folder, each with its name and a line for whoever has to mend it."""

from __future__ import annotations

import errno
from enum import StrEnum
from pathlib import Path


class StateTrouble(StrEnum):
    READ_ONLY = "state_read_only"
    DISK_FULL = "state_disk_full"
    IN_USE = "state_in_use"
    NEWER_SCHEMA = "ledger_newer"
    OLDER_SCHEMA = "ledger_older"
    MISSING = "ledger_missing"
    FORBIDDEN = "ledger_forbidden"
    DAMAGED = "ledger_damaged"
    IMPOSSIBLE = "ledger_impossible"
    """The file is whole, and what stands in it cannot be."""
    BROKEN = "state_broken"
    NOT_READY = "not_ready"


class StateError(Exception):
    """The state folder cannot be used. The message is one line and says what to do."""

    def __init__(self, trouble: StateTrouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_FULL = {errno.ENOSPC, errno.EDQUOT}


def state_error(error: OSError, path: Path) -> StateError:
    """The named form of what the kernel said about a path of the state folder."""
    reason = error.strerror or str(error)
    if error.errno in _READ_ONLY:
        return StateError(
            StateTrouble.READ_ONLY, f"cannot write {path}: {reason}; make it writable, or give another --state DIR"
        )
    if error.errno in _FULL:
        return StateError(StateTrouble.DISK_FULL, f"cannot write {path}: {reason}; free some space there")
    return StateError(StateTrouble.BROKEN, f"cannot use {path}: {reason}")
