"""One story: a cluster comes up, things break and are mended, at last all is well; by its seed always the same.

`run(seed)` tells it; `Story` can also be led by hand, for the tests that want one certain fault.
"""

from __future__ import annotations

import gc
import random
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType

from lbctl.model.node import Node
from lbctl.model.snapshot import World
from tests.simulation.client import Client
from tests.simulation.faults import Fault, Faults, Mend
from tests.simulation.invariants import CONTACT, Watch, Worst
from tests.simulation.kernel import START, Clockwork, installed
from tests.simulation.lan import Lan, mac_of
from tests.simulation.node import Host
from tests.simulation.rules import Rule, without
from tests.support.worlds import allocation, world

CLIENTS = 2
ANNOUNCED_WITHIN = 15.0
"""Seconds from the start until every address must have been answered once."""
WORLD_DELAY = (0.005, 0.08)
"""Seconds until a node has read a new World."""
ASK_EVERY = 0.4
LOST_BEATS = 5
"""Intervals by which the bounds are longer while packets get lost: that often what matters is said again."""
RESTARTED_TIME = 2.5
HEALED_TIME = 1.2


@dataclass(kw_only=True)
class Outcome:
    """How a story went."""

    seed: int
    nodes: int
    seconds: float
    events: int
    struck: dict[Fault, int]
    worst: Worst
    failures: list[str]
    trace: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Presets:
    """The heartbeat presets that nodes of a story have, chosen by weight."""

    interval: float
    multiplier: int = 3
    weight: int = 1


PRESETS = (Presets(interval=0.05, weight=8), Presets(interval=0.1, weight=2), Presets(interval=0.02, weight=1))
LARGE = 20
"""Nodes from which on a story is told with the relaxed preset."""


