"""The View, out of what pulse tells: members and everybody's claims, as of the newest message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.frozen_map import FrozenMap
from lbctl.model.member import Conflict, Liveness, Member, Role
from lbctl.model.orders import Orders
from lbctl.model.snapshot import View
from lbctl.plan.holddown import held_until, remember

Message = Mapping[str, Any]
_NO_CLAIMS: FrozenMap[IPAddress, Claim] = FrozenMap()
_HERE = frozenset({Liveness.ALIVE, Liveness.DRAINING})
_AWAY = frozenset({Liveness.GONE, Liveness.LEFT})


class Hearing:
    """Takes pulse's messages one by one; `view()` freezes what they add up to.

    What did not change since the last `view()` keeps its identity, claim by claim and node by node.
    """

    def __init__(self, node: str, incarnation: int, comings: Sequence[float] = ()) -> None:
        """`comings`: Unix times at which this node began to speak lately, as far as it remembers."""
        self.node = node
        self.incarnation = incarnation
        self.synced = False
        self.orders = Orders()
        self.given_up: dict[IPAddress, str] = {}
        """Why this node gave up an address that it held last, until it claims it again."""
        self._members: dict[str, Member] = {}
        self._claims: dict[str, dict[IPAddress, Claim]] = {}
        self._frozen: dict[str, FrozenMap[IPAddress, Claim]] = {}
        self._changed: dict[str, set[IPAddress]] = {}
        self._comings: dict[str, tuple[float, ...]] = {node: tuple(comings)}
        self._alone = False
        self._view: View | None = None

    def receive(self, message: Message) -> bool:
        """Takes one message; False when it says nothing about the View."""
        match message["op"]:
            case "member":
                self._member(message)
            case "claims":
                self._said(str(message["node"]), message)
            case "mine":
                self._said(self.node, message)
            case "synced":
                self.synced = bool(message["synced"])
            case "orders":
                self.orders = self.orders.with_rows(message["set"])
            case _:
                return False
        self._view = None
        return True

    def be(self, member: Member) -> None:
        """What this node is itself: a living member, with the addresses it has now."""
        member = replace(member, held_until_unix=held_until(self._comings[self.node]))
        if self._members.get(member.node) != member:
            self._members[member.node] = member
            self._view = None

    def view(self, now_unix: float) -> View:
        """Everything heard so far; the very same view while nothing new was, and no hold-down has ended."""
        seen = self._view.seen_unix if self._view is not None else now_unix
        if self._view is None or any(seen < each.held_until_unix <= now_unix for each in self._members.values()):
            for node, touched in self._changed.items():
                if claims := self._claims.get(node):
                    put = {a: claim for a in touched if (claim := claims.get(a)) is not None}
                    self._frozen[node] = self._frozen.get(node, _NO_CLAIMS).having(put, touched - put.keys())
                else:
                    self._frozen.pop(node, None)
            self._changed.clear()
            self._view = View(
                source=self.node,
                seen_unix=now_unix,
                synced=self.synced,
                members=MappingProxyType(dict(self._members)),
                claims=MappingProxyType(dict(self._frozen)),
                drains=self.orders.drains,
                pins=self.orders.pins,
                rebalance=self.orders.rebalance,
            )
        return self._view

    def _member(self, message: Message) -> None:
        node = str(message["node"])
        if node == self.node:
            return
        before, since_unix = self._members.get(node), float(message["since_unix"])
        state, incarnation = Liveness(message["state"]), int(message["incarnation"])
        if state in _HERE and (before is None or before.state in _AWAY or before.incarnation != incarnation):
            self._came(node, since_unix)
        self._members[node] = Member(
            node=node,
            incarnation=incarnation,
            state=state,
            two_way=bool(message["two_way"]),
            role=Role(message["role"]),
            addresses=tuple(ip_address(text) for text in message["addresses"]),
            macs=tuple((str(mac), str(interface)) for mac, interface in message["macs"]),
            since_unix=since_unix,
            detection_time=float(message["interval"]) * int(message["multiplier"]),
            cause=str(message["cause"]),
            conflicts=tuple(
                Conflict(address=ip_address(address), mac=str(mac), interface=str(interface))
                for address, mac, interface in message.get("conflicts", ())
            ),
            held_until_unix=held_until(self._comings.get(node, ())),
        )
        others = [m.state for n, m in self._members.items() if n != self.node and m.role is Role.SPEAKER]
        if bool(others) and all(each in _AWAY for each in others):
            self._alone = True
        elif self._alone and any(each in _HERE for each in others):
            # That all the others were away, and are back, may well have been of this node's own making.
            self._alone = False
            self._came(self.node, since_unix)

    def _came(self, node: str, at_unix: float) -> None:
        self._comings[node] = remember(self._comings.get(node, ()), at_unix)

    def _said(self, node: str, message: Message) -> None:
        claims = self._claims.setdefault(node, {})
        changed = self._changed.setdefault(node, set())
        if message.get("complete"):
            changed.update(claims)
            claims.clear()
        for dropped in message.get("drop", ()):
            # My own drops come with their cause.
            address = ip_address(dropped if isinstance(dropped, str) else dropped[0])
            claims.pop(address, None)
            changed.add(address)
            if not isinstance(dropped, str):
                self.given_up[address] = str(dropped[1])
        member = self._members.get(node)
        incarnation = self.incarnation if node == self.node else member.incarnation if member is not None else 0
        for claim in _claims(node, incarnation, message.get("set", ())):
            claims[claim.address] = claim
            changed.add(claim.address)
            if node == self.node:
                self.given_up.pop(claim.address, None)


def _claims(node: str, incarnation: int, entries: Iterable[Any]) -> Iterable[Claim]:
    for address, epoch, quorate, since_unix, cause, allocation_id, generation, heirs in entries:
        yield Claim(
            address=ip_address(address),
            node=node,
            incarnation=incarnation,
            epoch=int(epoch),
            quorate=bool(quorate),
            since_unix=float(since_unix),
            cause=str(cause),
            allocation_id=int(allocation_id),
            generation=int(generation),
            heirs=tuple(map(str, heirs)),
        )
