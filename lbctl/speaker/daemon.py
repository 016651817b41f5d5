"""The work process of a speaker, running: starts pulse and wire, watches the world and the interfaces, takes steps.

It holds no policy. What is to be told, `step` decides; here is when, and what happens at the ends: with either child
gone the whole speaker goes, because half of one would answer for nothing or claim without answering.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any

from lbctl.model.interface import Interface
from lbctl.model.member import Role
from lbctl.model.snapshot import Snapshot, World
from lbctl.net import systemd
from lbctl.net.interfaces import read_interfaces, select, watch_interfaces
from lbctl.net.status_server import CannotListen, SocketInUse, StatusServer
from lbctl.plan.claims import living
from lbctl.protocol.heartbeat.segments import SAFE_MULTIPLIER
from lbctl.sources.published import PublishedSource
from lbctl.speaker.announcers import pieces
from lbctl.speaker.capabilities import Capabilities
from lbctl.speaker.child_reports import ChildReports
from lbctl.speaker.children import Child, Message, start_children
from lbctl.speaker.first_use import Probed, trouble_of
from lbctl.speaker.guard import Guard
from lbctl.speaker.memory import AlreadyRunning, Memory
from lbctl.speaker.orders import Desk, Ends, Row
from lbctl.speaker.owners import remembered
from lbctl.speaker.proxy import ServiceProxy
from lbctl.speaker.recollection import recollection
from lbctl.speaker.relays import ConnectionRelays
from lbctl.speaker.remembering import Remembering
from lbctl.speaker.restarts import Restarts
from lbctl.speaker.settings import GROUP4, GROUP6, OwnershipMode, Preset, Settings, StartError
from lbctl.speaker.status import Facts, Moves, routes
from lbctl.speaker.step import Situation, own_interfaces, own_member, step, unheard_interfaces
from lbctl.speaker.troubles import interface_troubles, safety_troubles
from lbctl.speaker.view import Hearing
from lbctl.speaker.vigil import Vigil
from lbctl.telemetry.log import event

_logger = logging.getLogger("lbctl.speaker")
LEAVE_TIME = 1.5
"""Seconds that handing everything over may take; the whole end has 2."""
_WORLD_TIME = 3.0
"""Seconds that the first look for the published file may take before the speaker is ready without."""
_GATHER_TIME = 0.5
_PROXY_TIME = 1.0
"""Seconds for which a new address waits for its rules; a proxy that fails does not keep it from being announced."""
_REMEMBER_EVERY = 1.0


async def run(
    settings: Settings, capabilities: Capabilities, *, restarts: Restarts, on_ready: Callable[[], None]
) -> str | None:
    """Runs until SIGTERM or SIGINT (None), or until a child process ended or hangs (why). Raises StartError."""
    try:
        memory = Memory(settings.state / "speakers" / settings.node)
    except AlreadyRunning as error:
        raise StartError(
            f"another speaker named {settings.node} runs on {error}; give this one another --node or --state"
        ) from None
    except OSError as error:
        raise StartError(f"{error.filename or settings.state}: {error.strerror}; --state must be writable") from None
    try:
        return await _Speaker(settings, capabilities, memory, restarts, on_ready).run()
    finally:
        memory.close()


class _Speaker:
    """Everything the work process has."""

    def __init__(
        self,
        settings: Settings,
        capabilities: Capabilities,
        memory: Memory,
        restarts: Restarts,
        on_ready: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._restarts = restarts
        self._on_ready = on_ready
        default = Preset.DEFAULT if capabilities.sys_nice else Preset.RELAXED
        self._preset = settings.preset or default
        now_unix = time.time()
        self._incarnation = memory.next_incarnation(time.time_ns())
        self._hearing = Hearing(settings.node, self._incarnation, memory.came(now_unix))
        self._world = World()
        self._interfaces: tuple[Interface, ...] = ()
        self._remembering = Remembering(settings.node, memory, now_unix)
        self._probed: list[Probed] = []
        self._source = PublishedSource(
            settings.published, cluster=settings.cluster, last_good=memory.folder / "published.json"
        )
        self._proxy = ServiceProxy(settings.node) if settings.proxy else None
        self._relays = ConnectionRelays(settings.node, settings.handover_time) if settings.proxy else None
        self._moves = Moves()
        self._facts = Facts(
            node=settings.node,
            snapshot=Snapshot(world=self._world, view=self._hearing.view(now_unix)),
            own=own_interfaces(settings.node, ()),
            since_unix=now_unix,
            capabilities={
                **capabilities.document(),
                "preset": self._preset.name.lower(),
                "ownership_mode": settings.ownership.value,
            },
            stale=lambda: self._source.stale,
            troubles=self._troubles,
        )
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._left = asyncio.Event()
        self._listened = False
        self._looked = False
        self._leaving = False
        self._look_again_at: float | None = None
        self._guard = Guard(_logger)
        self._unheard: frozenset[str] = frozenset()
        self._ends: list[str] = []
        self._reports = ChildReports(self._facts.counters)
        self._vigil = Vigil()
        ends = Ends(flows=self._flows, stop=self._stop_by_order)
        self._desk = Desk(settings.node, self._facts, self._spread, ends)
        self._by_order = False
        self._asked = False
        self._pulse: Child | None = None
        self._wire: Child | None = None

    async def run(self) -> str | None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_by_signal)
        self._take_interfaces(await self._first_interfaces())
        served = {
            **routes(self._facts, self._moves),
            **recollection(self._facts, self._moves, self._memory.journal.read),
            **self._desk.routes(),
        }
        server = StatusServer(served, self._settings.socket, self._settings.listen)
        try:
            await server.start()
        except SocketInUse as error:
            raise StartError(f"{error}; give this speaker another --socket") from None
        except CannotListen as error:
            raise StartError(f"{error}; --listen takes an address of this host and a free port") from None
        except OSError as error:
            raise StartError(f"status socket {self._settings.socket}: {error.strerror or error}") from None
        try:
            self._start_children()
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._steps()), *(tasks.create_task(job) for job in self._jobs())]
                await self._stop.wait()
                if not self._ends:
                    systemd.notify("STOPPING=1")
                    self._leaving = True
                    event(_logger, "leaving")
                    await self._leave()
                for task in running:
                    task.cancel()
        finally:
            await self._end_children()
            self._remember()
            await server.close()
        if self._ends and not self._asked:
            why = _worst(self._ends)
            event(_logger, "stopped", level=logging.ERROR, why=why)
            return why
        event(_logger, "stopped")
        return None

    def _jobs(self) -> list[Coroutine[Any, Any, None]]:
        jobs: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "world": self._watch_world,
            "interfaces": self._watch_interfaces,
            "memory": self._remember_on,
            "history": self._recall,
        }
        if self._proxy is not None:
            jobs["proxy"] = self._proxy.run
        if self._relays is not None:
            jobs["relays"] = self._relays.run
        return [self._guard.keep(part, job) for part, job in jobs.items()]

    # Start

    async def _first_interfaces(self) -> tuple[Interface, ...]:
        try:
            found = await read_interfaces()
        except OSError as error:
            raise StartError(f"the kernel does not tell its interfaces: {error}") from None
        there = [interface.name for interface in found]
        for name in self._settings.interfaces:
            if name not in there:
                raise StartError(f"interface {name} does not exist; there are {', '.join(there) or 'none'}")
        return found

    def _start_children(self) -> None:
        settings = self._settings
        try:
            self._pulse, self._wire = start_children(
                on_pulse=self._from_pulse, on_wire=self._from_wire, on_end=self._child_ended
            )
        except OSError as error:
            raise StartError(f"cannot start the pulse and wire processes: {error}") from None
        mode = {"op": "mode", "mode": settings.ownership.value, "start_wait": settings.start_wait, "witness": None}
        setup = {
            "op": "setup",
            "cluster": settings.cluster,
            "node": settings.node,
            "incarnation": self._incarnation,
            "interval": self._preset.interval,
            "multiplier": self._preset.multiplier,
            "port": settings.port,
            "group4": GROUP4,
            "group6": GROUP6,
            "keys": [[key_id, secret.hex()] for key_id, secret in settings.keys],
            "role": Role.SPEAKER.value,
            "realtime": bool(self._facts.capabilities["sys_nice"]),
        }
        restore = [
            {"op": "restore", "epochs": piece} for piece in pieces([list(e) for e in self._remembering.epochs.items()])
        ]
        rows = self._desk.restore(self._memory.orders(), time.time())
        self._hearing.receive({"op": "orders", "set": rows})
        self._pulse.send([mode, setup, *restore, {"op": "orders", "set": rows}])
        event(
            _logger,
            "starting",
            node=settings.node,
            incarnation=self._incarnation,
            preset=self._preset.name.lower(),
            ownership_mode=settings.ownership.value,
            interfaces=[interface.name for interface in self._interfaces],
            pulse=self._pulse.pid,
            wire=self._wire.pid,
        )
        if not self._interfaces:
            event(_logger, "no_interface", level=logging.WARNING, hint="nothing can be announced; see --interface")
        self._wake.set()

    # What comes in

    def _from_pulse(self, messages: list[Message]) -> None:
        self._vigil.heard("pulse", time.monotonic())
        for message in messages:
            if self._hearing.receive(message):
                if message["op"] == "orders":
                    self._desk.hear(message["set"], time.time())
                self._wake.set()
                continue
            match message["op"]:
                case "ready":
                    self._listened = True
                    self._relax(message.get("interval", self._preset.interval))
                    self._wake.set()
                case "contested":
                    # The other's announcement may have moved the clients, to one who will not answer them for long.
                    if self._wire is not None:
                        self._wire.send([{"op": "repeat", "addresses": message["addresses"]}])
                    fields = {"node": message["node"], "count": len(message["addresses"])}
                    self._reports.note("pulse", "claims_contested", fields)
                case "uncontested":
                    # Whoever gave in may have been the last to announce them.
                    if self._wire is not None:
                        self._wire.send([{"op": "repeat", "addresses": message["addresses"]}])
                case "left":
                    self._left.set()
                case _:
                    self._reports.hear("pulse", message)

    @property
    def _multiplier(self) -> int:
        """As pulse has it: in safety mode silence is a verdict later."""
        safety = self._settings.ownership is OwnershipMode.SAFETY
        return max(self._preset.multiplier, SAFE_MULTIPLIER) if safety else self._preset.multiplier

    def _relax(self, interval: float) -> None:
        """Pulse speaks slower than wanted where real-time scheduling is refused; plan and status go by what is."""
        if interval > self._preset.interval:
            self._preset = Preset.RELAXED
            self._facts.capabilities["preset"] = self._preset.name.lower()

    def _from_wire(self, messages: list[Message]) -> None:
        self._vigil.heard("wire", time.monotonic())
        for message in messages:
            if message["op"] != "probed":
                self._reports.hear("wire", message)
                continue
            for address, mac, ifindex in message["results"]:
                interface = self._reports.interfaces.get(ifindex, "")
                self._probed.append(Probed(address=ip_address(address), mac=mac or "", interface=interface))
            self._wake.set()

    def _child_ended(self, why: str) -> None:
        if self._leaving:
            return
        # What pulse said before it ended explains more than that it did.
        hung = [text for name, text in self._reports.standing.items() if name.endswith("_hung")]
        self._ends.append(hung[0] if hung else why)
        # One drags the other along; which of the two began it is known a moment later.
        asyncio.get_running_loop().call_later(0.1, self._stop.set)

    async def _watch_world(self) -> None:
        async for world in self._source.worlds():
            if self._proxy is not None:
                # Whoever is sent here for a new address must not find the door closed.
                number = self._proxy.want(world)
                known = self._world.allocations
                if any(known.get(key) is not allocation for key, allocation in world.allocations.items()):
                    await self._proxy.tried(number, _PROXY_TIME)
            self._world = world
            self._looked = True
            self._guard.works("world")
            published = self._source.published
            self._facts.pending = published.pending if published is not None else {}
            self._wake.set()

    async def _watch_interfaces(self) -> None:
        async for interfaces in watch_interfaces():
            self._take_interfaces(interfaces)
            self._guard.works("interfaces")

    def _take_interfaces(self, interfaces: tuple[Interface, ...]) -> None:
        chosen = select(interfaces, self._settings.interfaces)
        if chosen != self._interfaces:
            self._interfaces = chosen
            self._reports.interfaces = {interface.index: interface.name for interface in chosen}
            self._facts.own = own_interfaces(self._settings.node, chosen)
            if self._proxy is not None:
                self._proxy.arrives_on([interface.name for interface in chosen])
            self._wake.set()

    # Steps

    async def _steps(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._wake.clear()
            self._guard.attempt("step", self._step)
            # Claims come in by the thousand, a few a message. Half of the time is for listening, so that they gather.
            await asyncio.sleep(min(loop.time() - began, _GATHER_TIME))
            if not self._facts.ready:
                self._look_again_at = min(self._look_again_at or float("inf"), time.monotonic() + 0.05)
                self._become_ready()
            wait = None if self._look_again_at is None else max(0.0, self._look_again_at - time.monotonic())
            with contextlib.suppress(TimeoutError):
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes with what is waited for.
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def _step(self) -> None:
        assert self._pulse is not None
        assert self._wire is not None
        now_unix = time.time()
        self._hearing.be(
            own_member(
                self._settings.node,
                self._incarnation,
                self._interfaces,
                since_unix=self._facts.since_unix,
                interval=self._preset.interval,
                multiplier=self._multiplier,
                conflicts=self._facts.told.first_use.conflicts,
            )
        )
        situation = Situation(
            node=self._settings.node,
            snapshot=Snapshot(world=self._world, view=self._hearing.view(now_unix)),
            interfaces=self._interfaces,
            peers=self._settings.peers,
            remembered=self._remembering.peers,
            detection_time=self._preset.interval * self._multiplier,
            started_unix=self._facts.since_unix,
            start_wait=self._settings.start_wait,
            listened=self._listened,
            given_up=self._hearing.given_up,
            probed=tuple(self._probed),
            used=self._remembering.used,
            recheck_time=self._settings.recheck_time,
        )
        made = step(situation, self._facts.told, now=time.monotonic(), now_unix=now_unix)
        self._wire.send(made.to_wire)
        self._pulse.send(made.to_pulse)
        self._wire.send(made.to_wire_after)
        self._facts.told = made.told
        self._probed.clear()
        self._unheard = unheard_interfaces(situation)
        self._facts.snapshot = situation.snapshot
        self._look_again_at = made.look_again_at
        if self._relays is not None:
            self._relays.follow(situation.snapshot, made.told.owners, made.moves, time.monotonic())
        self._moves.add(made.moves)
        for move in made.moves:
            self._memory.journal.append(move.document())
            self._remembering.moved(move)
        for finding in made.findings:
            self._memory.journal.append(finding.document(now_unix))
        for line in made.events:
            event(_logger, line.name, level=line.level, **line.fields)

    def _become_ready(self) -> None:
        waited = time.time() - self._facts.since_unix >= _WORLD_TIME
        nothing_there = self._source.published is None and self._source.stale is not None
        if self._listened and (self._looked or nothing_there or waited) and self._facts.snapshot.world is self._world:
            self._facts.ready = True
            if (stale := self._source.stale) is not None:
                event(_logger, "world_stale", level=logging.WARNING, why=stale)
            event(_logger, "ready", generation=self._world.generation)
            systemd.notify("READY=1")
            self._on_ready()

    def _troubles(self) -> tuple[str, ...]:
        found = [*self._source.troubles, *self._memory.troubles, *self._guard.troubles]
        found += trouble_of(self._facts.told.first_use)
        found += self._reports.standing.values()
        found += self._restarts.troubles(time.monotonic())
        found += self._vigil.troubles(time.monotonic())
        found += self._reports.foreign.troubles(time.monotonic())
        if self._proxy is not None and self._proxy.trouble is not None:
            found.append(f"service proxy: {self._proxy.trouble}")
        if self._relays is not None and self._relays.trouble is not None:
            found.append(self._relays.trouble)
        found += interface_troubles(self._interfaces, self._unheard)
        if self._settings.ownership is OwnershipMode.SAFETY:
            peers = self._facts.told.peers or {"peers": ()}
            found += safety_troubles(1 + len(peers["peers"]))
        return tuple(found)

    # Memory

    async def _recall(self) -> None:
        """Previous owners out of the journal; reading it may take a while, and nothing waits for it."""
        self._facts.remembered_owners = await asyncio.to_thread(remembered, self._memory.journal.read())

    async def _remember_on(self) -> None:
        while True:
            self._vigil.sleep(time.monotonic(), _REMEMBER_EVERY)
            await asyncio.sleep(_REMEMBER_EVERY)
            self._vigil.woke(time.monotonic())
            if (given_up := self._vigil.given_up(time.monotonic())) is not None:
                self._child_ended(given_up)
            if self._pulse is not None:
                # Pulse leaves the cluster when this loop is silent for long.
                self._pulse.send([{"op": "alive"}])
            self._remember()
            self._guard.works("memory")

    def _remember(self) -> None:
        self._remembering.save(self._facts.told.owners, self._facts.snapshot.view, self._desk.rows())

    # End

    def _spread(self, rows: list[Row]) -> None:
        """New orders: this node acts on them by its next step, the others when pulse has told them."""
        self._hearing.receive({"op": "orders", "set": rows})
        if self._pulse is not None:
            self._pulse.send([{"op": "orders", "set": rows}])
        self._wake.set()

    async def _flows(self) -> int | None:
        return await self._proxy.open_connections() if self._proxy is not None else None

    def _stop_by_order(self) -> None:
        self._by_order = True
        self._stop_by_signal()

    def _stop_by_signal(self) -> None:
        self._asked = True
        self._stop.set()

    async def _leave(self) -> None:
        """Hands everything over while this node still answers. Whoever is not done in time is ended all the same."""
        if self._pulse is not None and self._listened:
            view = self._facts.snapshot.view
            others = living(view) - {self._settings.node} if view is not None else frozenset()
            self._pulse.send([{"op": "handover" if others else "leave"}])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), LEAVE_TIME)
            # The last changes of owner belong into the journal.
            self._guard.attempt("step", self._step)
        if self._relays is not None:
            await self._relays.end()
        if self._by_order and self._proxy is not None and await self._flows() == 0:
            await self._proxy.remove()

    async def _end_children(self) -> None:
        children = [child for child in (self._pulse, self._wire) if child is not None]
        for child in children:
            child.close()
        if self._listened:
            # They have a word to say to the others; before that there is nothing to end in good order.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(child.ended.wait() for child in children)), 0.3)
        for child in children:
            child.kill()


def _worst(ends: list[str]) -> str:
    """A child that was killed or failed explains more than the one that went along with it."""
    return next((end for end in ends if not end.endswith("exit status 0")), ends[0])
