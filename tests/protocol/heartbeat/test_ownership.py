"""Who takes what, on a LAN in memory: heirs, refusals, lost comparisons, pauses. Names A1-A14 as in test_membership."""

from __future__ import annotations

import pytest

from lbctl.protocol.heartbeat.changes import Claim, encode_claim, pack_changes
from lbctl.protocol.heartbeat.identity import cluster_hash
from lbctl.protocol.heartbeat.packet import Header, Kind, encode_header
from lbctl.protocol.heartbeat.segments import LOOPBACK, Segment
from tests.support.lan import VIA, Lan, order, vips

INTERVAL, D = 0.05, 0.15
VIP = "192.0.2.1"


def cluster(names: str = "abc", count: int = 9, **settings: object) -> tuple[Lan, list[str]]:
    """Nodes that are prepared for `count` VIPs and hold them round robin."""
    lan = Lan(names, **settings)  # type: ignore[arg-type]
    lan.run(0.4)
    addresses = vips(count)
    for name in names:
        lan.prepare(name, addresses)
    for n, name in enumerate(names):
        lan.claim(name, addresses[n :: len(names)], "started")
    lan.run(0.2)
    assert all(len(lan.owners(address)) == 1 for address in addresses)
    return lan, addresses


def owned(lan: Lan) -> dict[str, set[str]]:
    return {node.name: set(node.mine) for node in lan.living()}


def test_a_claim_says_all_that_the_others_need() -> None:
    lan, _ = cluster()
    (row,) = [row for row in lan["b"].claims["a"].values() if row[0] == VIP]
    assert row == lan["a"].mine[VIP]
    address, epoch, quorate, since_unix, cause, allocation, generation, heirs = row
    assert (address, epoch, quorate, cause, allocation, generation) == (VIP, 1, True, "started", 1, 1)
    assert since_unix == pytest.approx(1_700_001_000.4, abs=0.1)
    assert heirs == order("bc", VIP)


def test_nothing_is_claimed_before_the_first_detection_time_is_over() -> None:
    lan = Lan("a")
    lan.run(0.001)
    lan.prepare("a", [VIP])
    lan.claim("a", [VIP])
    assert lan["a"].told("refused") == [{"addresses": [[VIP, "not_ready", None]]}]
    assert lan["a"].machine.lease == 0.0
    lan.run(0.3)
    lan.claim("a", [VIP])
    assert lan.answerers(VIP) == {"a"}


def test_what_is_not_prepared_or_held_by_another_is_refused_by_name() -> None:
    lan, addresses = cluster()
    lan.claim("b", [addresses[0], "192.0.2.200"])
    assert lan["b"].told("refused") == [
        {"addresses": [[addresses[0], "held_by_member", "a"], ["192.0.2.200", "not_prepared", None]]}
    ]


def test_without_a_usable_segment_nothing_new_is_claimed() -> None:
    lan, addresses = cluster()
    lan["a"].machine.set_segments([], lan.now)
    lan.run(1)
    assert set(lan["a"].states.values()) == {"gone"}
    assert set(lan["a"].mine) == set(addresses[0::3])
    lan.claim("a", [addresses[1]])
    assert lan["a"].told("refused")[-1] == {"addresses": [[addresses[1], "no_segment", None]]}


@pytest.mark.parametrize("seed", range(4))
def test_the_first_living_heir_takes_everything_at_once(seed: int) -> None:
    """A7: one detection time and a millisecond, by the heirs that the owner named."""
    lan, addresses = cluster("abcde", 50, seed=seed)
    held = owned(lan)
    heirs = {address: order(set("abcde") - {"a"}, address)[0] for address in held["a"]}
    lan.run(seed * 0.013)
    lan.kill("a")
    took = lan.until(lambda: all(lan.owners(address) for address in addresses), within=1)
    assert took <= D + 0.003
    lan.run(1)
    assert {address: lan.owners(address) for address in held["a"]} == {a: {heir} for a, heir in heirs.items()}
    for node in lan.living():
        assert held[node.name] <= set(node.mine)
        assert all(row[1] == 2 and row[4] == "owner_gone" for a, row in node.mine.items() if a in held["a"])
        assert not node.told("claim_lost")
        assert not node.told("contested")


