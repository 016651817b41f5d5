"""The judgement: three sides of an address in, a verdict and every disagreement by name out."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.cli.exit_status import WhereIsStatus
from lbctl.cli.whereabouts import Answer, Finding, Planned, Quarantined, Said, Seen, Verdict, Whereabouts, judge, worst

VIP = "192.0.2.170"
N1, N2 = "n1", "n2"


def planned(owner: str | None) -> Planned:
    return Planned(owner=owner)


def said(node: str, epoch: int = 1, *, quorate: bool = True) -> Said:
    return Said(node=node, epoch=epoch, since_unix=0.0, cause="started", quorate=quorate)


def seen(*nodes: str | None, own: bool = False) -> Seen:
    answers = tuple(Answer(mac=f"02:00:00:00:00:{n:02x}", node=node, after=0.001) for n, node in enumerate(nodes))
    return Seen(interface="eth0", window=0.05, answers=answers, own=own)


TAKEN = Quarantined(mac="02:00:00:00:00:00", interface="eth0", node=N1)
NOT_LOOKED = Seen(unseen="not_on_this_segment", detail="through a router")


@pytest.mark.parametrize(
    ("sides", "verdict", "owner", "findings"),
    [
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(N1)),
            Verdict.OWNED, N1, [], id="all three agree",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N2), said=(said(N1),), seen=seen(N1)),
            Verdict.OWNED, N1, [Finding.PLANNED_ELSEWHERE], id="a move is due",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=NOT_LOOKED),
            Verdict.OWNED_NOT_SEEN, N1, [], id="routed: its word is all there is",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(own=True)),
            Verdict.OWNED, N1, [], id="the owner itself hears nobody else",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(N2, own=True)),
            Verdict.CONFLICT, N1, [Finding.OTHER_ANSWERS], id="the owner itself hears another",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(), seen=seen()),
            Verdict.UNOWNED, None, [], id="planned, not yet claimed",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(None), said=(), seen=NOT_LOOKED),
            Verdict.UNOWNED, None, [], id="nobody may",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(None), quarantine=TAKEN, said=(), seen=seen(None)),
            Verdict.UNOWNED, None, [], id="quarantined: who answers is the reason",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(None), quarantine=TAKEN, said=(), seen=seen()),
            Verdict.UNOWNED, None, [], id="quarantined: nobody answers any more",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(None), quarantine=TAKEN, said=(), seen=seen(None, None)),
            Verdict.CONFLICT, None, [Finding.FOREIGN_ANSWERS], id="quarantined: and one more answers",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), quarantine=TAKEN, said=(said(N1),), seen=seen(None)),
            Verdict.CONFLICT, N1, [Finding.FOREIGN_ANSWERS, Finding.NOBODY_ANSWERS], id="quarantined and claimed",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen()),
            Verdict.CONFLICT, N1, [Finding.NOBODY_ANSWERS], id="claimed and silent",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(N2)),
            Verdict.CONFLICT, N1, [Finding.OTHER_ANSWERS, Finding.NOBODY_ANSWERS], id="another answers",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(N1, N2)),
            Verdict.CONFLICT, N1, [Finding.TWO_ANSWER, Finding.OTHER_ANSWERS], id="two answer",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(N1, None)),
            Verdict.CONFLICT, N1, [Finding.TWO_ANSWER, Finding.FOREIGN_ANSWERS], id="a stranger answers too",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(), seen=seen(N1)),
            Verdict.CONFLICT, None, [Finding.UNCLAIMED_ANSWERS], id="answered without a claim",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(), seen=seen(None)),
            Verdict.CONFLICT, None, [Finding.FOREIGN_ANSWERS], id="squatted by a stranger",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1), said(N2, 2)), seen=seen(N2)),
            Verdict.CONFLICT, N2, [Finding.TWO_CLAIMS, Finding.PLANNED_ELSEWHERE], id="two claims, the later wins",
        ),
        pytest.param(
            Whereabouts(
                address=VIP, planned=planned(N1), said=(said(N1), said(N2, 9, quorate=False)), seen=NOT_LOOKED
            ),
            Verdict.CONFLICT, N1, [Finding.TWO_CLAIMS], id="two claims, the one with a majority wins",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(N1), liveness={N1: "suspect"}),
            Verdict.OWNED, N1, [Finding.OWNER_NOT_ALIVE], id="it answers, and its heartbeats do not come through",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(own=True), unheard=(N2,)),
            Verdict.OWNED, N1, [Finding.HEARS_NOBODY], id="the owner by its own word, and it hears nobody",
        ),
        pytest.param(
            Whereabouts(address=VIP, planned=planned(None), said=None, seen=seen(N1)),
            Verdict.UNVERIFIED, None, [], id="nobody to ask, one answers",
        ),
        pytest.param(
            Whereabouts(address=VIP, said=None, seen=seen(None, None)),
            Verdict.CONFLICT, None, [Finding.TWO_ANSWER], id="nobody to ask, two answer",
        ),
        pytest.param(
            Whereabouts(address=VIP, said=(), seen=seen(N1), is_vip=False),
            Verdict.UNOWNED, None, [], id="an address of no pool, a node's own for instance",
        ),
    ],
)  # fmt: skip
def test_verdicts(sides: Whereabouts, verdict: Verdict, owner: str | None, findings: list[Finding]) -> None:
    judgement = judge(sides)
    assert judgement.verdict is verdict
    assert judgement.owner == owner
    assert [finding for finding, _ in judgement.findings] == findings


def test_one_node_with_two_interfaces_on_the_segment_is_one_station() -> None:
    judgement = judge(Whereabouts(address=VIP, planned=planned(N1), said=(said(N1),), seen=seen(N1, N1)))
    assert judgement.verdict is Verdict.OWNED


def test_a_stranger_is_shown_with_what_else_is_known_of_it() -> None:
    stranger = Answer(mac="02:00:00:00:00:99", node=None, after=0.0, hint="192.0.2.9")
    judgement = judge(Whereabouts(address=VIP, said=(), seen=Seen(interface="eth0", answers=(stranger,))))
    assert judgement.findings == (
        (Finding.FOREIGN_ANSWERS, "02:00:00:00:00:99 (also seen as 192.0.2.9) answers and is no member"),
    )


MOVED = Said(node=N2, epoch=2, since_unix=100.0, cause="moved", previous=N1)


@pytest.mark.parametrize(
    ("sides", "verdict"),
    [
        pytest.param(
            Whereabouts(address=VIP, planned=Planned(owner=N2, take="drained"), said=(said(N1),), seen=seen(N1)),
            Verdict.MOVING,
            id="about to be taken",
        ),
        pytest.param(
            Whereabouts(address=VIP, at_unix=100.2, planned=planned(N2), said=(said(N1), MOVED), seen=seen(N2)),
            Verdict.MOVING,
            id="both say so for a moment",
        ),
        pytest.param(
            Whereabouts(address=VIP, at_unix=100.2, planned=planned(N2), said=(MOVED,), seen=seen(N1)),
            Verdict.MOVING,
            id="the old one answered a moment ago",
        ),
        pytest.param(
            Whereabouts(address=VIP, at_unix=100.2, planned=planned(N2), said=(MOVED,), seen=seen(N2)),
            Verdict.OWNED,
            id="done",
        ),
        pytest.param(
            Whereabouts(address=VIP, at_unix=103.0, planned=planned(N2), said=(MOVED,), seen=seen(N1)),
            Verdict.CONFLICT,
            id="the old one still answers",
        ),
        pytest.param(
            Whereabouts(address=VIP, at_unix=100.2, planned=planned(N2), said=(MOVED,), seen=seen(None)),
            Verdict.CONFLICT,
            id="a stranger is no part of a move",
        ),
        pytest.param(
            Whereabouts(
                address=VIP, at_unix=100.2, planned=planned(N2), said=(said(N1), MOVED), liveness={N1: "suspect"}
            ),
            Verdict.CONFLICT,
            id="from one that may be dead",
        ),
    ],
)  # fmt: skip
def test_a_planned_move_is_no_conflict_while_it_lasts(sides: Whereabouts, verdict: Verdict) -> None:
    judgement = judge(sides)
    assert judgement.verdict is verdict
    assert (judgement.verdict.status is WhereIsStatus.OWNED) is (verdict is not Verdict.CONFLICT)


def test_the_worst_of_several_decides() -> None:
    order = [
        Verdict.CONFLICT,
        Verdict.UNVERIFIED,
        Verdict.UNOWNED,
        Verdict.MOVING,
        Verdict.OWNED_NOT_SEEN,
        Verdict.OWNED,
    ]
    assert sorted(order) == sorted(Verdict)
    for better, worse in itertools.combinations(reversed(order), 2):
        assert worst([better, worse]) is worse
    assert worst([]) is Verdict.UNOWNED


_nodes = st.sampled_from([N1, N2, "n3"])


@given(
    plan=st.none() | st.builds(planned, st.none() | _nodes),
    claims=st.none() | st.lists(st.builds(said, _nodes, st.integers(1, 5), quorate=st.booleans()), max_size=3),
    wire=st.lists(st.none() | _nodes, max_size=3).map(lambda nodes: seen(*nodes)) | st.just(NOT_LOOKED),
)
def test_no_agreement_is_claimed_without_evidence(plan: Planned | None, claims: list[Said] | None, wire: Seen) -> None:
    """Exit 0 needs exactly one claimant, and, where the wire was looked at, exactly that one on it."""
    sides = Whereabouts(address=VIP, planned=plan, said=None if claims is None else tuple(claims), seen=wire)
    judgement = judge(sides)
    if judgement.verdict.status is WhereIsStatus.OWNED:
        assert {claim.node for claim in claims or ()} == {judgement.owner}
        assert wire.unseen or {answer.node for answer in wire.answers} == {judgement.owner}
    if claims is None:
        assert judgement.verdict in (Verdict.UNVERIFIED, Verdict.CONFLICT)
    assert judge(replace(sides)) == judgement
