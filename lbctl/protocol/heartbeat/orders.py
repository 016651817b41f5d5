"""Orders of operators (drains, pins, rebalance), kept alike on every member without any of them in charge.

An order is about one subject, (kind, key); of two the one with the higher (version, by) counts everywhere, and who
takes one back says so by a newer order that is not `active`. Each beat carries a digest of the sender's orders (TLV
ORDERS); whoever finds that another's digest differs from its own sends all it has, in packets of kind ORDERS, and the
other does likewise: after one exchange both have the newest of each. So orders spread, heal after a partition (one
answer, whatever the two sides were told) and reach a node that was away, with no word of any controller.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from lbctl.protocol.heartbeat.detector import Instance
from lbctl.protocol.heartbeat.identity import is_address
from lbctl.protocol.heartbeat.packet import AUTH_SIZE, HEADER_SIZE, MAX_PACKET, Kind, Refused, Tlv, tlv, tlvs
from lbctl.protocol.heartbeat.segments import Audience
from lbctl.protocol.heartbeat.voice import Voice

MOST = 512
"""Orders that are kept, those taken back included."""
FORGET_AFTER = 7 * 24 * 3600.0
"""Seconds after which an order that was taken back is forgotten: who was away for longer may bring it up again."""
MAX_JUMP = 2**20
"""A version this far above the highest known is no operator's work and is not believed."""
MAX_TEXT = 253
_ORDER = struct.Struct("!BBQQBBB")
_DIGEST = struct.Struct("!HQ")


class OrderKind(IntEnum):
    """What an order is about; the key of a drain is a node, of a pin an address, of a rebalance nothing."""

    DRAIN = 1
    PIN = 2
    REBALANCE = 3


class Order(NamedTuple):
    """One order. `node`: where a pin leads; `by`: the speaker that gave it; `since`: Unix seconds."""

    kind: OrderKind
    key: str
    node: str
    version: int
    by: str
    since: int
    active: bool

    @property
    def subject(self) -> tuple[OrderKind, str]:
        return self.kind, self.key

    @property
    def rank(self) -> tuple[int, str, bool, str, int]:
        """The higher counts; beyond (version, by) only so that two of one rank never stand side by side."""
        return self.version, self.by, self.active, self.node, self.since


class OrdersDigest(NamedTuple):
    orders: int = 0
    sum: int = 0


class OrderBook:
    """The newest order on each subject."""

    def __init__(self) -> None:
        self._orders: dict[tuple[OrderKind, str], Order] = {}
        self.digest = OrdersDigest()

    def __iter__(self) -> Iterator[Order]:
        return iter([order for _, order in sorted(self._orders.items())])

    def __len__(self) -> int:
        return len(self._orders)

    def get(self, kind: OrderKind, key: str) -> Order | None:
        return self._orders.get((kind, key))

    def next_version(self) -> int:
        """For an order that is to count more than every one that is known."""
        return max((order.version for order in self._orders.values()), default=0) + 1

    def merge(self, orders: Iterable[Order], now_unix: float) -> list[Order]:
        """Takes what is newer than what it has; returns that. Old orders that were taken back are forgotten."""
        highest = self.next_version() - 1
        news: dict[tuple[OrderKind, str], Order] = {}
        for order in orders:
            known = self._orders.get(order.subject)
            if not _is_sound(order) or order.version > highest + MAX_JUMP or _is_over(order, now_unix):
                continue
            if known is not None and order.rank <= known.rank:
                continue
            if known is None and len(self._orders) >= MOST and not self._make_room():
                continue
            self._orders[order.subject] = news[order.subject] = order
        over = [subject for subject, order in self._orders.items() if _is_over(order, now_unix)]
        for subject in over:
            del self._orders[subject]
        if news or over:
            self.digest = _digest(self._orders.values())
        return [order for subject, order in news.items() if self._orders.get(subject) is order]

    def _make_room(self) -> bool:
        """The oldest order that was taken back goes; False when all are in force."""
        ended = [order for order in self._orders.values() if not order.active]
        if not ended:
            return False
        del self._orders[min(ended, key=lambda order: (order.since, order.subject)).subject]
        return True


