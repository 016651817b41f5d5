"""Who is a member: two-way hearing, the vote of death, and whether a majority of the configured speakers is here.

A node counts only while its own packets say that it hears my present incarnation: one that sends but receives nothing
would otherwise take over everything and answer nothing. Voters are me and those who count. A member is suspect as soon
as I do not hear it both ways, and gone when more than half of the voters do not: "more than half of the others" would
never be reached in the smaller half of a partition, whose members still count each other's lost neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lbctl.protocol.heartbeat.detector import Ear, Instance, Liveness, Why
from lbctl.protocol.heartbeat.identity import node_hash
from lbctl.protocol.heartbeat.packet import HERE, TWO_WAY, Beat, Header, Heard, Role, Saying

MAX_INSTANCES = 1024
"""Incarnations remembered at once; what does not fit is not heard."""
MAX_STRANGERS = 64
"""Of these, those that are not configured and have never heard us: a flood of invented names costs a counter."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Something about a member is different: to be reported."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Lost:
    """The member is no longer there: its addresses are vacant."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Counts:
    """From now on the member is heard both ways: its claims bind."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class Draining:
    """The member is about to end, and hands over what it holds while it still answers for it."""

    instance: Instance


Event = Changed | Lost | Counts | Draining
_SILENT_INTERVALS = 2.2
"""Intervals for which an incarnation must be silent before a newer one replaces it: two that speak are two nodes."""


