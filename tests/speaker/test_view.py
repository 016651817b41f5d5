"""The View out of pulse's messages."""

from __future__ import annotations

from typing import Any

from lbctl.model.member import Liveness, Role
from lbctl.speaker.view import Hearing
from tests.support.worlds import address, member

VIP, OTHER = "192.0.2.1", "192.0.2.2"


def said(text: str, epoch: int = 1, heirs: tuple[str, ...] = ()) -> list[Any]:
    return [text, epoch, True, 4000.0, "started", 7, 3, list(heirs)]


def member_message(node: str, **more: Any) -> dict[str, Any]:
    return {
        "op": "member", "node": node, "incarnation": 5, "state": "alive", "two_way": True, "addresses": ["192.0.2.9"],
        "macs": [["02:00:00:00:00:09", "eth0"]], "role": "speaker", "since_unix": 3.0, "interval": 0.05,
        "multiplier": 3, "cause": "heard", **more,
    }  # fmt: skip


def claims(node: str, *found: list[Any], drop: tuple[str, ...] = (), complete: bool = False) -> dict[str, Any]:
    return {"op": "claims", "node": node, "set": list(found), "drop": list(drop), "complete": complete}


def test_members_and_their_claims() -> None:
    hearing = Hearing("me", 1)
    assert hearing.receive(member_message("a"))
    assert hearing.receive(claims("a", said(VIP, 4, ("b", "c"))))
    assert hearing.receive({"op": "synced", "synced": True})
    seen = hearing.view(10.0)
    assert (seen.source, seen.synced, seen.seen_unix) == ("me", True, 10.0)
    assert seen.members["a"].macs == (("02:00:00:00:00:09", "eth0"),)
    assert seen.members["a"].role is Role.SPEAKER
    (claim,) = seen.claims_of(address(VIP))
    assert (claim.node, claim.epoch, claim.heirs, claim.incarnation, claim.allocation_id) == ("a", 4, ("b", "c"), 5, 7)


def test_deltas_add_up_and_a_complete_list_replaces() -> None:
    hearing = Hearing("me", 1)
    hearing.receive(claims("a", said(VIP)))
    hearing.receive(claims("a", said(OTHER)))
    assert set(hearing.view(0).claims["a"]) == {address(VIP), address(OTHER)}
    hearing.receive(claims("a", drop=(VIP,)))
    assert set(hearing.view(0).claims["a"]) == {address(OTHER)}
    hearing.receive(claims("a", said(VIP), complete=True))
    assert set(hearing.view(0).claims["a"]) == {address(VIP)}
    hearing.receive(claims("a", complete=True))
    assert "a" not in hearing.view(0).claims


def test_my_own_claims_and_why_i_gave_them_up() -> None:
    hearing = Hearing("me", 1)
    hearing.receive({"op": "mine", "set": [said(VIP)], "drop": []})
    assert hearing.view(0).claims["me"][address(VIP)].incarnation == 1
    hearing.receive({"op": "mine", "set": [], "drop": [[VIP, "not_eligible"]]})
    assert "me" not in hearing.view(0).claims
    assert hearing.given_up == {address(VIP): "not_eligible"}
    hearing.receive({"op": "mine", "set": [said(VIP)], "drop": []})
    assert hearing.given_up == {}


def test_what_did_not_change_keeps_its_identity() -> None:
    hearing = Hearing("me", 1)
    hearing.be(member("me"))
    hearing.receive(claims("a", said(VIP)))
    hearing.receive(claims("b", said(OTHER)))
    first = hearing.view(0)
    assert hearing.view(1) is first
    hearing.be(member("me"))
    assert hearing.view(1) is first, "still the same"
    hearing.receive(claims("b", drop=(OTHER,)))
    second = hearing.view(2)
    assert second is not first
    assert second.claims["a"] is first.claims["a"]


def test_nobody_but_me_says_how_i_am() -> None:
    hearing = Hearing("me", 1)
    hearing.be(member("me"))
    hearing.receive(member_message("me", state="gone"))
    assert hearing.view(0).members["me"].state is Liveness.ALIVE


def test_other_messages_say_nothing_about_the_view() -> None:
    hearing = Hearing("me", 1)
    first = hearing.view(0)
    assert not hearing.receive({"op": "counters", "counters": {}})
    assert not hearing.receive({"op": "ready"})
    assert hearing.view(1) is first


def comes(hearing: Hearing, node: str, at: float, *, incarnation: int = 5) -> None:
    hearing.receive(member_message(node, state="gone", since_unix=at - 1, incarnation=incarnation))
    hearing.receive(member_message(node, since_unix=at, incarnation=incarnation))


def test_who_comes_and_goes_is_held_down_longer_each_time() -> None:
    hearing = Hearing("me", 1)
    hearing.receive(member_message("b", since_unix=1000.0))
    held = []
    for at in range(1000, 1100, 10):
        comes(hearing, "a", float(at))
        held.append(hearing.view(at).members["a"].held_until_unix - at if at > 1010 else 0.0)
    assert held == [0, 0, 10, 20, 40, 80, 160, 320, 600, 600]
    assert hearing.view(1100).members["b"].held_until_unix == 0
    comes(hearing, "a", 5000.0)
    assert hearing.view(5000).members["a"].held_until_unix == 0, "what was long ago is forgotten"


def test_a_restart_counts_though_nobody_saw_it_gone() -> None:
    hearing = Hearing("me", 1)
    for incarnation in (5, 6, 7):
        hearing.receive(member_message("a", since_unix=100.0 + incarnation, incarnation=incarnation))
    assert hearing.view(0).members["a"].held_until_unix == 117.0


def test_a_suspicion_is_no_coming() -> None:
    hearing = Hearing("me", 1)
    for _ in range(5):
        hearing.receive(member_message("a", state="suspect"))
        hearing.receive(member_message("a"))
    assert hearing.view(0).members["a"].held_until_unix == 0


def test_a_view_is_made_anew_when_a_hold_down_ends() -> None:
    hearing = Hearing("me", 1)
    for incarnation in (5, 6, 7):
        hearing.receive(member_message("a", since_unix=100.0, incarnation=incarnation))
    first = hearing.view(105.0)
    assert hearing.view(109.0) is first
    assert hearing.view(110.0).seen_unix == 110.0
    assert hearing.view(200.0) is hearing.view(111.0)


def test_a_node_that_lost_all_others_again_and_again_holds_itself_down() -> None:
    hearing = Hearing("me", 1, comings=(900.0,))
    for node in "ab":
        hearing.receive(member_message(node, since_unix=901.0))
    hearing.be(member("me"))
    for at in (1000.0, 1010.0):
        assert hearing.view(at).members["me"].held_until_unix == 0
        for node in "ab":
            hearing.receive(member_message(node, state="gone", since_unix=at))
        for node in "ab":
            hearing.receive(member_message(node, since_unix=at + 1))
        hearing.be(member("me"))
    assert hearing.view(1012.0).members["me"].held_until_unix == 1021.0