def test_the_second_heir_takes_at_once_when_the_first_is_dead_too() -> None:
    lan, addresses = cluster("abcde", 5)
    first, second = order("bcde", addresses[0])[:2]
    lan.kill(first)
    lan.run(1)
    lan.kill("a")
    assert lan.until(lambda: lan.owners(addresses[0]) == {second}, within=1) <= D + 0.003


def test_the_second_heir_takes_when_both_die_in_one_moment() -> None:
    lan, addresses = cluster("abcde", 5)
    first, second = order("bcde", addresses[0])[:2]
    lan.kill(first)
    lan.kill("a")
    assert lan.until(lambda: lan.owners(addresses[0]) == {second}, within=1) <= D + INTERVAL + 0.003


def test_the_second_heir_takes_an_interval_later_when_the_first_does_not_act() -> None:
    """The first heir lives but may not announce it (A7: an heir whose work hangs)."""
    lan, addresses = cluster("abcde", 5)
    first, second = order("bcde", addresses[0])[:2]
    lan.change(first, [], [addresses[0]])
    lan.kill("a")
    took = lan.until(lambda: lan.owners(addresses[0]) == {second}, within=1)
    assert D <= took <= D + INTERVAL + 0.003


def test_what_nobody_may_take_is_left_to_the_plan() -> None:
    lan, addresses = cluster("abcde", 5)
    for heir in "bcde":
        lan.change(heir, [], [addresses[0]])
    lan.kill("a")
    lan.run(3)
    assert lan.owners(addresses[0]) == set()
    other = order("bcde", addresses[0])[2]
    lan.change(other, [(addresses[0], 1, [])])
    lan.claim(other, [addresses[0]], "first_announced")
    assert lan[other].mine[addresses[0]][1] == 2


def test_a_leaving_owner_is_followed_at_once() -> None:
    lan, addresses = cluster("abc", 30)
    lan.leave("b")
    took = lan.until(lambda: all(lan.owners(address) - {"b"} for address in addresses), within=1)
    assert took < 0.001
    assert {row[4] for node in (lan["a"], lan["c"]) for row in node.mine.values()} == {"started", "owner_left"}
    assert lan["b"].mine == {}
    assert lan["b"].answering == set()


def test_a_draining_restart_in_turn_keeps_every_address_owned() -> None:
    lan, addresses = cluster("abc", 30)
    for name in "abc":
        lan.leave(name)
        lan.run(0.05)
        lan.kill(name)
        lan.start(name)
        lan.run(0.4)
        lan.prepare(name, addresses)
        lan.run(0.1)
        assert all(len(lan.owners(address)) == 1 for address in addresses)


def test_a_restarted_owner_has_lost_its_claims_to_the_heirs() -> None:
    lan, addresses = cluster()
    held = set(lan["a"].mine)
    lan.start("a")
    took = lan.until(lambda: all(lan.owners(address) for address in addresses), within=1)
    assert took < 0.12
    lan.run(0.5)
    assert lan["a"].mine == {}
    assert held <= set(lan["b"].mine) | set(lan["c"].mine)
    assert lan["a"].claims["b"] == lan["b"].mine


def test_heirs_are_known_by_name_though_their_node_is_met_later() -> None:
    lan = Lan([])
    lan.names = ["a", "b", "c"]
    for name in "ab":
        lan.start(name, peers=[])
    lan.run(0.4)
    lan.change("a", [(VIP, 1, ["c", "b"])])
    lan.claim("a", [VIP])
    lan.run(0.1)
    assert lan["a"].mine[VIP][7] == ["c", "b"]
    assert lan["b"].claims["a"][VIP][7][0].startswith("#")
    lan.start("c", peers=[])
    lan.run(0.2)
    assert lan["b"].claims["a"][VIP] == lan["c"].claims["a"][VIP] == lan["a"].mine[VIP]


def test_what_may_no_longer_be_announced_is_released() -> None:
    lan, addresses = cluster()
    lan.change("a", [], [addresses[0]])
    lan.run(0.1)
    assert addresses[0] not in lan["b"].claims["a"]
    assert lan["a"].told("mine")[-1]["drop"] == [[addresses[0], "not_eligible"]]
    lan.change("a", [(addresses[3], 1, ["b", "c"])], complete=True)
    lan.run(0.1)
    assert set(lan["a"].mine) == {addresses[3]}
    assert lan["a"].answering == {addresses[3]}


