"""Which of several claims is the better one."""

from __future__ import annotations

from itertools import pairwise, permutations
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

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


@given(st.booleans(), st.integers(1, 3), st.sampled_from("ab"), st.booleans(), st.integers(1, 3), st.sampled_from("cd"))
def test_plan_and_heartbeats_agree_on_the_better(q1: bool, e1: int, n1: str, q2: bool, e2: int, n2: str) -> None:
    """Both compare claims: the plan to name an owner, pulse to settle it. They must never differ."""
    mine, other = claim(n1, VIP, e1, quorate=q1), claim(n2, VIP, e2, quorate=q2)
    spoken_mine, spoken_other = (
        SpokenClaim(address=VIP, epoch=c.epoch, quorate=c.quorate, since_ms=0, cause="") for c in (mine, other)
    )
    mine_is_better = spoken.better(spoken_mine, node_hash(n1), spoken_other, node_hash(n2))
    assert (best([mine, other]) is mine) == mine_is_better


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
