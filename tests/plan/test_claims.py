"""Which of several claims is the better one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.claim import Claim
from lbctl.model.snapshot import View
from lbctl.plan.claims import ClaimsMemo, best, claim_rank, index_claims, rendezvous
from lbctl.protocol.heartbeat import claims as spoken
from lbctl.protocol.heartbeat.changes import Claim as SpokenClaim
from lbctl.protocol.heartbeat.identity import node_hash
from tests.support.worlds import addresses, claim, view

VIP = "192.0.2.1"
WORST_TO_BEST = [
    claim("a", VIP, 1, quorate=False),
    claim("a", VIP, 900, quorate=False),
    claim("a", VIP, 1),
    claim("a", VIP, 2),
]


def test_a_majority_first_then_the_epoch() -> None:
    assert all(claim_rank(low) < claim_rank(high) for low, high in pairwise(WORST_TO_BEST))
    assert all(best(some) is WORST_TO_BEST[-1] for some in permutations(WORST_TO_BEST))


def test_between_equals_the_hash_decides_alike_in_any_order() -> None:
    rivals = [claim(node, VIP) for node in "abcde"]
    (address,) = addresses(VIP)
    winner = max("abcde", key=lambda node: rendezvous(node, address))
    assert {best(some).node for some in permutations(rivals)} == {winner}  # type: ignore[union-attr]


def some_claim(nodes: str) -> st.SearchStrategy[Claim]:
    return st.builds(
        lambda node, epoch, quorate, grant: replace(claim(node, VIP, epoch, quorate=quorate), allocation_id=grant),
        st.sampled_from(nodes),
        st.integers(1, 3),
        st.booleans(),
        st.integers(0, 2),
    )


@given(some_claim("ab"), some_claim("cd"))
def test_plan_and_heartbeats_agree_on_the_better(mine: Claim, other: Claim) -> None:
    """Both compare claims: the plan to name an owner, pulse to settle it. They must never differ."""
    spoken_mine, spoken_other = (
        SpokenClaim(address=VIP, epoch=c.epoch, quorate=c.quorate, since_ms=0, cause="", allocation=c.allocation_id)
        for c in (mine, other)
    )
    mine_is_better = spoken.better(spoken_mine, node_hash(mine.node), spoken_other, node_hash(other.node))
    assert (best([mine, other]) is mine) == mine_is_better


def test_of_two_addresses_the_newer_grant_says_nothing() -> None:
    first, second = claim("a", VIP, 3), replace(claim("b", "192.0.2.2", 2), allocation_id=9)
    assert best([first, second]) is first


CLAIMS = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from(["192.0.2.1", "192.0.2.2"]), st.integers(1, 2)), max_size=3
)


@given(st.lists(CLAIMS, min_size=1, max_size=6))
def test_any_memo_gives_the_same_index(states: list[dict[str, dict[str, int]]]) -> None:
    memo = ClaimsMemo()
    for state in states:
        seen = view(claims=[claim(n, text, epoch) for n, found in state.items() for text, epoch in found.items()])
        before = memo.by_address
        index, memo = index_claims(seen, memo)
        fresh, _ = index_claims(seen)
        assert dict(index) == dict(fresh)
        for address in {*before, *index} - memo.touched:
            assert index.get(address) is before.get(address)


def test_the_same_claims_cost_nothing() -> None:
    said = MappingProxyType({"a": MappingProxyType({claim("a", VIP).address: claim("a", VIP)})})
    first, memo = index_claims(View(claims=said))
    second, again = index_claims(View(claims=said, synced=False), memo)
    assert second is first
    assert again is memo
