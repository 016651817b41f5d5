"""Allocation: who may share an address (MetalLB section 3.4)."""

from __future__ import annotations

import pytest

from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import (
    LOCAL,
    Cluster,
    pool,
    service,
)

A = pool("a", "192.0.2.0/30")
TINY = pool("tiny", "192.0.2.7/32")
SIX = pool("six", "2001:db8::/126")
BOTH = pool("both", "192.0.2.8/30", "2001:db8:1::/126")


# Sharing -------------------------------------------------------------------------------------------------------------

DNS_TCP = service("tcp", ports="53", share="dns", ip="192.0.2.1")


def test_tcp_and_udp_of_one_port_share_an_address() -> None:
    cluster = Cluster(A).put(DNS_TCP).put(service("udp", ports="53/UDP", share="dns", ip="192.0.2.1"))
    assert cluster.addresses("tcp") == cluster.addresses("udp") == "192.0.2.1"


@pytest.mark.parametrize(
    ("comer", "why", "detail"),
    [
        (service("x", ports="53/UDP", ip="192.0.2.1"), Reason.ADDRESS_TAKEN, "held by default/tcp"),
        (
            service("x", ports="53/UDP", share="other", ip="192.0.2.1"),
            Reason.SHARING_KEY_DIFFERS,
            "held by default/tcp",
        ),
        (service("x", ports="80 53", share="dns", ip="192.0.2.1"), Reason.SHARING_PORT_IN_USE, "TCP/53 of default/tcp"),
        (
            service("x", ports="53/UDP", share="dns", policy=LOCAL, ip="192.0.2.1"),
            Reason.SHARING_BACKENDS_DIFFER,
            "held by default/tcp",
        ),
    ],
)
def test_sharing_is_refused_by_name(comer: object, why: Reason, detail: str) -> None:
    cluster = Cluster(A).put(DNS_TCP)
    cluster.put(comer)  # type: ignore[arg-type]
    assert cluster.text("x") == f"192.0.2.1: {why.value} ({detail})"


def test_who_does_not_allow_sharing_is_said_so() -> None:
    cluster = Cluster(A).put(service("holder", ip="192.0.2.1"))
    cluster.put(service("x", ports="81", share="dns", ip="192.0.2.1"))
    assert cluster.why("x") == {"192.0.2.1": Reason.SHARING_NOT_ALLOWED}


def test_local_services_share_when_their_selectors_are_equal() -> None:
    cluster = Cluster(A).put(
        service("a", ports="80", share="k", policy=LOCAL, select={"app": "x"}, ip="192.0.2.1"),
        service("b", ports="81", share="k", policy=LOCAL, select={"app": "x"}, ip="192.0.2.1"),
        service("c", ports="82", share="k", policy=LOCAL, select={"app": "y"}, ip="192.0.2.1"),
    )
    assert [cluster.addresses(name) for name in "abc"] == ["192.0.2.1", "192.0.2.1", ""]


def test_services_of_different_namespaces_share() -> None:
    cluster = Cluster(TINY).put(service("a/x", ports="80", share="k"), service("b/x", ports="81", share="k"))
    assert cluster.addresses("a/x") == cluster.addresses("b/x") == "192.0.2.7"


def test_a_lower_free_address_is_preferred_to_a_shared_one() -> None:
    cluster = Cluster(A).put(service("a", ports="80", share="k", ip="192.0.2.2"))
    cluster.put(service("b", ports="81", share="k"))
    assert cluster.addresses("b") == "192.0.2.0"


def test_a_lower_shared_address_is_preferred_to_a_free_one() -> None:
    cluster = Cluster(A).put(service("a", ports="80", share="k"))
    cluster.put(service("b", ports="81", share="k"))
    assert cluster.addresses("b") == "192.0.2.0"


def test_an_address_is_free_only_when_its_last_user_left() -> None:
    cluster = Cluster(TINY).put(service("a", ports="80", share="k"), service("b", ports="81", share="k"))
    cluster.put(service("z")).delete("a")
    assert (cluster.addresses("b"), cluster.addresses("z")) == ("192.0.2.7", "")
    assert cluster.delete("b").addresses("z") == "192.0.2.7"


def test_a_port_is_free_again_when_its_user_left() -> None:
    cluster = Cluster(TINY).put(service("a", ports="80", share="k"), service("b", ports="81", share="k"))
    cluster.put(service("c", ports="80", share="k"))
    assert cluster.addresses("c") == ""
    assert cluster.delete("a").addresses("c") == "192.0.2.7"


def test_the_only_user_may_change_its_key_in_place() -> None:
    cluster = Cluster(TINY).put(service("a", share="one")).put(service("a", share="two"))
    assert cluster.addresses("a") == "192.0.2.7"
    assert cluster.put(service("b", ports="81", share="two")).addresses("b") == "192.0.2.7"


def test_of_two_on_one_address_who_changed_its_key_goes() -> None:
    """Also when it is the older one: who changed nothing loses nothing."""
    cluster = Cluster(A).put(service("old", ports="80", share="k", ip="192.0.2.1"))
    cluster.put(service("young", ports="81", share="k", ip="192.0.2.1"))
    cluster.put(service("old", ports="80", share="other"))
    assert (cluster.addresses("old"), cluster.addresses("young")) == ("192.0.2.0", "192.0.2.1")


def test_of_two_on_one_address_who_took_the_others_port_goes() -> None:
    cluster = Cluster(A).put(service("old", ports="80", share="k", ip="192.0.2.1"))
    cluster.put(service("young", ports="81", share="k", ip="192.0.2.1"))
    cluster.put(service("old", ports="80 81", share="k"))
    assert (cluster.addresses("old"), cluster.addresses("young")) == ("192.0.2.0", "192.0.2.1")


def test_a_changed_policy_lets_one_who_waits_share() -> None:
    cluster = Cluster(TINY).put(service("a", ports="80", share="k", policy=LOCAL))
    cluster.put(service("b", ports="81", share="k"))
    assert cluster.addresses("b") == ""
    cluster.put(service("a", ports="80", share="k"))
    assert cluster.addresses("b") == "192.0.2.7"


def test_one_who_may_not_share_does_not_speak_for_the_next() -> None:
    cluster = Cluster(TINY).put(service("holder", ports="80", share="k"))
    cluster.put(service("a", ports="80", share="k"), service("b", ports="81", share="k"), service("c", ports="82"))
    assert [cluster.addresses(name) for name in "abc"] == ["", "192.0.2.7", ""]


def test_many_ports_on_one_address_and_many_addresses_of_one_key() -> None:
    cluster = Cluster(A).put(*(service(f"s{n}", ports=str(80 + n % 5), share="k") for n in range(20)))
    taken = sorted((cluster.addresses(f"s{n}"), 80 + n % 5) for n in range(20))
    assert taken == [(f"192.0.2.{n}", 80 + m) for n in range(4) for m in range(5)]
