"""Lists of claims: mine, copies of the others', and which of two claims is the better."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.protocol.heartbeat.changes import Changes, Claim, parse_changes
from lbctl.protocol.heartbeat.claims import (
    EPOCH_JUMP,
    ClaimTable,
    CopiedClaims,
    OwnClaims,
    better,
)
from lbctl.protocol.heartbeat.identity import rendezvous
from lbctl.protocol.heartbeat.packet import HEADER_SIZE, Refused


def claim(address: str = "192.0.2.1", epoch: int = 1, *, quorate: bool = True, heirs: tuple[int, ...] = ()) -> Claim:
    return Claim(address=address, epoch=epoch, quorate=quorate, since_ms=1, cause="started", heirs=heirs)


def read(body: bytes) -> Changes:
    changes = parse_changes(bytes(HEADER_SIZE) + body, HEADER_SIZE + len(body))
    assert not isinstance(changes, Refused)
    return changes


@pytest.mark.parametrize(
    ("mine", "other", "keeps"),
    [
        (claim(epoch=2), claim(epoch=1), True),
        (claim(epoch=1), claim(epoch=2), False),
        # A provisional claim loses to any that is not, whatever the epochs.
        (claim(epoch=9, quorate=False), claim(epoch=1), False),
        (claim(epoch=1), claim(epoch=9, quorate=False), True),
        (claim(epoch=3, quorate=False), claim(epoch=2, quorate=False), True),
    ],
)
def test_the_better_claim_is_quorate_then_higher(mine: Claim, other: Claim, keeps: bool) -> None:
    assert better(mine, 1, other, 2) is keeps
    assert better(other, 2, mine, 1) is not keeps


def test_equal_claims_are_settled_by_rendezvous_alike_on_both_sides() -> None:
    first = {better(claim(f"192.0.2.{n}"), 1, claim(f"192.0.2.{n}"), 2) for n in range(50)}
    assert first == {True, False}
    assert better(claim(), 1, claim(), 2) is (rendezvous(1, "192.0.2.1") > rendezvous(2, "192.0.2.1"))
    assert better(claim(), 1, claim(), 2) is not better(claim(), 2, claim(), 1)


changes_of_a_list = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["put", "put", "drop"]), st.integers(1, 9)), max_size=200
)


@settings(max_examples=150, deadline=None)
@given(changes_of_a_list, st.integers(0, 2**32), st.floats(0, 0.6))
def test_a_copy_becomes_the_list_whatever_is_lost_repeated_or_late(
    changes: list[tuple[int, str, int]], seed: int, loss: float
) -> None:
    chance = random.Random(seed)
    own, copy = OwnClaims(), CopiedClaims()
    late: list[Changes] = []
    pushed = 0
    for number, what, epoch in changes:
        address = f"192.0.2.{number}"
        if what == "put":
            own.put(claim(address, epoch))
        else:
            own.drop(address)
        if own.version > pushed:
            late += [read(body) for body in own.bodies(pushed, own.version, packets=4)]
            pushed = own.version
        chance.shuffle(late)
        while late and chance.random() < 0.5:
            if chance.random() >= loss:
                assert copy.apply(late[-1]) is not None
            if chance.random() < 0.8:
                late.pop()
    digest = own.digest(1, 2)
    assert copy.learn_digest(digest)
    for _ in range(50):
        if copy.complete:
            break
        for after, upto in copy.missing():
            for body in own.bodies(after, upto, packets=2, answer=True):
                if chance.random() >= loss:
                    assert copy.apply(read(body)) is not None
    else:
        pytest.fail(f"still missing {copy.missing()}")
    assert copy.claims == own.claims
    assert copy.missing() == ()


@pytest.mark.parametrize(("first", "second"), [("put", "put"), ("put", "drop"), ("drop", "put")])
def test_what_comes_late_does_not_undo_what_came_after_it(first: str, second: str) -> None:
    own, copy = OwnClaims(), CopiedClaims()
    own.put(claim("192.0.2.1", 1))
    bodies = own.bodies(0, 1, packets=1)
    for epoch, what in ((2, first), (3, second)):
        if what == "put":
            own.put(claim("192.0.2.1", epoch))
        else:
            own.drop("192.0.2.1")
        bodies += own.bodies(epoch - 1, epoch, packets=1)
    for body in (bodies[0], bodies[2], bodies[1]):
        assert copy.apply(read(body)) is not None
    assert copy.learn_digest(own.digest(1, 2))
    assert copy.complete
    assert copy.claims == own.claims


@settings(deadline=None)
@given(changes_of_a_list)
def test_the_digest_is_that_of_the_claims_alone(changes: list[tuple[int, str, int]]) -> None:
    own, again = OwnClaims(), OwnClaims()
    for number, what, epoch in changes:
        if what == "put":
            own.put(claim(f"192.0.2.{number}", epoch))
        else:
            own.drop(f"192.0.2.{number}")
    for entry in reversed(own.claims.values()):
        again.put(entry)
    assert (again.hash, len(again.claims)) == (own.hash, len(own.claims))


def test_the_log_of_a_list_that_changes_for_ever_stays_small() -> None:
    own = OwnClaims()
    for n in range(20_000):
        own.put(claim(f"192.0.2.{n % 50}", n))
        own.drop(f"192.0.2.{(n * 7) % 50}")
    assert len(own._log) < 3_000
    copy = CopiedClaims()
    assert copy.learn_digest(own.digest(1, 2))
    while not copy.complete:
        (span,) = copy.missing()
        for body in own.bodies(*span, packets=3):
            assert copy.apply(read(body)) is not None
    assert copy.claims == own.claims


def test_a_copy_that_is_not_what_its_owner_has_is_thrown_away() -> None:
    own, other = OwnClaims(), OwnClaims()
    own.put(claim("192.0.2.1"))
    other.put(claim("192.0.2.2"))
    copy = CopiedClaims()
    assert copy.learn_digest(own.digest(1, 2))
    (body,) = other.bodies(0, 1, packets=1)
    assert copy.apply(read(body)) is None


def test_a_copy_older_than_what_its_owner_remembers_of_drops_starts_anew() -> None:
    own, copy = OwnClaims(), CopiedClaims()
    own.put(claim("192.0.2.1"))
    own.put(claim("192.0.2.2"))
    for body in own.bodies(0, 2, packets=1):
        assert copy.apply(read(body)) == (["192.0.2.1", "192.0.2.2"], [])
    own.drop("192.0.2.1")
    own._drops.clear()
    own.floor = 3
    own.put(claim("192.0.2.3"))
    for body in own.bodies(2, 4, packets=1):
        assert copy.apply(read(body)) is None


def test_an_owner_that_moved_on_while_parts_were_on_the_way_is_no_disagreement() -> None:
    own, copy = OwnClaims(), CopiedClaims()
    for n in range(1, 6):
        own.put(claim(f"192.0.2.{n}"))
    old_digest = own.digest(1, 2)
    own.put(claim("192.0.2.1", 2))
    first, second = own.bodies(0, 3, packets=1)[0], own.bodies(3, 5, packets=1)[0]
    assert copy.learn_digest(old_digest)
    assert copy.apply(read(first)) is not None
    assert copy.apply(read(second)) is not None
    assert not copy.complete
    assert copy.missing() == ((5, 6),)


def table_with(*claims: Claim) -> tuple[ClaimTable, list[str]]:
    own = OwnClaims()
    for entry in claims:
        own.put(entry)
    table = ClaimTable(1)
    applied = table.copy((2, 1)).apply(read(own.bodies(0, own.version, packets=9)[0]))
    assert applied is not None
    return table, applied[0]


def test_the_epoch_of_a_new_claim_is_one_above_all_that_is_known_of_the_address() -> None:
    table, put = table_with(claim("192.0.2.1", 7))
    assert table.learn((2, 1), put) == []
    assert table.next_epoch("192.0.2.1") == 8
    assert table.next_epoch("192.0.2.9") == 1
    table.restore("192.0.2.1", 20)
    table.restore("192.0.2.1", 3)
    assert table.next_epoch("192.0.2.1") == 21


@pytest.mark.parametrize(
    ("known", "epoch", "refused"),
    [(5, 5 + EPOCH_JUMP, False), (5, 6 + EPOCH_JUMP, True), (None, 2**40, False), (None, 2**63, True)],
)
def test_a_jump_in_epoch_is_refused(known: int | None, epoch: int, refused: bool) -> None:
    table, put = table_with(claim("192.0.2.1", epoch))
    if known is not None:
        table.restore("192.0.2.1", known)
    assert (table.learn((2, 1), put) == ["192.0.2.1"]) is refused
    assert (table.claim_of((2, 1), "192.0.2.1") is None) is refused
    assert table.next_epoch("192.0.2.1") == (epoch if not refused else known or 0) + 1
