"""Addresses that a foreign machine answers for: given to nobody, kept by who has them unless they want to move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lbctl.model.pool import OnConflict
from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import PREFER, REQUIRE, Cluster, pool, quarantine, reserve, service

A = pool("a", "192.0.2.0/30")
MOVE, STAY = OnConflict.REALLOCATE, OnConflict.QUARANTINE


def test_it_is_given_to_nobody() -> None:
    cluster = quarantine(Cluster(A), "192.0.2.0").put(service("x"))
    assert cluster.addresses("x") == "192.0.2.1"


def test_nor_to_who_asks_for_it() -> None:
    cluster = quarantine(Cluster(A), "192.0.2.0").put(service("x", ip="192.0.2.0"))
    assert cluster.text("x") == "192.0.2.0: quarantined (02:00:00:00:00:66 answers for it, seen by n1 eth1)"


def test_nor_to_who_would_share_it() -> None:
    cluster = quarantine(Cluster(A).put(service("x", share="k")), "192.0.2.0").put(service("y", share="k", ports="81"))
    assert cluster.addresses("y") == "192.0.2.1"


def test_a_full_pool_says_what_is_quarantined() -> None:
    cluster = quarantine(Cluster(pool("a", "192.0.2.0/31")), "192.0.2.0").put(service("x")).put(service("y"))
    assert cluster.text("y") == "a: pool_exhausted (of 2 IPv4 addresses 1 in use, 1 quarantined)"


def test_once_cleared_it_is_like_any_other() -> None:
    cluster = quarantine(quarantine(Cluster(A), "192.0.2.0").put(service("x"))).put(service("y"))
    assert cluster.addresses("y") == "192.0.2.0"


@pytest.mark.parametrize(
    ("of_pool", "of_service", "moves"),
    [(STAY, None, False), (MOVE, None, True), (STAY, MOVE, True), (MOVE, STAY, False), (STAY, STAY, False)],
)
def test_who_holds_it_moves_if_service_or_pool_say_so(
    of_pool: OnConflict, of_service: OnConflict | None, moves: bool
) -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30", on_conflict=of_pool)).put(service("x", on_conflict=of_service))
    plan = quarantine(cluster, "192.0.2.0").look()
    assert [item.reason for item in plan.releases] == [Reason.ADDRESS_CONFLICT] * moves
    cluster.settle()
    assert cluster.addresses("x") == ("192.0.2.1" if moves else "192.0.2.0")


def test_the_release_names_the_machine() -> None:
    cluster = quarantine(Cluster(A).put(service("x", on_conflict=MOVE)), "192.0.2.0")
    (release,) = cluster.look().releases
    assert release.detail == "192.0.2.0: 02:00:00:00:00:66 answers for it, seen by n1 eth1"


def test_it_moves_when_it_starts_to_want_to() -> None:
    cluster = quarantine(Cluster(A).put(service("x")), "192.0.2.0").settle()
    assert cluster.put(service("x", on_conflict=MOVE)).addresses("x") == "192.0.2.1"


def test_it_stays_until_there_is_another() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/31")).put(service("x", on_conflict=MOVE)).put(service("y"))
    quarantine(cluster, "192.0.2.0").settle()
    assert cluster.addresses("x") == "192.0.2.0"
    assert cluster.why("x") == {"192.0.2.0": Reason.QUARANTINED, "a": Reason.POOL_EXHAUSTED}
    cluster.delete("y")
    assert cluster.addresses("x") == "192.0.2.1"
    assert not cluster.plan.pending


@pytest.mark.parametrize("wanted", [{"ip": "192.0.2.0"}, {}], ids=["requested", "reserved"])
def test_who_wants_this_very_address_stays(wanted: dict[str, Any]) -> None:
    cluster = Cluster(A) if wanted else reserve(Cluster(A), "x", "192.0.2.0")
    quarantine(cluster.put(service("x", on_conflict=MOVE, **wanted)), "192.0.2.0").settle()
    assert cluster.addresses("x") == "192.0.2.0"


def test_who_has_another_address_reserved_goes_there() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/31", on_conflict=MOVE), pool("b", "198.51.100.0/32", auto=False))
    quarantine(cluster.put(service("x")), "192.0.2.0")
    reserve(cluster, "y", "192.0.2.1").settle()
    assert cluster.addresses("x") == "192.0.2.0"
    reserve(cluster, "x", "198.51.100.0", home="b").settle()
    assert cluster.addresses("x") == "198.51.100.0"


def test_who_has_this_very_address_reserved_stays_until_the_reservation_ends() -> None:
    cluster = reserve(Cluster(pool("a", "192.0.2.0/30", on_conflict=MOVE)).put(service("x")), "x", "192.0.2.0")
    quarantine(cluster, "192.0.2.0").settle()
    assert cluster.addresses("x") == "192.0.2.0"
    cluster.state = replace(cluster.state, remembered=replace(cluster.state.remembered, reserved={}))
    cluster.settle()
    assert cluster.addresses("x") == "192.0.2.1"


@pytest.mark.parametrize("stack", [PREFER, REQUIRE])
def test_of_two_addresses_only_the_bad_one_changes(stack: Any) -> None:
    both = pool("p", "192.0.2.0/30", "2001:db8::/126", on_conflict=MOVE)
    cluster = quarantine(Cluster(both).put(service("x", stack=stack)), "192.0.2.0").settle()
    assert cluster.addresses("x") == "192.0.2.1 2001:db8::"


def test_it_does_not_give_up_a_family_to_move() -> None:
    both = pool("p", "192.0.2.0/32", "2001:db8::/126", on_conflict=MOVE)
    cluster = quarantine(Cluster(both).put(service("x", stack=PREFER)), "192.0.2.0").settle()
    assert cluster.addresses("x") == "192.0.2.0 2001:db8::"
    assert "192.0.2.0" in cluster.why("x")


def test_those_who_share_it_move_together_as_far_as_they_want_to() -> None:
    cluster = Cluster(A)
    for name, port in (("x", "80"), ("y", "81"), ("z", "82")):
        cluster.put(service(name, share="k", ports=port, on_conflict=STAY if name == "z" else MOVE))
    quarantine(cluster, "192.0.2.0").settle()
    assert [cluster.addresses(name) for name in "xyz"] == ["192.0.2.1", "192.0.2.1", "192.0.2.0"]


def test_a_service_that_has_one_family_and_wants_two_moves_first_and_gets_the_other_then() -> None:
    cluster = Cluster(pool("p", "192.0.2.0/30", on_conflict=MOVE)).put(service("x", stack=PREFER))
    quarantine(cluster, "192.0.2.0").become(pools=[pool("p", "192.0.2.0/30", "2001:db8::/126", on_conflict=MOVE)])
    assert cluster.settle().addresses("x") == "192.0.2.1 2001:db8::"


# A machine that answers for every address


ROUTER, PRINTER = "02:00:00:00:00:01", "02:00:00:00:00:02"
WIDE = pool("a", "192.0.2.0/28", on_conflict=MOVE)


def test_who_answers_for_every_address_does_not_drive_a_service_through_the_pool() -> None:
    """Each address that it is given is quarantined as soon as it is probed, as behind a router with proxy ARP."""
    cluster, bad = Cluster(WIDE).put(service("x")), dict[str, None]()
    for _ in range(16):
        bad[cluster.addresses("x")] = None
        quarantine(cluster, *bad).settle()
    assert list(bad) == ["192.0.2.0", "192.0.2.1", "192.0.2.2"]
    assert cluster.text("x") == (
        "192.0.2.2: looks_like_proxy_arp (02:00:00:00:00:66 answers for it, seen by n1 eth1, and for several more; "
        'so the service stays; lbctl.io/probe: "false" on the pool turns probing off)'
    )
    assert quarantine(cluster, "192.0.2.0", "192.0.2.1").settle().text("x") == ""


@pytest.mark.parametrize("macs", [(ROUTER,), (ROUTER, PRINTER)], ids=["one machine", "two machines"])
def test_those_who_wanted_to_move_want_to_no_more_and_then_again(macs: tuple[str, ...]) -> None:
    """Also those on whose own address nothing new was found."""
    cluster = Cluster(pool("a", "192.0.2.0/31", on_conflict=MOVE), pool("b", "198.51.100.0/30", auto=False))
    cluster.put(service("x"), service("y"))
    both = ("192.0.2.0", "192.0.2.1")
    quarantine(cluster, *both, macs=macs).settle()
    assert Reason.PROXY_ARP not in {*cluster.why("x").values(), *cluster.why("y").values()}
    quarantine(cluster, *both, "198.51.100.0", macs=macs).settle()
    stuck = Reason.PROXY_ARP if len(macs) == 1 else Reason.QUARANTINED
    assert (cluster.why("x")["192.0.2.0"], cluster.why("y")["192.0.2.1"]) == (stuck, stuck)
    quarantine(cluster, *both, macs=macs).become(
        pools=[pool("a", "192.0.2.0/30", on_conflict=MOVE), pool("b", "198.51.100.0/30", auto=False)]
    ).settle()
    assert (cluster.addresses("x"), cluster.addresses("y")) == ("192.0.2.2", "192.0.2.3")


def test_another_machine_still_drives_it_away() -> None:
    cluster = Cluster(WIDE).put(service("x"))
    macs = (PRINTER, ROUTER, ROUTER, ROUTER)
    quarantine(cluster, "192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", macs=macs).settle()
    assert cluster.addresses("x") == "192.0.2.4"


def test_who_does_not_want_to_move_is_told_nothing() -> None:
    cluster = Cluster(WIDE).put(service("x", on_conflict=STAY), service("y", ip="192.0.2.1"))
    quarantine(cluster, "192.0.2.0", "192.0.2.1", "192.0.2.2").settle()
    assert not cluster.plan.pending


def test_who_stays_and_lacks_a_family_is_told_both_and_still_gets_it() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/28", on_conflict=MOVE)).put(service("x", stack=PREFER))
    quarantine(cluster, "192.0.2.0", "192.0.2.1", "192.0.2.2").settle()
    assert cluster.why("x") == {"192.0.2.0": Reason.PROXY_ARP, "a": Reason.POOL_LACKS_FAMILY}
    cluster.become(pools=[pool("a", "192.0.2.0/28", "2001:db8::/126", on_conflict=MOVE)]).settle()
    assert cluster.addresses("x") == "192.0.2.0 2001:db8::"
    assert cluster.why("x") == {"192.0.2.0": Reason.PROXY_ARP}
