"""Orders that operators give this speaker: drain, undrain, move, rebalance, stop. What is refused, and what came of it.

An order is written into this node's book and told to pulse, which spreads it; every node then acts on it by its own
plan, this one among them. An order that would leave an address without any owner, or that cannot be carried out, is
refused with every reason; nothing is written then. The answer waits until the order is carried out, for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.member import Role
from lbctl.net.status_server import Answer, Handler, Query
from lbctl.plan.candidate import candidates
from lbctl.plan.claims import living
from lbctl.plan.drain import stranded_by_drain
from lbctl.plan.groups import Group
from lbctl.plan.locate import locate
from lbctl.plan.reason import Reason, Refusal
from lbctl.plan.spread import is_uneven
from lbctl.protocol.heartbeat.orders import Order, OrderBook, OrderKind, order_of, row_of
from lbctl.speaker.status import Facts

SCHEMA = "lbctl.io/order/v1"
MOVE_TIME = 5.0
"""Seconds that an answer waits for what was ordered; a planned move takes a tenth of one."""
_LOOK_EVERY = 0.02
_SHOWN = 20
Row = list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How this daemon ends by order: how many connections still go through this node, and its stop."""

    flows: Callable[[], Awaitable[int | None]]
    stop: Callable[[], None]


class Desk:
    """Takes orders. `spread` is called with the rows of every new one."""

    def __init__(self, node: str, facts: Facts, spread: Callable[[list[Row]], None], ends: Ends) -> None:
        self._node = node
        self._facts = facts
        self._spread = spread
        self._ends = ends
        self._book = OrderBook()

    def restore(self, rows: Iterable[Any], now_unix: float) -> list[Row]:
        """Orders out of the state folder, as far as they are orders; the rows for pulse."""
        found: list[Order] = []
        for row in rows:
            try:
                found.append(order_of(row))
            except (TypeError, ValueError):
                continue
        # Not one by one: versions that lie far apart are believed of what was believed before.
        for order in sorted(found, key=lambda order: order.version):
            self._book.merge([order], now_unix)
        return self.rows()

    def hear(self, rows: Iterable[Row], now_unix: float) -> None:
        """What pulse heard from others."""
        self._book.merge([order_of(row) for row in rows], now_unix)

    def rows(self) -> list[Row]:
        return [row_of(order) for order in self._book]

    def routes(self) -> dict[str, Handler]:
        return {
            "POST /v1/drain": self._drain,
            "POST /v1/undrain": self._undrain,
            "POST /v1/move": self._move,
            "POST /v1/rebalance": self._rebalance,
            "POST /v1/flows": self._flows,
            "POST /v1/stop": self._stop,
        }

    # Orders

    async def _drain(self, query: Query) -> Answer:
        node = query.get("node") or self._node
        if (unknown := self._unknown(node)) is not None:
            return unknown
        if self._in_force(OrderKind.DRAIN, node) is None:
            stranded = stranded_by_drain(self._facts.snapshot, node, self._facts.told.memo.elect)
            if stranded and query.get("force") != "1":
                some = "an address" if len(stranded) == 1 else f"{len(stranded)} groups of addresses"
                message = f"draining {node} would leave {some} without any node; --force does it all the same"
                return self._refuse(message, [self._why_stranded(group, node) for group in stranded])
            held = self._held_by(node)
            self._give(OrderKind.DRAIN, node, "", active=True)
            result = "done"
        else:
            held, result = self._held_by(node), "unchanged"
        left = await self._until(lambda: self._held_by(node))
        now_at = self._owners_of(held - left)
        moved = sum(map(len, now_at.values()))
        message = f"{node} {'was drained already' if result == 'unchanged' else 'is drained'}"
        message += f": {_count(moved)} moved to {_spread_over(now_at)}" if moved else ""
        if left:
            result = "unfinished"
            message += f"; it still holds {_list(left)}"
        elif lost := {address for address in held if address not in self._facts.told.owners.held}:
            message += f"; nobody has {_list(lost)} now"
        return Answer({**_document(result, message), "node": node, "moved": now_at, "left": sorted(map(str, left))})

    async def _undrain(self, query: Query) -> Answer:
        node = query.get("node") or self._node
        if self._in_force(OrderKind.DRAIN, node) is None:
            unknown = self._unknown(node)
            return unknown or Answer(_document("unchanged", f"{node} is not drained"))
        self._give(OrderKind.DRAIN, node, "", active=False)
        words = f"{node} may announce again; what moved away comes back by itself only where it is wanted there more"
        return Answer(_document("done", f"{words} (`lbctl rebalance` spreads all of it evenly)"))

    async def _move(self, query: Query) -> Answer:
        target, to = query.get("target", ""), query.get("to")
        snapshot, memo = self._facts.snapshot, self._facts.told.memo.elect
        located, _ = locate(snapshot, target, memo, own=self._facts.own, pending=self._facts.pending)
        group = {address for vip in located.vips for address in vip.assignment.eligibility.group.key}
        if to is None:
            return self._release(target, group)
        if not located.vips:
            return self._refuse(located.message)
        if (unknown := self._unknown(to)) is not None:
            return unknown
        refusals: list[Refusal] = []
        for vip in located.vips:
            found = next((each for each in candidates(vip.assignment, snapshot.view) if each.node == to), None)
            if found is None:
                refusals.append(Refusal(to, Reason.NODE_UNKNOWN, "no speaker of that name is heard"))
            elif not found.eligible or not found.alive:
                refusals += found.refusals
        if refusals:
            return self._refuse(f"{to} cannot announce {target}", list(dict.fromkeys(refusals)))
        pins = [self._in_force(OrderKind.PIN, str(address)) for address in group]
        held = self._facts.told.owners.held
        owners = {held[address].node for address in group if address in held}
        if owners == {to} and all(pin is not None and pin.node == to for pin in pins):
            return Answer(_document("unchanged", f"{_list(group)} is at {to} already, and pinned there"))
        for address in group:
            self._give(OrderKind.PIN, str(address), to, active=True)
        left = await self._until(lambda: group - self._held_by(to))
        pinned = f"pinned there until `lbctl move {target} --release`"
        if left:
            message = f"{_list(left)} is not at {to} yet after {MOVE_TIME:.0f} s; it is {pinned}"
            return Answer(_document("unfinished", message))
        before = f" from {' and '.join(sorted(owners - {to}))}" if owners - {to} else ""
        words = f"moved{before} to {to}" if owners != {to} else f"stays at {to}"
        return Answer(_document("done", f"{_list(group)} {words}; {pinned}"))

    def _release(self, target: str, group: set[IPAddress]) -> Answer:
        keys = {str(address) for address in group} or {target}
        pinned = [key for key in sorted(keys) if self._in_force(OrderKind.PIN, key) is not None]
        if not pinned:
            return Answer(_document("unchanged", f"{target} is pinned to no node"))
        for key in pinned:
            self._give(OrderKind.PIN, key, "", active=False)
        return Answer(_document("done", f"{' and '.join(pinned)} may be anywhere again; it stays where it is for now"))

    async def _rebalance(self, _query: Query) -> Answer:
        view = self._facts.snapshot.view
        alive = sorted(living(view)) if view is not None else []
        counts = {node: self._facts.told.memo.elect.loads.get(node, 0) for node in alive}
        self._give(OrderKind.REBALANCE, "", "", active=True)
        drained = view.drains if view is not None else {}
        loads = ", ".join(f"{node} {count}{' (drained)' if node in drained else ''}" for node, count in counts.items())
        even = not is_uneven(counts, [node for node in alive if node not in drained], 1)
        spreading = "spreading evenly, one group a second to each node that has too few"
        words = f"{'spread evenly already' if even else spreading}; now: {loads or 'no speaker'}"
        return Answer({**_document("done", words), "loads": counts})

    async def _flows(self, _query: Query) -> Answer:
        flows = await self._ends.flows()
        return Answer({**_document("done", "connections through this node"), "flows": flows})

    async def _stop(self, _query: Query) -> Answer:
        asyncio.get_running_loop().call_later(0.1, self._ends.stop)
        return Answer(_document("done", f"the speaker of {self._node} stops"))

    # What is known

    def _in_force(self, kind: OrderKind, key: str) -> Order | None:
        order = self._book.get(kind, key)
        return order if order is not None and order.active else None

    def _give(self, kind: OrderKind, key: str, node: str, *, active: bool) -> None:
        now = time.time()
        order = Order(kind, key, node, self._book.next_version(), self._node, int(now), active)
        if self._book.merge([order], now):
            self._spread([row_of(order)])

    def _unknown(self, node: str) -> Answer | None:
        """The refusal of an order about a node that nobody has heard of."""
        snapshot = self._facts.snapshot
        members = snapshot.view.members if snapshot.view is not None else {}
        heard = (name for name, member in members.items() if member.role is Role.SPEAKER)
        known = {*snapshot.world.nodes, *heard}
        if node in known:
            return None
        return self._refuse(f"there is no node {node!r}; there are {', '.join(sorted(known))}")

    def _held_by(self, node: str) -> set[IPAddress]:
        return {address for address, claim in self._facts.told.owners.held.items() if claim.node == node}

    def _owners_of(self, addresses: Iterable[IPAddress]) -> dict[str, list[str]]:
        held = self._facts.told.owners.held
        found: dict[str, list[str]] = {}
        for address in sorted(addresses, key=str):
            if address in held:
                found.setdefault(held[address].node, []).append(str(address))
        return dict(sorted(found.items()))

    def _why_stranded(self, group: Group, node: str) -> Refusal:
        assignment = self._facts.told.memo.elect.result.get(group.key)
        others = [c for c in candidates(assignment, self._facts.snapshot.view) if c.node != node] if assignment else []
        why = sorted(f"{c.node} {' and '.join(r.reason.value for r in c.refusals)}" for c in others if c.refusals)
        return Refusal(_list(group.key), Reason.NO_OTHER_NODE, "; ".join(why) or "there is no other node")

    async def _until(self, left: Callable[[], set[IPAddress]]) -> set[IPAddress]:
        """What is left of an order when it is carried out, or when time is up."""
        for _ in range(round(MOVE_TIME / _LOOK_EVERY)):
            if not (found := left()):
                return found
            await asyncio.sleep(_LOOK_EVERY)
        return left()

    def _refuse(self, message: str, refusals: Sequence[Refusal] = ()) -> Answer:
        rows = [{"subject": r.subject, "reason": r.reason.value, "detail": r.detail} for r in refusals[:_SHOWN]]
        more = f"; {len(refusals) - _SHOWN} more than are listed" if len(refusals) > _SHOWN else ""
        return Answer({**_document("refused", message + more), "refusals": rows}, 409)


def _document(result: str, message: str) -> dict[str, Any]:
    return {"schema": SCHEMA, "result": result, "message": message, "refusals": []}


def _count(number: int) -> str:
    return "1 address" if number == 1 else f"{number} addresses"


def _list(addresses: Iterable[IPAddress]) -> str:
    texts = sorted(map(str, addresses))
    more = [f"{len(texts) - 5} more"] if len(texts) > 6 else []
    shown = (texts[:5] if more else texts) + more
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 2 else shown)


def _spread_over(owners: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{node} ({len(found)})" for node, found in owners.items())
