"""Orders in force, out of rows as heartbeats bring them."""

from __future__ import annotations

from ipaddress import ip_address

from lbctl.model.orders import Orders
from lbctl.model.snapshot import Drain, Pin, Rebalance

VIP = ip_address("192.0.2.1")


def test_rows_say_what_is_in_force_and_what_is_no_longer() -> None:
    orders = Orders().with_rows(
        [
            ["drain", "n1", "", 1, "n2", 100, True],
            ["pin", "192.0.2.1", "n2", 2, "n2", 101, True],
            ["rebalance", "", "", 3, "n3", 102, True],
            ["of a later version", "x", "", 4, "n3", 103, True],
        ]
    )
    assert dict(orders.drains) == {"n1": Drain(node="n1", version=1, by="n2", since_unix=100)}
    assert dict(orders.pins) == {VIP: Pin(address=VIP, node="n2", version=2, by="n2", since_unix=101)}
    assert orders.rebalance == Rebalance(version=3, by="n3", since_unix=102)
    ended = orders.with_rows(
        [
            ["drain", "n1", "", 5, "n1", 104, False],
            ["pin", "192.0.2.1", "", 6, "n1", 104, False],
            ["rebalance", "", "", 7, "n1", 104, False],
        ]
    )
    assert (dict(ended.drains), dict(ended.pins), ended.rebalance) == ({}, {}, None)


def test_what_does_not_change_keeps_its_identity() -> None:
    orders = Orders().with_rows([["drain", "n1", "", 1, "n2", 100, True]])
    again = orders.with_rows([["rebalance", "", "", 2, "n3", 102, True]])
    assert again.drains is orders.drains
    assert again.pins is orders.pins
