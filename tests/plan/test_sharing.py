"""Terms as text and back, and the index of shared addresses against a walk over all of them."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.address import AddressRange
from lbctl.plan.positions import Positions
from lbctl.plan.sharing import SharingIndex, Terms, refusal_between, terms_from

_ports = st.frozensets(st.tuples(st.sampled_from(["TCP", "UDP"]), st.integers(1, 6)), max_size=3)
_classes = st.tuples(st.sampled_from("kl"), st.sampled_from(["", "Local app=x"]))
_sharing = st.builds(Terms, _classes, _ports)


@given(
    st.builds(
        Terms,
        st.tuples(st.text(min_size=1), st.text(alphabet="abc =,/.", max_size=9)),
        st.frozensets(st.tuples(st.sampled_from(["TCP", "UDP", "SCTP"]), st.integers(1, 65535))),
    )
)
def test_terms_come_back_from_their_text(terms: Terms) -> None:
    assert terms_from(terms.text) == terms


def test_who_shares_with_nobody_has_no_text() -> None:
    alone = Terms(None, frozenset())
    assert alone.text == ""
    assert terms_from("") == alone


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), _sharing, st.booleans()), max_size=25), _sharing)
def test_the_index_finds_what_a_walk_finds(story: list[tuple[int, Terms, bool]], comer: Terms) -> None:
    index = SharingIndex()
    users: dict[int, list[Terms]] = {}
    for code, terms, comes in story:
        here = users.get(code, [])
        if comes and all(refusal_between(user, terms) is None for user in here):
            index.add(code, terms)
            users.setdefault(code, []).append(terms)
        elif not comes and here:
            index.remove(code, here.pop(), last=not here)
            if not here:
                del users[code]
    for first in range(6):
        admitted = [
            code
            for code, here in sorted(users.items())
            if code >= first and all(refusal_between(user, comer) is None for user in here)
        ]
        span = AddressRange(IPv4Address(first), IPv4Address(5), "")
        position = index.first(comer, Positions([span], []))
        assert position == (admitted[0] - first if admitted else None)
        assert index.admits(first, comer) == (first in admitted)
