"""What wire may answer, as work and pulse change it, carried out a slice at a time.

A right that is taken away is gone at once, before the next frame is looked at. One that is given can wait its turn:
tables come by the thousand, and each address given means a change of the table, announcements and a multicast group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice

from lbctl.net.channel import Message
from lbctl.net.icmpv6 import SolicitedNodeGroups
from lbctl.net.packed_address import packed, text_of
from lbctl.protocol.l2.conflict import Conflict
from lbctl.protocol.l2.gratuitous import Gratuitous
from lbctl.protocol.l2.table import Change, Table

CHANGES_A_TURN = 32


class WireRights:
    """Keeps the table, and with it what is announced, watched and joined. Messages raise what their nonsense raises."""

    def __init__(self, table: Table, gratuitous: Gratuitous, conflict: Conflict, groups: SolicitedNodeGroups) -> None:
        self._table = table
        self._gratuitous = gratuitous
        self._conflict = conflict
        self._groups = groups
        self._to_claim: dict[str, None] = {}
        self._to_allow: dict[str, Sequence[int]] = {}
        # One set for all addresses that are allowed on the same interfaces.
        self._places: Callable[[tuple[int, ...]], frozenset[int]] = lru_cache(maxsize=256)(frozenset)

    @property
    def pending(self) -> bool:
        return bool(self._to_claim or self._to_allow)

    def places(self, where: Iterable[int]) -> frozenset[int]:
        return self._places(tuple(where))

    def allowed(self, text: str) -> frozenset[int]:
        """The interfaces on which an address may be answered, also where that is not carried out yet."""
        waiting = self._to_allow.get(text)
        if waiting is not None:
            return self.places(waiting)
        return self._table.allowed.get(packed(text), frozenset())

    def take_answer(self, message: Message, now: float) -> None:
        for text in message.get("drop", ()):
            self._to_claim.pop(text, None)
            self.follow(self._table.release(packed(text)), now)
        self._to_claim.update(dict.fromkeys(message.get("set", ())))

    def take_table(self, message: Message) -> None:
        if message.get("complete"):
            self._to_allow = dict.fromkeys(map(text_of, self._table.allowed), ())
        self._to_allow.update(dict.fromkeys(message.get("drop", ()), ()))
        self._to_allow.update(message.get("set", ()))

    def carry_out(self, now: float, refuse: Callable[[str, Exception], None]) -> list[bytes]:
        """A few of the changes that are still to be made. Returns the addresses that may be answered elsewhere now."""
        for text in list(islice(self._to_claim, CHANGES_A_TURN)):
            del self._to_claim[text]
            try:
                self.follow(self._table.claim(packed(text)), now)
            except ValueError as error:
                refuse("answer", error)
        moved: list[bytes] = []
        for text in list(islice(self._to_allow, CHANGES_A_TURN)):
            where = self._to_allow.pop(text)
            try:
                address, places = packed(text), self.places(where)
            except (TypeError, ValueError) as error:
                refuse("table", error)
                continue
            self.follow(self._table.allow(address, places), now)
            if len(address) == 16:
                self._groups.want(address, places & self._table.ports.keys())
            moved.append(address)
        return moved

    def follow(self, change: Change, now: float) -> None:
        """What a change of the table means for all who go by it."""
        if change.stopped:
            self._gratuitous.stop(change.stopped)
            self._conflict.stop(change.stopped, now)
        if change.started:
            self._gratuitous.start(change.started)

    def use_ports(self, macs: dict[int, bytes], now: float) -> None:
        """The usable interfaces and their MACs: the whole list."""
        same = self._table.ports.keys() == macs.keys()
        self.follow(self._table.set_ports(macs), now)
        if not same:
            for address, where in self._table.allowed.items():
                if len(address) == 16:
                    self._groups.want(address, where & macs.keys())
