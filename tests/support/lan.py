"""A LAN in memory and in virtual time: real heartbeat machines, links that lose, delay, cut and go one way.

    lan = Lan(["a", "b", "c"], seed=1)
    lan.run(1.0)
    lan.kill("a")
    lan.until(lambda: lan.owners("192.0.2.1") == {"b"}, within=0.3)

A node can have a plan of its own, as small as one can be (`Planner`): what nobody is known to hold for a while is asked
for by the node that comes first in rendezvous order among those alive. Heirs are the next two in that order.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lbctl.protocol.heartbeat.identity import node_hash, rendezvous
from lbctl.protocol.heartbeat.machine import Heartbeat
from lbctl.protocol.heartbeat.segments import Segment, Settings
from lbctl.protocol.machine import Report, Send

UNIX = 1_700_000_000.0
PORT = 7966
VIA = 2
PROBE_TIME = 0.04
"""Seconds from `probe` to its results: two probes 20 ms apart, and 20 ms for the last answer."""
GATEWAY = "gateway"


def order(names: Iterable[str], address: str) -> list[str]:
    """Names by rendezvous weight for an address, the first one first."""
    return sorted(names, key=lambda name: rendezvous(node_hash(name), address), reverse=True)


@dataclass(frozen=True, slots=True)
class Seen:
    """A report of a node, and when it came."""

    at: float
    name: str
    fields: dict[str, Any]


@dataclass
class Planner:
    """Asks for what is unowned for `patience` seconds and falls to this node by rendezvous."""

    vips: Sequence[str]
    patience: float = 0.3
    unowned_since: dict[str, float] = field(default_factory=dict)

    def wants(self, node: Node, now: float) -> list[str]:
        wanted = []
        alive = [node.name, *(name for name, state in node.states.items() if state == "alive")]
        for address in self.vips:
            if node.known_owner(address):
                self.unowned_since.pop(address, None)
            elif now - self.unowned_since.setdefault(address, now) >= self.patience:
                wanted += [address] if order(alive, address)[0] == node.name else []
        return wanted


class Node:
    """One machine with what wire (`answering`) and work (`claims`, `mine`, `states`) would know."""

    def __init__(self, lan: Lan, name: str, number: int, incarnation: int, **settings: Any) -> None:
        self.lan = lan
        self.name = name
        self.number = number
        self.address = f"10.0.0.{number}"
        self.incarnation = incarnation
        self.settings = Settings(cluster="test", node=name, incarnation=incarnation, **settings)
        self.machine = Heartbeat(self.settings, unix_offset=UNIX)
        self.alive = True
        self.paused: list[tuple[float, bytes, str]] | None = None
        self.paused_at = 0.0
        self.scheduled: float | None = None
        self.answering: set[str] = set()
        self.mine: dict[str, list[Any]] = {}
        self.claims: dict[str, dict[str, list[Any]]] = {}
        self.states: dict[str, str] = {}
        self.two_way: dict[str, bool] = {}
        self.seen: list[Seen] = []
        self.sent = 0
        self.planner: Planner | None = None
        self.frame_at = 0.0
        self.probing: set[str] = set()

    def known_owner(self, address: str) -> bool:
        return address in self.mine or any(address in claims for claims in self.claims.values())

    def told(self, name: str) -> list[dict[str, Any]]:
        """The fields of every report of a name; notes by their own name."""
        notes = [seen.fields["fields"] for seen in self.seen if seen.name == "note" and seen.fields["name"] == name]
        return notes or [seen.fields for seen in self.seen if seen.name == name]

    def answers(self, address: str, now: float) -> bool:
        """Whether wire would answer a client: told so, and under a living lease."""
        return self.alive and address in self.answering and now < self.machine.lease

    def take(self, report: Report, now: float) -> None:
        fields = report.fields
        self.seen.append(Seen(now, report.name, fields))
        match report.name:
            case "answer":
                self.answering.difference_update(fields["drop"])
                self.answering.update(fields["set"])
            case "mine":
                for address, _ in fields["drop"]:
                    del self.mine[address]
                self.mine.update({row[0]: row for row in fields["set"]})
            case "claims":
                claims = self.claims.setdefault(fields["node"], {})
                if fields["complete"]:
                    claims.clear()
                for address in fields["drop"]:
                    del claims[address]
                claims.update({row[0]: row for row in fields["set"]})
            case "probe":
                self.probing.difference_update(fields["drop"])
                self.probing.update(fields["set"])
                asked = list(fields["set"])
                self.lan.at(now + PROBE_TIME, lambda: self.lan.probe(self, asked))
            case "solicit" if self.lan.frames:
                self.lan.at(now + 2 * self.lan.delay, lambda: self.lan.gateway_says(self))
            case "member":
                self.states[fields["node"]] = fields["state"]
                self.two_way[fields["node"]] = fields["two_way"]


class Lan:
    """Nodes on one segment. `loss` is a chance, `delay` seconds (a constant: a LAN does not reorder)."""

    def __init__(
        self, names: Sequence[str], *, seed: int = 0, loss: float = 0.0, delay: float = 0.0002, **settings: Any
    ) -> None:
        self.random = random.Random(seed)
        self.now = 1000.0
        self.loss = loss
        self.delay = delay
        self.names = list(names)
        self.settings = settings
        self.nodes: dict[str, Node] = {}
        self.blocked: set[tuple[str, str]] = set()
        self.multicast = True
        self.frames = False
        """Whether nodes are told of the frames that wire sees, and a gateway answers what they ask for."""
        self.filtered: set[tuple[str, str]] = set()
        """Like `blocked`, but only heartbeats: the rest of the LAN works."""
        self.tap: Callable[[Node, Send], None] | None = None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._incarnations = itertools.count(100)
        self._stagger = 0.0
        for name in names:
            self.start(name)

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    # What happens to nodes

    def start(
        self, name: str, *, peers: Sequence[str] | None = None, incarnation: int | None = None, **changed: Any
    ) -> Node:
        """Starts a node, or a new incarnation of it. Beats of different nodes are out of step."""
        number = self.names.index(name) + 1
        settings = {**self.settings, **changed}
        node = Node(
            self, name, number, incarnation if incarnation is not None else next(self._incarnations), **settings
        )
        if name in self.nodes:
            self.nodes[name].alive = False
        self.nodes[name] = node
        self._stagger = (self._stagger + 0.0137) % 0.05
        machine, segment = (
            node.machine,
            Segment(ifindex=VIA, name="eth0", address=node.address, mac=f"02:00:00:00:00:{number:02x}"),
        )
        others = [other for other in (self.names if peers is None else peers) if other != name]

        def begin() -> None:
            machine.set_peers([(other, [f"10.0.0.{self.names.index(other) + 1}"]) for other in others], self.now)
            machine.set_segments([segment], self.now)
            self._pump(node)

        self.at(self.now + self._stagger, begin)
        return node

    def kill(self, name: str) -> None:
        self.nodes[name].alive = False

    def leave(self, name: str) -> None:
        self.nodes[name].machine.leave(self.now)
        self._pump(self.nodes[name])

    def pause(self, name: str) -> None:
        """SIGSTOP: packets wait in the socket, the lease runs out by itself."""
        self.nodes[name].paused = []
        self.nodes[name].paused_at = self.now

    def resume(self, name: str) -> None:
        """SIGCONT: what the shell does on waking, with the packets that are not older than one detection time."""
        node = self.nodes[name]
        waiting, node.paused = node.paused or [], None
        node.machine.woke(self.now, self.now - node.paused_at)
        for at, payload, source in waiting:
            if self.now - at <= node.settings.detection:
                node.machine.received(payload, VIA, (source, PORT), self.now)
        self._pump(node)

    def cut(self, *names: str) -> None:
        """Splits these from the rest, both ways."""
        for a in self.names:
            for b in self.names:
                if (a in names) != (b in names):
                    self.blocked.add((a, b))

    def deafen(self, name: str) -> None:
        """The node still sends but receives nothing."""
        self.blocked.update((other, name) for other in (*self.names, GATEWAY) if other != name)

    def filter(self, name: str) -> None:
        """No heartbeats to or from a node: a firewall, while everything else passes."""
        self.filtered |= {pair for other in self.names if other != name for pair in ((other, name), (name, other))}

    def heal(self) -> None:
        self.blocked.clear()
        self.filtered.clear()

    def probe(self, node: Node, asked: Sequence[str]) -> None:
        """What wire says of addresses it was to probe: whoever can be reached and answers, answers."""
        if not node.alive or node.paused is not None or self.nodes[node.name] is not node:
            return
        results: list[tuple[str, str | None]] = []
        for address in asked:
            if address in node.probing:
                answering = [
                    f"02:00:00:00:00:{other.number:02x}"
                    for other in self.nodes.values()
                    if other is not node and other.answers(address, self.now) and self.reaches(node, other)
                ]
                results.append((address, answering[0] if answering else None))
        node.probing.difference_update(asked)
        node.machine.probed(results, self.now)
        self._pump(node)

    def reaches(self, a: Node, b: Node) -> bool:
        """Whether frames pass both ways."""
        return (a.name, b.name) not in self.blocked and (b.name, a.name) not in self.blocked

    def gateway_says(self, node: Node) -> None:
        if (GATEWAY, node.name) not in self.blocked and (node.name, GATEWAY) not in self.blocked:
            node.frame_at = self.now

    def prepare(self, name: str, vips: Sequence[str], *, plan: bool = False) -> None:
        """The node may announce these; heirs by rendezvous over all names. `plan`: it asks for what nobody holds."""
        node = self.nodes[name]
        others = [other for other in self.names if other != name]
        entries = [(vip, 1, order(others, vip)[:2]) for vip in vips]
        node.machine.prepare(1, entries, [], False, self.now)
        if plan:
            node.planner = Planner(vips)
        self._pump(node)

    def claim(self, name: str, vips: Sequence[str], cause: str = "first_announced") -> None:
        self.nodes[name].machine.claim(vips, cause, self.now)
        self._pump(self.nodes[name])

    def release(self, name: str, vips: Sequence[str], cause: str) -> None:
        self.nodes[name].machine.release(vips, cause, self.now)
        self._pump(self.nodes[name])

    def change(
        self,
        name: str,
        entries: Sequence[tuple[str, int, Sequence[str]]],
        drop: Sequence[str] = (),
        *,
        complete: bool = False,
    ) -> None:
        """A change of what a node may announce: (address, allocation, heirs)."""
        self.nodes[name].machine.prepare(2, entries, drop, complete, self.now)
        self._pump(self.nodes[name])

    def inject(self, name: str, payload: bytes, source: str = "10.0.0.99") -> None:
        """A datagram from elsewhere."""
        self.nodes[name].machine.received(payload, VIA, (source, PORT), self.now)
        self._pump(self.nodes[name])

    # What can be asked

    def living(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.alive]

    def owners(self, address: str) -> set[str]:
        """Who says it owns an address."""
        return {node.name for node in self.living() if address in node.mine}

    def answerers(self, address: str) -> set[str]:
        """Who would answer a client now."""
        return {node.name for node in self.living() if node.paused is None and node.answers(address, self.now)}

    # Time

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), action))

    def run(self, seconds: float, check: Callable[[], None] | None = None) -> None:
        """Lets `seconds` pass; `check` is called after everything that happens."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self._next()
            if check is not None:
                check()
        self.now = end

    def until(self, condition: Callable[[], bool], *, within: float) -> float:
        """Runs until a condition holds; the seconds it took. AssertionError when it does not `within` seconds."""
        start = self.now
        while not condition():
            if not self._events or self._events[0][0] > start + within:
                raise AssertionError(f"not within {within} s of virtual time")
            self._next()
        return self.now - start

    def _next(self) -> None:
        when, _, action = heapq.heappop(self._events)
        self.now = max(self.now, when)
        action()

    def _pump(self, node: Node) -> None:
        for output in node.machine.outputs():
            if isinstance(output, Report):
                node.take(output, self.now)
            else:
                self._transmit(node, output)
        if node.planner is not None and node.alive and (wanted := node.planner.wants(node, self.now)):
            node.planner.unowned_since.clear()
            node.machine.claim(wanted, "first_announced", self.now)
            self._pump(node)
        deadline = node.machine.next_timeout()
        if deadline is not None and (node.scheduled is None or deadline < node.scheduled):
            node.scheduled = deadline
            self.at(max(deadline, self.now), lambda: self._wake(node, deadline))

    def _wake(self, node: Node, deadline: float) -> None:
        if node.scheduled != deadline:
            return
        node.scheduled = None
        if not node.alive or node.machine.left:
            return
        if node.paused is None:
            if self.frames:
                node.machine.frames_seen(node.frame_at)
            due = node.machine.next_timeout()
            if due is not None and due <= self.now:
                node.machine.handle_timeout(self.now)
            self._pump(node)

    def _transmit(self, node: Node, send: Send) -> None:
        if not node.alive or send.to is None:
            return
        if self.tap is not None:
            self.tap(node, send)
        node.sent += 1
        multicast = send.to[0].startswith("239.")
        if multicast and not self.multicast:
            return
        for other in list(self.nodes.values()):
            wanted = other is not node if multicast else other.address == send.to[0]
            if wanted and (node.name, other.name) not in self.blocked and self.random.random() >= self.loss:
                self.at(self.now + self.delay, partial(self._deliver, node, other, send.payload))

    def _deliver(self, sender: Node, node: Node, payload: bytes) -> None:
        if not node.alive or self.nodes[node.name] is not node:
            return
        node.frame_at = self.now
        if (sender.name, node.name) in self.filtered:
            return
        source = sender.address
        if node.paused is not None:
            node.paused.append((self.now, payload, source))
            return
        node.machine.received(payload, VIA, (source, PORT), self.now)
        self._pump(node)


def vips(count: int) -> list[str]:
    return [f"192.0.2.{n}" if n < 255 else f"198.18.{n // 256}.{n % 256}" for n in range(1, count + 1)]
