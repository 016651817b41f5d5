"""Orders to the ledger: what is reserved for whom, what is refused and why, and that asking twice changes nothing."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from lbctl.controller.kept import AddressChanges, ClearCause
from lbctl.controller.orders import Outcome, Result, clear, quarantines, reservations, reserve, unreserve
from lbctl.controller.records import Batch
from lbctl.model.address import Family
from lbctl.plan.reason import Reason
from tests.controller.kept_stories import quarantine
from tests.plan.allocation_worlds import REQUIRE, Cluster, key, pool, service

POOL = pool("p", "192.0.2.0/29", "2001:db8::/125")


def carried_out(cluster: Cluster, outcome: Outcome) -> Outcome:
    cluster.state = cluster.state.after(
        Batch(at_unix=cluster.now, first_grant=cluster.state.next_grant, kept=outcome.changes)
    )
    return outcome


def ask(cluster: Cluster, name: str, ip: str = "", **options: Any) -> Outcome:
    addresses = tuple(map(ip_address, ip.split()))
    asked = reserve(
        cluster.world, cluster.state, key(name), addresses=addresses, by="ada", now_unix=cluster.now, **options
    )
    return carried_out(cluster, asked)


def reserved(cluster: Cluster, name: str) -> str:
    found = cluster.state.remembered.reserved.get(key(name))
    return " ".join(map(str, found.addresses)) if found else ""


def test_a_service_that_does_not_exist_yet_finds_its_address_when_it_comes() -> None:
    cluster = Cluster(POOL)
    assert ask(cluster, "shop", "192.0.2.5").result is Result.RESERVED
    cluster.put(service("a"), service("b", ip="192.0.2.5"), service("shop"))
    assert cluster.addresses("shop") == "192.0.2.5"
    assert cluster.why("b") == {"192.0.2.5": Reason.RESERVED}
    cluster.delete("shop")
    cluster.put(service("c"))
    assert cluster.addresses("c") != "192.0.2.5", "kept also after it is gone"


def test_asked_again_it_is_as_it_was() -> None:
    cluster = Cluster(POOL)
    first = ask(cluster, "shop")
    again = ask(cluster, "shop")
    assert (first.result, again.result, bool(again.changes)) == (Result.RESERVED, Result.UNCHANGED, False)
    assert ask(cluster, "shop", reserved(cluster, "shop")).result is Result.UNCHANGED
    assert ask(cluster, "shop", pool="p").result is Result.UNCHANGED
    assert ask(cluster, "shop", families=(Family.IPV4,)).result is Result.UNCHANGED


def test_asked_otherwise_the_new_one_takes_its_place() -> None:
    cluster = Cluster(POOL)
    ask(cluster, "shop", "192.0.2.5")
    outcome = ask(cluster, "shop", "192.0.2.6")
    assert outcome.result is Result.RESERVED
    assert "192.0.2.6 reserved for default/shop, from pool p, instead of 192.0.2.5" in outcome.message
    assert reserved(cluster, "shop") == "192.0.2.6"
    assert ask(cluster, "shop", families=(Family.IPV4, Family.IPV6)).result is Result.RESERVED
    assert {item.version for item in cluster.state.remembered.reserved[key("shop")].addresses} == {4, 6}


def test_who_holds_an_address_reserves_that() -> None:
    cluster = Cluster(POOL).put(service("shop", ip="192.0.2.3"))
    assert ask(cluster, "shop").result is Result.RESERVED
    assert reserved(cluster, "shop") == "192.0.2.3"
    (row,) = reservations(cluster.state)["reservations"]
    assert (row["held"], row["holders"]) == (True, {"192.0.2.3": ["default/shop"]})


def test_of_two_pools_both_are_named() -> None:
    cluster = Cluster(pool("four", "192.0.2.0/30"), pool("six", "2001:db8::/126"))
    cluster.put(service("shop", stack=REQUIRE, from_pools="four six"))
    outcome = ask(cluster, "shop")
    assert "192.0.2.0 and 2001:db8:: reserved for default/shop, from pools four and six" in outcome.message
    (row,) = reservations(cluster.state)["reservations"]
    assert (row["pool"], row["second_pool"]) == ("four", "six")
    assert ask(cluster, "shop", pool="six").result is Result.UNCHANGED


def test_what_cannot_be_reserved_says_why_and_leaves_what_there_was() -> None:
    cluster = Cluster(POOL).put(service("a", ip="192.0.2.1"))
    ask(cluster, "other", "192.0.2.2")
    ask(cluster, "shop", "192.0.2.5")
    for ip, reason in (
        ("192.0.2.1", Reason.ADDRESS_TAKEN),
        ("192.0.2.2", Reason.RESERVED),
        ("198.51.100.1", Reason.ADDRESS_IN_NO_POOL),
        ("192.0.2.3 192.0.2.4", Reason.ADDRESS_WRONG_FAMILY),
    ):
        outcome = ask(cluster, "shop", ip)
        assert outcome.result is Result.REFUSED, ip
        assert [refusal.reason for refusal in outcome.refusals] == [reason]
        assert not outcome.changes
    assert ask(cluster, "shop", pool="none").refusals[0].reason is Reason.UNKNOWN_POOL
    assert reserved(cluster, "shop") == "192.0.2.5"


def test_what_is_taken_back_is_free_for_others_and_stays_with_who_holds_it() -> None:
    cluster = Cluster(POOL)
    ask(cluster, "shop", "192.0.2.5")
    cluster.put(service("shop"))
    outcome = carried_out(cluster, unreserve(cluster.state, key("shop"), by="bob"))
    assert (outcome.result, reserved(cluster, "shop")) == (Result.REMOVED, "")
    assert cluster.settle().addresses("shop") == "192.0.2.5"
    again = unreserve(cluster.state, key("shop"), by="bob")
    assert (again.result, bool(again.changes)) == (Result.UNCHANGED, False)


def test_a_quarantine_is_ended_by_hand_and_named_until_then() -> None:
    cluster = Cluster(POOL).put(service("a", ip="192.0.2.1"))
    found = AddressChanges(quarantined=(quarantine("192.0.2.1"),))
    cluster.state = cluster.state.after(Batch(at_unix=1.0, first_grant=9, kept=found))
    (row,) = quarantines(cluster.state)["quarantines"]
    assert (row["address"], row["mac"], row["services"]) == ("192.0.2.1", "02:00:00:00:00:07", ["default/a"])
    outcome = carried_out(cluster, clear(cluster.state, ip_address("192.0.2.1"), by="bob"))
    assert (outcome.changes.cleared[0].cause, outcome.changes.cleared[0].by) == (ClearCause.OPERATOR, "bob")
    assert not cluster.state.remembered.quarantined
    assert clear(cluster.state, ip_address("192.0.2.1"), by="bob").result is Result.UNCHANGED
