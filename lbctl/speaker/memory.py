"""What a speaker remembers over restarts, in its own folder: lock, incarnation, epochs, addresses used, peers, journal.

Only the lock can keep it from starting. Everything else that cannot be read or written is a trouble to be shown: the
network knows who owns what, the disk need not.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.plan.holddown import remember
from lbctl.telemetry.journal import Journal
from lbctl.telemetry.log import event

_logger = logging.getLogger("lbctl.speaker")
FORGET_AFTER = 7 * 24 * 3600.0
"""Seconds after which a speaker that was not heard again is no longer remembered. Until then it counts for majorities
and is called on its old address, so that a partition heals whatever happens to multicast."""
_SAVE_PACE = 1.0
"""Seconds between two writes of what changes often, and after which what could not be written is tried again."""


class AlreadyRunning(Exception):
    """Another speaker of the same name uses the folder."""


class Memory:
    """The folder `speakers/NAME/`. Opening it takes the lock; raises AlreadyRunning, or OSError when it cannot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._troubles: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise AlreadyRunning(str(folder)) from None
        self.journal = Journal(folder / "journal.jsonl")
        self._saver = _Saver(self)

    @property
    def troubles(self) -> tuple[str, ...]:
        journal = self.journal.trouble
        return (*tuple(self._troubles.values()), *((journal,) if journal else ()))

    def next_incarnation(self, now_ns: int) -> int:
        """A number greater than every one before, whatever the clock did; `now_ns` is Unix time in nanoseconds."""
        stored = self._read("incarnation.json")
        last = stored.get("incarnation", 0) if isinstance(stored, dict) else 0
        incarnation = max(last + 1 if isinstance(last, int) else 1, now_ns)
        self._write_now("incarnation.json", {"incarnation": incarnation})
        return incarnation

    def came(self, now_unix: float) -> tuple[float, ...]:
        """Unix times at which this node began to speak lately, now among them (`plan.holddown`)."""
        stored = self._read("comings.json")
        known = stored.get("comings", []) if isinstance(stored, dict) else []
        before = [float(at) for at in known if isinstance(at, (int, float))] if isinstance(known, list) else []
        comings = remember(before, now_unix)
        self._write_now("comings.json", {"comings": list(comings)})
        return comings

    def epochs(self) -> list[tuple[str, int]]:
        """The epochs that claims had reached, by address."""
        stored = self._read("epochs.json")
        if not isinstance(stored, dict):
            return []
        return [(address, epoch) for address, epoch in stored.items() if isinstance(epoch, int) and _address(address)]

    def used(self) -> dict[IPAddress, int]:
        """The allocations for which addresses were announced by anybody: these are not probed again."""
        stored = self._read("used.json")
        found: dict[IPAddress, int] = {}
        for text, allocation in stored.items() if isinstance(stored, dict) else ():
            if isinstance(allocation, int) and (address := _address(text)) is not None:
                found[address] = allocation
        return found

    def peers(self, now_unix: float) -> dict[str, tuple[tuple[IPAddress, ...], float]]:
        """The speakers met before: where they spoke from, and when they were heard last (Unix time)."""
        stored = self._read("peers.json")
        found: dict[str, tuple[tuple[IPAddress, ...], float]] = {}
        for name, entry in stored.items() if isinstance(stored, dict) else ():
            if isinstance(entry, dict) and isinstance(entry.get("addresses"), list):
                heard = float(entry.get("heard_unix") or 0.0)
                addresses = tuple(a for text in entry["addresses"] if (a := _address(text)) is not None)
                if addresses and now_unix - heard < FORGET_AFTER:
                    found[str(name)] = (addresses, heard)
        return found

    def orders(self) -> list[Any]:
        """Drains, pins and the like, as rows; whoever reads them looks whether they are any."""
        stored = self._read("orders.json")
        rows = stored.get("orders") if isinstance(stored, dict) else None
        return list(rows) if isinstance(rows, list) else []

    def save(
        self,
        *,
        epochs: Mapping[str, int],
        peers: Mapping[str, tuple[Sequence[IPAddress], float]],
        used: Mapping[IPAddress, int],
        orders: Sequence[Any] = (),
    ) -> None:
        """Writes all of it some time soon, by a thread of its own. Never waits."""
        self._saver.save(
            {
                "epochs.json": dict(epochs),
                "used.json": {str(address): allocation for address, allocation in used.items()},
                "peers.json": {
                    name: {"addresses": [str(address) for address in addresses], "heard_unix": heard}
                    for name, (addresses, heard) in peers.items()
                },
                "orders.json": {"orders": list(orders)},
            }
        )

    def close(self) -> None:
        """Writes what waits, as far as the disk takes it soon, and gives the folder free."""
        self._saver.close()
        self.journal.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self._trouble(name, f"{self.folder / name} cannot be read: {error}")
            return {}

    def _write_now(self, name: str, content: Mapping[str, object]) -> None:
        """What the start waits for; what fails is left to the thread, until the disk takes it."""
        if not self._write(name, content):
            self._saver.save({name: content})

    def _write(self, name: str, content: Mapping[str, object]) -> bool:
        path = self.folder / name
        part = path.with_name(name + ".part")
        try:
            with part.open("wb") as file:
                file.write(json.dumps(content, separators=(",", ":")).encode())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            self._trouble(name, f"{path} cannot be written: {error.strerror or error}; tried again each second")
            return False
        self._troubles.pop(name, None)
        return True

    def _trouble(self, name: str, text: str) -> None:
        if self._troubles.get(name) != text:
            self._troubles[name] = text
            event(_logger, "memory_failed", level=logging.WARNING, error=text)


class _Saver:
    """Writes the newest content of some files, at most once a second, in a thread that nobody waits for."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._wanted: dict[str, Mapping[str, object]] = {}
        self._written: dict[str, Mapping[str, object]] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def save(self, files: Mapping[str, Mapping[str, object]]) -> None:
        with self._changed:
            self._wanted.update(files)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
            self._thread.start()

    def close(self, patience: float = 0.5) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._wanted and not self._closing:
                    self._changed.wait()
                todo, self._wanted = self._wanted, {}
                closing = self._closing
            failed: dict[str, Mapping[str, object]] = {}
            for name, content in todo.items():
                if self._written.get(name) == content:
                    continue
                if self._memory._write(name, content):
                    self._written[name] = content
                else:
                    failed[name] = content
            if closing:
                return
            with self._changed:
                self._wanted = failed | self._wanted
            with self._changed:
                self._changed.wait_for(lambda: self._closing, _SAVE_PACE)


def _address(text: object) -> IPAddress | None:
    try:
        return ip_address(str(text))
    except ValueError:
        return None