class Membership:
    """All that is heard, reviewed into states. `review` is the only place where states change.

    `detection` is my own detection time in seconds; an observer does not vote.
    """

    def __init__(self, name: str, incarnation: int, detection: float, *, votes: bool = True) -> None:
        self.name = name
        self.me = (node_hash(name), incarnation)
        self.detection = detection
        self.votes = votes
        self.instances: dict[tuple[int, int], Instance] = {}
        self.current: dict[int, Instance] = {}
        self.peers: dict[int, str] = {}
        self.mentioned: dict[int, str] = {}
        """Names that work used, of nodes that need not be here."""
        self.split_right = False
        """Whether an even split goes to the side with the lowest name: mode safety, and a witness is seen."""
        self.safety = False
        self.view_changed = False
        """Set when what I say about hearing others is no longer true; the machine sends a beat and clears it."""

    def listen(self, header: Header, beat: Beat, via: int, source: tuple[str, int], now: float) -> Ear | None:
        """Takes a beat that passed every check; the ear it came in by, None when there is no room for its sender."""
        key = (header.node, header.incarnation)
        instance = self.instances.get(key)
        if instance is None:
            if not self._has_room(header.node):
                return None
            instance = self.instances[key] = Instance(*key, beat.name, now)
        ear = instance.ears.get(via)
        if ear is None:
            ear = instance.ears[via] = Ear(address=source)
        ear.address = source
        instance.listen(header, beat, via, self.me, now)
        return ear

    def review(self, now: float) -> list[Event]:
        """Settles every state as of `now`; idempotent."""
        events: list[Event] = []
        for instance in self.instances.values():
            heard_on, two_way = instance.heard_on(now), instance.two_way(now)
            if heard_on != instance.was_heard_on or two_way != instance.was_two_way:
                both_ways_changed = two_way != instance.was_two_way
                instance.was_heard_on, instance.was_two_way = heard_on, two_way
                instance.met = instance.met or two_way
                if both_ways_changed and two_way:
                    instance.two_way_at = now
                self.view_changed = True
                if both_ways_changed and self.current.get(instance.node) is instance:
                    events.append(Changed(instance))
                    if two_way and instance.state is Liveness.ALIVE:
                        events.append(Counts(instance))
            if instance.news:
                instance.news = False
                if self.current.get(instance.node) is instance:
                    events.append(Changed(instance))
                    if instance.saying is Saying.DRAINING and instance.counts:
                        events.append(Draining(instance))
            if heard_on and self.current.get(instance.node) is not instance:
                events += self._succeed(instance, now)
        for instance in list(self.current.values()):
            events += self._judge(instance, now)
        return events

    def next_deadline(self, now: float) -> float | None:
        """When the next ear falls silent or the patience with a newcomer ends; what is past is already reviewed."""
        earliest: float | None = None
        for instance in self.instances.values():
            if not instance.was_hearing:
                continue
            times = [ear.deadline for ear in instance.ears.values() if ear.deadline > now]
            if self._is_newcomer(instance):
                times.append(max(self._patience(instance), now))
            old = self.current.get(instance.node)
            if instance.was_two_way and old is not None and old.incarnation < instance.incarnation:
                times += [at for at in (self._silent_at(old),) if at > now]
            if times and (earliest is None or min(times) < earliest):
                earliest = min(times)
        return earliest

    def restart(self, now: float) -> None:
        for instance in self.instances.values():
            instance.restart(now)

    def heard(self, via: int) -> list[Heard]:
        """What a beat on segment `via` says that I hear, as of the last review."""
        entries = []
        for instance in self.instances.values():
            if instance.was_hearing:
                flags = (TWO_WAY if instance.was_two_way else 0) | (HERE if via in instance.was_heard_on else 0)
                entries.append(Heard(instance.node, instance.incarnation, flags))
        return entries

    def voters(self) -> Iterator[Instance]:
        """The others who count."""
        return (instance for instance in self.current.values() if instance.counts)

    def configured(self) -> int:
        """Speakers there should be: me, the configured or remembered ones, and whoever is here besides."""
        here = {
            node
            for node, instance in self.current.items()
            if instance.role is Role.SPEAKER and instance.met and instance.state in (Liveness.ALIVE, Liveness.SUSPECT)
        }
        return len({*self.peers, *here} | ({self.me[0]} if self.votes else set()))

    def is_majority(self, agreeing: Iterable[int]) -> bool:
        """Whether these nodes, and I, are more than half of the configured speakers; half of them by `split_right`."""
        nodes = set(agreeing)
        here, configured = self.votes + len(nodes), self.configured()
        if 2 * here != configured or not self.split_right:
            return 2 * here > configured
        lowest = min([self.name, *self.peers.values()])
        return lowest == self.name or node_hash(lowest) in nodes

    @property
    def quorate(self) -> bool:
        """Whether the voters are a majority of the configured speakers."""
        return self.is_majority(voter.node for voter in self.voters())

    def echoed_at(self, now: float) -> float:
        """When my newest beat was sent that a majority of the configured speakers has received, by their echoes."""
        speakers = [i for i in self.current.values() if i.role is Role.SPEAKER]
        speakers.sort(key=lambda instance: instance.echoed_us, reverse=True)
        agreeing: list[int] = []
        if self.is_majority(agreeing):
            return now
        for instance in speakers:
            agreeing.append(instance.node)
            if self.is_majority(agreeing):
                return instance.echoed_us / 1_000_000
        return 0.0

    def living(self) -> Iterator[int]:
        """The other nodes that may inherit."""
        return (i.node for i in self.current.values() if i.counts and i.saying is Saying.ALIVE)

    def is_alive(self, node: int) -> bool:
        """Whether a node may inherit: it counts and is not on its way out."""
        instance = self.current.get(node)
        return instance is not None and instance.counts and instance.saying is Saying.ALIVE

    def is_majority_without(self, lost: tuple[int, int], now: float) -> bool:
        """Whether more than half of the configured speakers say themselves that they do not hear a lost member.

        Stricter than `quorate`: in the moment of a cut the voters still count some who are on the other side and have
        not been silent long enough. Their last word was that they hear the lost one. And one that has just come says
        nothing yet: when a cut heals, two that were alone hear each other before either hears the third, whom both
        have long taken for dead. What is still not heard a detection time after that is not there. (A death in a
        standing cluster is not noticed later for that: it takes a detection time to be noticed at all.)
        """
        return self.is_majority(
            voter.node for voter in self._settled_voters(lost, now) if not voter.hears_both_ways(*lost)
        )

    def settled_at(self, lost: tuple[int, int], now: float) -> float | None:
        """When the next voter that has just come says something of a lost member; None when there is none such."""
        patience = self._patience_with(lost)
        times = [at for voter in self.voters() if (at := voter.two_way_at + patience) > now]
        return min(times, default=None)

    def _settled_voters(self, lost: tuple[int, int], now: float) -> Iterator[Instance]:
        patience = self._patience_with(lost)
        return (voter for voter in self.voters() if now >= voter.two_way_at + patience)

    def _patience_with(self, lost: tuple[int, int]) -> float:
        """Seconds in which it would be heard if it could be: a detection time of the slower of us."""
        instance = self.instances.get(lost)
        return self.detection if instance is None else max(self.detection, instance.detection)

    def is_majority_with_none_hidden(self, now: float) -> bool:
        """Whether no node can have a majority that I do not count: of those whom others hear and I do not."""
        known = {i.key for i in self.instances.values() if i.counts or i.role is Role.OBSERVER} | {self.me}
        heard = {key for voter in self.voters() for key, flags in voter.hears.items() if flags & TWO_WAY}
        return all(self.is_majority_without(key, now) for key in heard - known)

    def name_of(self, node: int) -> str:
        """The name behind a hash; `#` and the hash for one never met."""
        if node == self.me[0]:
            return self.name
        instance = self.current.get(node)
        if instance is not None:
            return instance.name
        return self.peers.get(node) or self.mentioned.get(node) or f"#{node:016x}"

    def _succeed(self, instance: Instance, now: float) -> list[Event]:
        """Makes an incarnation the node's current one, if it is the newest heard both ways or there is none better."""
        old = self.current.get(instance.node)
        if old is not None:
            newer = instance.incarnation > old.incarnation
            there = old.state in (Liveness.ALIVE, Liveness.SUSPECT)
            # A newcomer is shown at once when its predecessor is known to be dead; else it replaces it when it counts.
            # One that goes on speaking beside its successor is another node of the same name, and was here first.
            over = now >= self._silent_at(old)
            replaces = instance.was_two_way and ((newer and over) or not old.was_two_way)
            if not replaces and (there or not newer):
                return []
        self.current[instance.node] = instance
        instance.first_at = now
        self._enter(instance, Liveness.ALIVE, Why.HEARD, now)
        events: list[Event] = [Changed(instance)]
        if instance.was_two_way and old is not None and old.state in (Liveness.ALIVE, Liveness.SUSPECT):
            self._enter(old, Liveness.GONE, Why.RESTARTED, now)
            events.insert(0, Lost(old))
        if instance.was_two_way:
            events.append(Counts(instance))
        return events

    def _judge(self, instance: Instance, now: float) -> list[Event]:
        if instance.state is Liveness.LEFT:
            return []
        if instance.saying is Saying.LEAVING:
            was_there = instance.state is not Liveness.GONE
            self._enter(instance, Liveness.LEFT, Why.LEAVING, now)
            return [Changed(instance), Lost(instance)] if was_there else [Changed(instance)]
        if instance.was_two_way:
            if instance.state is Liveness.ALIVE:
                return []
            self._enter(instance, Liveness.ALIVE, Why.HEARD, now)
            return [Changed(instance), Counts(instance)]
        cause = Why.ONE_WAY if instance.was_hearing else Why.SILENT
        events: list[Event] = []
        if instance.state is Liveness.ALIVE:
            if instance.was_hearing and now < self._patience(instance):
                return []
            self._enter(instance, Liveness.SUSPECT, cause, now)
            events.append(Changed(instance))
        if instance.state is Liveness.SUSPECT and self._outvoted(instance):
            self._enter(instance, Liveness.GONE, cause, now)
            events += [Changed(instance), Lost(instance)]
        return events

    def _outvoted(self, instance: Instance) -> bool:
        voters = [voter for voter in self.voters() if voter is not instance]
        against = sum(not voter.hears_both_ways(*instance.key) for voter in voters)
        if not self.votes:
            return not voters or 2 * against > len(voters)
        return 2 * (1 + against) > 1 + len(voters)

    @staticmethod
    def _silent_at(instance: Instance) -> float:
        """When its silence is long enough for a newer incarnation to replace it."""
        heard_at = max((ear.deadline for ear in instance.ears.values()), default=0.0) - instance.detection
        return heard_at + _SILENT_INTERVALS * instance.interval

    def _is_newcomer(self, instance: Instance) -> bool:
        present = self.current.get(instance.node) is instance
        return present and instance.state is Liveness.ALIVE and not instance.was_two_way

    def _patience(self, instance: Instance) -> float:
        """How long a newcomer may take to hear me: one detection time of the slower of us."""
        return instance.first_at + max(instance.detection, self.detection)

    @staticmethod
    def _enter(instance: Instance, state: Liveness, cause: Why, now: float) -> None:
        instance.state, instance.cause, instance.since = state, cause, now

    def _has_room(self, node: int) -> bool:
        """Whether one more incarnation can be remembered, if need be instead of one that is silent."""
        instances = self.instances.values()
        if node not in self.peers:
            strangers = [instance for instance in instances if not instance.met and instance.node not in self.peers]
            if len(strangers) >= MAX_STRANGERS:
                return self._evict(strangers)
        return len(instances) < MAX_INSTANCES or self._evict(instances)

    def _evict(self, instances: Iterable[Instance]) -> bool:
        """Forgets the one that has been silent longest and is nobody's present, if it can; False when all are heard."""
        silent = [i for i in instances if not i.was_hearing and i.state is not Liveness.SUSPECT]
        if not silent:
            return False
        oldest = min(silent, key=lambda i: (self.current.get(i.node) is i, i.since))
        del self.instances[oldest.key]
        if self.current.get(oldest.node) is oldest:
            del self.current[oldest.node]
        return True