def test_a_release_names_its_cause_and_another_may_claim_with_a_higher_epoch() -> None:
    lan, addresses = cluster()
    lan.release("a", [addresses[0]], "drained")
    lan.run(0.01)
    assert lan["a"].told("mine")[-1]["drop"] == [[addresses[0], "drained"]]
    lan.claim("c", [addresses[0]], "moved")
    assert lan["c"].mine[addresses[0]][1] == 2


def test_new_heirs_of_a_claim_reach_everybody_and_announce_nothing_again() -> None:
    lan, addresses = cluster("abcd", 4)
    answers = len(lan["a"].told("answer"))
    lan.change("a", [(addresses[0], 7, ["d", "b"])])
    lan.run(0.01)
    assert lan["c"].claims["a"][addresses[0]][5:] == [7, 2, ["d", "b"]]
    assert len(lan["a"].told("answer")) == answers
    lan.kill("a")
    lan.until(lambda: lan.owners(addresses[0]) == {"d"}, within=0.3)


def test_epochs_that_a_journal_remembers_are_never_gone_back_on() -> None:
    lan = Lan("a")
    lan["a"].machine.restore([(VIP, 41)])
    lan.run(0.4)
    lan.prepare("a", [VIP])
    lan.claim("a", [VIP])
    assert lan["a"].mine[VIP][1] == 42


@pytest.mark.parametrize(("loss", "intervals"), [(0.0, 2), (0.1, 6)])
def test_two_claims_of_one_address_become_one_within_two_intervals(loss: float, intervals: int) -> None:
    """Two plans decide in the same instant, neither has heard of the other."""
    for seed in range(10):
        lan = Lan("abc", seed=seed, loss=loss)
        lan.run(0.5)
        for name in "ab":
            lan.prepare(name, vips(20))
        for name in "ab":
            lan.claim(name, vips(20))
        assert all(lan.owners(address) == {"a", "b"} for address in vips(20))
        lan.until(lambda lan=lan: all(len(lan.owners(a)) == 1 for a in vips(20)), within=intervals * INTERVAL)  # type: ignore[misc]
        lan.run(0.5)
        winners = {address: next(iter(lan.owners(address))) for address in vips(20)}
        assert winners == {address: order("ab", address)[0] for address in vips(20)}
        assert lan["a"].answering == set(lan["a"].mine)


def test_a_deaf_node_moves_nothing_of_the_others() -> None:
    """A2: C receives nothing, finds everybody dead, claims all of it with higher epochs, and still sends."""
    lan, addresses = cluster()
    held = owned(lan)
    lan.deafen("c")
    lan.run(2)
    assert held["a"] <= set(lan["a"].mine)
    assert held["b"] <= set(lan["b"].mine)
    assert all(lan.answerers(address) & set("ab") for address in addresses)
    assert not lan["a"].told("claim_lost")
    contested = lan["a"].told("contested")
    assert contested
    assert {fields["node"] for fields in contested} == {"c"}
    assert not any(fields["two_way"] for fields in contested)
    lan.heal()
    lan.until(lambda: all(len(lan.owners(address)) == 1 for address in addresses), within=0.3)
    assert held["a"] <= set(lan["a"].mine)
    assert held["b"] <= set(lan["b"].mine)


def test_nobody_yields_to_a_claimant_that_does_not_hear_him() -> None:
    """A2, without a majority on either side: the better claim is that of a deaf node."""
    lan = Lan("ab", start_wait=0.0)
    lan.kill("b")
    lan.run(0.5)
    lan.prepare("a", [VIP])
    lan.claim("a", [VIP])
    lan.run(0.1)
    assert lan["a"].mine[VIP][1:3] == [1, False]
    lan.deafen("b")
    lan.start("b")
    lan["b"].machine.restore([(VIP, 40)])
    lan.run(0.5)
    lan.prepare("b", [VIP])
    lan.claim("b", [VIP])
    lan.run(0.1)
    assert lan["b"].mine[VIP][1:3] == [41, False]
    lan.run(1)
    assert lan.owners(VIP) == {"a", "b"}
    assert lan["a"].told("contested") == [{"node": "b", "addresses": [VIP], "two_way": False}]
    lan.heal()
    lan.until(lambda: lan.owners(VIP) == {"b"}, within=1.2)


