"""The heartbeat machine of one member: packets and decisions of work in, beats, claims and reports out.

Keeps the contract of `protocol.machine`. Outputs are `Send`s, `via` an interface index, and `Report`s named as the
messages of docs/processes.md (`answer` is for wire, all others for work). The shell must hand in every packet that has
arrived before it calls `handle_timeout`: a late reader then finds no one dead who spoke in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lbctl.protocol.heartbeat.detector import Instance
from lbctl.protocol.heartbeat.echo import echo_of, remembered_of
from lbctl.protocol.heartbeat.exchange import Exchange
from lbctl.protocol.heartbeat.identity import is_address
from lbctl.protocol.heartbeat.lease import Lease
from lbctl.protocol.heartbeat.membership import Counts, Draining, Lost, Membership
from lbctl.protocol.heartbeat.orders import Order, OrderExchange, pack_digest
from lbctl.protocol.heartbeat.ownership import Ownership
from lbctl.protocol.heartbeat.packet import (
    DEAF,
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
from lbctl.protocol.heartbeat.rights import Refusal
from lbctl.protocol.heartbeat.segments import DEAD_PACE, Address, Audience, Lane, Segment, Settings
from lbctl.protocol.heartbeat.showing import member_fields
from lbctl.protocol.heartbeat.standing import Standing
from lbctl.protocol.heartbeat.stations import Sighting, Station
from lbctl.protocol.heartbeat.voice import Voice
from lbctl.protocol.machine import Report, Send

EAGER = 2.0
"""Seconds after a start, pause, deafness, new segment or contact in which silent configured nodes get every beat."""
SETTLED_EACH = 16
"""Members up to which each beat with something new is weighed by itself. Of more, all that arrive together are weighed
together: when a hundred start, each by itself would take longer than a detection time, and none would be done in time.
"""
LEAVING_BEATS = 3
LEAVING_PACE = 0.01
_STEADY_PARTS = 8
_NAME_NOTE_PACE = 60.0
HAND_OVER = 1.0
"""Seconds for which a node that ends lets its heirs take what it holds, before it leaves."""


class Heartbeat:
    """One member of the group."""

    def __init__(self, settings: Settings, *, unix_offset: float = 0.0) -> None:
        self.membership = Membership(
            settings.node, settings.incarnation, settings.detection, votes=not settings.observer
        )
        self.membership.safety = settings.safety
        self._voice = Voice(self.membership.me, settings)
        self._audience = Audience(self.membership, settings.port)
        self._standing = Standing(settings, self.membership, self._audience, self._voice)
        self.ownership = Ownership(self.membership, self._standing.start, settings.interval, settings.detection)
        self.ownership.unix_offset = unix_offset
        self.ownership.safety = settings.safety
        self._lease = Lease(self.membership, settings.interval, settings.detection)
        self._lease.safety = settings.safety
        self.left = False
        self._exchange = Exchange(self.membership, self.ownership, self._audience, self._voice)
        self.orders = OrderExchange(self._voice, self._audience)
        self._stations: tuple[Station, ...] = ()
        self._sightings: tuple[Sighting, ...] = ()
        self._rebuild = True
        self._ready = False
        self._hold_until: float | None = None
        self._deaf_since: float | None = None
        self._eager_until = 0.0
        self._beat_at: float | None = None
        self._extra_at: float | None = None
        self._last_beat = -1.0
        self._discover_at = 0.0
        self._review_at: float | None = None
        self._standing_at: float | None = None
        self._hand_over_until: float | None = None
        self._leaving_beats = 0
        self._name_noted = -_NAME_NOTE_PACE

    @property
    def settings(self) -> Settings:
        return self._voice.settings

    @property
    def lease(self) -> float:
        """The moment until which wire may answer; 0 when it must not."""
        return self._lease.until

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
            self._lease.end()
        elif not could_speak:
            self._standing.start.up(now)
            self._standing.contact.listen(now)
            self._standing.namesake.listen(now)
            if self._ready:
                self._lease.suspend(now)
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
        self._standing.contact.nodes = self._audience.names()
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

    def claim(self, addresses: Iterable[str], cause: str, now: float, over: bool = False) -> None:
        """`over`: also what a living member holds, which will yield to it."""
        self.ownership.claim(addresses, cause, now, over=over)
        self._settle(now)

    def release(self, addresses: Iterable[str], cause: str, now: float) -> None:
        self.ownership.release(addresses, cause)
        self._settle(now)

    def restore(self, epochs: Iterable[tuple[str, int]]) -> None:
        self.ownership.restore(epochs)

    def order(self, orders: Iterable[Order], now: float) -> None:
        """Orders of operators that work knows; everybody is told at once of those that are new."""
        self._ordered(self.orders.take(orders, now + self.ownership.unix_offset), now)

    def set_world(self, generation: int, now: float) -> None:
        """The World that work decides by; every beat says so."""
        self._standing.worlds.set_mine(generation % 2**64)
        self._rebuild = True
        self._settle(now)

    def set_mode(self, now: float, *, start_wait: float, witness: bool) -> None:
        """What may change while running; `safety` may not, because the others go by the multiplier they have heard."""
        self._voice.settings = replace(self._voice.settings, start_wait=start_wait, witness=witness)
        self._standing.start.wait = start_wait
        self._settle(now)

    def witness(self, reachable: bool, now: float) -> None:
        """Whether the witness of an even split is reachable: it only takes a right away, never gives one."""
        self.membership.split_right = reachable and self.settings.safety and self.settings.witness
        self._settle(now)

    def frames_seen(self, at: float) -> None:
        """When wire last received a frame of another host."""
        self._standing.contact.frames_seen(at)
        if self._standing.deaf or self._voice.flags & DEAF:
            self._review_at = at

    def probed(self, results: Iterable[tuple[str, str | None]], now: float) -> None:
        """What wire found where it was asked to `probe`: the MAC that answered, or None."""
        self.ownership.probed(results, now)
        self._settle(now)

    def hand_over(self, now: float) -> None:
        """Says that I am about to end: heirs take what I hold while I still answer. Then I leave."""
        if self._voice.saying is Saying.ALIVE:
            self._voice.saying = Saying.DRAINING
            self._hand_over_until = now + HAND_OVER
            self.membership.view_changed = True
            self._last_beat = min(self._last_beat, now - self.settings.interval)
            self._settle(now)

    def leave(self, now: float) -> None:
        """Says `leaving` three times to everybody; `left` is true, and reported, when that is done. Answers end now."""
        if self._is_leaving:
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
            self._standing.contact.listen(now)
            self._standing.namesake.listen(now)
        if self._ready and self.lease <= now:
            self._lease.suspend(now)
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
            if header in (Refused.VERSION, Refused.CLUSTER):
                self._unreadable(source, now)
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
            if instance is not None and not instance.was_hearing and header.kind == Kind.BEAT:
                self._remind(payload, header, instance.incarnation, lane, source, now)
            return
        unverified = self._voice.keyring.verify(payload, bool(header.flags & SIGNED), source[0])
        if unverified is not None:
            self.counters[unverified.value] += 1
            self._unreadable(source, now)
            return
        if header.node == self.membership.me[0]:
            self._my_own_name(header, lane, source, now)
            return
        if not lane.segment.local:
            self._standing.contact.heard_at = now
        end = body_end(payload, header)
        if header.kind == Kind.BEAT:
            self.counters["rx_beats"] += 1
            steady = payload[STEADY_AT:end]
            if instance is not None and ear is not None and ear.repeats(header.part, steady, source, now):
                ear.sequence = header.sequence
                ear.sent_us = header.sent_us
                ear.deadline = now + instance.detection
                if header.part == 0:
                    self._exchange.ask(instance, now)
                    self.orders.offer(instance, now)
            else:
                self._new_beat(payload, end, header, via, source, now)
        elif header.kind == Kind.REMEMBERED:
            self._remembered(remembered_of(payload, end, self.membership.me[0]), now)
        elif instance is None or ear is None:
            self.counters["rx_stranger"] += 1
        else:
            ear.sequence = header.sequence
            if header.kind == Kind.CLAIMS:
                ended = self._exchange.claims(payload, end, header, instance, now)
                self._settle(now)
                if ended:
                    self._exchange.ask(instance, now, again=True)
            elif header.kind == Kind.ORDERS and header.role == Role.SPEAKER:
                self._ordered(self.orders.received(payload, end, now + self.ownership.unix_offset), now)
            elif header.kind == Kind.REQUEST:
                self._exchange.request(payload, end, instance, lane, source, now)
            elif header.kind == Kind.ECHO:
                echoed = echo_of(payload, end, self.membership.me)
                if not isinstance(echoed, Refused) and echoed <= now * 1_000_000:
                    instance.echoed_us = max(instance.echoed_us, echoed)
                    self._renew_lease(now)
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
        ear.sequence, ear.sent_us = header.sequence, header.sent_us
        if header.part < _STEADY_PARTS:
            ear.steady[header.part] = payload[STEADY_AT:end]
        instance = self.membership.instances[header.node, header.incarnation]
        self._exchange.digests(instance, beat)
        self.orders.heard(instance, beat.orders, now)
        if len(self.membership.instances) <= SETTLED_EACH:
            self._settle(now)
        else:
            self._review_at = now
        self._exchange.ask(instance, now)
        current = self.membership.current.get(header.node)
        if current is not None and current.incarnation > header.incarnation and not current.was_two_way:
            lane = self._voice.lanes[via]
            self._exchange.remind(header, current.incarnation, lane, source, now)

    def _ordered(self, news: bool, now: float) -> None:
        """My orders are others than before: the next beat says so, and who hears me is told them."""
        if news:
            self.membership.view_changed = True
            for instance in list(self.membership.instances.values()):
                self.orders.offer(instance, now)
            self._settle(now)

    def _my_own_name(self, header: Header, lane: Lane, source: Address, now: float) -> None:
        if header.incarnation == self.settings.incarnation:
            self.counters["rx_own"] += 1
        elif not lane.segment.local:
            self.counters["rx_own_name"] += 1
            if now >= self._name_noted + _NAME_NOTE_PACE:
                self._name_noted = now
                self._voice.note("name_in_use", address=source[0], incarnation=header.incarnation)
            self._standing.namesake.heard(header.incarnation, now)
            self._settle(now)

    def _unreadable(self, source: Address, now: float) -> None:
        contact = self._standing.contact
        if source[0] in contact.nodes:
            known = contact.unreadable_until() is not None
            contact.unreadable(source[0], now)
            if not known:
                self._settle(now)

    def _remind(
        self, payload: bytes, header: Header, incarnation: int, lane: Lane, source: Address, now: float
    ) -> None:
        """A silent node whose packets look like replays may have lost its clock."""
        if self._voice.keyring.verify(payload, bool(header.flags & SIGNED), source[0]) is None:
            self._exchange.remind(header, incarnation, lane, source, now)

    def _remembered(self, incarnation: int | Refused, now: float) -> None:
        """Others knew me as an incarnation that is not below mine: I am the one that comes after it."""
        if isinstance(incarnation, Refused) or not incarnation:
            return
        if any(True for _ in self.membership.voters()) or not self._standing.namesake.may_rise(incarnation):
            return
        me = (self.membership.me[0], incarnation + 1)
        self.membership.me = self._voice.me = self._standing.namesake.me = me
        self._voice.settings = replace(self._voice.settings, incarnation=me[1])
        self._rebuild = True
        self._voice.report("incarnation", {"incarnation": me[1]})
        self._voice.note("incarnation_raised", incarnation=me[1])
        self._settle(now)

    # Time

    def next_timeout(self) -> float | None:
        if self._is_leaving:
            return None if self.left else self._beat_at
        other = self._next_besides_beat()
        if self._beat_at is None or (other is not None and other < self._beat_at):
            return other
        return self._beat_at

    def handle_timeout(self, now: float) -> None:
        if self._is_leaving:
            if not self.left and self._beat_at is not None and now >= self._beat_at:
                self._leave_once(now)
            return
        if self._beat_at is not None and now >= self._beat_at:
            self._renew_lease(now)
            if self._standing.contact.wants_frames(now) and self.membership.peers:
                self._voice.report("solicit", {})
                answered_at = now + self.settings.interval
                self._review_at = answered_at if self._review_at is None else min(self._review_at, answered_at)
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
        times = [self._extra_at, self._review_at, self._standing_at, self._hand_over_until]
        if self._beat_at is not None:
            times.append(self.ownership.next_timeout())
            if self.ownership.blocked in (Refusal.NOT_READY, Refusal.PAUSED) and not self.settings.observer:
                times.append(self._hold_until)
        return min((at for at in times if at is not None), default=None)

    def outputs(self) -> list[Send | Report]:
        out, self._voice.out = self._voice.out, []
        return out

    # What follows

    @property
    def _is_leaving(self) -> bool:
        return self._voice.saying is Saying.LEAVING

    def _settle(self, now: float, *, beat: bool = False) -> None:
        if self._is_leaving:
            return
        told = {}
        for event in self.membership.review(now):
            if isinstance(event, Lost):
                self.ownership.lost(event.instance, now)
            elif isinstance(event, Counts):
                self.ownership.counts(event.instance, now)
                # A cut may have healed: whoever else is there again is to be heard before anything is taken.
                self._eager_until = max(self._eager_until, now + EAGER)
            elif isinstance(event, Draining):
                self.ownership.draining(event.instance, now)
            told[event.instance.key] = event.instance
        for changed in told.values():
            self._report_member(changed)
        self._review_at = self.membership.next_deadline(now)
        self._stand(now)
        if self.left or self._leaving_beats:
            return
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

    def _stand(self, now: float) -> None:
        """What I may, as of now: claim, answer, speak."""
        standing = self._standing
        listened = self._hold_until is not None and now >= self._hold_until
        if standing.review(now, listened=listened):
            self._voice.silent = standing.namesake.silent
            if self._voice.silent:
                self._lease.end()
            else:
                self._hold(now)
        if standing.deaf != (self._deaf_since is not None):
            self._change_hearing(now)
        contact = standing.contact
        says_deaf = DEAF if contact.alone and (standing.deaf or contact.hears_nothing(now)) else 0
        if says_deaf != self._voice.flags & DEAF:
            self._voice.flags ^= DEAF
            self.membership.view_changed = True
        self.ownership.suspicious = bool(standing.unreadable)
        self.ownership.blocked = self._blocked(now)
        self._standing_at = standing.next_timeout(now)
        if self._voice.saying is Saying.DRAINING and (
            not self.ownership.table.own.claims or (self._hand_over_until is not None and now >= self._hand_over_until)
        ):
            self.leave(now)

    def _change_hearing(self, now: float) -> None:
        """Deaf from now on, or no longer: others may by then have taken what I held."""
        self.membership.view_changed = True
        if self._deaf_since is None:
            self._deaf_since = now
            self._lease.end()
            return
        if self._ready and now - self._deaf_since > self.settings.detection:
            self._lease.suspend(now)
        self._eager_until = max(self._eager_until, now + EAGER)
        self._deaf_since = None
        self._renew_lease(now)

    def _blocked(self, now: float) -> Refusal | None:
        if self.settings.observer or self._hold_until is None:
            return Refusal.NOT_READY
        if self._voice.saying is not Saying.ALIVE:
            return Refusal.LEAVING
        if self._standing.namesake.silent:
            return Refusal.DUPLICATE_NAME
        if now < self._hold_until:
            return Refusal.PAUSED if self._ready else Refusal.NOT_READY
        if not self._ready:
            self._ready = True
            self._voice.report("ready", {"interval": self.settings.interval, "multiplier": self.settings.multiplier})
            self._renew_lease(now)
        return self._standing.refusal(now) if self._can_speak else Refusal.NO_SEGMENT

    @property
    def _can_speak(self) -> bool:
        """Whether there is a segment on which other nodes can hear me."""
        return any(not lane.segment.local for lane in self._voice.lanes.values())

    def _hold(self, now: float) -> None:
        self._hold_until = now + self.settings.detection
        self._eager_until = now + EAGER

    def _renew_lease(self, now: float) -> None:
        """Before the beat: it ends before anyone who heard that beat can find us silent."""
        if self._ready and self._can_speak and self._deaf_since is None and not self._voice.silent:
            self._lease.renew(now, synced=self.ownership.synced and not self._standing.hidden)

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
        if regular and self.settings.safety:
            self._exchange.echo(now)

    def _bodies(self, lane: Lane) -> list[bytes]:
        return beat_bodies(
            name=self.settings.node,
            hears=self.membership.heard(lane.segment.ifindex),
            digests=[self.ownership.table.own.digest(*self.membership.me)],
            links=[other.link for other in self._voice.lanes.values() if not other.segment.local],
            stations=self._stations,
            sightings=self._sightings,
            world=self._standing.worlds.mine,
            orders=pack_digest(self.orders.book.digest),
        )

    def _send_beat(self, lane: Lane, to: list[Address], now: float) -> None:
        for part, body in enumerate(lane.bodies):
            self._voice.send(Kind.BEAT, body, lane, to, now, part=part)

    def _leave_once(self, now: float) -> None:
        self._leaving_beats += 1
        self._lease.end()
        self._discover_at = now
        self._beat(now, regular=True)
        self._beat_at = now + LEAVING_PACE
        if self._leaving_beats >= LEAVING_BEATS:
            self.left = True
            self._voice.report("left", {})

    def _report_member(self, instance: Instance) -> None:
        if self.membership.current.get(instance.node) is not instance:
            return
        self._voice.report("member", member_fields(instance, self.ownership.unix_offset))

    def _collect(self) -> None:
        self._voice.out += self.ownership.take_reports()
