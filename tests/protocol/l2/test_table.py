"""Answered = allowed, claimed and on a usable interface; every change says what began and what ended."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lbctl.protocol.l2.table import Change, Place, Table
from tests.protocol.l2.frames import ETH0, ETH1, NODE, STRANGER, VIP4, VIP6

_addresses = st.sampled_from([VIP4, VIP6, b"\x0a\x00\x00\x01"])
_interfaces = st.sampled_from([ETH0, ETH1, 4])
_macs = st.sampled_from([NODE, STRANGER])


class TableModel(RuleBasedStateMachine):
    """Keeps the three facts apart, and the places that the changes add up to."""

    @initialize()
    def start(self) -> None:
        self.table = Table()
        self.allowed: dict[bytes, frozenset[int]] = {}
        self.claimed: set[bytes] = set()
        self.ports: dict[int, bytes] = {}
        self.said: set[Place] = set()

    def _note(self, change: Change, restarted: frozenset[int] = frozenset()) -> None:
        assert len(set(change.started)) == len(change.started)
        assert not set(change.started) & set(change.stopped)
        assert set(change.stopped) <= self.said
        assert {place for place in change.started if place in self.said} <= {
            place for place in self.said if place[1] in restarted
        }
        self.said = self.said - set(change.stopped) | set(change.started)

    @rule(address=_addresses, where=st.frozensets(_interfaces))
    def allow(self, address: bytes, where: frozenset[int]) -> None:
        self.allowed[address] = where
        self._note(self.table.allow(address, where))

    @rule(address=_addresses)
    def claim(self, address: bytes) -> None:
        self.claimed.add(address)
        self._note(self.table.claim(address))

    @rule(address=_addresses)
    def release(self, address: bytes) -> None:
        self.claimed.discard(address)
        self._note(self.table.release(address))

    @rule(ports=st.dictionaries(_interfaces, _macs))
    def set_ports(self, ports: dict[int, bytes]) -> None:
        changed = frozenset(index for index, mac in ports.items() if self.ports.get(index, mac) != mac)
        self.ports = ports
        self._note(self.table.set_ports(ports), changed)

    @invariant()
    def answers_what_is_allowed_claimed_and_usable(self) -> None:
        should = {
            (address, index)
            for address in self.claimed
            for index in self.allowed.get(address, frozenset())
            if index in self.ports
        }
        assert should == self.said
        for address in (VIP4, VIP6, b"\x0a\x00\x00\x01"):
            for index in (ETH0, ETH1, 4):
                assert self.table.answered((address, index)) == ((address, index) in should)
        assert {index: port.mac for index, port in self.table.ports.items()} == self.ports


TestTable = TableModel.TestCase
TestTable.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_new_mac_starts_again_and_the_old_place_does_not_stop() -> None:
    table = Table()
    table.set_ports({ETH0: NODE})
    table.allow(VIP4, frozenset({ETH0}))
    table.claim(VIP4)
    assert table.set_ports({ETH0: STRANGER}) == Change([(VIP4, ETH0)], [])
    assert table.macs == {STRANGER}
    assert table.set_ports({ETH0: STRANGER}) == Change([], [])
