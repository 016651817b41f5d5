"""One machine of the cluster: three processes, two clocks, one shared page, and what its disk remembers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Protocol

from lbctl.model.address import IPAddress
from lbctl.model.interface import Interface, InterfaceFlag
from lbctl.model.snapshot import World
from lbctl.net.channel import Message
from tests.simulation.kernel import START, TIME, Clockwork, PacketSocket, SegmentSocket, channel
from tests.simulation.lan import Lan, address_of, mac_of
from tests.simulation.process import Process, PulseProcess, WireProcess
from tests.simulation.work import WorkProcess

UNIX = 1_700_000_000.0
VIA = 2
PAGE = 4096
NETLINK_DELAY = 0.002
"""Seconds until work knows that a carrier is gone or back."""
_LEASE = struct.Struct("<d")


class Observer(Protocol):
    """Who is told what happens on a machine, at once and unseen by it."""

    def touched(self, host: Host) -> None: ...

    def said(self, host: Host, message: Message) -> None: ...

    def ended(self, host: Host, what: str) -> None: ...


@dataclass(kw_only=True)
class Disk:
    """What survives a restart of the speaker."""

    incarnation: int = 0
    epochs: dict[str, int] = field(default_factory=dict)
    used: dict[IPAddress, int] = field(default_factory=dict)
    peers: dict[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    comings: tuple[float, ...] = ()


class Host:
    """One machine. `name` stays; the processes come and go. Interval and multiplier are the speaker's preset."""

    def __init__(self, clockwork: Clockwork, lan: Lan, number: int, *, interval: float, multiplier: int) -> None:
        self.clockwork = clockwork
        self.lan = lan
        self.name = f"n{number}"
        self.interval = interval
        self.multiplier = multiplier
        self.mono_ahead = 1000.0 * number - START
        self.unix_ahead = UNIX - START
        self.page = bytearray(PAGE)
        self.disk = Disk()
        self.carrier = True
        self.world = World()
        self.known: frozenset[bytes] = frozenset()
        self.follows = True
        self.datagrams: dict[int, SegmentSocket] = {}
        self.frames: dict[int, PacketSocket] = {}
        self.pulse: PulseProcess | None = None
        self.wire: WireProcess | None = None
        self.work: WorkProcess | None = None
        self.ending = False
        """Something made one of its processes end; the others may."""
        self.observer: Observer | None = None
        self.answering: frozenset[bytes] = frozenset()
        self.mine: dict[str, list[Any]] = {}
        self._was_leased = False
        self._lease_check = 0.0
        self.index = lan.plug(self)
        self.address = address_of(self.index)
        self.mac = mac_of(self.index)

    # Clocks

    @property
    def mono(self) -> float:
        return self.clockwork.now + self.mono_ahead

    @property
    def unix(self) -> float:
        return self.clockwork.now + self.unix_ahead

    def enter(self) -> None:
        """From here on a process of this machine runs."""
        TIME.mono = self.clockwork.now + self.mono_ahead
        TIME.unix = self.clockwork.now + self.unix_ahead
        TIME.kernel = self

    # Processes

    @property
    def processes(self) -> tuple[Process, ...]:
        found = (self.pulse, self.wire, self.work)
        return tuple(process for process in found if process is not None and not process.over)

    @property
    def up(self) -> bool:
        """Whether pulse and wire run and the cable is in: what it takes to hold an address and to inherit one."""
        pulse, wire = self.pulse, self.wire
        return self.carrier and pulse is not None and pulse.runs and wire is not None and wire.runs

    @property
    def decides(self) -> bool:
        """Whether work runs too, which takes what nobody inherits."""
        return self.work is not None and self.work.decides

    @property
    def leaves(self) -> bool:
        """Whether it hands over what it holds, to end: it still answers, and inherits nothing."""
        return self.work is not None and self.work.leaving

    def knows(self, address: bytes) -> bool:
        """Whether the World of this node has an address allocated, on disk and in the process."""
        return self.work is not None and address in self.known and self.work.world is self.world

    def start(self) -> None:
        """Starts the speaker, as systemd would."""
        assert not self.processes
        work_pulse, pulse_work = channel(self.clockwork)
        work_wire, wire_work = channel(self.clockwork)
        pulse_wire, wire_pulse = channel(self.clockwork, self.heard_pulse)
        pulse_work._tap = self.heard_pulse
        self.page[:] = bytes(PAGE)
        self.answering = frozenset()
        self.mine = {}
        self.ending = False
        self.work = WorkProcess(self, work_pulse, work_wire)
        self.wire = WireProcess(self, wire_work, wire_pulse)
        self.pulse = PulseProcess(self, pulse_work, pulse_wire)
        self.wire.wake_in(0.0)
        self.work.begin()
        self.watch()

    def kill(self, *processes: Process | None) -> None:
        """SIGKILL; of all three at one moment when none is named."""
        for process in processes or self.processes:
            if process is not None:
                process.kill()

    def cut_power(self) -> None:
        """All three end, and nothing that was on its way out leaves the machine."""
        self.carrier_off(tell=False)
        self.kill()

    def forget(self) -> None:
        """The disk is new."""
        self.disk = Disk()

    def ended(self, process: Process) -> None:
        if process is self.pulse:
            self.datagrams.clear()
        if not self.ending and self.observer is not None:
            self.observer.ended(self, type(process).__name__)
        self.watch()

    def interfaces(self) -> tuple[Interface, ...]:
        flags = InterfaceFlag.UP | InterfaceFlag.BROADCAST
        if self.carrier:
            flags |= InterfaceFlag.LOWER_UP
        address = ip_address(self.address)
        return (Interface(index=VIA, name="eth0", mac=self.mac.hex(":"), flags=flags, addresses=(address,)),)

    def carrier_off(self, *, tell: bool = True) -> None:
        self.carrier = False
        self.lan.unplugged.add(self.index)
        self.lan.rewire()
        self._carrier_changed(tell)

    def carrier_on(self, *, tell: bool = True) -> None:
        self.carrier = True
        self.lan.unplugged.discard(self.index)
        self.lan.rewire()
        self._carrier_changed(tell)

    def _carrier_changed(self, tell: bool) -> None:
        self.watch()
        if tell and self.work is not None:
            self.clockwork.after(NETLINK_DELAY, self.work.take_interfaces, self.interfaces())

    def freeze(self) -> None:
        for process in self.processes:
            process.hold()
        self.watch()

    def thaw(self, lost_time: float = 0.0) -> None:
        """`lost_time`: seconds by which the monotonic clock stood still meanwhile (a frozen virtual machine)."""
        self.mono_ahead -= lost_time
        for process in self.processes:
            process.let_go()
        self.watch()

    def take_world(self, world: World) -> None:
        """The file that this node reads has a new World in it."""
        self.world = world
        self.known = frozenset(a.packed for each in world.allocations.values() for a in each.addresses)
        if self.work is not None and not self.work.over:
            self.work.take_world(world)

    # What comes and goes on the link

    def take_datagram(self, payload: bytes, source: tuple[str, int]) -> None:
        link = self.datagrams.get(VIA)
        if link is None or self.pulse is None:
            return
        link.arrive(payload, source, self.unix)
        self.pulse.ready(link.fd)

    def take_frame(self, frame: bytes) -> None:
        link = self.frames.get(VIA)
        if link is None or self.wire is None:
            return
        link.waiting.append(frame)
        self.wire.ready(link.fd)

    def send_datagram(self, payload: bytes, to: tuple[str, int]) -> None:
        self.lan.datagram(self.index, payload, to)

    def send_frame(self, frame: bytes) -> None:
        self.lan.frame(self.index, frame)

    # What is watched

    @property
    def lease(self) -> float:
        """Seconds of this machine's monotonic clock."""
        until: float = _LEASE.unpack_from(self.page)[0]
        return until

    def serves(self) -> frozenset[bytes]:
        """The addresses that this machine would answer for now, to whoever can ask it."""
        wire = self.wire
        if wire is None or not wire.runs or not self.carrier or self.mono >= self.lease:
            return frozenset()
        return self.answering

    def leased(self) -> None:
        """After pulse's turn: a lease that began or ended changes who answers; one that goes on is looked at later."""
        lease = self.lease
        has = lease > self.mono
        if has != self._was_leased:
            self._was_leased = has
            self.watch()
        if has and self._lease_check <= self.clockwork.now:
            self._expect_expiry(lease)

    def _expect_expiry(self, lease: float) -> None:
        self._lease_check = lease - self.mono_ahead
        self.clockwork.at(self._lease_check, self._expiry)

    def _expiry(self) -> None:
        lease = self.lease
        if lease > self.mono + 1e-9:
            self._expect_expiry(lease)
        elif self._was_leased:
            self._was_leased = False
            self.watch()

    def table_changed(self) -> None:
        assert self.wire is not None
        answering = frozenset(self.wire.wire._table.answering)
        if answering != self.answering:
            self.answering = answering
            self.watch()

    def watch(self) -> None:
        if self.observer is not None:
            self.observer.touched(self)

    def heard_pulse(self, message: Mapping[str, Any]) -> None:
        if self.observer is not None:
            self.observer.said(self, dict(message))