def test_an_isolated_node_loses_at_heal_and_moves_nothing() -> None:
    """A1: alone it raised the epochs of everything; its claims are provisional and lose to any that is not."""
    lan, addresses = cluster("abcde", 50)
    held = owned(lan)
    lan.cut("a")
    lan.run(3)
    assert {row[2] for address, row in lan["a"].mine.items() if address not in held["a"]} == {False}
    before = {name: set(lan[name].mine) for name in "bcde"}
    lan.heal()
    lan.until(lambda: all(len(lan.owners(address)) == 1 for address in addresses), within=D + 2 * INTERVAL)
    lan.run(1)
    for name in "bcde":
        assert set(lan[name].mine) == before[name] >= held[name]
    assert lan["a"].mine == {}


def test_without_the_rule_of_provisional_claims_the_isolated_node_would_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: with epochs alone the isolated node takes what the majority never gave up."""
    from lbctl.protocol.heartbeat import claims, ownership

    def by_epoch(mine: Claim, my_node: int, other: Claim, other_node: int) -> bool:
        return (mine.epoch, my_node) > (other.epoch, other_node)

    monkeypatch.setattr(claims, "better", by_epoch)
    monkeypatch.setattr(ownership, "better", by_epoch)
    lan, _ = cluster("abcde", 50)
    lan.cut("a")
    lan.run(3)
    lan.heal()
    lan.run(1)
    assert len(lan["a"].mine) > 10


def test_a_provisional_claim_that_nobody_contests_becomes_quorate() -> None:
    lan, addresses = cluster("ab", 4)
    lan.kill("b")
    lan.run(1)
    assert {lan["a"].mine[address][2] for address in addresses[1::2]} == {False}
    lan.start("b")
    lan.run(1)
    assert {row[2] for row in lan["a"].mine.values()} == {True}
    assert lan["b"].claims["a"] == lan["a"].mine
    assert lan["a"].mine[addresses[1]][1] == 2


def test_a_claim_held_unbroken_stays_quorate_through_a_cut() -> None:
    lan, addresses = cluster("abc", 9)
    lan.cut("a")
    lan.run(0.1)
    assert {row[2] for row in lan["a"].mine.values()} == {True}
    lan.heal()
    lan.run(1)
    assert set(lan["a"].mine) == set(addresses[0::3])


def poisoned(lan: Lan, owner: str, epoch: int) -> bytes:
    """A CLAIMS packet of a buggy `owner`."""
    node = lan[owner].machine.membership.me
    content = encode_claim(Claim(address=VIP, epoch=epoch, quorate=True, since_ms=0, cause="started", allocation=1))
    (body,) = pack_changes((0, 1), [(1, content)], floor=0, version=1)
    header = Header(Kind.CLAIMS, *node, 10**9, 0, 0, 50, 3, 1, 1, 0)
    return encode_header(header, cluster_hash("test")) + body


@pytest.mark.parametrize(("epoch", "stays"), [(2**63, True), (2, False)])
def test_a_jump_of_epoch_does_not_take_an_address(epoch: int, stays: bool) -> None:
    """A14: one buggy epoch would own a VIP for good."""
    lan = Lan("ab")
    lan.run(0.4)
    lan.prepare("a", [VIP])
    lan.claim("a", [VIP])
    lan.run(0.1)
    lan.inject("a", poisoned(lan, "b", epoch), "10.0.0.2")
    assert (lan.owners(VIP) == {"a"}) is stays
    noted = [{"node": "b", "addresses": [VIP], "count": 1}]
    assert (lan["a"].told("epoch_refused") == noted) is stays


def test_the_loser_is_told_who_won() -> None:
    lan = Lan("ab")
    lan.run(0.4)
    lan.prepare("a", [VIP])
    lan.claim("a", [VIP])
    lan.run(0.1)
    lan.inject("a", poisoned(lan, "b", 5), "10.0.0.2")
    assert lan["a"].told("claim_lost") == [{"winner": "b", "addresses": [VIP], "count": 1}]
    assert lan["a"].told("mine")[-1]["drop"] == [[VIP, "lost_to_better_claim"]]
    assert lan["a"].answering == set()


@pytest.mark.parametrize("seconds", [0.3, 5.0])
def test_a_paused_node_answers_nothing_after_waking_what_others_took(seconds: float) -> None:
    """A8: the lease ran out while it slept; it does not come back before the node knows better."""
    lan, addresses = cluster("abc", 30)
    held = set(lan["a"].mine)

    def only_one_answers() -> None:
        assert all(len(lan.answerers(address)) <= 1 for address in addresses)

    lan.pause("a")
    lan.run(seconds, only_one_answers)
    assert all(lan.owners(address) - {"a"} for address in held)
    lan.resume("a")
    lan.run(2, only_one_answers)
    assert lan["a"].mine == {}
    assert all(len(lan.answerers(address)) == 1 for address in addresses)
    assert lan["a"].told("paused")[0]["gap"] == pytest.approx(seconds)
    assert lan["a"].states == {"b": "alive", "c": "alive"}


def test_everybody_paused_together_loses_nothing() -> None:
    """A freeze of the host they all run on: nobody's silence counts."""
    lan, addresses = cluster("abc", 30)
    held = owned(lan)
    for name in "abc":
        lan.pause(name)
    lan.run(5)
    for name in "abc":
        lan.resume(name)
    lan.run(1)
    assert owned(lan) == held
    assert all(len(lan.answerers(address)) == 1 for address in addresses)
    assert {fields["state"] for node in lan.living() for fields in node.told("member")} == {"alive"}


