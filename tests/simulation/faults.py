"""What breaks: each fault strikes at one moment and is mended at another, or at the end of the story."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from lbctl.speaker.pulse_watch import WIRE_PATIENCE
from tests.simulation.node import Host

if TYPE_CHECKING:
    from tests.simulation.story import Story

Mend = Callable[[], None]


class Fault(Enum):
    """Every kind there is, with how often it is chosen beside the others."""

    CRASH_PULSE = "pulse crashes", 2
    CRASH_WIRE = "wire crashes", 2
    CRASH_WORK = "work crashes", 2
    POWER_LOSS = "power loss", 4
    STOP = "orderly stop", 2
    PAUSE_PULSE = "pulse stopped", 3
    PAUSE_WIRE = "wire stopped", 3
    PAUSE_WORK = "work stopped", 1
    BLOCK_WORK = "work blocked 1 s", 2
    PAUSE_ALL = "all three stopped", 3
    FREEZE = "machine frozen", 2
    CARRIER = "carrier lost", 3
    PARTITION = "partition", 8
    ONE_WAY = "one-way link", 3
    DEAF = "deaf", 3
    MUTE = "mute", 3
    LOSS = "loss", 2
    DELAY = "delay", 1
    CLOCK_JUMP = "clock jump", 2
    STALE_WORLD = "stale world", 2
    ADD_SERVICE = "service added", 2
    REMOVE_SERVICE = "service removed", 1

    def __init__(self, title: str, weight: int) -> None:
        self.title = title
        self.weight = weight


_ON_A_HOST = frozenset(Fault) - {
    Fault.PARTITION,
    Fault.ONE_WAY,
    Fault.LOSS,
    Fault.DELAY,
    Fault.ADD_SERVICE,
    Fault.REMOVE_SERVICE,
}
_RESTARTS = frozenset({Fault.CRASH_PULSE, Fault.CRASH_WIRE, Fault.CRASH_WORK, Fault.POWER_LOSS, Fault.STOP})
_NETWORK = frozenset({Fault.PARTITION, Fault.ONE_WAY, Fault.DEAF, Fault.MUTE, Fault.LOSS, Fault.DELAY})
_HARMLESS = frozenset({Fault.CLOCK_JUMP, Fault.STALE_WORLD})
"""Faults that come on top of any other."""


class Faults:
    """Chooses what strikes next and keeps what is still to be mended."""

    def __init__(self, story: Story, chance: random.Random) -> None:
        self.story = story
        self.chance = chance
        self.struck: dict[Fault, int] = {}
        self._mends: dict[int, tuple[str, Mend, bool]] = {}
        self._busy: set[int] = set()
        self._number = 0

    def strike(self, fault: Fault | None = None, host: Host | None = None, lasts: float | None = None) -> bool:
        """One fault, by chance where nothing is said; False when it finds nobody to strike."""
        chance, story = self.chance, self.story
        if fault is None:
            kinds = list(Fault)
            fault = chance.choices(kinds, [kind.weight for kind in kinds])[0]
        if fault in _ON_A_HOST and host is None:
            free = [each for each in story.hosts if each.index not in self._busy or fault in _HARMLESS]
            owners = [each for each in free if each.answering]
            # Who holds something is the one worth striking.
            candidates = owners if owners and chance.random() < 0.7 else free
            if not candidates:
                return False
            host = chance.choice(candidates)
        if lasts is None:
            lasts = chance.choice((0.03, 0.12, 0.2, 0.4, 0.8, 1.5, 3.0)) * chance.uniform(0.7, 1.3)
            if chance.random() < 0.25:
                lasts = float("inf")
        title = fault.title if host is None else f"{host.name}: {fault.title}"
        story.watch.fault(title)
        mend = self._begin(fault, host, lasts)
        if isinstance(mend, bool):
            return False
        self.struck[fault] = self.struck.get(fault, 0) + 1
        if mend is not None:
            self._keep(fault, f"{title} is over", mend, lasts, host if fault not in _HARMLESS else None)
        return True

    def mend_all(self, *, network: bool) -> bool:
        """Ends what is still broken: the network, or all else. Whether there was anything."""
        wanted = [number for number, (_, _, of_network) in self._mends.items() if of_network is network]
        for number in wanted:
            self._mend(number)
        return bool(wanted)

    def _keep(self, fault: Fault, title: str, mend: Mend, lasts: float, host: Host | None) -> None:
        self._number += 1
        number = self._number
        if host is not None:
            self._busy.add(host.index)
            mend = partial(self._free, host, mend)
        self._mends[number] = title, mend, fault in _NETWORK
        if lasts < 100:
            self.story.clockwork.after(lasts, self._mend, number)

    def _free(self, host: Host, mend: Mend) -> None:
        self._busy.discard(host.index)
        mend()

    def _mend(self, number: int) -> None:
        found = self._mends.pop(number, None)
        if found is not None:
            self.story.watch.fault(found[0])
            found[1]()

    def _begin(self, fault: Fault, host: Host | None, lasts: float) -> Mend | bool | None:
        if host is None:
            return self._on_the_net(fault)
        if fault in _RESTARTS:
            return self._restart(fault, host)
        match fault:
            case Fault.PAUSE_WIRE:
                return self._pause_wire(host)
            case Fault.PAUSE_PULSE | Fault.PAUSE_WORK | Fault.BLOCK_WORK:
                process = host.pulse if fault is Fault.PAUSE_PULSE else host.work
                if process is None or process.over:
                    return False
                process.hold()
                host.watch()

                def go_on() -> None:
                    process.let_go()
                    host.watch()

                if fault is Fault.BLOCK_WORK:
                    self.story.clockwork.after(1.0, go_on)
                    return None
                return go_on
            case Fault.PAUSE_ALL | Fault.FREEZE:
                host.freeze()
                began = self.story.clockwork.now
                still = fault is Fault.FREEZE and self.chance.random() < 0.7

                def thaw() -> None:
                    if still:
                        self.story.watch.thawed()
                    host.thaw(self.story.clockwork.now - began if still else 0.0)

                return thaw
            case Fault.CARRIER:
                host.carrier_off()

                def plug() -> None:
                    self.story.watch.newcomer(host)
                    host.carrier_on()

                return plug
            case Fault.DEAF | Fault.MUTE:
                return self._half(fault, host)
            case Fault.CLOCK_JUMP:
                back_to_1970 = -host.unix + self.chance.uniform(0, 1000)
                host.unix_ahead += self.chance.choice((-3600.0, 3600.0, -0.5, 0.5, 86400.0 * 365, back_to_1970))
                return None
            case Fault.STALE_WORLD:
                host.follows = False
                return lambda: self.story.follow(host)
            case _:
                raise AssertionError(fault)

    def _pause_wire(self, host: Host) -> Mend | bool:
        """The speaker ends when that lasts, and is started again when it is over."""
        wire, watch = host.wire, self.story.watch
        if wire is None or wire.over:
            return False
        watch.allowance.wire = max(0.0, WIRE_PATIENCE - watch.detection)
        host.ending = True
        wire.hold()
        host.watch()

        def go_on() -> None:
            pulse = host.pulse
            if pulse is None or pulse.over or pulse.pulse._leaving:
                host.kill()
                self.story.clockwork.after(0.001, self._start, host)
                return
            host.ending = False
            wire.let_go()
            host.watch()

        return go_on

    def _restart(self, fault: Fault, host: Host) -> Mend:
        """Something ends; the whole speaker is started again later, with or without its memory."""
        host.ending = True
        match fault:
            case Fault.CRASH_PULSE:
                host.kill(host.pulse)
            case Fault.CRASH_WIRE:
                host.kill(host.wire)
            case Fault.CRASH_WORK:
                host.kill(host.work)
            case Fault.POWER_LOSS:
                host.cut_power()
            case _:
                if host.work is not None:
                    host.work.stop()
        forgets = self.chance.random() < 0.3

        def start() -> None:
            host.kill()
            if forgets:
                host.forget()
            if fault is Fault.POWER_LOSS:
                host.carrier_on(tell=False)
            # The channels of the dead are closed by now.
            self.story.clockwork.after(0.001, self._start, host)

        return start

    def _start(self, host: Host) -> None:
        self.story.watch.started(host)
        host.start()

    def _half(self, fault: Fault, host: Host) -> Mend:
        lan = self.story.lan
        halves = lan.deaf if fault is Fault.DEAF else lan.mute
        halves.add(host.index)
        lan.rewire()

        def whole() -> None:
            halves.discard(host.index)
            lan.rewire()

        return whole

    def _on_the_net(self, fault: Fault) -> Mend | bool | None:
        story, lan, chance = self.story, self.story.lan, self.chance
        match fault:
            case Fault.PARTITION:
                if lan.parts:
                    return False
                count = 3 if len(story.hosts) > 3 and chance.random() < 0.25 else 2
                lan.parts = {index: chance.randrange(count) for index in range(len(lan.stations))}
                lan.rewire()

                def join() -> None:
                    lan.parts = {}
                    lan.rewire()

                return join
            case Fault.ONE_WAY:
                # Between nodes alone: of a client that no longer hears its owner, speakers cannot know.
                a, b = chance.sample([host.index for host in story.hosts], 2)
                lan.one_way.add((a, b))
                lan.rewire()

                def both_ways() -> None:
                    lan.one_way.discard((a, b))
                    lan.rewire()

                return both_ways
            case Fault.LOSS:
                return story.lossy(chance.uniform(0.02, 0.2))
            case Fault.DELAY:
                return story.slow(chance.uniform(0.001, 0.015))
            case Fault.ADD_SERVICE:
                story.add_service()
                return None
            case Fault.REMOVE_SERVICE:
                return None if story.remove_service() else False
            case _:
                raise AssertionError(fault)
