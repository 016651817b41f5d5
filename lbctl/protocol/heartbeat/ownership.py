"""What this node claims: what work asked for and prepared, what it inherits, and what it yields.

The rules: nothing new before the first detection time was listened through, after a pause, without a usable segment, or
while a copy of a member's claims is incomplete; an epoch is one above the highest known of that very address; a lost
comparison is obeyed at once, but only when the winner hears us (a deaf node's claims change nothing).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from lbctl.protocol.heartbeat.changes import Claim
from lbctl.protocol.heartbeat.claims import ClaimTable, CopiedClaims, better
from lbctl.protocol.heartbeat.detector import Instance, Liveness, Why
from lbctl.protocol.heartbeat.identity import is_address, node_hash
from lbctl.protocol.heartbeat.membership import Membership
from lbctl.protocol.heartbeat.takeover import Prepared, Takeover, Vacancy
from lbctl.protocol.machine import Report

SLICE = 256
"""Claims made in one go: a few milliseconds of work, so that ten thousand of them never hold up a beat."""
VOTES_WITHIN = 0.5
"""Intervals for which a takeover waits for the votes that would make it the majority's; they all fall due together."""
_NOTED = 20

Row = list[Any]
"""A claim as the other processes read it: address, epoch, quorate, since_unix, cause, allocation, generation, heirs."""


class Refusal(StrEnum):
    """Why a claim is not made."""

    NOT_READY = "not_ready"
    PAUSED = "paused"
    NO_SEGMENT = "no_segment"
    NOT_SYNCED = "claims_not_synced"
    NOT_PREPARED = "not_prepared"
    HELD = "held_by_member"
    LEAVING = "leaving"


_TEMPORARY = frozenset({Refusal.PAUSED, Refusal.NOT_SYNCED})


