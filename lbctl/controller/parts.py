"""What a controller is put together from: where things are, a source of manifests, an ear in the heartbeat group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lbctl.model.node import Node
from lbctl.model.snapshot import View
from lbctl.sources.base import Source


class ManifestSource(Source, Protocol):
    """A source that knows whether it has read all there is."""

    @property
    def complete(self) -> bool:
        """Whether what is not in its World does not exist."""

    @property
    def readable(self) -> bool:
        """Whether there was ever something to read. Before, its World says nothing at all."""


class Observer(Protocol):
    """The heartbeat group from outside: hears everybody, owns nothing."""

    async def run(self, changed: Callable[[], None]) -> None:
        """Listens until cancelled; calls `changed` whenever `view` is another."""

    def view(self) -> View: ...

    def know(self, nodes: Mapping[str, Node]) -> None:
        """The nodes that are known, where they can be reached."""

    @property
    def troubles(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things are, and what is to be looked after.

    `listen` is (host, port) of the status API on TCP, if that is wanted. `load_balancer_class`: services of this class
    alone; None: those that name none.
    """

    state: Path
    socket: Path
    cluster: str = "default"
    listen: tuple[str, int] | None = None
    load_balancer_class: str | None = None

    @property
    def folder(self) -> Path:
        return self.state / "controller"

    @property
    def published(self) -> Path:
        return self.state / "published" / "snapshot.json"
