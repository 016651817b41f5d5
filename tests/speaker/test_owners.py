"""Who held what: changes of owner, their causes and gaps, and the addresses that nobody holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.member import Liveness, Member
from lbctl.model.snapshot import View
from lbctl.plan.claims import ClaimsMemo, best, index_claims, living
from lbctl.plan.groups import Group, group
from lbctl.plan.reason import Cause
from lbctl.speaker.owners import Move, Owners, follow, remembered
from tests.support.worlds import address, claim, member, view, vip_world

VIP = "192.0.2.1"
STARTED = 1000.0
UNIX = 5000.0


@dataclass
class Watcher:
    """Follows views one after the other, as a speaker does."""

    owners: Owners = field(default_factory=Owners)
    memo: ClaimsMemo = field(default_factory=ClaimsMemo)
    addresses: Mapping[IPAddress, Group] = field(default_factory=lambda: group(vip_world([VIP]))[0].by_address)
    now: float = 0.0

    def see(self, seen: View, *, given_up: Mapping[IPAddress, str] | None = None) -> tuple[Move, ...]:
        self.now += 1.0
        _, self.memo = index_claims(seen, self.memo)
        self.owners, moves = follow(
            self.owners,
            seen,
            self.memo,
            self.addresses,
            now=self.now,
            now_unix=UNIX + self.now,
            started_unix=STARTED,
            given_up=given_up or {},
        )
        return moves


def held(node: str, **more: object) -> View:
    return view("a", "b", "c", claims=[claim(node, VIP, since_unix=4000.0, **more)])  # type: ignore[arg-type]


def test_an_address_that_nobody_claims_waits_for_an_owner() -> None:
    watcher = Watcher()
    assert watcher.see(view("a", "b")) == ()
    assert watcher.owners.unowned[address(VIP)].since == 1.0
    watcher.see(view("a", "b", "c"))
    assert watcher.owners.unowned[address(VIP)].since == 1.0, "still since then"


@pytest.mark.parametrize(("allocated", "cause"), [(STARTED - 1, Cause.STARTED), (STARTED + 1, Cause.FIRST_ANNOUNCED)])
def test_what_is_older_than_me_is_started_and_what_is_new_first_announced(allocated: float, cause: Cause) -> None:
    from dataclasses import replace

    old = vip_world([VIP])
    (key, found) = next(iter(old.allocations.items()))
    dated = replace(old, allocations=MappingProxyType({key: replace(found, since_unix=allocated)}))
    watcher = Watcher(addresses=group(dated)[0].by_address)
    watcher.see(view("a"))
    assert watcher.owners.unowned[address(VIP)].cause is cause


def test_the_first_owner_follows_nobody() -> None:
    watcher = Watcher()
    (move,) = watcher.see(held("a", cause="first_announced", epoch=1))
    assert (move.previous, move.owner, move.cause, move.gap, move.at_unix) == (
        None,
        "a",
        "first_announced",
        None,
        4000.0,
    )
    assert not watcher.owners.unowned
    assert watcher.see(held("a", cause="first_announced", epoch=1)) == ()


def silent(state: Liveness, since: float) -> Member:
    return member("a", state, since_unix=since, detection_time=0.15)


def test_a_death_tells_its_gap_from_the_last_word_of_the_dead() -> None:
    watcher = Watcher()
    watcher.see(held("a"))
    suspected = view(silent(Liveness.SUSPECT, 4100.0), "b", claims=[claim("a", VIP)])
    assert watcher.see(suspected) == ()
    (lost,) = watcher.see(view(silent(Liveness.GONE, 4100.4), "b"))
    assert (lost.previous, lost.owner, lost.cause, lost.at_unix) == ("a", None, "owner_gone", 4099.85)
    (move,) = watcher.see(
        view(silent(Liveness.GONE, 4100.4), "b", claims=[claim("b", VIP, 2, since_unix=4100.41, cause="owner_gone")])
    )
    assert (move.previous, move.owner) == ("a", "b")
    assert move.gap == pytest.approx(0.56)


@pytest.mark.parametrize(("state", "since", "gap"), [(Liveness.ALIVE, 0.0, 0.15), (Liveness.SUSPECT, 4089.85, 0.3)])
def test_an_heir_that_was_quicker_than_i_tells_the_gap_too(state: Liveness, since: float, gap: float) -> None:
    """It declares the owner dead a moment before I do: what it heard last of it then lies a detection time back."""
    watcher = Watcher()
    watcher.see(held("a"))
    takeover = claim("b", VIP, epoch=2, since_unix=4090.0, cause="owner_gone")
    taken = view(member("a", state, since_unix=since), "b", "c", claims=[claim("a", VIP, since_unix=4000.0), takeover])
    (move,) = watcher.see(taken)
    assert (move.previous, move.owner, move.cause) == ("a", "b", "owner_gone")
    assert move.gap == pytest.approx(gap)


def test_a_takeover_that_is_seen_at_once_is_one_move() -> None:
    watcher = Watcher()
    watcher.see(held("a"))
    (move,) = watcher.see(
        view(silent(Liveness.GONE, 4100.0), "b", claims=[claim("b", VIP, 2, since_unix=4100.0, cause="owner_gone")])
    )
    assert (move.previous, move.owner, move.cause) == ("a", "b", "owner_gone")
    assert move.gap == pytest.approx(0.15)
    assert watcher.owners.previous[address(VIP)] == "a"


ENDS = [
    pytest.param(view(member("a", Liveness.LEFT, since_unix=4100.0), "b"), "owner_left", Cause.OWNER_LEFT, id="left"),
    pytest.param(view(silent(Liveness.GONE, 4100.0), "b"), "owner_gone", Cause.OWNER_GONE, id="gone"),
    pytest.param(view("b"), "owner_gone", Cause.OWNER_GONE, id="forgotten"),
    pytest.param(view("a", "b"), "released", Cause.RELEASED, id="released"),
]


@pytest.mark.parametrize(("after", "cause", "unowned"), ENDS)
def test_every_end_has_its_cause(after: View, cause: str, unowned: Cause) -> None:
    watcher = Watcher()
    watcher.see(held("a"))
    (move,) = watcher.see(after)
    assert (move.owner, move.cause) == (None, cause)
    assert watcher.owners.unowned[address(VIP)].cause is unowned


def test_what_i_gave_up_myself_has_the_cause_that_pulse_names() -> None:
    watcher = Watcher()
    watcher.see(held("a"))
    (move,) = watcher.see(view("a", "b"), given_up={address(VIP): "stopping"})
    assert move.cause == "stopping"


def test_of_two_who_claim_the_better_owns() -> None:
    watcher = Watcher()
    watcher.see(held("a", epoch=3))
    two = view("a", "b", claims=[claim("a", VIP, 3), claim("b", VIP, 4, since_unix=4001.0)])
    (move,) = watcher.see(two)
    assert (move.previous, move.owner, move.gap) == ("a", "b", 0.0)


def test_a_new_claim_of_the_same_owner_is_no_move() -> None:
    watcher = Watcher()
    watcher.see(held("a", epoch=3))
    assert watcher.see(held("a", epoch=4)) == ()
    assert watcher.owners.held[address(VIP)].epoch == 4


def test_what_is_no_longer_allocated_is_forgotten() -> None:
    watcher = Watcher()
    watcher.see(held("a"))
    watcher.see(view("a", "b"))
    watcher.addresses = {}
    watcher.see(view("a", "b"))
    assert not watcher.owners.unowned
    assert not watcher.owners.ended
    assert not watcher.owners.previous


def test_nothing_new_is_the_very_same() -> None:
    watcher = Watcher()
    seen = held("a")
    watcher.see(seen)
    before = watcher.owners
    assert watcher.see(seen) == ()
    assert watcher.owners is before


def test_journal_lines_tell_the_previous_owner() -> None:
    lines: list[dict[str, object]] = [
        {"address": VIP, "from": None, "to": "a"},
        {"address": VIP, "from": "a", "to": "b"},
        {"nonsense": 1},
        {"address": "192.0.2.2", "from": "c", "to": None},
        {"address": VIP, "from": "b", "to": None},
        {"address": VIP, "from": "b", "to": "b"},
    ]
    assert remembered(lines) == {VIP: ("b", "a"), "192.0.2.2": ("c",)}


def test_who_comes_back_is_not_the_one_before_itself() -> None:
    watcher = Watcher()
    watcher.see(held("a"))
    watcher.see(view("a", "b", claims=[claim("b", VIP, 2, since_unix=4200.0)]))
    watcher.see(view("a", "b"))
    (move,) = watcher.see(view("a", "b", claims=[claim("b", VIP, 3, since_unix=4300.0)]))
    assert (move.previous, move.owner) == ("b", "b")
    assert watcher.owners.previous[address(VIP)] == "a"


VIPS = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
SEEN = st.tuples(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(VIPS), st.just(1)), max_size=4),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(list(Liveness)), max_size=3),
    st.sets(st.sampled_from(VIPS)),
)


@settings(max_examples=300)
@given(st.lists(SEEN, min_size=1, max_size=6))
def test_owners_are_the_best_living_claims_whatever_came_before(course: list[tuple[object, ...]]) -> None:
    watcher = Watcher()
    owner_of: dict[IPAddress, str | None] = {}
    known: dict[object, Claim] = {}
    for claims, members, allocated in course:
        seen = view(
            *(member(name, state) for name, state in members.items()),  # type: ignore[attr-defined]
            # The same claim is the same object, as in a real view.
            claims=[known.setdefault(each, claim(*each)) for each in claims],  # type: ignore[attr-defined]
        )
        watcher.addresses = group(vip_world(sorted(allocated)))[0].by_address  # type: ignore[call-overload]
        for move in watcher.see(seen):
            owner_of[move.address] = move.owner
        index, _ = index_claims(seen)
        alive = living(seen)
        expected = {a: best(c for c in found if c.node in alive) for a, found in index.items()}
        assert dict(watcher.owners.held) == {a: found for a, found in expected.items() if found is not None}
        assert set(watcher.owners.unowned) == set(watcher.addresses) - set(watcher.owners.held)
        # The moves alone tell a reader the same story.
        told = {a: owner for a, owner in owner_of.items() if owner is not None}
        assert told == {a: found.node for a, found in watcher.owners.held.items()}