class Ownership:
    """My claims and the reasons for and against them. `reports` collects what the other processes are to be told."""

    def __init__(self, membership: Membership, interval: float, detection: float) -> None:
        self.membership = membership
        self.table = ClaimTable(membership.me[0])
        self.takeover = Takeover(membership.me[0], interval)
        self.reports: list[Report] = []
        self.unix_offset = 0.0
        self.detection = detection
        self.blocked: Refusal | None = Refusal.NOT_READY
        self.synced = False
        self._asked: deque[tuple[str, str, float]] = deque()
        self._put: dict[str, bool] = {}
        self._dropped: dict[str, str] = {}
        self._refused: list[list[str | None]] = []
        self._shown: dict[int, tuple[int, int]] = {}
        self._provisional: set[str] = set()
        self._nameless: set[int] = set()
        self._known = 0
        self._upgrade_at: float | None = None
        self._takeover_at: float | None = None

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
                self._note("not_an_address", {"address": address})
                continue
            names = {node_hash(heir): heir for heir in heirs[:2] if heir}
            self.membership.mentioned.update(names)
            entry = Prepared(allocation=allocation % 2**64, generation=generation % 2**64, heirs=tuple(names))
            prepared[address] = entry
            claim = self.table.own.claims.get(address)
            if claim is not None and (claim.heirs, claim.allocation) != (entry.heirs, entry.allocation):
                claim = replace(claim, heirs=entry.heirs, allocation=allocation, generation=generation)
                self._own(claim, new=False)
        for address in drop:
            prepared.pop(address, None)
        for address in (*drop, *before):
            if address not in prepared:
                self.takeover.fill(address)
                self._disown(address, "not_eligible")

    def claim(self, addresses: Iterable[str], cause: str, now: float) -> None:
        """Wants these claimed; each is claimed or refused at a later `settle`, at the latest 4 detection times on."""
        self._asked.extend((address, cause, now) for address in addresses)

    def release(self, addresses: Iterable[str], cause: str) -> None:
        """Gives these up, and what was asked for but not claimed yet."""
        released = set(addresses)
        if self._asked:
            self._asked = deque(entry for entry in self._asked if entry[0] not in released)
        for address in released:
            self._disown(address, cause)

    def restore(self, epochs: Iterable[tuple[str, int]]) -> None:
        """Epochs that a journal remembers."""
        for address, epoch in epochs:
            self.table.restore(address, epoch)

    def leave(self) -> None:
        """Reports everything dropped. My list stays as it is: the others take it from their copies."""
        self.blocked = Refusal.LEAVING
        self._asked.clear()
        addresses = list(self.table.own.claims)
        self.reports.append(Report("answer", {"set": [], "drop": addresses}))
        self.reports.append(Report("mine", {"set": [], "drop": [[address, "stopping"] for address in addresses]}))

    # What the members say

    def learned(self, owner: Instance, put: list[str], gone: list[str]) -> None:
        """After changes were applied to the copy of `owner`'s list."""
        refused = self.table.learn(owner.key, put)
        if refused:
            fields = {"node": owner.name, "addresses": refused[:_NOTED], "count": len(refused)}
            self._note("epoch_refused", fields)
        visible = self._is_visible(owner)
        if visible:
            for address in put:
                if self.table.claim_of(owner.key, address) is not None:
                    self.takeover.fill(address)
        self._compare(owner, [address for address in put if address in self.table.own.claims])
        if visible and self._shown.get(owner.node) == owner.key and (put or gone):
            copy = self.table.copies[owner.key]
            rows = [self._row(copy.claims[address], owner) for address in put if address in copy.claims]
            self._report_claims(owner, rows, gone, complete=False)

    def yielded(self, owner: Instance, dropped: list[str]) -> None:
        """A member claims these no longer: of mine, what it announced last may still be what clients believe."""
        mine = [address for address in dropped if address in self.table.own.claims]
        if mine:
            self.reports.append(Report("uncontested", {"node": owner.name, "addresses": mine}))

    def counts(self, member: Instance) -> None:
        """A member is heard both ways from now on: its claims bind."""
        copy = self.table.copies.get(member.key)
        if copy is not None:
            self._compare(member, [address for address in self.table.own.claims if address in copy.claims])

    def lost(self, member: Instance, now: float) -> None:
        """A member is not there any more: what it held is vacant."""
        copy = self._copy_of(member)
        if copy is None:
            return
        cause = "owner_left" if member.cause is Why.LEAVING else "owner_gone"
        for address, claim in copy.claims.items():
            if not self.takeover.concerns(address, claim.heirs) or address in self.table.own.claims:
                continue
            if self.holder(address, but=member) is None:
                vacancy = Vacancy(address=address, owner=member.key, heirs=claim.heirs, since=now, cause=cause)
                self.takeover.vacate(vacancy)

    def holder(self, address: str, but: Instance | None = None) -> Instance | None:
        """The best living member, other than me, that claims an address."""
        best: tuple[Claim, Instance] | None = None
        for member in self.membership.current.values():
            if member is but or not self._is_visible(member):
                continue
            claim = self.table.claim_of(member.key, address)
            if claim is not None and (best is None or better(claim, member.node, best[0], best[1].node)):
                best = (claim, member)
        return best[1] if best is not None else None

    # What follows

    def settle(self, now: float) -> None:
        """Draws the conclusions as of `now`: synced or not, claims to make, reports. Idempotent."""
        self._prune()
        self._show()
        synced = all(copy is not None and copy.complete for copy in map(self._copy_of, self.membership.voters()))
        if synced != self.synced:
            self.synced = synced
            self.reports.append(Report("synced", {"synced": synced}))
        blocked = self.blocked or (None if synced else Refusal.NOT_SYNCED)
        if blocked is None:
            self._take_over(now)
        else:
            self._takeover_at = None
        self._answer_asked(now, blocked)
        self._upgrade(now, blocked)
        self._flush()

    def next_timeout(self, now: float) -> float | None:
        times = [at for at in (self._takeover_at, self._upgrade_at) if at is not None]
        if self._asked:
            blocked = self.blocked or (None if self.synced else Refusal.NOT_SYNCED)
            times.append(self._asked[0][2] + 4 * self.detection if blocked in _TEMPORARY else now)
        return min(times, default=None)

    def _take_over(self, now: float) -> None:
        is_alive = self.membership.is_alive
        due = self.takeover.due(now, is_alive, SLICE)
        majority = {owner: self._is_majority_without(owner) for owner in {vacancy.owner for vacancy in due}}
        patience = self.takeover.interval * VOTES_WITHIN
        votes_at: float | None = None
        for vacancy in due:
            quorate = majority[vacancy.owner]
            if not quorate and self.membership.quorate and now < vacancy.since + patience:
                votes_at = vacancy.since + patience
                continue
            self.takeover.fill(vacancy.address)
            if vacancy.address not in self.table.own.claims and self.holder(vacancy.address) is None:
                self._make(vacancy.address, vacancy.cause, now, quorate=quorate)
        if len(due) == SLICE and votes_at is None:
            self._takeover_at = now
        else:
            self._takeover_at = votes_at or self.takeover.next_due(is_alive)

    def _answer_asked(self, now: float, blocked: Refusal | None) -> None:
        for _ in range(min(SLICE, len(self._asked))):
            address, cause, since = self._asked[0]
            if blocked in _TEMPORARY and now < since + 4 * self.detection:
                return
            self._asked.popleft()
            if address in self.table.own.claims:
                continue
            holder = self.holder(address)
            if blocked is not None:
                self._refused.append([address, blocked.value, None])
            elif address not in self.takeover.prepared:
                self._refused.append([address, Refusal.NOT_PREPARED.value, None])
            elif holder is not None:
                self._refused.append([address, Refusal.HELD.value, holder.name])
            else:
                self._make(address, cause, now, quorate=self.membership.quorate)

    def _is_majority_without(self, owner: tuple[int, int]) -> bool:
        """Whether taking over from an owner is the majority's will; a word of its own needs no vote."""
        lost = self.membership.instances.get(owner)
        if lost is None or lost.cause in (Why.LEAVING, Why.RESTARTED):
            return self.membership.quorate
        return self.membership.is_majority_without(lost)

    def _upgrade(self, now: float, blocked: Refusal | None) -> None:
        """Provisional claims that nobody contested for a detection time within a majority count like any other."""
        own = self.table.own.claims
        if blocked is not None or not self._provisional or not self.membership.quorate:
            self._upgrade_at = None
        elif self._upgrade_at is None:
            self._upgrade_at = now + self.detection
        elif now >= self._upgrade_at:
            self._upgrade_at = None
            for address in list(self._provisional):
                if self.holder(address) is None:
                    self._own(replace(own[address], quorate=True), new=False)

    def _make(self, address: str, cause: str, now: float, *, quorate: bool) -> None:
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
        self._own(claim, new=True)

    def _own(self, claim: Claim, *, new: bool) -> None:
        self.table.own.put(claim)
        (self._provisional.discard if claim.quorate else self._provisional.add)(claim.address)
        self._put[claim.address] = new or self._put.get(claim.address, False)
        self._dropped.pop(claim.address, None)

    def _disown(self, address: str, cause: str) -> None:
        if self.table.own.drop(address) is not None:
            self._provisional.discard(address)
            self._put.pop(address, None)
            self._dropped[address] = cause

    def _compare(self, owner: Instance, addresses: list[str]) -> None:
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
            else:
                kept.append(address)
        if lost:
            self._note("claim_lost", {"winner": owner.name, "addresses": lost[:_NOTED], "count": len(lost)})
        if kept:
            fields = {"node": owner.name, "addresses": kept, "two_way": owner.was_two_way}
            self.reports.append(Report("contested", fields))

    def _is_visible(self, member: Instance) -> bool:
        """Whether its claims are to be reckoned with: it is its node's present incarnation and not known to be gone."""
        return self.membership.current.get(member.node) is member and member.state in (
            Liveness.ALIVE,
            Liveness.SUSPECT,
        )

    def _prune(self) -> None:
        """Lists of incarnations that are over."""
        copies, membership = self.table.copies, self.membership
        if len(copies) <= len(membership.current):
            return
        for key in list(copies):
            instance = membership.instances.get(key)
            if instance is None or (membership.current.get(key[0]) is not instance and not instance.was_hearing):
                del copies[key]

    def _copy_of(self, member: Instance) -> CopiedClaims | None:
        return self.table.copies.get(member.key)

    def _show(self) -> None:
        """Whole lists to work when a member appears, restarts or comes back; empty ones when it goes.

        Also those in which an heir was not known by name, once more members are.
        """
        known = len(self.membership.current) + len(self.membership.peers)
        nameless = set() if known == self._known else self._nameless
        if nameless:
            self._nameless = set()
        self._known = known
        for member in self.membership.current.values():
            key = member.key if self._is_visible(member) else None
            if self._shown.get(member.node) == key and member.node not in nameless:
                continue
            had = self._shown.pop(member.node, None) is not None
            rows: list[Row] = []
            if key is not None:
                self._shown[member.node] = key
                copy = self.table.copies.get(key)
                rows = [self._row(claim, member) for claim in copy.claims.values()] if copy is not None else []
            if rows or had:
                self._report_claims(member, rows, [], complete=True)

    def forget_copy(self, owner: Instance) -> None:
        """A copy that does not agree with its owner's digest is thrown away and asked for anew."""
        del self.table.copies[owner.key]
        if self._shown.get(owner.node) == owner.key:
            self._report_claims(owner, [], [], complete=True)

    def _report_claims(self, owner: Instance, rows: list[Row], drop: list[str], *, complete: bool) -> None:
        fields = {"node": owner.name, "set": rows, "drop": drop, "complete": complete}
        self.reports.append(Report("claims", fields))

    def _row(self, claim: Claim, owner: Instance | None = None) -> Row:
        heirs = [self.membership.name_of(heir) for heir in claim.heirs]
        if owner is not None and any(name.startswith("#") for name in heirs):
            self._nameless.add(owner.node)
        since = claim.since_ms / 1000
        cells = claim.address, claim.epoch, claim.quorate, since, claim.cause, claim.allocation, claim.generation
        return [*cells, heirs]

    def _flush(self) -> None:
        own = self.table.own.claims
        new = [address for address, is_new in self._put.items() if is_new]
        if new or self._dropped:
            self.reports.append(Report("answer", {"set": new, "drop": list(self._dropped)}))
        if self._put or self._dropped:
            rows = [self._row(own[address]) for address in self._put]
            drop = [[address, cause] for address, cause in self._dropped.items()]
            self.reports.append(Report("mine", {"set": rows, "drop": drop}))
            self._put, self._dropped = {}, {}
        if self._refused:
            self.reports.append(Report("refused", {"addresses": self._refused}))
            self._refused = []

    def _note(self, name: str, fields: dict[str, Any]) -> None:
        self.reports.append(Report("note", {"name": name, "fields": fields}))
