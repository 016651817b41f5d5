"""What must hold at every step, over who can receive and answer a client, not over who claims.

A step is any change of who answers (a table, a lease, a process), of who reaches whom, or of who counts whom as heard.
Bounds, with D the longest detection time and I the longest interval of the nodes:

- gap: while a machine that is able could serve a client, no address that had an owner is without one for longer than
  D + 70 ms where the able machines are a majority of the configured ones and all reach each other, else 2D + 100 ms.
  Both run anew from every fault (a second one while the first is being dealt with). What more is allowed has a name
  in `Allowance`.
- double: two that hear each other never both answer a client for longer than 2 I.
- lease: who has no pulse that runs answers nothing later than its own D.
- heal: D + 2 I after everything reaches everything again, each address that had an owner has exactly one answerer.
- stolen: nobody loses an established address to another unless a majority that had been in touch for a detection time
  called it dead since it took it, or it ends in good order and hands over. Not judged for D + I after a machine thawed
  whose clocks had stood still: it takes what waited in its network card for news.
- flapping: an address does not move more often than there were faults to move it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations
from typing import Any, NamedTuple

from lbctl.protocol.heartbeat.identity import node_hash
from lbctl.protocol.heartbeat.packet import DEAF
from tests.simulation.kernel import START, Clockwork
from tests.simulation.lan import Lan
from tests.simulation.node import Host

QUORATE_GAP = 0.070
OTHER_GAP = 0.100
DOUBLE = 2
HEAL = 2
ESTABLISHED = 1.0
"""Seconds after which an owner is one that nobody may take an address from."""
CONTACT = 0.5
"""Seconds in touch with another machine after which one is no newcomer any more."""
MARGIN = 0.005
"""Seconds within which what happens at one moment is seen."""
MOVES = 3
"""Moves of one address for each fault: away, back, and one for a race."""


@dataclass(kw_only=True)
class Worst:
    """The worst that was seen of each kind: seconds, and moves of one address."""

    quorate_gap: float = 0.0
    other_gap: float = 0.0
    double: float = 0.0
    heal: float = 0.0
    moves: int = 0

    def take(self, other: Worst) -> None:
        self.quorate_gap = max(self.quorate_gap, other.quorate_gap)
        self.other_gap = max(self.other_gap, other.other_gap)
        self.double = max(self.double, other.double)
        self.heal = max(self.heal, other.heal)
        self.moves = max(self.moves, other.moves)


@dataclass(kw_only=True)
class Allowance:
    """Seconds beyond the bounds, each for a named reason.

    loss: packets that carried the news got lost and are said again with a later beat.
    link: the slowest link, and the messages between processes.
    second_heir: intervals, where the first heir is not able; the second waits that long for it.
    decided: detection times, where no heir is able, or the owner gave the address up by itself; the plan decides after
        one more, and takes a step or two.
    wire: by which pulse's patience with a wire that hangs is longer than D.
    misled: where one that was alone for long goes deaf, until it says so; who hears it takes itself for mute meanwhile.
    contact: between two beats to a node that was silent for more than ten seconds; healing may begin that much later.
    """

    loss: float = 0.0
    link: float = 0.004
    second_heir: float = 1.0
    decided: float = 1.2
    wire: float = 0.0
    misled: float = 0.7
    contact: float = 0.0


class _Gap(NamedTuple):
    """`given_up`: its owner said itself that it does not have it any more."""

    since: float
    owner: int
    heirs: tuple[str, ...]
    given_up: bool


class _Owned(NamedTuple):
    """`known`: it was made above every epoch that anybody had; who lost its memory may not know them."""

    quorate: bool
    since: float
    heirs: tuple[str, ...]
    known: bool


class Watch:
    """Sees every step of a story and collects `failures`."""

    def __init__(self, clockwork: Clockwork, lan: Lan, hosts: list[Host], clients: list[int]) -> None:
        self.clockwork = clockwork
        self.lan = lan
        self.hosts = hosts
        self.by_index = {host.index: host for host in hosts}
        self.clients = clients
        self.vips: set[bytes] = set()
        self.worst = Worst()
        self.allowance = Allowance()
        self.interval = max(host.interval for host in hosts)
        self.detection = max(host.interval * host.multiplier for host in hosts)
        self.failures: list[str] = []
        self.trace: list[str] | None = None
        self.faults = 0
        self.moved: dict[bytes, int] = {}
        self._serving: dict[int, frozenset[bytes]] = {}
        self._owner: dict[tuple[int, bytes], int] = {}
        self._gaps: dict[tuple[int, bytes], _Gap] = {}
        self._epochs: dict[bytes, int] = {}
        self._doubles: dict[tuple[int, int, bytes], float] = {}
        self._down: dict[int, float] = {}
        self._pulseless: dict[int, float] = {}
        self._fault_at = clockwork.now
        self._met: set[int] = set()
        self._healed_at: float | None = None
        self._not_one: set[tuple[int, bytes]] = set()
        self._not_one_until = 0.0
        self._by_name = {host.name: host for host in hosts}
        self._counted_by: dict[int, dict[int, float]] = {}
        self._doubted: set[int] = set()
        self._dead_at: dict[int, float] = {}
        self._claims: dict[int, dict[bytes, _Owned]] = {host.index: {} for host in hosts}
        self._misled_at: dict[int, float] = {}
        self._thawed_until = 0.0
        self._dirty = False
        for host in hosts:
            host.observer = self

    # What happens

    def touched(self, host: Host) -> None:
        serving = host.serves()
        if serving != self._serving.get(host.index, frozenset()):
            self._serving[host.index] = serving
            self.tell(f"{host.name} answers for {_names(serving)}")
        if host.up:
            self._down.pop(host.index, None)
        else:
            self._down.setdefault(host.index, self.clockwork.now)
        if host.pulse is not None and host.pulse.runs:
            self._pulseless.pop(host.index, None)
        else:
            self._pulseless.setdefault(host.index, self.clockwork.now)
        self._look_soon()

    def said(self, host: Host, message: Mapping[str, Any]) -> None:
        op = message["op"]
        if self.trace is not None and op not in _DULL:
            self.tell(f"{host.name} says {_brief(message)}")
        if op == "note" and message["name"] == "bad_message":
            self._fail(f"message: {host.name} cannot carry out {message['fields']}")
        elif op == "member":
            self._heard_of(host, message)
            self._look_soon()
        elif op == "mine":
            claims = self._claims[host.index]
            for row in message["set"]:
                address = ip_address(row[0]).packed
                before = claims.get(address)
                since = before.since if before is not None else self.clockwork.now
                known = before.known if before is not None else row[1] > self._epochs.get(address, 0)
                self._epochs[address] = max(row[1], self._epochs.get(address, 0))
                claims[address] = _Owned(bool(row[2]), since, tuple(row[7]), known)
            for text, cause in message["drop"]:
                self._dropped(host, text, cause, claims.pop(ip_address(text).packed, None))

    def ended(self, host: Host, what: str) -> None:
        self._fail(f"ended: {what} of {host.name}, though nothing struck it")

    def started(self, host: Host) -> None:
        """A new incarnation: it holds nothing and knows nobody."""
        self._claims[host.index] = {}
        for index, counting in self._counted_by.items():
            if counting.pop(host.index, None) is not None:
                self._doubted.add(index)
        self.newcomer(host)

    def thawed(self) -> None:
        """A machine goes on that cannot know that it was away."""
        self._thawed_until = self.clockwork.now + self.detection + self.interval

    def newcomer(self, host: Host) -> None:
        """From now on it has no contact to anybody."""
        self._met.discard(host.index)

    def fault(self, what: str) -> None:
        """Something is about to be broken or mended: the bounds run anew."""
        self.tell(f"== {what}")
        self._account()
        self.faults += 1
        self._fault_at = self.clockwork.now
        self._healed_at = None
        self._look_soon()

    def healed(self) -> None:
        """From now on everything reaches everything and runs."""
        self._healed_at = self._not_one_until = self.clockwork.now

    def end(self) -> None:
        self._look()
        self._account()
        if self._healed_at is not None:
            until = self.clockwork.now if self._not_one else self._not_one_until
            heal = until - self._healed_at
            self.worst.heal = max(self.worst.heal, heal)
            bound = self.detection + HEAL * self.interval + self.allowance.loss + self.allowance.link
            bound += self.allowance.contact
            if heal > bound:
                left = ", ".join(sorted({_text(address) for _, address in self._not_one}))
                self._fail(f"heal: not exactly one answerer until {_ms(heal)} after healing {left}")
        for address, moves in self.moved.items():
            self.worst.moves = max(self.worst.moves, moves)
            if moves > MOVES * (self.faults + 1):
                self._fail(f"flapping: {_text(address)} moved {moves} times in {self.faults} faults")

    def forget(self, address: bytes) -> None:
        """No longer allocated."""
        self.vips.discard(address)
        self._not_one = {key for key in self._not_one if key[1] != address}
        for key in [key for key in (*self._owner, *self._gaps) if key[1] == address]:
            self._owner.pop(key, None)
            self._gaps.pop(key, None)

    def servers(self, client: int, address: bytes) -> list[Host]:
        """Who receives and answers a client now."""
        passes = self.lan.mutual
        return [h for h in self.hosts if address in self._serving.get(h.index, ()) and passes(client, h.index)]

    def established(self, host: Host) -> set[bytes]:
        """The addresses that it has had long enough, as one of a majority."""
        claims, since = self._claims[host.index], self.clockwork.now - ESTABLISHED
        return {address for address, owned in claims.items() if owned.quorate and owned.known and owned.since <= since}

    def tell(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.clockwork.now - START:9.4f}  {text}")

    # Steps

    def _look_soon(self) -> None:
        """Once for all that happens at this moment."""
        if not self._dirty:
            self._dirty = True
            self.clockwork.after(0.0, self._look)

    def _look(self) -> None:
        self._dirty = False
        now = self.clockwork.now
        self._count_votes()
        self._misled_at.update((host.index, now) for host in self.hosts if self._is_misled(host))
        serving, mutual = self._serving, self.lan.mutual
        doubles: set[tuple[int, int, bytes]] = set()
        for client in self.clients:
            reached = [(host.index, found) for host in self.hosts if (found := serving.get(host.index))]
            reached = [(index, found) for index, found in reached if mutual(client, index)]
            for address in self.vips:
                servers = [index for index, found in reached if address in found]
                self._count(client, address, servers, now)
                if len(servers) > 1:
                    doubles.update((a, b, address) for a, b in combinations(servers, 2) if self._hear(a, b))
        for pair in [pair for pair in self._doubles if pair not in doubles]:
            self._judge_double(pair, now)
            del self._doubles[pair]
        for pair in doubles:
            self._doubles.setdefault(pair, now)

    def _count(self, client: int, address: bytes, servers: list[int], now: float) -> None:
        key = client, address
        owner = self._owner.get(key)
        if len(servers) == 1:
            if key in self._not_one:
                self._not_one.discard(key)
                self._not_one_until = now
            if owner != servers[0]:
                if owner is not None:
                    self.moved[address] = self.moved.get(address, 0) + 1
                self._owner[key] = servers[0]
        elif owner is not None:
            self._not_one.add(key)
        gap = self._gaps.get(key)
        if servers:
            if gap is not None:
                self._judge_gap(client, address, gap, now)
                del self._gaps[key]
        elif gap is None and owner is not None:
            owned = self._claims[owner].get(address)
            self._gaps[key] = _Gap(now, owner, owned.heirs if owned is not None else (), given_up=owned is None)

    def _account(self) -> None:
        """Before things change: judges what is open, and who has been in contact."""
        now = self.clockwork.now
        for index, since in self._pulseless.items():
            host = self.by_index[index]
            length = now - since
            if host.serves() and length > host.interval * host.multiplier + self.allowance.link:
                self._fail(f"lease: {host.name} answers {_names(host.serves())} {_ms(length)} after its pulse stopped")
        for (client, address), gap in self._gaps.items():
            self._judge_gap(client, address, gap, now)
        for pair in self._doubles:
            self._judge_double(pair, now)
            self._doubles[pair] = now
        if now - self._fault_at >= CONTACT + self.detection:
            up = [host.index for host in self.hosts if host.up]
            for a, b in combinations(up, 2):
                if self.lan.mutual(a, b):
                    self._met.update((a, b))

    # Judgement

    def _able(self, client: int, address: bytes) -> list[Host]:
        return [
            host
            for host in self.hosts
            if host.up
            and not host.leaves
            and host.index in self._met
            and self.lan.mutual(client, host.index)
            and host.knows(address)
        ]

    def _is_misled(self, host: Host) -> bool:
        """Whether it hears one that does not hear it and does not know why: it must take itself for mute."""
        passes = self.lan.passes
        return any(
            other.up
            and passes(other.index, host.index)
            and not passes(host.index, other.index)
            and _is_alone_unknowing(other)
            for other in self.hosts
        )

    def _judge_gap(self, client: int, address: bytes, gap: _Gap, now: float) -> None:
        able = self._able(client, address)
        if not able:
            return
        length = now - max(gap.since, self._fault_at)
        quorate = 2 * len(able) > len(self.hosts) and all(
            self.lan.mutual(a.index, b.index) for a, b in combinations(able, 2)
        )
        names = {host.name for host in able}
        extra = self.allowance.loss + self.allowance.link + self.allowance.wire
        if any(self._misled_at.get(host.index, -1.0) >= self._fault_at for host in able):
            extra += self.allowance.misled + self.detection
        if not names.intersection(gap.heirs) or gap.given_up:
            if not any(host.decides for host in able):
                return
            extra += self.allowance.decided * self.detection
        elif gap.heirs[0] not in names:
            extra += self.allowance.second_heir * self.interval
        elif quorate:
            self.worst.quorate_gap = max(self.worst.quorate_gap, length)
        else:
            self.worst.other_gap = max(self.worst.other_gap, length)
        bound = self.detection + QUORATE_GAP if quorate else 2 * self.detection + OTHER_GAP
        if length > bound + extra:
            why = "quorate" if quorate else "not quorate"
            self._fail(
                f"gap: {_text(address)} without owner for {_ms(length)} (at most {_ms(bound + extra)}, {why}), "
                f"able: {' '.join(sorted(names))}, heirs: {' '.join(gap.heirs)}, client {client}"
            )

    def _judge_double(self, pair: tuple[int, int, bytes], now: float) -> None:
        a, b, address = pair
        length = now - self._doubles[pair]
        self.worst.double = max(self.worst.double, length)
        bound = DOUBLE * self.interval + self.allowance.loss + self.allowance.link
        if length > bound:
            names = f"{self.by_index[a].name} and {self.by_index[b].name}"
            self._fail(f"double: {names} hear each other and both answer {_text(address)} for {_ms(length)}")

    def _hear(self, a: int, b: int) -> bool:
        one, other = self.by_index[a], self.by_index[b]
        return one.up and other.up and self.lan.mutual(a, b) and _counts(one, other) and _counts(other, one)

    def _heard_of(self, host: Host, message: Mapping[str, Any]) -> None:
        named = self._by_name.get(message["node"])
        if named is None:
            return
        counting = self._counted_by.setdefault(named.index, {})
        if message["state"] == "alive" and message["two_way"]:
            counting.setdefault(host.index, self.clockwork.now)
        else:
            counting.pop(host.index, None)
            self._doubted.add(named.index)

    def _count_votes(self) -> None:
        if not self._doubted:
            return
        # What one said last counts until it would be found silent.
        recent = self.clockwork.now - self.detection - self.interval
        up = {host.index for host in self.hosts if host.up or self._down.get(host.index, -1.0) >= recent}
        for index in list(self._doubted):
            counting = self._counted_by[index]
            if len(counting) >= len(self.hosts) - 1:
                self._doubted.discard(index)
            else:
                against = up - counting.keys() - {index}
                if any(self._stand_together(host, against, index) for host in against):
                    self._dead_at[index] = self.clockwork.now

    def _stand_together(self, index: int, against: set[int], dead: int) -> bool:
        """Whether one that does not hear a machine both ways has long been in touch with enough others like it."""
        host, lost = self.by_index[index], self.by_index[dead]
        detection = max(host.interval * host.multiplier, lost.interval * lost.multiplier)
        since = self.clockwork.now - detection + MARGIN
        agreeing = sum(self._counted_by.get(other, {}).get(index, since + 1) <= since for other in against - {index})
        return 2 * (1 + agreeing) > len(self.hosts)

    def _dropped(self, host: Host, text: str, cause: str, owned: _Owned | None) -> None:
        now = self.clockwork.now
        if cause != "lost_to_better_claim":
            self._given_up(host, ip_address(text).packed)
        if (
            cause != "lost_to_better_claim"
            or owned is None
            or not (owned.quorate and owned.known)
            or now - owned.since < ESTABLISHED
        ):
            return
        if now < self._thawed_until or host.leaves:
            return
        if self._dead_at.get(host.index, -1.0) < owned.since:
            self._fail(
                f"stolen: {host.name} lost {text}, which it held for {_ms(now - owned.since)}, never called dead"
            )

    def _given_up(self, host: Host, address: bytes) -> None:
        for client in self.clients:
            gap = self._gaps.get((client, address))
            if gap is not None and gap.owner == host.index:
                self._gaps[client, address] = gap._replace(given_up=True)

    def _fail(self, text: str) -> None:
        self.failures.append(f"{self.clockwork.now - START:.4f} {text}")
        self.tell(f"!! {text}")


_DULL = frozenset({"counters", "claims", "answer"})


def _counts(host: Host, other: Host) -> bool:
    machine = host.pulse.pulse._machine if host.pulse is not None else None
    if machine is None:
        return False
    instance = machine.membership.current.get(node_hash(other.name))
    return instance is not None and instance.counts


def _is_alone_unknowing(host: Host) -> bool:
    machine = host.pulse.pulse._machine if host.pulse is not None else None
    return machine is not None and machine._standing.contact.alone and not machine._voice.flags & DEAF


def _text(address: bytes) -> str:
    return str(ip_address(address))


def _names(addresses: Iterable[bytes]) -> str:
    return " ".join(_text(address) for address in sorted(addresses)) or "nothing"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _brief(message: Mapping[str, Any]) -> str:
    match message["op"]:
        case "member":
            ways = "two-way" if message["two_way"] else "one-way"
            return f"{message['node']} {message['state']} ({message['cause']}, {ways})"
        case "mine":
            got = " ".join(
                f"{row[0]}@{row[1]}{'' if row[2] else '?'}({row[4]})>{','.join(row[7])}" for row in message["set"]
            )
            gone = " ".join(f"-{text}({cause})" for text, cause in message["drop"])
            return f"mine {got} {gone}"
        case "note":
            return f"note {message['name']} {message['fields']}"
        case op:
            return f"{op} " + " ".join(f"{k}={v}" for k, v in message.items() if k != "op")
