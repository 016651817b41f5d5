"""What the two contenders have in common: nodes on a segment, addresses on the nodes, and an observer beside them."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.failover.observer import Frame, Observer
from bench.failover.switch import OBSERVER, Switch
from bench.failover.timeline import owners

PATIENCE = 60.0
"""Seconds until a bench gives up on what it waits for."""
_SWEEP_RATE = 1000
_RESTED = 0.4


class NotSettled(Exception):
    """The cluster did not come to rest; the text says what was seen last."""


class Part(StrEnum):
    """Processes of a node."""

    WORK = "work"
    PULSE = "pulse"
    WIRE = "wire"
    ALL = "all"


class Cluster(ABC):
    """A context manager; `start` may be called again, for one that remembers nothing."""

    def __init__(self, names: tuple[str, ...], vips: tuple[str, ...]) -> None:
        self.names = names
        self.vips = vips
        self.frames: list[Frame] = []
        """What was seen since it was last emptied."""
        self.late = 0.0
        self.dropped = 0
        self.interval = 0.05
        """Seconds between two signs of life of a node."""
        self.standing = False
        """Whether it may go through another failure as it is."""
        self.failures: dict[str, int] = dict.fromkeys(names, 0)
        """How often each node has failed since `start`: one that fails often is held down."""
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self.switch = self._closing.enter_context(Switch(self.names))
            self.observer = self._closing.enter_context(Observer(self.switch.lan[OBSERVER]))
            self._closing.callback(self.stop)
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.close()

    @abstractmethod
    def start(self) -> None:
        """All nodes, as if for the first time."""

    @abstractmethod
    def stop(self) -> None:
        """No process of it is left."""

    @abstractmethod
    def pids(self, node: str, part: Part) -> list[int]:
        """Those that say most to others first."""

    def state(self, node: str) -> Path:
        """The folder in which the node keeps its state, as the node sees it."""
        raise NotImplementedError

    @abstractmethod
    def revive(self, node: str) -> None:
        """Starts the node whose processes were killed."""

    @abstractmethod
    def disagreement(self, alive: tuple[str, ...]) -> str:
        """What keeps the nodes that are alive from being of one mind; empty when nothing does."""

    def look(self) -> None:
        """Takes in what the observer saw."""
        seen = self.observer.take()
        self.frames += seen.frames
        self.late = max(self.late, seen.late)
        self.dropped = seen.dropped

    def forget(self) -> None:
        self.observer.take()
        self.frames.clear()
        self.late = 0.0

    def watch(self, seconds: float) -> None:
        time.sleep(seconds)
        self.look()

    def settle(self, *, alive: tuple[str, ...] | None = None, patience: float = PATIENCE) -> Mapping[str, str]:
        """Waits until each address has one owner and everybody agrees; address to node. Raises NotSettled."""
        wanted = self.names if alive is None else alive
        rate = max(_SWEEP_RATE, 3 * len(self.vips))
        self.observer.ask(self.vips, rate=rate)
        deadline = time.monotonic() + patience
        while True:
            since = time.time_ns()
            self.watch(len(self.vips) / rate + 0.05)
            found = owners(self.frames, since)
            silent = [vip for vip in self.vips if vip not in found]
            doubled = [vip for vip, macs in found.items() if len(macs) > 1]
            why = f"{len(silent)} not answered, {len(doubled)} answered by two" if silent or doubled else ""
            why = why or self.disagreement(wanted)
            if not why:
                time.sleep(_RESTED)
                self.look()
                last = owners(self.frames, since)
                if all(len(macs) == 1 for macs in last.values()):
                    return {vip: self.switch.macs[next(iter(macs))] for vip, macs in last.items()}
            if time.monotonic() > deadline:
                raise NotSettled(f"not at rest after {patience:g} s: {why}")
