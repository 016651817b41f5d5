"""The work process as far as it decides: `speaker.step` between the messages, as `speaker.daemon` calls it."""

from __future__ import annotations

from collections import deque
from ipaddress import ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lbctl.model.interface import Interface
from lbctl.model.member import Role
from lbctl.model.snapshot import Snapshot, World
from lbctl.net.channel import ChannelClosed, Message
from lbctl.plan.claims import is_living, living
from lbctl.plan.holddown import remember
from lbctl.speaker.first_use import Probed
from lbctl.speaker.settings import GROUP4, GROUP6
from lbctl.speaker.start_wait import START_WAIT
from lbctl.speaker.step import Situation, Told, own_member, step
from lbctl.speaker.view import Hearing
from tests.simulation.kernel import End
from tests.simulation.process import Process

if TYPE_CHECKING:
    from tests.simulation.node import Host

START_TIME = 0.02
"""Seconds until the first look at the published file."""
STEP_TIME = 0.003
"""Seconds that a step takes; as long is listened before the next."""
REMEMBER_EVERY = 1.0
STOP_AFTER = 0.1
"""Seconds from the end of a child to the end of the speaker."""
LEAVE_TIME = 1.5


class WorkProcess(Process):
    """`lbctl.speaker.daemon` without its files, its proxy and its status socket."""

    def __init__(self, host: Host, pulse: End, wire: End) -> None:
        super().__init__(host, pulse, wire)
        self._pulse = pulse
        self._wire = wire
        disk = host.disk
        disk.incarnation = self.incarnation = max(disk.incarnation + 1, int(host.unix * 1e9))
        disk.comings = remember(disk.comings, host.unix)
        self.hearing = Hearing(host.name, self.incarnation, disk.comings)
        self.told = Told()
        self.world = World()
        self._since_unix = host.unix
        self._interfaces = host.interfaces()
        self._epochs = dict(disk.epochs)
        self._used = dict(disk.used)
        self._peers = dict(disk.peers)
        self._probed: list[Probed] = []
        self._listened = False
        self.stopping = False
        """A child has ended."""
        self._told_to_end = False
        self.leaving = False
        """It was told to end, and hands over what it holds."""
        self._wake = False
        self._step_at = 0.0
        self._look_again_at: float | None = None
        self.began = host.clockwork.now
        self._remember_at = host.clockwork.now + REMEMBER_EVERY
        self._outside: deque[World | tuple[Interface, ...]] = deque()

    def begin(self) -> None:
        host = self.host
        setup = {
            "op": "setup",
            "cluster": "simulated",
            "node": host.name,
            "incarnation": self.incarnation,
            "interval": host.interval,
            "multiplier": host.multiplier,
            "port": 7966,
            "group4": GROUP4,
            "group6": GROUP6,
            "keys": [],
            "role": Role.SPEAKER.value,
            "realtime": True,
        }
        restore = {"op": "restore", "epochs": [list(each) for each in self._epochs.items()]}
        self._tell(self._pulse, [setup, restore, {"op": "orders", "set": []}])
        self._wake = True
        self.wake_in(0.0)
        self.clockwork.after(START_TIME, self.take_world, host.world)

    def take_world(self, world: World) -> None:
        self._outside.append(world)
        self.ready(-1)

    def take_interfaces(self, interfaces: tuple[Interface, ...]) -> None:
        self._outside.append(interfaces)
        self.ready(-1)

    def stop(self) -> None:
        """SIGTERM, which a process that is stopped hears when it goes on."""
        self._told_to_end = True
        self.ready(-1)

    def _leave(self) -> None:
        """Hands everything over while it still answers, and takes steps until that is done."""
        self.leaving = True
        if not self._listened:
            self.kill()
            return
        others = living(self.hearing.view(self.host.unix)) - {self.host.name}
        self._tell(self._pulse, [{"op": "handover" if others else "leave"}])
        self.clockwork.after(LEAVE_TIME, self.kill)

    @property
    def decides(self) -> bool:
        return self.runs and not self.stopping and not self.leaving

    def turn(self, events: dict[int, int]) -> float | None:
        self._take_outside()
        if self._told_to_end and not self.leaving and not self.stopping:
            self._leave()
            if self.over:
                return None
        for end, take in ((self._pulse, self._from_pulse), (self._wire, self._from_wire)):
            if end.fd in events:
                try:
                    for message in end.receive():
                        take(message)
                except ChannelClosed:
                    if not self.stopping and not self.leaving:
                        self.stopping = True
                        self.clockwork.after(STOP_AFTER, self.kill)
                    end.hung_up = False
        if self.stopping:
            return None
        now = self.clockwork.now
        if now >= self._remember_at:
            self._remember_at = now + REMEMBER_EVERY
            self._tell(self._pulse, [{"op": "alive"}])
            self._remember()
        due = self._look_again_at is not None and self.host.mono >= self._look_again_at
        if (self._wake or due) and now >= self._step_at:
            self._wake = False
            self._step_at = now + STEP_TIME * (1 + len(self.world.nodes) // 10)
            self._step()
        waits = [self._remember_at - now]
        if self._wake:
            waits.append(self._step_at - now)
        elif self._look_again_at is not None:
            waits.append(max(self._look_again_at - self.host.mono, self._step_at - now))
        return min(waits)

    def _take_outside(self) -> None:
        while self._outside:
            found = self._outside.popleft()
            if isinstance(found, World):
                self.world = found
            else:
                self._interfaces = found
            self._wake = True

    def _from_pulse(self, message: Message) -> None:
        if self.hearing.receive(message):
            self._wake = True
            return
        match message["op"]:
            case "ready":
                self._listened = True
                self._wake = True
            case "contested" | "uncontested":
                self._tell(self._wire, [{"op": "repeat", "addresses": message["addresses"]}])
            case "left" if self.leaving:
                self.kill()
            case _:
                pass

    def _from_wire(self, message: Message) -> None:
        if message["op"] == "probed":
            names = {interface.index: interface.name for interface in self._interfaces}
            for address, mac, ifindex in message["results"]:
                interface = names.get(ifindex, "")
                self._probed.append(Probed(address=ip_address(address), mac=mac or "", interface=interface))
            self._wake = True

    def _step(self) -> None:
        host = self.host
        now_unix = host.unix
        self.hearing.be(
            own_member(
                host.name,
                self.incarnation,
                self._interfaces,
                since_unix=self._since_unix,
                interval=host.interval,
                multiplier=host.multiplier,
                conflicts=self.told.first_use.conflicts,
            )
        )
        situation = Situation(
            node=host.name,
            snapshot=Snapshot(world=self.world, view=self.hearing.view(now_unix)),
            interfaces=self._interfaces,
            remembered=MappingProxyType(self._peers),
            detection_time=host.interval * host.multiplier,
            started_unix=self._since_unix,
            start_wait=START_WAIT,
            listened=self._listened,
            given_up=self.hearing.given_up,
            probed=tuple(self._probed),
            used=self._used,
        )
        made = step(situation, self.told, now=host.mono, now_unix=now_unix)
        self._tell(self._wire, made.to_wire)
        self._tell(self._pulse, made.to_pulse)
        self._tell(self._wire, made.to_wire_after)
        self.told = made.told
        self._probed.clear()
        self._look_again_at = made.look_again_at
        for move in made.moves:
            if move.owner is not None:
                self._epochs[str(move.address)] = max(move.epoch, self._epochs.get(str(move.address), 0))

    def _remember(self) -> None:
        owners = self.told.owners
        for address, claim in owners.held.items():
            text = str(address)
            self._epochs[text] = max(claim.epoch, self._epochs.get(text, 0))
            self._used[address] = claim.allocation_id
        view = self.hearing.view(self.host.unix)
        for name, member in view.members.items():
            if name != self.host.name and is_living(member) and member.addresses:
                self._peers[name] = member.addresses
        disk = self.host.disk
        disk.epochs, disk.used, disk.peers = dict(self._epochs), dict(self._used), dict(self._peers)

    def _tell(self, end: End, messages: Any) -> None:
        for message in messages:
            try:
                end.send(message)
            except ChannelClosed:
                return
