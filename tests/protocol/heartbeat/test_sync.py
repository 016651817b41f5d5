"""Claims reach everybody: 2,000 of them, with losses, to who was there and to who comes later (A6)."""

from __future__ import annotations

import pytest

from tests.support.lan import Lan, vips

COUNT = 2_000


def big(names: str, seed: int, loss: float) -> tuple[Lan, list[str]]:
    lan = Lan(names, seed=seed)
    lan.run(0.4)
    addresses = vips(COUNT)
    for n, name in enumerate(names):
        lan.prepare(name, addresses[n :: len(names)])
    lan.loss = loss
    for n, name in enumerate(names):
        lan.claim(name, addresses[n :: len(names)])
    return lan, addresses


def synced(lan: Lan) -> bool:
    return all(
        node.claims.get(other.name, {}) == other.mine
        for node in lan.living()
        for other in lan.living()
        if other is not node
    )


@pytest.mark.parametrize("seed", range(3))
def test_two_thousand_claims_reach_everybody_though_a_fifth_is_lost(seed: int) -> None:
    lan, _ = big("abc", seed, 0.2)
    lan.until(lambda: sum(len(node.mine) for node in lan.living()) == COUNT, within=1)
    took = lan.until(lambda: synced(lan), within=1.5)
    assert took < 1.0


def test_what_was_lost_is_asked_for_at_the_next_beat() -> None:
    lan, addresses = big("ab", 1, 0.0)
    lan.run(1)
    for n in range(10):
        lan.blocked.add(("b", "a"))
        lan.release("b", [addresses[2 * n + 1]], "drained")
        lan.blocked.clear()
        assert not synced(lan)
        lan.until(lambda: synced(lan), within=0.05 + 0.002)
        lan.run(0.007)


def test_a_joiner_claims_nothing_before_it_has_heard_all() -> None:
    lan, addresses = big("abc", 1, 0.0)
    lan.run(1)
    held = {name: set(lan[name].mine) for name in "ab"}
    lan.kill("c")
    lan.run(1)
    free = {address for address in addresses if not lan.owners(address)}
    assert len(free) == len(addresses[2::3])
    lan.loss = 0.2
    lan.start("c")
    lan.run(0.001)
    lan.prepare("c", addresses)
    # A plan that knows nothing yet: it would take everything.
    lan.at(lan.now + 0.2, lambda: lan.claim("c", addresses))
    joiner = lan["c"]

    def holds_only_free_ones() -> None:
        assert set(joiner.mine) <= free
        if joiner.mine:
            assert synced_with_others(lan)

    lan.run(3, holds_only_free_ones)
    assert set(joiner.mine) == free
    assert {name: set(lan[name].mine) for name in "ab"} == held
    refused = {reason for fields in joiner.told("refused") for _, reason, _ in fields["addresses"]}
    assert refused == {"held_by_member"}


def synced_with_others(lan: Lan) -> bool:
    joiner = lan["c"]
    return all(joiner.claims.get(name) == lan[name].mine for name in "ab")


def test_without_the_rule_a_joiner_would_take_what_others_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    from lbctl.protocol.heartbeat.claims import CopiedClaims

    lan, addresses = big("abc", 1, 0.0)
    lan.run(1)
    lan.kill("c")
    lan.run(1)
    monkeypatch.setattr(CopiedClaims, "complete", property(lambda self: True))
    exchange = lan.start("c", start_wait=0.0).machine._exchange
    received = exchange.claims
    # Of ten packets of claims one arrives, and every beat.
    exchange.claims = lambda *of: lan.random.random() < 0.1 and received(*of)  # type: ignore[method-assign]
    lan.run(0.6)
    lan.prepare("c", addresses)
    lan.claim("c", addresses)
    lan.run(0.5)
    assert any(len(lan.owners(address)) > 1 for address in addresses)


def test_a_claim_waits_for_the_copies_and_is_then_refused_by_name() -> None:
    lan, addresses = big("ab", 1, 0.0)
    lan.run(1)
    # B's list changes, but from now on A gets nothing of it except beats.
    lan.tap = None
    exchange = lan["a"].machine._exchange
    original = exchange.claims
    exchange.claims = lambda *_: False  # type: ignore[method-assign]
    lan.release("b", addresses[1::2], "drained")
    lan.run(0.2)
    assert lan["a"].told("synced")[-1] == {"synced": False}
    lan.change("a", [(addresses[1], 1, [])])
    lan.claim("a", [addresses[1], addresses[0]])
    lan.run(0.5)
    assert lan["a"].told("refused") == []
    lan.run(0.2)
    assert lan["a"].told("refused") == [{"addresses": [[addresses[1], "claims_not_synced", None]]}]
    exchange.claims = original  # type: ignore[method-assign]
    lan.run(0.2)
    assert lan["a"].told("synced")[-1] == {"synced": True}
    lan.claim("a", [addresses[1]])
    assert lan.owners(addresses[1]) == {"a"}


def test_a_node_that_comes_back_knows_again_what_the_others_hold() -> None:
    lan, _ = big("abc", 3, 0.0)
    lan.run(1)
    lan.cut("c")
    lan.run(1)
    lan.heal()
    lan.run(1.5)
    assert synced(lan)


def test_ten_thousand_claims_reach_a_joiner_in_time() -> None:
    lan = Lan("ab")
    lan.run(0.4)
    addresses = vips(10_000)
    lan.prepare("a", addresses)
    lan.claim("a", addresses)
    lan.until(lambda: len(lan["a"].mine) == 10_000, within=5)
    lan.start("b")
    took = lan.until(lambda: len(lan["b"].claims.get("a", {})) == 10_000, within=5)
    assert took < 0.5
