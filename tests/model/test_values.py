"""Ranges, selectors and endpoints."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.address import AddressRange, Family, address_key, family_of
from lbctl.model.endpoint import Endpoint
from lbctl.model.selector import LabelSelector, Operator, Requirement

NUMBERS = st.integers(0, 40)


def span(a: int, b: int) -> AddressRange:
    first, last = sorted((a, b))
    return AddressRange(IPv4Address(first), IPv4Address(last), f"{first}-{last}")


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_overlap_is_a_shared_address(a: int, b: int, c: int, d: int) -> None:
    one, other = span(a, b), span(c, d)
    shared = {n for n in range(41) if IPv4Address(n) in one} & {n for n in range(41) if IPv4Address(n) in other}
    assert one.overlaps(other) == other.overlaps(one) == bool(shared)


def test_a_range_holds_addresses_of_its_family_only() -> None:
    v6 = AddressRange(ip_address("::1"), ip_address("::ff"), "::1-::ff")
    assert ip_address("::2") in v6
    assert ip_address("0.0.0.2") not in v6
    assert "::2" not in v6
    assert v6.size == 255
    assert not v6.overlaps(span(1, 255))


def test_families_and_order() -> None:
    addresses = [ip_address(text) for text in ("::1", "10.0.0.2", "10.0.0.1")]
    assert [str(a) for a in sorted(addresses, key=address_key)] == ["10.0.0.1", "10.0.0.2", "::1"]
    assert family_of(addresses[0]) is Family.IPV6


@pytest.mark.parametrize(
    ("requirement", "labels", "matches"),
    [
        (Requirement(key="a", operator=Operator.IN, values=("x",)), {"a": "x"}, True),
        (Requirement(key="a", operator=Operator.IN, values=("x",)), {"a": "y"}, False),
        (Requirement(key="a", operator=Operator.IN, values=("x",)), {}, False),
        (Requirement(key="a", operator=Operator.NOT_IN, values=("x",)), {}, True),
        (Requirement(key="a", operator=Operator.NOT_IN, values=("x",)), {"a": "x"}, False),
        (Requirement(key="a", operator=Operator.EXISTS), {"a": ""}, True),
        (Requirement(key="a", operator=Operator.EXISTS), {}, False),
        (Requirement(key="a", operator=Operator.DOES_NOT_EXIST), {"a": ""}, False),
        (Requirement(key="a", operator=Operator.DOES_NOT_EXIST), {}, True),
    ],
)
def test_requirements_as_kubernetes_has_them(requirement: Requirement, labels: dict[str, str], matches: bool) -> None:
    assert requirement.matches(labels) is matches


def test_a_selector_is_the_and_of_its_parts_and_empty_matches_all() -> None:
    both = LabelSelector(match_labels=(("a", "1"),), expressions=(Requirement(key="b", operator=Operator.EXISTS),))
    assert both.matches({"a": "1", "b": ""})
    assert not both.matches({"a": "1"})
    assert not both.matches({"b": ""})
    assert LabelSelector().matches({})


@pytest.mark.parametrize(
    ("ready", "serving", "usable"),
    [(None, None, True), (True, None, True), (False, None, False), (False, True, True), (False, False, False)],
)
def test_endpoints_are_usable_when_ready_or_still_serving(
    ready: bool | None, serving: bool | None, usable: bool
) -> None:
    assert Endpoint(addresses=(), ready=ready, serving=serving).is_usable is usable
