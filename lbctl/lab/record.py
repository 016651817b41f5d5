"""What a lab writes down, so that any later command finds it again and removes just what it made.

ROOT/NAME/lab.json               what it is, and for whom
ROOT/NAME/HOST/daemon.json       the daemon of the host: pid and start time
ROOT/NAME/HOST/{run,state,etc}   the host's /run/lbctl, /var/lib/lbctl, /etc/lbctl
ROOT/NAME/HOST/log               what the daemon printed (.out) and logged (.log)
ROOT/NAME/HOST/scratch           empty: something to mount on
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lbctl.lab.namespaces import LabError
from lbctl.lab.processes import Process

ROOT = Path("/run/lbctl-lab")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabRecord:
    name: str
    nodes: int
    finished: bool
    """False while it is being built: what is found so, with nobody building, was interrupted."""
    owner: Process | None
    """The process it was made for, which removes it; None: it stays until `lab down`."""
    controller_args: tuple[str, ...]
    speaker_args: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonRecord:
    name: str
    process: Process


def check_name(name: str) -> str:
    """Raises LabError: the name becomes part of file and namespace names."""
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot name a lab: use up to 32 of a-z, 0-9 and dashes inside")
    return name


def write_atomically(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)


def write_lab(folder: Path, record: LabRecord) -> None:
    write_atomically(folder / "lab.json", json.dumps({"schema": _SCHEMA, **asdict(record)}))


def read_lab(folder: Path) -> LabRecord | None:
    """None when there is none: no lab, or one that was interrupted before it wrote a word."""
    fields = _read(folder / "lab.json")
    if fields is None:
        return None
    owner = fields["owner"]
    return LabRecord(
        name=fields["name"],
        nodes=fields["nodes"],
        finished=fields["finished"],
        owner=Process(**owner) if owner else None,
        controller_args=tuple(fields["controller_args"]),
        speaker_args=tuple(fields["speaker_args"]),
    )


def write_daemon(folder: Path, record: DaemonRecord) -> None:
    write_atomically(folder / "daemon.json", json.dumps({"schema": _SCHEMA, **asdict(record)}))


def read_daemon(folder: Path) -> DaemonRecord | None:
    fields = _read(folder / "daemon.json")
    return DaemonRecord(name=fields["name"], process=Process(**fields["process"])) if fields else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if fields["schema"] != _SCHEMA:
        raise LabError(f"{path} was written by another version of lbctl: remove that lab with that version")
    return fields


@contextmanager
def locked(folder: Path, *, make: bool) -> Iterator[bool]:
    """Holds the lab against other builders and removers inside the block; yields whether its folder is there.

    The lock is on the folder itself, which leaves no lock file behind. Raises LabError when another process has it.
    """
    while True:
        if make:
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            if make:
                continue
            yield False
            return
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(f"lab {folder.name!r} is being built or removed by another process just now") from None
            if not _is(folder, fd):
                continue  # removed while we waited: start again
            yield True
            return
        finally:
            os.close(fd)


def _is(folder: Path, fd: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False
