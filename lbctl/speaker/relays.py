"""Open connections over planned moves, as the work process keeps them: who had each VIP before, and for how long.

A node takes over with the way to its predecessor already in place (`plan.relay_rules`), since it knew all along who
held the address. What this adds is memory: that way stays for a time after the takeover, unless the predecessor died.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lbctl.model.address import Family, IPAddress, family_of
from lbctl.model.snapshot import Snapshot
from lbctl.net.handover import Handover
from lbctl.net.nftables import ProxyError
from lbctl.plan.reason import Cause
from lbctl.plan.relay_rules import Relays
from lbctl.speaker.owners import Move, Owners
from lbctl.telemetry.log import event

_logger = logging.getLogger("lbctl.moves")
_GATHER_TIME = 0.02
_AGAIN = 5.0
"""Seconds after which what failed is tried again."""
Past = dict[IPAddress, tuple[IPAddress, float]]


class ConnectionRelays:
    """Follows the owners. `limit`: seconds for which connections that were open go on through the node before."""

    def __init__(self, node: str, limit: float, handover: Handover | None = None) -> None:
        self._node = node
        self._limit = limit
        self._handover = handover or Handover()
        self._hops: Mapping[tuple[str, Family], IPAddress] = {}
        self._owners: Owners | None = None
        self._past: Past = {}
        """Next hop, and until when (monotonic seconds)."""
        self._past_told: Mapping[IPAddress, tuple[IPAddress, float]] = MappingProxyType({})
        self._holder: dict[IPAddress, IPAddress] = {}
        self._speakers: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._trouble = ""

    @property
    def trouble(self) -> str | None:
        return self._trouble or None

    def follow(self, snapshot: Snapshot, owners: Owners, moves: Iterable[Move], now: float) -> None:
        """After a step: who owns what now, and how that came about. `now` is monotonic."""
        hops, speakers = _ways(snapshot, self._node)
        before, self._owners = self._owners, owners
        changed = speakers != self._speakers or hops != self._hops or before is None
        self._speakers = speakers
        for move in moves:
            changed = self._remember(move, hops, now) or changed
        if hops != self._hops or before is None:
            self._hops = hops
            self._holder = {
                address: hop
                for address, claim in owners.held.items()
                if claim.node != self._node and (hop := hops.get((claim.node, family_of(address)))) is not None
            }
        if changed:
            self._changed.set()

    def _remember(self, move: Move, hops: Mapping[tuple[str, Family], IPAddress], now: float) -> bool:
        address, family = move.address, family_of(move.address)
        way_to_owner = hops.get((move.owner, family)) if move.owner not in (None, self._node) else None
        changed = self._holder.get(address) != way_to_owner
        if way_to_owner is not None:
            self._holder[address] = way_to_owner
            if self._past.get(address, (None, 0.0))[0] == way_to_owner:
                # It would send it back here.
                del self._past[address]
                self._tell_past()
        elif move.owner is not None:
            self._holder.pop(address, None)
        way_back = hops.get((move.previous, family)) if move.previous not in (None, self._node) else None
        if move.owner == self._node and move.cause != Cause.OWNER_GONE and way_back is not None:
            self._past[address] = way_back, now + self._limit
            self._tell_past()
            return True
        return changed

    def _tell_past(self) -> None:
        """What is in force for the kernel counts from when it was told."""
        now = time.monotonic()
        self._past = {vip: (hop, until) for vip, (hop, until) in self._past.items() if until > now}
        self._past_told = MappingProxyType({vip: (hop, until - now) for vip, (hop, until) in self._past.items()})

    async def run(self) -> None:
        """Keeps the kernel as it should be, until cancelled."""
        try:
            now = time.monotonic()
            for vip, (hop, left) in (await self._handover.restore()).items():
                self._past.setdefault(vip, (hop, now + left))
            self._tell_past()
        except ProxyError as error:
            self._say(str(error))
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._handover.apply(
                    Relays(past=self._past_told, holder=dict(self._holder), speakers=self._speakers)
                )
            except ProxyError as error:
                self._say(str(error))
                await asyncio.sleep(_AGAIN)
                self._changed.set()
            else:
                self._say("")
            # Claims come a few at a time; half a turn later there are more of them.
            await asyncio.sleep(_GATHER_TIME)

    async def end(self) -> None:
        """At the end of the speaker: this node is no owner's predecessor, but what came here before may go on."""
        self._tell_past()
        try:
            await self._handover.end(self._past_told)
        except ProxyError as error:
            self._say(str(error))

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            event(_logger, "relays_refused", level=logging.WARNING, why=trouble)
        words = f"open connections break when a VIP moves: {trouble}"
        self._trouble = words if trouble else ""


def _ways(snapshot: Snapshot, node: str) -> tuple[dict[tuple[str, Family], IPAddress], frozenset[str]]:
    """By which address a packet can be sent on to each other speaker, by family; and all their hardware addresses."""
    found: dict[tuple[str, Family], IPAddress] = {}
    macs: set[str] = set()
    view = snapshot.view
    for name, member in view.members.items() if view is not None else ():
        if name == node:
            continue
        macs.update(mac.lower() for mac, _ in member.macs if mac)
        listed = snapshot.world.nodes.get(name)
        for address in (*member.addresses, *(listed.addresses if listed is not None else ())):
            if not address.is_link_local:
                found.setdefault((name, family_of(address)), address)
    return found, frozenset(macs)