class Story:
    """A cluster on a LAN with clients. Call within `kernel.installed()`."""

    def __init__(
        self,
        seed: int,
        *,
        nodes: int | None = None,
        vips: int | None = None,
        clients: int = CLIENTS,
        plain: bool = False,
    ) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        chance = self.chance
        self.clockwork = Clockwork()
        self.lan = Lan(self.clockwork, random.Random(seed + 1))
        count = nodes if nodes is not None else chance.choice((3, 3, 3, 4, 4, 5, 5, 6, 7))
        preset = PRESETS[0] if plain else chance.choices(PRESETS, [each.weight for each in PRESETS])[0]
        if count >= LARGE:
            preset = Presets(interval=0.3)
        mixed = not plain and count < LARGE and chance.random() < 0.1
        self.hosts = [self._host(number, chance.choice(PRESETS) if mixed else preset) for number in range(count)]
        self.clients = [Client(self.lan) for _ in range(clients)]
        self.watch = Watch(self.clockwork, self.lan, self.hosts, [client.index for client in self.clients])
        self.faults = Faults(self, chance)
        self._numbers = iter(range(1, 250))
        self._services: dict[int, str] = {}
        self._generation = 0
        for _ in range(vips if vips is not None else chance.randint(4, 10)):
            self._new_service()
        self._publish()
        if not plain and count < LARGE:
            self.lan.delay = chance.choice((0.0001, 0.0003, 0.001))
            self.lan.jitter = chance.choice((0.0, 0.0001, 0.002))
            self.lan.copies = chance.choice((0.0, 0.0, 0.05))
        self.watch.allowance.link += 4 * (self.lan.delay + self.lan.jitter)

    def _host(self, number: int, preset: Presets) -> Host:
        return Host(self.clockwork, self.lan, number, interval=preset.interval, multiplier=preset.multiplier)

    # What happens

    def boot(self, *, spread: float = 0.05) -> None:
        """Everything starts; returns when every address is answered."""
        for host in self.hosts:
            self.clockwork.after(self.chance.uniform(0.0, spread), host.start)
        end = self.clockwork.now + ANNOUNCED_WITHIN + spread
        while self.clockwork.now < end and self._unanswered():
            self.run(0.05)
        if missing := self._unanswered():
            self.watch.failures.append(f"boot: never answered: {' '.join(missing)}")
        self.run(CONTACT + 2 * self.watch.detection)

    def run(self, seconds: float) -> None:
        self.clockwork.run(self.clockwork.now + seconds)

    def ask_on(self) -> None:
        """Clients ask now and then, for ever."""
        vips = sorted(self.watch.vips)
        if vips:
            for client in self.clients:
                client.ask(self.chance.choice(vips))
        self.clockwork.after(ASK_EVERY * self.chance.uniform(0.5, 1.5), self.ask_on)

    def peace(self) -> None:
        """Everything is mended: first the machines, then the network; then time to settle."""
        chance = self.chance
        if self.faults.mend_all(network=False):
            self.run(RESTARTED_TIME if chance.random() < 0.7 else 0.3)
        restarted = any(not self._is_old(host) for host in self.hosts)
        self.watch.fault("peace")
        self.faults.mend_all(network=True)
        for host in self.hosts:
            self.follow(host)
        if not restarted:
            self.watch.healed()
        self.run(RESTARTED_TIME if restarted else HEALED_TIME)

    def _is_old(self, host: Host) -> bool:
        work = host.work
        return work is not None and work.runs and self.clockwork.now - work.began >= RESTARTED_TIME - 0.1

    def settled(self) -> None:
        """At the end: one answerer for each address, by the watch and by asking, and everybody knows it."""
        watch = self.watch
        watch.end()
        for client in self.clients:
            for address in watch.vips:
                client.ask(address)
        self.run(0.1)
        for address in sorted(watch.vips):
            name = str(ip_address(address))
            answerers = {mac for client in self.clients for mac in client.answers[address]}
            owners = {host.name for host in self.hosts if address in host.serves()}
            if len(answerers) != 1 or len(owners) != 1:
                watch.failures.append(f"end: {name} answered by {len(answerers)}, served by {sorted(owners)}")
                continue
            owner = next(host for host in self.hosts if address in host.serves())
            if answerers != {mac_of(owner.index)} or any(
                c.cache.get(address) != mac_of(owner.index) for c in self.clients
            ):
                watch.failures.append(f"end: clients believe another than {owner.name} for {name}")
        for host in self.hosts:
            extra = host.serves() - watch.vips
            if extra:
                watch.failures.append(f"end: {host.name} still answers {sorted(str(ip_address(a)) for a in extra)}")
            if host.work is None or not host.work.hearing.synced:
                watch.failures.append(f"end: {host.name} has no complete copy of the claims")

    def tell(self) -> Outcome:
        """The whole story, by chance."""
        chance = self.chance
        self.clockwork.after(0.1, self.ask_on)
        self.boot(spread=chance.choice((0.02, 0.3, 1.0)) if len(self.hosts) < LARGE else 0.02)
        for _ in range(chance.randint(2, 5)):
            self.faults.strike()
            self.run(chance.choice((0.02, 0.1, 0.2, 0.4, 0.8, 1.6)) * chance.uniform(0.7, 1.3))
        self.peace()
        self.settled()
        return self.outcome()

    def outcome(self) -> Outcome:
        return Outcome(
            seed=self.seed,
            nodes=len(self.hosts),
            seconds=self.clockwork.now - START,
            events=self.clockwork.events,
            struck=self.faults.struck,
            worst=self.watch.worst,
            failures=self.watch.failures,
            trace=self.watch.trace or [],
        )

    # What faults do to the whole

    def lossy(self, loss: float) -> Mend:
        self.lan.loss = loss
        self.watch.allowance.loss = LOST_BEATS * self.watch.interval

        def clean() -> None:
            self.lan.loss = 0.0

        return clean

    def slow(self, delay: float) -> Mend:
        before = self.lan.delay
        self.lan.delay = delay
        self.watch.allowance.link += 8 * delay

        def quick() -> None:
            self.lan.delay = before

        return quick

    def add_service(self) -> None:
        self._new_service()
        self._publish()

    def remove_service(self) -> bool:
        if len(self._services) < 2:
            return False
        number = self.chance.choice(sorted(self._services))
        self.watch.forget(ip_address(self._services.pop(number)).packed)
        self._publish()
        return True

    def follow(self, host: Host) -> None:
        """Its World is no longer stale."""
        host.follows = True
        self.clockwork.after(0.01, self._read, host, self._generation)

    # What is published

    def _new_service(self) -> None:
        number = next(self._numbers)
        self._services[number] = f"192.0.2.{number}"
        self.watch.vips.add(ip_address(self._services[number]).packed)

    def _publish(self) -> None:
        self._generation += 1
        self.world = self._world()
        for host in self.hosts:
            if host.work is None:
                host.take_world(self.world)
            else:
                self.clockwork.after(self.chance.uniform(*WORLD_DELAY), self._read, host, self._generation)

    def _read(self, host: Host, generation: int) -> None:
        if host.follows and generation == self._generation and host.world is not self.world:
            host.take_world(self.world)

    def _world(self) -> World:
        held = [allocation(f"s{number}", vip, id=number) for number, vip in self._services.items()]
        nodes = [Node(name=host.name, addresses=(ip_address(host.address),)) for host in self.hosts]
        made = world(held, nodes=nodes, generation=self._generation)
        assert isinstance(made.services, MappingProxyType)
        return made

    def _unanswered(self) -> list[str]:
        watch = self.watch
        return [
            str(ip_address(address))
            for address in sorted(watch.vips)
            if any(not watch.servers(client, address) for client in watch.clients)
        ]


def run(seed: int, *, nodes: int | None = None, trace: bool = False, rule: Rule | None = None) -> Outcome:
    """Tells the story of a seed, of nodes that do not keep `rule`."""
    # Stories make few cycles, and collections among them cost a fifth of the time.
    gc.collect()
    gc.disable()
    with installed(), without(rule):
        story = Story(seed, nodes=nodes)
        if trace:
            story.watch.trace = []
        return story.tell()
