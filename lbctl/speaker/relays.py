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
Trail = tuple[tuple[str, float], ...]
"""Who had an address before its owner, the last one first, each with the time (monotonic) until when it counts."""


class ConnectionRelays:
    """Follows the owners. `limit`: seconds for which connections that were open go on through the node before; with 0
    nothing is sent on, and what an earlier speaker of this node left is taken away."""

    def __init__(self, node: str, limit: float, handover: Handover | None = None) -> None:
        self._node = node
        self._limit = limit
        self._handover = handover or Handover()
        self._hops: Mapping[tuple[str, Family], IPAddress] = {}
        self._speakers: frozenset[str] = frozenset()
        self._began = False
        self._trails: dict[IPAddress, Trail] = {}
        self._past: Past = {}
        """Next hop, and until when (monotonic seconds)."""
        self._past_told: Mapping[IPAddress, tuple[IPAddress, float]] = MappingProxyType({})
        self._holder: dict[IPAddress, IPAddress] = {}
        self._changed = asyncio.Event()
        self._trouble = ""

    @property
    def trouble(self) -> str | None:
        return self._trouble or None

    def follow(self, snapshot: Snapshot, owners: Owners, moves: Iterable[Move], now: float) -> None:
        """After a step: who owns what now, and how that came about. `now` is monotonic."""
        hops, speakers = _ways(snapshot, self._node)
        if hops != self._hops or not self._began:
            self._hops, self._began = hops, True
            self._holder = {
                address: hop
                for address, claim in owners.held.items()
                if (hop := self._way(claim.node, address)) is not None
            }
            self._changed.set()
        if speakers != self._speakers:
            self._speakers = speakers
            self._changed.set()
        moved = [move for move in moves if move.owner is not None]
        for move in moved:
            self._take(move, now)
        if moved:
            self._tell_past(now)
            self._changed.set()

    def _take(self, move: Move, now: float) -> None:
        """An address has another owner: who had it comes first in the line of those before, unless it died."""
        address, owner = move.address, move.owner
        assert owner is not None
        trail = tuple(
            each for each in self._trails.get(address, ()) if each[0] not in (owner, move.previous) and each[1] > now
        )
        if move.previous not in (None, owner) and move.cause != Cause.OWNER_GONE:
            assert move.previous is not None
            trail = ((move.previous, now + self._limit), *trail)
        if trail:
            self._trails[address] = trail
        else:
            self._trails.pop(address, None)
        if (way := self._way(owner, address)) is not None:
            self._holder[address] = way
        else:
            self._holder.pop(address, None)
        nodes = (owner, *(node for node, _ in trail))
        before = trail[nodes.index(self._node) :] if self._node in nodes else ()
        following = next(
            ((hop, until) for node, until in before if (hop := self._way(node, address)) is not None), None
        )
        if following is not None:
            self._past[address] = following
        elif self._node in nodes or self._past.get(address, (None, 0.0))[0] == way:
            # What an earlier speaker of this node left goes when it would send back what comes from there.
            self._past.pop(address, None)

    def _way(self, node: str, address: IPAddress) -> IPAddress | None:
        return self._hops.get((node, family_of(address)))

    def _tell_past(self, now: float) -> None:
        """What the kernel is told counts from when it is told."""
        self._past = {vip: (hop, until) for vip, (hop, until) in self._past.items() if until > now}
        self._past_told = MappingProxyType({vip: (hop, until - now) for vip, (hop, until) in self._past.items()})

    async def run(self) -> None:
        """Keeps the kernel as it should be, until cancelled."""
        if not self._limit:
            await self.end()
            return
        try:
            now = time.monotonic()
            for vip, (hop, left) in (await self._handover.restore()).items():
                self._past.setdefault(vip, (hop, now + left))
            self._tell_past(now)
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
        self._tell_past(time.monotonic())
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
