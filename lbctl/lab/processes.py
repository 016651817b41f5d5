"""Processes by pid *and* start time, so that a pid that was given to somebody else meanwhile is never touched.

Signals go through pidfds: what was checked and what is signalled are one and the same process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_IN_MODIFY = 0x00000002
_IN_CLOEXEC = 0o2000000
_IN_NONBLOCK = 0o4000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    pid: int
    started: int
    """Clock ticks after boot, field 22 of /proc/PID/stat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stat:
    state: str
    session: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command's name in parentheses, and may hold anything.
    fields = text[text.rindex(b")") + 2 :].split()
    return _Stat(state=fields[0].decode(), session=int(fields[3]), started=int(fields[19]))


def identify(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none, or only a zombie."""
    stat = _stat(pid)
    if stat is None or stat.state in "ZX":
        return None
    return Process(pid=pid, started=stat.started)


def is_alive(process: Process) -> bool:
    return identify(process.pid) == process


@contextlib.contextmanager
def _pidfd(process: Process) -> Iterator[int | None]:
    """A pidfd of just this process, or None when it is gone."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        yield None
        return
    try:
        yield fd if is_alive(process) else None
    finally:
        os.close(fd)


def send_signal(process: Process, number: signal.Signals) -> bool:
    """Whether the process was there to be signalled."""
    with _pidfd(process) as fd:
        if fd is None:
            return False
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return False
        return True


def wait_gone(processes: Iterable[Process], within: float) -> bool:
    """Waits until all of them have ended; False when one is still there after `within` seconds."""
    deadline = time.monotonic() + within
    for process in processes:
        with _pidfd(process) as fd:
            if fd is not None and not _readable([fd], deadline):
                return False
    return True


def _readable(fds: list[int], deadline: float) -> bool:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def in_namespaces(paths: Collection[Path]) -> list[Process]:
    """Every process whose network namespace is one of the named ones, but never this process itself."""
    inodes = set()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            inodes.add(path.stat().st_ino)
    found = []
    for pid in _pids():
        try:
            inode = os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116
        except OSError:
            continue  # ended meanwhile
        if inode in inodes and pid != os.getpid():
            process = identify(pid)
            if process is not None:
                found.append(process)
    return found


def in_session(leader: int) -> list[Process]:
    """Every process of a session: a daemon started in its own session and all its children. `leader` may be gone."""
    found = []
    for pid in _pids():
        stat = _stat(pid)
        if stat is not None and stat.session == leader and stat.state not in "ZX":
            found.append(Process(pid=pid, started=stat.started))
    return found


def arguments(process: Process) -> list[str]:
    """The command line; empty when the process is gone."""
    try:
        text = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [word.decode(errors="replace") for word in text.split(b"\0")[:-1]]


def wait_for_line(path: Path, line: str, process: Process, within: float) -> bool:
    """Waits until the file holds this line; False when the process ended first or `within` seconds went by."""
    deadline = time.monotonic() + within
    watch = _libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK)
    if watch < 0 or _libc.inotify_add_watch(watch, os.fsencode(path), _IN_MODIFY) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"inotify on {path}: {os.strerror(error)}")
    try:
        while True:
            with _pidfd(process) as fd:
                # Looked at after the watch and the pidfd are there, so that nothing can slip between.
                if line in path.read_text(errors="replace").splitlines():
                    return True
                if fd is None or not _readable([watch, fd], deadline):
                    return False
            with contextlib.suppress(BlockingIOError):
                os.read(watch, 65536)
    finally:
        os.close(watch)
