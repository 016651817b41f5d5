"""What the other processes are told of claims: mine to wire and work, everybody's to work."""

from __future__ import annotations

from typing import Any

from lbctl.protocol.heartbeat.changes import Claim
from lbctl.protocol.heartbeat.claims import ClaimTable
from lbctl.protocol.heartbeat.detector import Instance, Liveness
from lbctl.protocol.heartbeat.membership import Membership
from lbctl.protocol.heartbeat.packet import Saying
from lbctl.protocol.heartbeat.segments import LOOPBACK
from lbctl.protocol.machine import Report

NOTED = 20
"""Addresses named in one line of the log."""

Row = list[Any]
"""A claim as the other processes read it: address, epoch, quorate, since_unix, cause, allocation, generation, heirs."""


def member_fields(instance: Instance, unix_offset: float) -> dict[str, object]:
    """A member as work is told of it."""
    addresses = {link.address for link in instance.links}
    addresses.update(ear.address[0] for via, ear in instance.ears.items() if via != LOOPBACK.ifindex)
    draining = instance.state is Liveness.ALIVE and instance.saying is Saying.DRAINING
    return {
        "node": instance.name,
        "incarnation": instance.incarnation,
        "state": "draining" if draining else instance.state.value,
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
        "since_unix": instance.since + unix_offset,
        "interval": instance.interval,
        "multiplier": instance.multiplier,
        "cause": instance.cause.value,
    }


class Showing:
    """Collects `reports`: whole lists when a member appears, differences afterwards."""

    def __init__(self, membership: Membership, table: ClaimTable) -> None:
        self.reports: list[Report] = []
        self._membership = membership
        self._table = table
        self._put: dict[str, bool] = {}
        self._dropped: dict[str, str] = {}
        self._refused: list[list[str | None]] = []
        self._shown: dict[int, tuple[int, int]] = {}
        self._nameless: set[int] = set()
        self._known = 0

    def is_visible(self, member: Instance) -> bool:
        """Whether its claims are to be reckoned with: it is its node's present incarnation and not known to be gone."""
        return self._membership.current.get(member.node) is member and member.state in (
            Liveness.ALIVE,
            Liveness.SUSPECT,
        )

    def own(self, claim: Claim, *, new: bool) -> None:
        self._put[claim.address] = new or self._put.get(claim.address, False)
        self._dropped.pop(claim.address, None)

    def disown(self, address: str, cause: str) -> None:
        self._put.pop(address, None)
        self._dropped[address] = cause

    def refuse(self, address: str, reason: str, holder: str | None = None) -> None:
        self._refused.append([address, reason, holder])

    def leave(self, addresses: list[str]) -> None:
        """Everything is dropped; my list stays as it is, the others take it from their copies."""
        self.reports.append(Report("answer", {"set": [], "drop": addresses}))
        self.reports.append(Report("mine", {"set": [], "drop": [[address, "stopping"] for address in addresses]}))

    def changed(self, owner: Instance, put: list[str], gone: list[str]) -> None:
        """A member's list changed."""
        if self._shown.get(owner.node) == owner.key and (put or gone):
            copy = self._table.copies[owner.key]
            rows = [self._row(copy.claims[address], owner) for address in put if address in copy.claims]
            self._report_claims(owner, rows, gone, complete=False)

    def forget(self, owner: Instance) -> None:
        """A member's list is not known any more."""
        if self._shown.get(owner.node) == owner.key:
            self._report_claims(owner, [], [], complete=True)

    def review(self) -> None:
        """Whole lists to work when a member appears, restarts or comes back; empty ones when it goes.

        Also those in which an heir was not known by name, once more members are.
        """
        membership = self._membership
        known = len(membership.current) + len(membership.peers)
        nameless = set() if known == self._known else self._nameless
        if nameless:
            self._nameless = set()
        self._known = known
        for member in membership.current.values():
            key = member.key if self.is_visible(member) else None
            if self._shown.get(member.node) == key and member.node not in nameless:
                continue
            had = self._shown.pop(member.node, None) is not None
            rows: list[Row] = []
            if key is not None:
                self._shown[member.node] = key
                copy = self._table.copies.get(key)
                rows = [self._row(claim, member) for claim in copy.claims.values()] if copy is not None else []
            if rows or had:
                self._report_claims(member, rows, [], complete=True)

    def flush(self) -> None:
        own = self._table.own.claims
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

    def note(self, name: str, fields: dict[str, Any]) -> None:
        self.reports.append(Report("note", {"name": name, "fields": fields}))

    def trouble(self, name: str, text: str, *, on: bool) -> None:
        """A standing condition that somebody should look at."""
        self.reports.append(Report("trouble", {"name": name, "text": text, "on": on}))

    def _report_claims(self, owner: Instance, rows: list[Row], drop: list[str], *, complete: bool) -> None:
        fields = {"node": owner.name, "set": rows, "drop": drop, "complete": complete}
        self.reports.append(Report("claims", fields))

    def _row(self, claim: Claim, owner: Instance | None = None) -> Row:
        heirs = [self._membership.name_of(heir) for heir in claim.heirs]
        if owner is not None and any(name.startswith("#") for name in heirs):
            self._nameless.add(owner.node)
        since = claim.since_ms / 1000
        cells = claim.address, claim.epoch, claim.quorate, since, claim.cause, claim.allocation, claim.generation
        return [*cells, heirs]
