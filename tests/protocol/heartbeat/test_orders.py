"""Orders: which of two counts, how they spread over a LAN, and what is made of nonsense."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from lbctl.protocol.heartbeat.orders import (
    FORGET_AFTER,
    MAX_JUMP,
    MOST,
    Order,
    OrderBook,
    OrderKind,
    bodies,
    order_of,
    parse_orders,
    row_of,
)
from lbctl.protocol.heartbeat.packet import HEADER_SIZE, MAX_PACKET, Refused, Tlv, tlv
from tests.support.lan import UNIX, Lan

NOW = int(UNIX) + 1000
VIP = "192.0.2.1"


def pin(node: str, version: int = 1, by: str = "a", *, active: bool = True, key: str = VIP, since: int = NOW) -> Order:
    return Order(OrderKind.PIN, key, node, version, by, since, active)


def drain(node: str, version: int = 1, by: str = "a", *, active: bool = True, since: int = NOW) -> Order:
    return Order(OrderKind.DRAIN, node, "", version, by, since, active)


orders = st.builds(
    Order,
    st.sampled_from([OrderKind.PIN]),
    st.sampled_from([VIP, "2001:db8::1"]),
    st.sampled_from(["a", "b", "ü"]),
    st.integers(1, 5),
    st.sampled_from(["a", "b"]),
    st.just(NOW),
    st.booleans(),
)


@given(st.lists(orders, max_size=8))
def test_every_sequence_of_the_same_orders_leads_to_the_same_book(said: list[Order]) -> None:
    one, other = OrderBook(), OrderBook()
    one.merge(said, NOW)
    for order in reversed(said):
        other.merge([order], NOW)
    assert list(one) == list(other)
    assert one.digest == other.digest


@given(st.lists(orders, max_size=8))
def test_orders_are_read_as_they_were_written(said: list[Order]) -> None:
    found = [parse_orders(bytes(HEADER_SIZE) + body, HEADER_SIZE + len(body)) for body in bodies(said)]
    assert list(itertools.chain.from_iterable(part for part in found if not isinstance(part, Refused))) == said
    assert [order_of(row_of(order)) for order in said] == said


@given(st.binary(max_size=200))
def test_nonsense_is_never_an_exception(value: bytes) -> None:
    for packet in (value, tlv(Tlv.ORDER, value)):
        parse_orders(bytes(HEADER_SIZE) + packet, HEADER_SIZE + len(packet))


def test_the_higher_version_counts_then_the_name_of_who_gave_it() -> None:
    book = OrderBook()
    assert book.merge([pin("b", 2)], NOW)
    assert not book.merge([pin("c", 1, "z")], NOW)
    assert book.merge([pin("c", 2, "b")], NOW)
    assert [order.node for order in book] == ["c"]
    assert book.next_version() == 3


def test_a_version_out_of_all_proportion_is_not_believed() -> None:
    book = OrderBook()
    assert not book.merge([pin("b", MAX_JUMP + 1)], NOW)
    assert book.merge([pin("b", MAX_JUMP)], NOW)


def test_what_was_taken_back_is_forgotten_after_a_week_and_what_is_in_force_never() -> None:
    book = OrderBook()
    book.merge([drain("a"), pin("b", 2, active=False)], NOW)
    book.merge([drain("c", 3)], NOW + FORGET_AFTER + 1)
    assert [order.key for order in book] == ["a", "c"]
    assert not book.merge([pin("b", 2, active=False)], NOW + FORGET_AFTER + 1)


def test_no_more_than_512_orders_are_kept_and_those_taken_back_go_first() -> None:
    book = OrderBook()
    book.merge([drain(f"n{number}", number + 1) for number in range(MOST - 1)], NOW)
    book.merge([drain("gone", MOST, active=False)], NOW)
    assert len(book) == MOST
    assert book.merge([drain("new", MOST + 1)], NOW)
    assert not book.merge([drain("newer", MOST + 2)], NOW)
    assert len(book) == MOST
    assert all(len(body) + HEADER_SIZE <= MAX_PACKET for body in bodies(book))


def told(lan: Lan, name: str) -> list[Order]:
    return list(lan[name].machine.orders.book)


def everywhere(lan: Lan, wanted: Sequence[Order]) -> bool:
    return all(told(lan, node.name) == list(wanted) for node in lan.living())


def give(lan: Lan, name: str, order: Order) -> None:
    lan[name].machine.order([order], lan.now)
    lan._pump(lan[name])


def test_an_order_is_everywhere_within_an_interval() -> None:
    lan = Lan(["a", "b", "c"])
    lan.run(1.0)
    give(lan, "a", drain("c"))
    assert lan.until(lambda: everywhere(lan, [drain("c")]), within=0.05) < 0.05
    assert [row for fields in lan["b"].told("orders") for row in fields["set"]] == [row_of(drain("c"))]


def test_orders_get_through_loss_and_then_nothing_more_is_said_of_them() -> None:
    lan = Lan(["a", "b", "c"], seed=3, loss=0.4)
    lan.run(1.0)
    give(lan, "a", drain("c"))
    lan.until(lambda: everywhere(lan, [drain("c")]), within=5.0)
    lan.loss = 0.0
    lan.run(1.0)
    before = [node.machine.counters["tx_orders"] for node in lan.living()]
    lan.run(2.0)
    assert [node.machine.counters["tx_orders"] for node in lan.living()] == before


def test_500_orders_cross() -> None:
    lan = Lan(["a", "b"])
    lan.run(1.0)
    wanted = [pin("b", number + 1, key=f"10.1.{number // 200}.{number % 200}") for number in range(500)]
    lan["a"].machine.order(wanted, lan.now)
    lan._pump(lan["a"])
    lan.until(lambda: sorted(told(lan, "b")) == sorted(wanted), within=1.0)


def test_two_halves_pin_one_address_to_two_nodes_and_agree_when_healed() -> None:
    """A17."""
    lan = Lan(["a", "b", "c", "d"])
    lan.run(1.0)
    lan.cut("a", "b")
    lan.run(1.0)
    give(lan, "a", pin("b", 1, "a"))
    give(lan, "c", pin("d", 1, "c"))
    lan.run(1.0)
    assert told(lan, "b") == [pin("b", 1, "a")]
    assert told(lan, "d") == [pin("d", 1, "c")]
    lan.heal()
    lan.until(lambda: everywhere(lan, [pin("d", 1, "c")]), within=3.0)


def test_a_node_that_was_away_is_told_and_one_without_memory_too() -> None:
    lan = Lan(["a", "b", "c"])
    lan.run(1.0)
    lan.kill("c")
    give(lan, "a", drain("b"))
    lan.run(0.5)
    lan.start("c")
    lan.until(lambda: told(lan, "c") == [drain("b")], within=1.0)


def test_an_observer_cannot_order_anything() -> None:
    lan = Lan(["a", "b"])
    lan.start("b", observer=True)
    lan.run(1.0)
    give(lan, "b", drain("a"))
    lan.run(1.0)
    assert told(lan, "a") == []
    assert told(lan, "b") == [drain("a")]
    give(lan, "a", drain("c"))
    lan.until(lambda: drain("c") in told(lan, "b"), within=1.0)
