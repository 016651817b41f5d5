"""The controller's ear in the heartbeat group: follows the interfaces of this host and keeps the newest View."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lbctl.model.interface import Interface
from lbctl.model.node import Node
from lbctl.model.snapshot import View
from lbctl.net.interfaces import select, watch_interfaces
from lbctl.net.key_file import Keys
from lbctl.net.member import Observer, segments_of
from lbctl.protocol.heartbeat.segments import Settings
from lbctl.telemetry.log import event

_log = logging.getLogger("lbctl.controller")

# Nobody waits for an observer's beats: how soon it finds others gone depends on theirs.
_INTERVAL = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeats:
    """What the operator said of the heartbeat group. `interfaces` empty: all that can carry announcements."""

    interfaces: tuple[str, ...] = ()
    keys: Keys = ()


class HeartbeatObserver:
    """Hears the members on this host's interfaces, whichever there are; owns nothing."""

    def __init__(self, heartbeats: Heartbeats, *, cluster: str) -> None:
        self._heartbeats = heartbeats
        self._settings = Settings(
            cluster=cluster,
            # No speaker's name has a slash in it.
            node=f"controller/{socket.gethostname()}",
            incarnation=time.time_ns(),
            interval=_INTERVAL,
            keys=heartbeats.keys,
            observer=True,
        )
        self._observer: Observer | None = None
        self._peers: list[tuple[str, list[str]]] = []
        self._missing: tuple[str, ...] = ()
        self._deaf = False

    def view(self) -> View:
        return self._observer.view if self._observer is not None else View(source=self._settings.node, synced=False)

    def know(self, nodes: Mapping[str, Node]) -> None:
        """Speakers to speak to though multicast may not reach them."""
        self._peers = [(name, [str(address) for address in node.addresses]) for name, node in nodes.items()]
        if self._observer is not None:
            self._observer.set_peers(self._peers)

    @property
    def troubles(self) -> tuple[str, ...]:
        found = [f"interface {name} does not exist" for name in self._missing]
        if self._deaf:
            found.append("no interface to hear speakers on; owners are not known (--interface names one)")
        return tuple(found)

    async def run(self, changed: Callable[[], None]) -> None:
        """Joins, follows the interfaces, and leaves when cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            async for interfaces in watch_interfaces():
                segments = segments_of(self._chosen(interfaces))
                self._deaf = not any(segment.usable for segment in segments)
                if self._observer is not None:
                    self._observer.set_segments(segments)
                else:
                    observer = Observer(self._settings, segments, peers=self._peers, on_view=lambda _: changed())
                    self._observer = await stack.enter_async_context(observer)
                changed()
            await asyncio.Event().wait()

    def _chosen(self, interfaces: tuple[Interface, ...]) -> tuple[Interface, ...]:
        there = {interface.name for interface in interfaces}
        missing = tuple(name for name in self._heartbeats.interfaces if name not in there)
        if missing and missing != self._missing:
            event(_log, "interface_missing", level=logging.WARNING, interfaces=missing, present=sorted(there))
        self._missing = missing
        return select(interfaces, self._heartbeats.interfaces)
