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
