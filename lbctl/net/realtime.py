"""Real-time scheduling and locked memory for pulse and wire. Both are optional: what is missing is named, not fatal."""

from __future__ import annotations

import os
import resource

_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4
_CAP_IPC_LOCK = 14


def use_fifo(priority: int) -> str | None:
    """SCHED_FIFO for this process; None, or what stood against it (without CAP_SYS_NICE: an EPERM)."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"CAP_SYS_NICE is missing ({error.strerror})"
    return None


def lock_memory() -> str | None:
    """No page of this process is taken away any more; None, or what stood against it.

    Not tried under a finite RLIMIT_MEMLOCK without CAP_IPC_LOCK: it may succeed now and make a later allocation fail.
    """
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    if not unlimited and not _capable(_CAP_IPC_LOCK):
        return "CAP_IPC_LOCK is missing and RLIMIT_MEMLOCK is finite"
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return f"mlockall: {os.strerror(ctypes.get_errno())}"
    return None


def _capable(capability: int) -> bool:
    from pathlib import Path  # here, because it takes longer to import than all the rest

    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False