def test_a_node_alone_keeps_what_it_held_after_a_pause() -> None:
    lan, addresses = cluster("a", 5)
    lan.pause("a")
    lan.run(5)
    assert not any(lan.answerers(address) for address in addresses)
    lan.resume("a")
    lan.until(lambda: all(lan.answerers(address) == {"a"} for address in addresses), within=D + 2 * INTERVAL)


def test_the_lease_ends_no_later_than_anybody_can_take_over() -> None:
    for seed in range(5):
        lan, addresses = cluster("abc", 9, seed=seed)
        lan.run(seed * 0.017)
        lan.cut("a")

        def no_two(lan: Lan = lan, addresses: list[str] = addresses) -> None:
            answering = [lan.answerers(address) & set("bc") for address in addresses]
            assert all(len(names) <= 1 for names in answering)

        ends = lan["a"].machine.lease
        taken = lan.now + lan.until(lambda lan=lan: lan["b"].states["a"] == "gone", within=1)  # type: ignore[misc]
        assert ends <= taken
        lan.run(1, no_two)


def test_a_node_that_lost_its_addresses_answers_no_more_and_yields_when_it_has_one_again() -> None:
    lan, addresses = cluster()
    node, owned_before = lan["a"], set(lan["a"].mine)
    assert owned_before
    lan.cut("a")
    node.machine.set_segments([LOOPBACK], lan.now)
    lan._pump(node)
    assert node.machine.lease == 0.0

    def one_at_most() -> None:
        for address in addresses:
            assert len(lan.answerers(address)) <= 1

    lan.run(1.0, one_at_most)
    assert all(lan.answerers(address) and "a" not in lan.answerers(address) for address in addresses)
    lan.heal()
    node.machine.set_segments([Segment(ifindex=VIA, name="eth0", address=node.address)], lan.now)
    lan._pump(node)
    lan.run(1.0, one_at_most)
    assert not owned_before & set(node.mine)
    assert node.machine.lease > lan.now
    assert all(len(lan.answerers(address)) == 1 for address in addresses)


def test_the_winner_is_told_when_the_loser_gave_in() -> None:
    """The loser's announcement may have been the last one on the wire."""
    lan, addresses = cluster("ab", 4)
    lan.cut("a")
    lan.run(1.0)
    lan.heal()
    lan.run(1.0)
    for address in addresses:
        (winner,) = lan.owners(address)
        loser = "b" if winner == "a" else "a"
        fell = [seen.at for seen in lan[loser].seen if seen.name == "answer" and address in seen.fields["drop"]]
        told = [
            seen.at for seen in lan[winner].seen if seen.name == "uncontested" and address in seen.fields["addresses"]
        ]
        assert not fell or told[-1] >= fell[-1]
    assert any(lan[name].told("uncontested") for name in "ab")
