"""A file system for SQLite that notes every write, sync, truncate and delete, and what a crash could leave of them.

    vfs = Recorder()
    connection = apsw.Connection(path, vfs=vfs.name)
    ...
    for crash in vfs.crashes(): crash.put(folder)

Two kinds of crash before each operation: the process is killed (the kernel keeps all that was written), or the power
goes (of what was not synced any part may be there: none of it, all of it, some of it, the last write by half).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

_SECTOR = 512
_numbers = itertools.count()


@dataclass(frozen=True)
class Operation:
    """`kind`: write, truncate, sync or delete of a file; or mark, which says how far the caller had come."""

    kind: str
    file: str = ""
    offset: int = 0
    content: bytes = b""
    mark: int = 0


@dataclass(frozen=True)
class Crash:
    """What is on the disk, before which operation, and how many commits had been answered for."""

    files: dict[str, bytes]
    what: str
    at: int
    acknowledged: int

    def put(self, folder: Path) -> None:
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


class Recorder(apsw.VFS):
    """Real files, and the list of what was done to them. The shared memory of WAL is not kept over a crash."""

    def __init__(self) -> None:
        self.name = f"recorder-{next(_numbers)}"
        self.log: list[Operation] = []
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return _File(self, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:
        super().xDelete(name, sync_folder)
        self.log.append(Operation("delete", Path(name).name))

    def mark(self, number: int) -> None:
        self.log.append(Operation("mark", mark=number))

    def crashes(
        self, *, seed: int = 0, subsets: int = 2, already: Mapping[str, bytes] | None = None
    ) -> Iterator[Crash]:
        """Every crash worth trying, in the order of time, each different from those before at the same place.

        `already`: files that were on the disk before the first operation.
        """
        chance = random.Random(seed)
        disk = _Disk(durable=dict(already or {}))
        acknowledged = 0
        for at, operation in enumerate([*self.log, Operation("end")]):
            seen: list[dict[str, bytes]] = []
            for what, files in disk.left(chance, subsets):
                if files not in seen:
                    seen.append(files)
                    yield Crash(files, f"{what} before {operation.kind} of {operation.file}", at, acknowledged)
            if operation.kind == "mark":
                acknowledged = operation.mark
            else:
                disk.carry_out(operation)


class _File(apsw.VFSFile):
    def __init__(self, recorder: Recorder, name: Any, flags: list[int]) -> None:
        self._recorder = recorder
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "").name
        super().__init__("", name, flags)

    def xWrite(self, content: bytes, offset: int) -> None:
        super().xWrite(content, offset)
        self._recorder.log.append(Operation("write", self._name, offset, bytes(content)))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._recorder.log.append(Operation("truncate", self._name, size))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._recorder.log.append(Operation("sync", self._name))


@dataclass
class _Disk:
    """The files as they are surely on the disk, and for each what was done since and is not surely there."""

    durable: dict[str, bytes] = field(default_factory=dict)
    loose: dict[str, list[Operation]] = field(default_factory=dict)

    def carry_out(self, operation: Operation) -> None:
        name = operation.file
        match operation.kind:
            case "write" | "truncate":
                self.loose.setdefault(name, []).append(operation)
            case "sync":
                self.durable[name] = _applied(self.durable.get(name, b""), self.loose.pop(name, []))
            case "delete":
                self.durable.pop(name, None)
                self.loose.pop(name, None)

    def left(self, chance: random.Random, subsets: int) -> Iterator[tuple[str, dict[str, bytes]]]:
        yield "killed", self._files(self.loose)
        yield "power lost, nothing more written", self._files({})
        torn = {name: [*done[:-1], _torn(done[-1])] for name, done in self.loose.items()}
        yield "power lost, last write torn", self._files(torn)
        for _ in range(subsets if self.loose else 0):
            some = {name: [item for item in done if chance.random() < 0.5] for name, done in self.loose.items()}
            yield "power lost, some writes lost", self._files({name: done for name, done in some.items() if done})

    def _files(self, loose: dict[str, list[Operation]]) -> dict[str, bytes]:
        names = {*self.durable, *loose}
        return {name: _applied(self.durable.get(name, b""), loose.get(name, [])) for name in names}


def _torn(operation: Operation) -> Operation:
    if operation.kind != "write":
        return operation
    half = len(operation.content) // 2 // _SECTOR * _SECTOR or len(operation.content) // 2
    return Operation("write", operation.file, operation.offset, operation.content[:half])


def _applied(content: bytes, operations: list[Operation]) -> bytes:
    made = bytearray(content)
    for operation in operations:
        if operation.kind == "truncate":
            del made[operation.offset :]
        else:
            end = operation.offset + len(operation.content)
            made.extend(bytes(max(0, end - len(made))))
            made[operation.offset : end] = operation.content
    return bytes(made)