class OrderExchange:
    """Moves orders between my book and the members': at most once an interval to each, while the digests differ."""

    def __init__(self, voice: Voice, audience: Audience) -> None:
        self.book = OrderBook()
        self.digests: dict[tuple[int, int], OrdersDigest] = {}
        self._voice = voice
        self._audience = audience
        self._told_at: dict[tuple[int, int], float] = {}

    def heard(self, instance: Instance, value: bytes, now: float) -> None:
        """What a beat says of its sender's orders; who says nothing of any cannot read them either."""
        digest = parse_digest(value)
        if digest is None:
            self.digests.pop(instance.key, None)
            return
        if len(self.digests) > MOST:
            self.digests.clear()
            self._told_at.clear()
        self.digests[instance.key] = digest
        self.offer(instance, now)

    def offer(self, instance: Instance, now: float) -> None:
        """Tells a member all orders if it has others, and was not told a moment ago."""
        known = self.digests.get(instance.key)
        if known is None or known == self.book.digest or not len(self.book):
            return
        if now < self._told_at.get(instance.key, 0.0) + self._voice.settings.interval:
            return
        route = self._audience.route(instance, now, self._voice.lanes)
        if route is not None:
            self._told_at[instance.key] = now
            for body in bodies(self.book):
                self._voice.send(Kind.ORDERS, body, route[0], [route[1]], now)
            self._voice.counters["tx_orders"] += 1

    def received(self, payload: bytes, end: int, now_unix: float) -> bool:
        """Takes an ORDERS packet; whether anything in it was new."""
        orders = parse_orders(payload, end)
        if isinstance(orders, Refused):
            self._voice.counters[orders.value] += 1
            return False
        return self.take(orders, now_unix)

    def take(self, orders: Iterable[Order], now_unix: float) -> bool:
        """Takes orders, whoever gave them, and reports what was new; whether anything was."""
        before = self.book.digest
        news = self.book.merge(orders, now_unix)
        if news:
            self._voice.report("orders", {"set": [row_of(order) for order in news]})
        return self.book.digest != before


def row_of(order: Order) -> list[Any]:
    """As the messages between the processes write it."""
    return [order.kind.name.lower(), order.key, order.node, order.version, order.by, order.since, order.active]


def order_of(row: Iterable[Any]) -> Order:
    """The other way; raises ValueError or TypeError for what is no order."""
    kind, key, node, version, by, since, active = row
    if str(kind).upper() not in OrderKind.__members__:
        raise ValueError(f"{kind!r} is no kind of order")
    order = Order(OrderKind[str(kind).upper()], str(key), str(node), int(version), str(by), int(since), bool(active))
    if not _is_sound(order):
        raise ValueError(f"{list(order)} is no order")
    return order


def pack_digest(digest: OrdersDigest) -> bytes:
    return _DIGEST.pack(*digest)


def parse_digest(value: bytes) -> OrdersDigest | None:
    return OrdersDigest(*_DIGEST.unpack_from(value)) if len(value) >= _DIGEST.size else None


def bodies(orders: Iterable[Order]) -> list[bytes]:
    """The TLVs of the packets that carry these."""
    room = MAX_PACKET - HEADER_SIZE - AUTH_SIZE
    found: list[bytes] = []
    part = b""
    for order in orders:
        packed = tlv(Tlv.ORDER, _pack(order))
        if len(part) + len(packed) > room:
            found.append(part)
            part = b""
        part += packed
    return [*found, part] if part else found


def parse_orders(payload: bytes, end: int) -> list[Order] | Refused:
    """The orders of a packet; of kinds that are not known yet, none."""
    parts = tlvs(payload, HEADER_SIZE, end)
    if parts is None:
        return Refused.MALFORMED
    found: list[Order] = []
    for kind, value in parts:
        if kind != Tlv.ORDER:
            continue
        order = _unpack(value)
        if isinstance(order, Refused):
            return order
        if order is not None:
            found.append(order)
    return found


def _pack(order: Order) -> bytes:
    texts = [text.encode() for text in (order.key, order.node, order.by)]
    head = _ORDER.pack(order.kind, order.active, order.version, max(order.since, 0), *map(len, texts))
    return head + b"".join(texts)


def _unpack(value: bytes) -> Order | Refused | None:
    if len(value) < _ORDER.size:
        return Refused.MALFORMED
    kind, active, version, since, *lengths = _ORDER.unpack_from(value)
    if len(value) < _ORDER.size + sum(lengths):
        return Refused.MALFORMED
    texts: list[str] = []
    at = _ORDER.size
    for length in lengths:
        try:
            texts.append(value[at : at + length].decode())
        except UnicodeDecodeError:
            return Refused.MALFORMED
        at += length
    if kind not in OrderKind._value2member_map_:
        return None
    order = Order(OrderKind(kind), texts[0], texts[1], version, texts[2], since, bool(active))
    return order if _is_sound(order) else Refused.MALFORMED


def _is_sound(order: Order) -> bool:
    texts = (order.key, order.node, order.by)
    if any(len(text.encode()) > MAX_TEXT or not text.isprintable() for text in texts):
        return False
    if not (0 < order.version < 2**63 and 0 <= order.since < 2**40 and order.by):
        return False
    match order.kind:
        case OrderKind.DRAIN:
            return bool(order.key)
        case OrderKind.PIN:
            return is_address(order.key) and (bool(order.node) or not order.active)
        case OrderKind.REBALANCE:
            return not order.key


def _is_over(order: Order, now_unix: float) -> bool:
    return not order.active and order.since + FORGET_AFTER < now_unix


def _digest(orders: Iterable[Order]) -> OrdersDigest:
    """Whatever the order of the orders: each one's hash, added by XOR."""
    count = total = 0
    for order in orders:
        count += 1
        total ^= int.from_bytes(hashlib.blake2s(_pack(order), digest_size=8).digest(), "big")
    return OrdersDigest(count, total)
