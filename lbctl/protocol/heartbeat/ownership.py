"""What this node claims: what work asked for and prepared, what it inherits, and what it yields.

The rules: nothing new while `blocked` or while a copy of a member's claims is incomplete; an epoch is one above the
highest known of that very address; a lost comparison is obeyed at once, but only when the winner hears us (a deaf
node's claims change nothing). A majority takes over at once. Without one, a detection time more has to pass, nobody may
answer for the address on the wire, and the claim is provisional; in safety mode nothing is taken without a majority.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lbctl.protocol.heartbeat.changes import Claim
from lbctl.protocol.heartbeat.claims import ClaimTable, better
from lbctl.protocol.heartbeat.detector import Instance, Why
from lbctl.protocol.heartbeat.identity import is_address, node_hash
from lbctl.protocol.heartbeat.membership import Membership
from lbctl.protocol.heartbeat.packet import Saying
from lbctl.protocol.heartbeat.probing import Moves, Probing
from lbctl.protocol.heartbeat.rights import LASTING, SOON_OVER, Refusal
from lbctl.protocol.heartbeat.showing import NOTED, Showing
from lbctl.protocol.heartbeat.start import Start
from lbctl.protocol.heartbeat.takeover import Prepared, Takeover, Vacancy
from lbctl.protocol.heartbeat.wishes import Wish, Wishes
from lbctl.protocol.machine import Report

SLICE = 256
"""Claims made in one go: a few milliseconds of work, so that ten thousand of them never hold up a beat."""
HIDDEN_TIME = 20
"""Detection times for which nothing new is claimed because of a node that others hear and I do not: most are heard a
moment later, because a cut has healed. If not, those who hear everybody have had their turn by then, and what wire
finds free may be claimed provisionally."""


class Ownership:
    """My claims and the reasons for and against them. `reports` collects what the other processes are to be told."""

    def __init__(self, membership: Membership, start: Start, interval: float, detection: float) -> None:
        self.membership = membership
        self.table = ClaimTable(membership.me[0])
        self.takeover = Takeover(membership.me[0], interval, detection, membership.is_alive, membership.living)
        self.unix_offset = 0.0
        self.detection = detection
        self.blocked: Refusal | None = Refusal.NOT_READY
        self.suspicious = False
        """Whether wire is to be asked before anything is claimed, also by a majority: a member cannot be read."""
        self.safety = False
        self.synced = False
        self._interval = interval
        self._start = start
        self._showing = Showing(membership, self.table)
        self._probing = Probing()
        self._moves = Moves()
        self._wishes = Wishes(4 * detection + interval)
        self._was: tuple[Refusal | None, bool] = (None, False)
        self._vacated: set[tuple[int, int]] = set()
        self._majority: dict[tuple[int, int], bool] = {}
        self._provisional: set[str] = set()
        self._unanswered: dict[str, float] = {}
        self._upgrade_at: float | None = None
        self._lonely_since: float | None = None
        self._regained_at = 0.0
        self._had_majority = False
        self._held_until: float | None = None
        self._hidden_since: float | None = None
        self._looked_at = 0.0
        self._next_at: float | None = None

    @property
    def reports(self) -> list[Report]:
        return self._showing.reports

    def take_reports(self) -> list[Report]:
        reports, self._showing.reports = self._showing.reports, []
        return reports

    # What work says

    def prepare(
        self,
        generation: int,
        entries: Iterable[tuple[str, int, Sequence[str]]],
        drop: Iterable[str],
        *,
        complete: bool = False,
    ) -> None:
        """What I may announce, as a delta, or `complete`. A claimed address that is no longer in it is released."""
        prepared = self.takeover.prepared
        before = dict(prepared) if complete else {}
        if complete:
            prepared.clear()
        for address, allocation, heirs in entries:
            if not is_address(address):
                self._showing.note("not_an_address", {"address": address})
                continue
            names = {node_hash(heir): heir for heir in heirs[:2] if heir}
            self.membership.mentioned.update(names)
            entry = Prepared(allocation=allocation % 2**64, generation=generation % 2**64, heirs=tuple(names))
            prepared[address] = entry
            claim = self.table.own.claims.get(address)
            if claim is not None and (claim.heirs, claim.allocation) != (entry.heirs, entry.allocation):
                claim = replace(claim, heirs=entry.heirs, allocation=entry.allocation, generation=entry.generation)
                self._own(claim, new=False)
        for address in drop:
            prepared.pop(address, None)
        for address in (*drop, *before):
            if address not in prepared:
                self._give_up(address)
                self._disown(address, "not_eligible")

    def claim(self, addresses: Iterable[str], cause: str, now: float, *, over: bool = False) -> None:
        """Wants these claimed; what cannot be claimed is refused by name, and forgotten unless asked for again."""
        self._wishes.ask(addresses, cause, now, over=over)

    def release(self, addresses: Iterable[str], cause: str) -> None:
        """Gives these up, and what was asked for but not claimed yet."""
        for address in set(addresses):
            self._wishes.drop(address)
            self._disown(address, cause)

    def restore(self, epochs: Iterable[tuple[str, int]]) -> None:
        """Epochs that a journal remembers."""
        for address, epoch in epochs:
            self.table.restore(address, epoch)

    def leave(self) -> None:
        """Reports everything dropped. My list stays as it is: the others take it from their copies."""
        self.blocked = Refusal.LEAVING
        self._wishes.clear()
        self._showing.flush()
        self._showing.leave(list(self.table.own.claims))

    def probed(self, results: Iterable[tuple[str, str | None]], now: float) -> None:
        """What wire found on the addresses it was to probe: a MAC, or None for nobody."""
        results = list(results)
        answered = self._probing.results(results, now)
        if answered:
            self._showing.note("answered_on_the_wire", {"addresses": answered[:NOTED], "count": len(answered)})
        for address, mac in results:
            if mac is None and address in self.takeover.vacancies:
                self.takeover.later(address, now)
        self._wishes.hasten(now)

    # What the members say

    def learned(self, owner: Instance, put: list[str], gone: list[str], now: float) -> None:
        """After changes were applied to the copy of `owner`'s list."""
        refused = self.table.learn(owner.key, put)
        if refused:
            fields = {"node": owner.name, "addresses": refused[:NOTED], "count": len(refused)}
            self._showing.note("epoch_refused", fields)
            text = f"{owner.name} claims {refused[0]} with an impossible epoch, and is not believed: restart it"
            self._showing.trouble("epoch_refused", text, on=True)
        visible = self._showing.is_visible(owner)
        if visible:
            for address in put:
                vacancy = self.takeover.vacancies.get(address)
                if self.table.claim_of(owner.key, address) is not None and (
                    vacancy is None or vacancy.owner != owner.key
                ):
                    self._give_up(address)
        self._compare(owner, [address for address in put if address in self.table.own.claims], now)
        if visible:
            self._showing.changed(owner, put, gone)

    def yielded(self, owner: Instance, dropped: list[str]) -> None:
        """A member claims these no longer: of mine, what it announced last may still be what clients believe."""
        mine = [address for address in dropped if address in self.table.own.claims]
        if mine:
            self.reports.append(Report("uncontested", {"node": owner.name, "addresses": mine}))

    def counts(self, member: Instance, now: float) -> None:
        """A member is heard both ways from now on: its claims bind."""
        copy = self.table.copies.get(member.key)
        if copy is not None:
            self._compare(member, [address for address in self.table.own.claims if address in copy.claims], now)

    def lost(self, member: Instance, now: float) -> None:
        """A member is not there any more: what it held is vacant."""
        self._vacate(member, "owner_left" if member.cause is Why.LEAVING else "owner_gone", now)

    def draining(self, member: Instance, now: float) -> None:
        """A member is about to end: its heirs take what it holds while it still answers."""
        self._vacate(member, "stopping", now)

    def _vacate(self, member: Instance, cause: str, now: float) -> None:
        copy = self.table.copies.get(member.key)
        if copy is None:
            return
        visible = (other for other in self.membership.current.values() if self._showing.is_visible(other))
        others = [c for other in visible if other is not member and (c := self.table.copies.get(other.key)) is not None]
        prepared, own = self.takeover.prepared, self.table.own.claims
        vacancies = [
            Vacancy(address, member.key, claim.heirs, now, cause)
            for address, claim in copy.claims.items()
            if address in prepared and address not in own and not any(other.holds(address) for other in others)
        ]
        if vacancies:
            self._vacated.add(member.key)
            self.takeover.vacate(vacancies)

    def holder(self, address: str, but: Instance | None = None) -> Instance | None:
        """The best living member, other than me, that claims an address."""
        best: tuple[Claim, Instance] | None = None
        for member in self.membership.current.values():
            if member is but or not self._showing.is_visible(member):
                continue
            claim = self.table.claim_of(member.key, address)
            if claim is not None and (best is None or better(claim, member.node, best[0], best[1].node)):
                best = (claim, member)
        return best[1] if best is not None else None

    # What follows

    def settle(self, now: float) -> None:
        """Draws the conclusions as of `now`: synced or not, claims to make, reports. Idempotent."""
        self._prune()
        self._showing.review()
        copies = self.table.copies
        synced = all(
            copy is not None and copy.complete for copy in (copies.get(v.key) for v in self.membership.voters())
        )
        if synced != self.synced:
            self.synced = synced
            self.reports.append(Report("synced", {"synced": synced}))
        quorate = self.membership.quorate
        if quorate:
            if self._lonely_since is not None and self._had_majority:
                self._regained_at = now
            self._lonely_since = None
        elif self._lonely_since is None:
            self._lonely_since = now
        self._had_majority = self._had_majority or quorate
        blocked = self._refusal
        if self._was != (blocked, quorate):
            self._was = blocked, quorate
            self._wishes.hasten(now)
        if blocked is None:
            self._take_over(now)
        if wishes := self._wishes.due(now, SLICE):
            self._look_for_hidden(now)
        for wish in wishes:
            self._consider(wish, blocked, quorate, now)
        self._upgrade(now, blocked)
        self._answer_uncontested(now)
        if self._held_until is not None and now >= self._held_until:
            self._held_until = None
            self._showing.trouble("held_down", "", on=False)
        self._showing.flush()
        self._showing.reports += self._probing.flush()
        self._next_at = at if (at := self._next_due(now)) < math.inf else None

    @property
    def _refusal(self) -> Refusal | None:
        return self.blocked or (None if self.synced else Refusal.NOT_SYNCED)

    def next_timeout(self) -> float | None:
        return self._next_at

    def _next_due(self, now: float) -> float:
        """When to settle again. What is overdue, because there was too much of it, is due now and not long ago."""
        times = [self._upgrade_at, self._held_until, self._wishes.next_due()]
        times += [at for at in self._unanswered.values() if at > now]
        if self._refusal is None:
            times.append(self.takeover.next_due())
            times += [self.membership.settled_at(owner, now) for owner, agreed in self._majority.items() if not agreed]
        return max(min((at for at in times if at is not None), default=math.inf), now)

    def _take_over(self, now: float) -> None:
        if not self.takeover.vacancies:
            self._vacated.clear()
            self._majority.clear()
            return
        majority = {owner: self._is_majority_without(owner, now) for owner in self._vacated}
        self.takeover.reorder(anyhow=majority != self._majority)
        self._majority = majority
        for vacancy in self.takeover.due(now, SLICE):
            again_at = self._fill(vacancy, now)
            if again_at is None:
                self._give_up(vacancy.address)
            else:
                self.takeover.later(vacancy.address, max(again_at, now + self._interval / 10))

    def _fill(self, vacancy: Vacancy, now: float) -> float | None:
        """Takes a vacancy, or says when to try again; None when there is no more to do."""
        address = vacancy.address
        owner = self.membership.instances.get(vacancy.owner)
        handed = owner is not None and owner.saying is Saying.DRAINING and owner.counts
        if address in self.table.own.claims or self.holder(address, but=owner if handed else None) is not None:
            return None
        if now >= vacancy.since + self.detection:
            # It could not be filled at once, so another may have, whom I do not hear yet.
            self._look_for_hidden(now)
            if self._hidden_since is not None:
                return now + self._interval
        quorate = self._majority[vacancy.owner]
        by_word = handed or owner is None or owner.cause in (Why.LEAVING, Why.RESTARTED)
        if self.safety and not quorate:
            return now + self.detection
        if not by_word and not quorate:
            turn_at = vacancy.since + self.detection + self.takeover.turn(vacancy) * self._interval
            if now < turn_at:
                return turn_at
        if not by_word and (wait := self._start.waits_for_contact(now)) is not None:
            return wait
        if (not quorate and not by_word) or self._is_to_be_probed(address, now):
            pace = self._moves.pace(address, now)
            if not self._probing.is_free(address, now, pace):
                return self._probing.again_at(address, pace)
        first = not handed and self.takeover.turn(vacancy) == 0
        self._make(address, vacancy.cause, now, quorate=quorate, answer_at=now if first or handed else None)
        return None

    def _consider(self, wish: Wish, blocked: Refusal | None, quorate: bool, now: float) -> None:
        """Claims what work wants, refuses it, or looks at it later."""
        address = wish.address
        holder: Instance | None = None
        if address in self.table.own.claims:
            self._wishes.drop(address)
            return
        why, again_at = blocked, wish.until
        if blocked in SOON_OVER:
            again_at = wish.since + 4 * self.detection
            if now < again_at:
                self._wishes.later(wish, again_at)
                return
        if why is None and address not in self.takeover.prepared:
            why = Refusal.NOT_PREPARED
        if why is None and (holder := self.holder(address)) is not None:
            why = self._why_not_over(address, holder, quorate, now) if wish.over else Refusal.HELD
            again_at = now
        elif why is None and quorate and now < self._regained_at + self.detection:
            again_at = self._regained_at + self.detection  # who else is there again may have taken it meanwhile
        elif why is None and quorate and not self._is_vacant_by_majority(address, now):
            why, again_at = Refusal.HIDDEN, now + self.detection
        elif why is None and self._hidden_since is not None:
            quorate = False
            if now < self._hidden_since + HIDDEN_TIME * self.detection:
                why, again_at = Refusal.HIDDEN, now + self.detection / 2
            else:
                why, again_at = self._why_not_vacant(address, quorate, now)
        elif why is None:
            why, again_at = self._why_not_vacant(address, quorate, now)
        if why is None and again_at <= now:
            self._make(address, wish.cause, now, quorate=quorate, answer_at=now if holder is not None else None)
            return
        over_soon = (holder is None and why not in SOON_OVER and why not in LASTING) and why != Refusal.NOT_PREPARED
        if why is not None and wish.told != why.value:
            wish.told = why.value
            self._showing.refuse(address, why.value, holder.name if holder is not None else None)
        if over_soon and now < wish.until:
            self._wishes.later(wish, max(again_at, now + self._interval / 10))
        else:
            self._wishes.drop(address)

    def _why_not_over(self, address: str, holder: Instance, quorate: bool, now: float) -> Refusal | None:
        """Why not to take what a living member holds, although that is wanted."""
        claim = self.table.claim_of(holder.key, address)
        if not holder.counts:
            return Refusal.ONE_WAY
        if self._moves.is_held(address, now):
            return Refusal.HELD_DOWN
        if claim is not None and claim.allocation > self.takeover.prepared[address].allocation:
            return Refusal.STALE_WORLD
        return Refusal.NO_MAJORITY if not quorate and (self.safety or (claim is not None and claim.quorate)) else None

    def _why_not_vacant(self, address: str, quorate: bool, now: float) -> tuple[Refusal | None, float]:
        """Why not to claim now what nobody is known to hold, and when to look again; (None, now) when it may be."""
        known = any(address in copy.claims for copy in self.table.copies.values())
        wait = self._start.waits_for_contact(now) if known else self._start.waits_for_all(now)
        if wait is not None:
            return Refusal.STARTING, wait
        if not quorate and self.safety:
            return Refusal.NO_MAJORITY, now + self.detection
        if not quorate and self._lonely_since is not None and now < self._lonely_since + self.detection:
            return None, self._lonely_since + self.detection
        if not quorate or self._is_to_be_probed(address, now):
            pace = self._moves.pace(address, now)
            if not self._probing.is_free(address, now, pace):
                again_at = self._probing.again_at(address, pace)
                return (Refusal.ON_THE_WIRE if self._probing.is_answered(address) else None), again_at
        return None, now

    def _is_to_be_probed(self, address: str, now: float) -> bool:
        """Whether even a majority asks wire first."""
        return self.suspicious or self._moves.is_held(address, now)

    def _is_majority_without(self, owner: tuple[int, int], now: float) -> bool:
        """Whether taking over from an owner is the majority's will; a word of its own needs no vote."""
        lost = self.membership.instances.get(owner)
        if (
            lost is None
            or lost.cause in (Why.LEAVING, Why.RESTARTED)
            or (lost.saying is Saying.DRAINING and lost.counts)
        ):
            return self.membership.quorate
        return self.membership.is_majority_without(owner, now)

    def _look_for_hidden(self, now: float) -> None:
        """A node that others hear and I do not may hold anything."""
        looked_at, self._looked_at = self._looked_at, now
        if self.membership.is_majority_with_none_hidden(now):
            self._hidden_since = None
        elif self._hidden_since is None or now > looked_at + self.detection:
            self._hidden_since = now

    def _is_vacant_by_majority(self, address: str, now: float) -> bool:
        """Whether a majority does without everybody of whom I know a claim to an address, and whom I do not hear."""
        return all(
            self._is_majority_without(owner, now) for owner, copy in self.table.copies.items() if address in copy.claims
        )

    def _upgrade(self, now: float, blocked: Refusal | None) -> None:
        """Provisional claims that nobody contested for a detection time within a majority count like any other."""
        own = self.table.own.claims
        if blocked is not None or not self._provisional or self._lonely_since is not None:
            self._upgrade_at = None
        elif self._upgrade_at is None:
            self._upgrade_at = now + self.detection
        elif now >= self._upgrade_at:
            self._upgrade_at = None
            self._look_for_hidden(now)
            for address in list(self._provisional) if self._hidden_since is None else ():
                if self.holder(address) is None and self._is_vacant_by_majority(address, now):
                    self._own(replace(own[address], quorate=True), new=False)

    def _make(self, address: str, cause: str, now: float, *, quorate: bool, answer_at: float | None = None) -> None:
        """Claims. In safety mode it is answered only when nobody else claims it, and not before `answer_at`.

        Two may claim what nobody held in one moment: two intervals later each knows of the other.
        """
        prepared = self.takeover.prepared[address]
        claim = Claim(
            address=address,
            epoch=self.table.next_epoch(address),
            quorate=quorate,
            since_ms=int((now + self.unix_offset) * 1000),
            cause=cause,
            allocation=prepared.allocation,
            generation=prepared.generation,
            heirs=prepared.heirs,
        )
        self.table.restore(address, claim.epoch)
        if self.safety:
            self._unanswered[address] = answer_at if answer_at is not None else now + 2 * self._interval
        self._own(claim, new=not self.safety)
        self._give_up(address)
        self._wishes.drop(address)
        if not quorate:
            self._contested_move(address, now)

    def _answer_uncontested(self, now: float) -> None:
        """Safety mode: claims that nobody else makes are answered."""
        for address, at in list(self._unanswered.items()):
            claim = self.table.own.claims.get(address)
            if claim is None or (now >= at and self.synced and self.holder(address) is None):
                del self._unanswered[address]
                if claim is not None:
                    self._showing.own(claim, new=True)

    def _give_up(self, address: str) -> None:
        """It is not mine to take any more: it is claimed, or I may not announce it."""
        self.takeover.fill(address)
        self._probing.settled(address)

    def _contested_move(self, address: str, now: float) -> None:
        hold = self._moves.note(address, now)
        if hold is not None:
            self._showing.note("held_down", {"address": address, "seconds": hold})
            text = f"{address} changed hands three times in three minutes: it is left where it is for {hold:.0f} s"
            self._showing.trouble("held_down", text, on=True)
            self._held_until = max(self._held_until or 0.0, now + hold)

    def _own(self, claim: Claim, *, new: bool) -> None:
        self.table.own.put(claim)
        (self._provisional.discard if claim.quorate else self._provisional.add)(claim.address)
        self._showing.own(claim, new=new)

    def _disown(self, address: str, cause: str) -> None:
        if self.table.own.drop(address) is not None:
            self._provisional.discard(address)
            self._showing.disown(address, cause)

    def _compare(self, owner: Instance, addresses: list[str], now: float) -> None:
        """My claims against another's, address by address."""
        if self.membership.current.get(owner.node) is not owner:
            return
        lost: list[str] = []
        kept: list[str] = []
        for address in addresses:
            claim = self.table.claim_of(owner.key, address)
            if claim is None:
                continue
            mine = self.table.own.claims[address]
            if owner.counts and not better(mine, self.table.node, claim, owner.node):
                self._disown(address, "lost_to_better_claim")
                lost.append(address)
                if not mine.quorate or not claim.quorate:
                    self._contested_move(address, now)
            else:
                kept.append(address)
        if lost:
            self._showing.note("claim_lost", {"winner": owner.name, "addresses": lost[:NOTED], "count": len(lost)})
        if kept:
            fields = {"node": owner.name, "addresses": kept, "two_way": owner.was_two_way}
            self.reports.append(Report("contested", fields))

    def _prune(self) -> None:
        """Lists of incarnations that are over."""
        copies, membership = self.table.copies, self.membership
        if len(copies) <= len(membership.current):
            return
        for key in list(copies):
            instance = membership.instances.get(key)
            if instance is None or (membership.current.get(key[0]) is not instance and not instance.was_hearing):
                del copies[key]

    def forget_copy(self, owner: Instance) -> None:
        """A copy that does not agree with its owner's digest is thrown away and asked for anew."""
        del self.table.copies[owner.key]
        self._showing.forget(owner)
