"""How the lists of claims are kept alike: changes are pushed, what is missing is asked for and answered."""

from __future__ import annotations

from lbctl.protocol.heartbeat.changes import Request, pack_request, parse_changes, parse_request
from lbctl.protocol.heartbeat.detector import Instance
from lbctl.protocol.heartbeat.echo import Echo, pack_echoes, pack_remembered
from lbctl.protocol.heartbeat.membership import Membership
from lbctl.protocol.heartbeat.ownership import Ownership
from lbctl.protocol.heartbeat.packet import Beat, Header, Kind, Refused, Role
from lbctl.protocol.heartbeat.segments import Address, Audience, Lane
from lbctl.protocol.heartbeat.voice import Voice

PUSHED, ANSWERED = 64, 48
"""Packets of a pushed change, and of one answer to a request. What is more is asked for, as fast as it is taken."""
ANSWERS = 16
"""Answers to one member in one interval."""
REMIND_PACE, MAX_REMINDED = 1.0, 64
"""Seconds between two reminders of one node, and the nodes whose last reminder is remembered."""


class Exchange:
    """Moves claims between the lists in `ownership.table` and the members; echoes and reminders as well."""

    def __init__(self, membership: Membership, ownership: Ownership, audience: Audience, voice: Voice) -> None:
        self._membership = membership
        self._ownership = ownership
        self._audience = audience
        self._voice = voice
        self._pushed = 0
        self._reminded_at: dict[int, float] = {}
        self._unsynced: set[tuple[int, int]] = set()
        self._asked_at: dict[tuple[int, int], float] = {}
        self._answers: dict[tuple[int, int], tuple[float, int]] = {}

    def digests(self, instance: Instance, beat: Beat) -> None:
        """Takes an owner's word on its own list."""
        if instance.role is not Role.SPEAKER:
            return
        table = self._ownership.table
        for digest in beat.digests:
            if (digest.node, digest.incarnation) == instance.key and not table.copy(instance.key).learn_digest(digest):
                self._throw_away(instance)
                table.copy(instance.key).learn_digest(digest)

    def claims(self, payload: bytes, end: int, header: Header, instance: Instance, now: float) -> bool:
        """Takes a CLAIMS packet; whether it ended an answer, so that more can be asked for."""
        changes = parse_changes(payload, end)
        if isinstance(changes, Refused) or header.role != Role.SPEAKER:
            self._voice.counters[Refused.MALFORMED.value] += 1
            return False
        self._voice.counters["rx_claims"] += 1
        copy = self._ownership.table.copy(instance.key)
        dropped = copy.news_of_drops(changes)
        applied = copy.apply(changes)
        if applied is not None:
            self._ownership.learned(instance, *applied, now)
            self._ownership.yielded(instance, dropped)
            return changes.final
        self._throw_away(instance)
        if copy.digest is not None:
            self._ownership.table.copy(instance.key).learn_digest(copy.digest)
        return False

    def request(self, payload: bytes, end: int, instance: Instance, lane: Lane, source: Address, now: float) -> None:
        """Answers a REQUEST for parts of my list."""
        request = parse_request(payload, end)
        if isinstance(request, Refused):
            self._voice.counters[request.value] += 1
            return
        since, answers = self._answers.get(instance.key, (now, 0))
        if now - since >= self._voice.settings.interval:
            since, answers = now, 0
        if request.incarnation != self._voice.settings.incarnation or answers >= ANSWERS:
            self._voice.counters["requests_refused"] += 1
            return
        self._answers[instance.key] = since, answers + 1
        room = ANSWERED
        for after, upto in request.spans:
            bodies = self._ownership.table.own.bodies(after, upto, packets=room, answer=True)
            for body in bodies:
                self._voice.send(Kind.CLAIMS, body, lane, [source], now)
            room -= len(bodies)
            if room <= 0:
                return

    def remind(self, header: Header, incarnation: int, lane: Lane, source: Address, now: float) -> None:
        """Tells a node that has forgotten itself which incarnation of it was heard before; once a second at most."""
        if now >= self._reminded_at.get(header.node, -REMIND_PACE) + REMIND_PACE:
            if len(self._reminded_at) >= MAX_REMINDED:
                self._reminded_at.clear()
            self._reminded_at[header.node] = now
            self._voice.send(Kind.REMEMBERED, pack_remembered(header.node, incarnation), lane, [source], now)

    def echo(self, now: float) -> None:
        """Tells everybody which of their beats has arrived last."""
        heard = [i for i in self._membership.current.values() if i.was_hearing and i.role is Role.SPEAKER]
        echoes = [Echo(*i.key, max(ear.sent_us for ear in i.ears.values())) for i in heard]
        bodies = pack_echoes(echoes)
        for lane in self._voice.lanes.values():
            to = self._audience.heard(lane, now) if not lane.segment.local else []
            for body in bodies if to else ():
                self._voice.send(Kind.ECHO, body, lane, to, now)

    def review(self) -> None:
        """Notes whose lists are not complete here."""
        instances = self._membership.instances
        self._unsynced = {
            key
            for key, copy in self._ownership.table.copies.items()
            if not copy.complete and (instance := instances.get(key)) is not None and instance.was_two_way
        }
        for memory in (self._asked_at, self._answers):
            for key in [key for key in memory if key not in instances]:
                del memory[key]

    def push(self, now: float) -> bool:
        """Sends what changed in my list to everybody, without waiting to be asked; whether there was anything.

        Also to configured nodes that are not heard: were we deaf, they must learn what we wrongly claim.
        """
        own = self._ownership.table.own
        if own.version == self._pushed:
            return False
        bodies = own.bodies(self._pushed, own.version, packets=PUSHED)
        self._pushed = own.version
        lanes = self._voice.lanes
        by_lane = {via: self._audience.silent(lane, now) for via, lane in lanes.items()}
        for instance in self._membership.instances.values():
            route = self._audience.route(instance, now, lanes)
            if route is not None:
                by_lane[route[0].segment.ifindex].append(route[1])
        for via, addresses in by_lane.items():
            for body in bodies if addresses else ():
                self._voice.send(Kind.CLAIMS, body, lanes[via], addresses, now)
        return True

    def ask(self, instance: Instance, now: float, *, again: bool = False) -> None:
        """Asks for what is missing of a list, at most once in a quarter of an interval unless `again`."""
        key = instance.key
        if key not in self._unsynced or (now < self._asked_at.get(key, 0.0) and not again):
            return
        copy = self._ownership.table.copies.get(key)
        route = self._audience.route(instance, now, self._voice.lanes)
        spans = copy.missing() if copy is not None else ()
        if spans and route is not None:
            self._asked_at[key] = now + self._voice.settings.interval / 4
            body = pack_request(Request(incarnation=instance.incarnation, spans=spans))
            self._voice.send(Kind.REQUEST, body, route[0], [route[1]], now)
            self._voice.counters["requests"] += 1

    def _throw_away(self, instance: Instance) -> None:
        self._voice.counters["copies_thrown_away"] += 1
        self._ownership.forget_copy(instance)
