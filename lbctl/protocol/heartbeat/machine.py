"""The heartbeat machine of one member: packets and decisions of work in, beats, claims and reports out.

Keeps the contract of `protocol.machine`. Outputs are `Send`s, `via` an interface index, and `Report`s named as the
messages of docs/processes.md (`answer` is for wire, all others for work). The shell must hand in every packet that has
arrived before it calls `handle_timeout`: a late reader then finds no one dead who spoke in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lbctl.protocol.heartbeat.detector import Instance
from lbctl.protocol.heartbeat.exchange import Exchange
from lbctl.protocol.heartbeat.identity import is_address
from lbctl.protocol.heartbeat.membership import Counts, Lost, Membership
from lbctl.protocol.heartbeat.ownership import Ownership, Refusal
from lbctl.protocol.heartbeat.packet import (
    SIGNED,
    STEADY_AT,
    Header,
    Kind,
    Refused,
    Role,
    Saying,
    beat_bodies,
    body_end,
    parse_beat,
    parse_header,
)
from lbctl.protocol.heartbeat.segments import DEAD_PACE, LOOPBACK, Address, Audience, Lane, Segment, Settings
from lbctl.protocol.heartbeat.stations import Sighting, Station
from lbctl.protocol.heartbeat.voice import Voice
from lbctl.protocol.machine import Report, Send

EAGER = 2.0
"""Seconds after the start, a pause or a new segment in which configured but silent nodes get every beat."""
LEAVING_BEATS = 3
LEAVING_PACE = 0.01
_STEADY_PARTS = 8
_NAME_NOTE_PACE = 60.0


class Heartbeat:
    """One member of the group. `lease` is the moment until which wire may answer; 0 when it must not."""

    def __init__(self, settings: Settings, *, unix_offset: float = 0.0) -> None:
        self.settings = settings
        self.membership = Membership(
            settings.node, settings.incarnation, settings.detection, votes=not settings.observer
        )
        self.ownership = Ownership(self.membership, settings.interval, settings.detection)
        self.ownership.unix_offset = unix_offset
        self.lease = 0.0
        self.left = False
        self._voice = Voice(self.membership.me, settings)
        self._audience = Audience(self.membership, settings.port)
        self._exchange = Exchange(settings, self.membership, self.ownership, self._audience, self._voice)
        self._stations: tuple[Station, ...] = ()
        self._sightings: tuple[Sighting, ...] = ()
        self._rebuild = True
        self._ready = False
        self._hold_until: float | None = None
        self._suspended: tuple[float, float] | None = None
        self._eager_until = 0.0
        self._beat_at: float | None = None
        self._extra_at: float | None = None
        self._last_beat = -1.0
        self._discover_at = 0.0
        self._review_at: float | None = None
        self._leaving_beats = 0
        self._name_noted = -_NAME_NOTE_PACE

    @property
    def counters(self) -> Counter[str]:
        """What came, went and was refused, by name."""
        return self._voice.counters

    # What work says

    def set_clock(self, unix_offset: float) -> None:
        """`unix_offset`: Unix time minus the machine's monotonic time, seconds."""
        self.ownership.unix_offset = unix_offset

    def set_segments(self, segments: Iterable[Segment], now: float) -> None:
        """Where to speak: the whole list. A segment that becomes usable is listened to before anything is claimed."""
        lanes: dict[int, Lane] = {}
        fresh = False
        for segment in segments:
            if not segment.usable:
                continue
            old = self._voice.lanes.get(segment.ifindex)
            if old is not None and old.segment == segment:
                lanes[segment.ifindex] = old
            else:
                lanes[segment.ifindex] = Lane(segment, self.settings)
                fresh = fresh or (old is None and not segment.local)
        could_speak, self._voice.lanes = self._can_speak, lanes
        self._rebuild = True
        if not self._can_speak:
            # Nobody hears us: within a detection time another holds what we held, and two must not answer for it.
            self.lease = 0.0
        elif not could_speak and self._ready:
            self._suspend(now)
        if fresh or self._hold_until is None:
            self._hold(now)
        if self._beat_at is None:
            self._beat_at = now
        if fresh:
            self._discover_at = now
        self._settle(now)

    def set_peers(self, peers: Iterable[tuple[str, Sequence[str]]], now: float) -> None:
        """Every configured or remembered node but me: the whole list."""
        for text in self._audience.configure(peers):
            self._voice.note("not_an_address", address=text)
        self._discover_at = min(self._discover_at, now)
        self._settle(now)

    def say(self, stations: Sequence[Station], sightings: Sequence[Sighting]) -> None:
        """What every beat from now on says of MACs; raises ValueError for a sighting of what is no address."""
        if not all(is_address(sighting.address) for sighting in sightings):
            raise ValueError("a sighting of no address")
        self._stations, self._sightings = tuple(stations), tuple(sightings)
        self._rebuild = True

    def prepare(
        self,
        generation: int,
        entries: Iterable[tuple[str, int, Sequence[str]]],
        drop: Iterable[str],
        complete: bool,
        now: float,
    ) -> None:
        self.ownership.prepare(generation, entries, list(drop), complete=complete)
        self._settle(now)

    def claim(self, addresses: Iterable[str], cause: str, now: float) -> None:
        self.ownership.claim(addresses, cause, now)
        self._settle(now)

    def release(self, addresses: Iterable[str], cause: str, now: float) -> None:
        self.ownership.release(addresses, cause)
        self._settle(now)

    def restore(self, epochs: Iterable[tuple[str, int]]) -> None:
        self.ownership.restore(epochs)

    def leave(self, now: float) -> None:
        """Says `leaving` three times to everybody; `left` is true, and reported, when that is done. Answers end now."""
        if self._voice.saying is Saying.LEAVING:
            return
        self._voice.saying = Saying.LEAVING
        self._rebuild = True
        self._leave_once(now)
        self.ownership.leave()
        self._collect()

    def woke(self, now: float, gap: float) -> None:
        """This process did not run for `gap` seconds: nobody's silence counts, and others may hold what we held."""
        self.membership.restart(now)
        self._review_at = now
        if self._hold_until is not None:
            self._hold(now)
        if self._ready and self.lease <= now:
            self._suspend(now)
        self._beat_at = now
        self._discover_at = now
        self.counters["pauses"] += 1
        self._voice.note("paused", gap=round(gap, 4))

    # What arrives

    def received(self, payload: bytes, via: int, source: Address, now: float) -> None:
        """A datagram from an address and port, by the socket of segment `via`. Never raises."""
        header = parse_header(payload, self._voice.cluster)
        if isinstance(header, Refused):
            self.counters[header.value] += 1
            return
        lane = self._voice.lanes.get(via)
        if lane is None:
            self.counters["rx_no_segment"] += 1
            return
        if header.segment and lane.tag and header.segment != lane.tag:
            self.counters["rx_other_segment"] += 1
            return
        if lane.segment.local and header.role == Role.SPEAKER and not self.settings.observer:
            self.counters["rx_local_speaker"] += 1  # every user of this host may send here
            return
        key = (header.node, header.incarnation)
        instance = self.membership.instances.get(key)
        ear = instance.ears.get(via) if instance is not None else None
        if ear is not None and header.sequence <= ear.sequence:
            self.counters["rx_replayed"] += 1
            return
        unverified = self._voice.keyring.verify(payload, bool(header.flags & SIGNED), source[0])
        if unverified is not None:
            self.counters[unverified.value] += 1
            return
        if header.node == self.membership.me[0]:
            self._my_own_name(header, source, now)
            return
        end = body_end(payload, header)
        if header.kind == Kind.BEAT:
            self.counters["rx_beats"] += 1
            steady = payload[STEADY_AT:end]
            if instance is not None and ear is not None and ear.repeats(header.part, steady, source, now):
                ear.sequence = header.sequence
                ear.deadline = now + instance.detection
                self._exchange.ask(instance, now)
            else:
                self._new_beat(payload, end, header, via, source, now)
        elif instance is None or ear is None:
            self.counters["rx_stranger"] += 1
        else:
            ear.sequence = header.sequence
            if header.kind == Kind.CLAIMS:
                ended = self._exchange.claims(payload, end, header, instance)
                self._settle(now)
                if ended:
                    self._exchange.ask(instance, now, again=True)
            elif header.kind == Kind.REQUEST:
                self._exchange.request(payload, end, instance, lane, source, now)
            else:
                self.counters["rx_unknown_kind"] += 1

    def _new_beat(self, payload: bytes, end: int, header: Header, via: int, source: Address, now: float) -> None:
        beat = parse_beat(payload, end, header.node)
        if isinstance(beat, Refused):
            self.counters[beat.value] += 1
            return
        ear = self.membership.listen(header, beat, via, source, now)
        if ear is None:
            self.counters["rx_too_many_members"] += 1
            return
        ear.sequence = header.sequence
        if header.part < _STEADY_PARTS:
            ear.steady[header.part] = payload[STEADY_AT:end]
        instance = self.membership.instances[header.node, header.incarnation]
        self._exchange.digests(instance, beat)
        self._settle(now)
        self._exchange.ask(instance, now)

    def _my_own_name(self, header: Header, source: Address, now: float) -> None:
        if header.incarnation == self.settings.incarnation:
            self.counters["rx_own"] += 1
            return
        self.counters["rx_own_name"] += 1
        if now - self._name_noted >= _NAME_NOTE_PACE:
            self._name_noted = now
            self._voice.note("name_in_use", address=source[0], incarnation=header.incarnation)

    # Time

    def next_timeout(self) -> float | None:
        if self._voice.saying is Saying.LEAVING:
            return None if self.left else self._beat_at
        other = self._next_besides_beat()
        if self._beat_at is None or (other is not None and other < self._beat_at):
            return other
        return self._beat_at

    def handle_timeout(self, now: float) -> None:
        if self._voice.saying is Saying.LEAVING:
            if not self.left and self._beat_at is not None and now >= self._beat_at:
                self._leave_once(now)
            return
        if self._beat_at is not None and now >= self._beat_at:
            self._renew_lease(now)
            self._beat_at += self.settings.interval
            if self._beat_at <= now:
                self._beat_at = now + self.settings.interval
            # Most beats fall between deadlines: nothing but the beat is due.
            other = self._next_besides_beat()
            if other is None or other > now:
                self._beat(now, regular=True)
            else:
                self._settle(now, beat=True)
        else:
            self._settle(now)

    def _next_besides_beat(self) -> float | None:
        times = [self._extra_at, self._review_at]
        if self._beat_at is not None:
            times.append(self.ownership.next_timeout(self._last_beat))
            if self.ownership.blocked in (Refusal.NOT_READY, Refusal.PAUSED) and not self.settings.observer:
                times.append(self._hold_until)
        return min((at for at in times if at is not None), default=None)

    def outputs(self) -> list[Send | Report]:
        out, self._voice.out = self._voice.out, []
        return out

    # What follows

    def _settle(self, now: float, *, beat: bool = False) -> None:
        if self._voice.saying is Saying.LEAVING:
            return
        told = {}
        for event in self.membership.review(now):
            if isinstance(event, Lost):
                self.ownership.lost(event.instance, now)
            elif isinstance(event, Counts):
                self.ownership.counts(event.instance)
            told[event.instance.key] = event.instance
        for changed in told.values():
            self._report_member(changed)
        self._review_at = self.membership.next_deadline(now)
        self.ownership.blocked = self._blocked(now)
        self.ownership.settle(now)
        self._exchange.review()
        self._collect()
        self._rebuild = self._exchange.push(now) or self._rebuild
        if self.membership.view_changed:
            self._rebuild = True
            self.membership.view_changed = False
            self._extra_at = max(now, self._last_beat + self.settings.interval / 5)
        if beat or (self._extra_at is not None and now >= self._extra_at):
            self._extra_at = None
            self._beat(now, regular=beat)

    def _blocked(self, now: float) -> Refusal | None:
        if self.settings.observer or self._hold_until is None:
            return Refusal.NOT_READY
        if now < self._hold_until:
            return Refusal.PAUSED if self._ready else Refusal.NOT_READY
        if not self._ready:
            self._ready = True
            self._voice.report("ready", {"interval": self.settings.interval, "multiplier": self.settings.multiplier})
            self._renew_lease(now)
        return None if self._can_speak else Refusal.NO_SEGMENT

    @property
    def _can_speak(self) -> bool:
        """Whether there is a segment on which other nodes can hear me."""
        return any(not lane.segment.local for lane in self._voice.lanes.values())

    def _suspend(self, now: float) -> None:
        """No lease until others had the time to say what they hold by now."""
        self.lease = 0.0
        self._suspended = now + self.settings.detection, now + 4 * self.settings.detection

    def _hold(self, now: float) -> None:
        self._hold_until = now + self.settings.detection
        self._eager_until = now + EAGER

    def _renew_lease(self, now: float) -> None:
        """The lease goes out before the beat: it ends before anyone who heard that beat can find us silent."""
        if self._suspended is not None:
            quiet_until, at_last = self._suspended
            if now >= at_last or (now >= quiet_until and self.ownership.synced):
                self._suspended = None
        if self._ready and self._suspended is None and self._can_speak:
            self.lease = now + self.settings.detection

    def _beat(self, now: float, *, regular: bool) -> None:
        self._last_beat = now
        discover = regular and now >= self._discover_at
        if discover:
            self._discover_at = now + DEAD_PACE
        for lane in self._voice.lanes.values():
            if self._rebuild or not lane.bodies:
                lane.bodies = self._bodies(lane)
            heard = self._audience.heard(lane, now)
            if discover and not lane.segment.local:
                self._send_beat(lane, [(lane.group, self.settings.port)], now)
            if discover or now < self._eager_until:
                heard += self._audience.silent(lane, now)
            if heard:
                self._send_beat(lane, heard, now)
        self._rebuild = False

    def _bodies(self, lane: Lane) -> list[bytes]:
        return beat_bodies(
            name=self.settings.node,
            hears=self.membership.heard(lane.segment.ifindex),
            digests=[self.ownership.table.own.digest(*self.membership.me)],
            links=[other.link for other in self._voice.lanes.values() if not other.segment.local],
            stations=self._stations,
            sightings=self._sightings,
        )

    def _send_beat(self, lane: Lane, to: list[Address], now: float) -> None:
        for part, body in enumerate(lane.bodies):
            self._voice.send(Kind.BEAT, body, lane, to, now, part=part)

    def _leave_once(self, now: float) -> None:
        self._leaving_beats += 1
        self.lease = 0.0
        self._discover_at = now
        self._beat(now, regular=True)
        self._beat_at = now + LEAVING_PACE
        if self._leaving_beats >= LEAVING_BEATS:
            self.left = True
            self._voice.report("left", {})

    def _report_member(self, instance: Instance) -> None:
        if self.membership.current.get(instance.node) is not instance:
            return
        addresses = {link.address for link in instance.links}
        addresses.update(ear.address[0] for via, ear in instance.ears.items() if via != LOOPBACK.ifindex)
        fields = {
            "node": instance.name,
            "incarnation": instance.incarnation,
            "state": instance.state.value,
            "two_way": instance.was_two_way,
            "addresses": sorted(addresses),
            "macs": [
                *([link.mac.hex(":"), link.name] for link in instance.links if any(link.mac)),
                *([station.mac.hex(":"), station.interface] for station in instance.stations if any(station.mac)),
            ],
            "conflicts": [
                [sighting.address, sighting.mac.hex(":") if any(sighting.mac) else "", sighting.interface]
                for sighting in instance.sightings
            ],
            "role": instance.role.name.lower(),
            "since_unix": instance.since + self.ownership.unix_offset,
            "interval": instance.interval,
            "multiplier": instance.multiplier,
            "cause": instance.cause.value,
        }
        self._voice.report("member", fields)

    def _collect(self) -> None:
        self._voice.out += self.ownership.reports
        self.ownership.reports = []
