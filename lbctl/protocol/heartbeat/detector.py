"""One run of one node's speaker as we hear it: on which segments, until when, and whether it hears us.

Silence is found by deadline, not by tick: each beat moves the deadline to its arrival plus the *sender's* interval
times its multiplier, so that presets mix and nobody waits for somebody's next round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.protocol.heartbeat.packet import HERE, TWO_WAY, Beat, Header, Link, Role, Saying
from lbctl.protocol.heartbeat.stations import Sighting, Station


class Liveness(StrEnum):
    """alive; suspect: silent or deaf to us, not agreed; gone: agreed by more than half of the voters; left: said so."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    GONE = "gone"
    LEFT = "left"


class Why(StrEnum):
    """Why a member is in the state it is in."""

    HEARD = "heard"
    SILENT = "silent"
    ONE_WAY = "one_way"
    LEAVING = "leaving"
    RESTARTED = "restarted"


@dataclass(slots=True)
class Ear:
    """What one segment tells of an instance, from `address` (with the port).

    `steady` are the bytes of its last beat, by part, to skip reading repeats; `sent_us` its clock then, for echoes.
    """

    address: tuple[str, int]
    sequence: int = 0
    deadline: float = 0.0
    lists_me: bool = False
    sent_us: int = 0
    steady: dict[int, bytes] = field(default_factory=dict)

    def repeats(self, part: int, steady: bytes, source: tuple[str, int], now: float) -> bool:
        """Whether a beat says nothing but that its sender still lives."""
        return self.steady.get(part) == steady and self.deadline > now and self.address == source


class Instance:
    """One incarnation of a node. `hears` is what it said last of every node: (node, incarnation) -> flags.

    `met`: it has heard us at least once; `two_way_at`: since when without a break. `echoed_us`: the clock of my newest
    beat that it said it has. `flags` are those of its header; `world` the generation it decides by. `news`: it says
    something else of itself, its links, stations or sightings than was reviewed last.
    """

    __slots__ = (
        "cause", "ears", "echoed_us", "first_at", "flags", "hears", "incarnation", "interval", "links", "met",
        "multiplier", "name", "news", "node", "role", "saying", "sightings", "since", "state", "stations", "two_way_at",
        "was_heard_on", "was_two_way", "world",
    )  # fmt: skip

    def __init__(self, node: int, incarnation: int, name: str, now: float) -> None:
        self.node = node
        self.incarnation = incarnation
        self.name = name
        self.role = Role.SPEAKER
        self.saying = Saying.ALIVE
        self.interval = 0.0
        self.multiplier = 0
        self.links: tuple[Link, ...] = ()
        self.stations: tuple[Station, ...] = ()
        self.sightings: tuple[Sighting, ...] = ()
        self.news = False
        self.ears: dict[int, Ear] = {}
        self.hears: dict[tuple[int, int], int] = {}
        self.state = Liveness.ALIVE
        self.cause = Why.HEARD
        self.since = now
        self.first_at = now
        self.met = False
        self.was_heard_on: tuple[int, ...] = ()
        self.was_two_way = False
        self.two_way_at = now
        self.echoed_us = 0
        self.flags = 0
        self.world = 0

    @property
    def was_hearing(self) -> bool:
        return bool(self.was_heard_on)

    @property
    def key(self) -> tuple[int, int]:
        return self.node, self.incarnation

    @property
    def detection(self) -> float:
        """Seconds of silence after which it is suspect, by its own word."""
        return self.interval * self.multiplier

    @property
    def counts(self) -> bool:
        """Whether it may vote, own and inherit: alive, both ways, and a speaker."""
        return self.was_two_way and self.state is Liveness.ALIVE and self.role is Role.SPEAKER

    def listen(self, header: Header, beat: Beat, via: int, me: tuple[int, int], now: float) -> None:
        """Takes what a beat says. The ear for `via` must exist."""
        self.role = Role(header.role)
        self.news = self.news or header.saying != self.saying
        self.saying = Saying(header.saying)
        self.flags = header.flags
        self.world = beat.world
        self.interval = header.interval_ms / 1000
        self.multiplier = header.multiplier
        said = (beat.links, beat.stations, beat.sightings)
        self.news = self.news or said != (self.links, self.stations, self.sightings)
        self.links, self.stations, self.sightings = said
        ear = self.ears[via]
        ear.deadline = now + self.detection
        if beat.hears is None:
            return
        low, high = beat.hears.low, beat.hears.high
        if low == 0 and high == 2**64 - 1:
            self.hears = {}
        else:
            self.hears = {key: flags for key, flags in self.hears.items() if not low <= key[0] <= high}
        for node, incarnation, flags in beat.hears.entries:
            self.hears[node, incarnation] = flags
        if low <= me[0] <= high:
            ear.lists_me = bool(self.hears.get(me, 0) & HERE)

    def heard_on(self, now: float) -> tuple[int, ...]:
        """The segments it is heard on."""
        return tuple(via for via, ear in self.ears.items() if ear.deadline > now)

    def two_way(self, now: float) -> bool:
        return any(ear.deadline > now and ear.lists_me for ear in self.ears.values())

    def hears_both_ways(self, node: int, incarnation: int) -> bool:
        """Its vote: whether it hears that incarnation and is heard by it."""
        return bool(self.hears.get((node, incarnation), 0) & TWO_WAY)

    def restart(self, now: float) -> None:
        """We were away: nothing that fell silent meanwhile has had its time yet."""
        if self.was_hearing:
            for ear in self.ears.values():
                ear.deadline = now + self.detection
