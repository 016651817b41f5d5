"""Sentences of `where-is` that only some cases have."""

from __future__ import annotations

import time

from lbctl.cli.where_report import Report, Told
from lbctl.cli.where_text import text
from lbctl.cli.whereabouts import Answer, Candidate, Planned, Quarantined, Said, Seen, Whereabouts, judge

VIP = "192.0.2.170"
MAC = "02:00:00:00:00:ee"


def sentence(*answers: Answer) -> str:
    now = time.time()
    known = Whereabouts(
        address=VIP,
        planned=Planned(owner=None, reason="quarantined"),
        quarantine=Quarantined(mac=MAC, interface="eth0", node="n2", since_unix=now - 90),
        said=(),
        seen=Seen(interface="eth0", window=0.05, answers=answers),
    )
    report = Report(target=VIP, at_unix=now, told=Told(role="speaker", node="n1"), vips=((known, judge(known)),))
    return " ".join(text(report).split())


def test_a_quarantined_address_whose_machine_is_silent_is_told_in_the_past() -> None:
    said = sentence()
    assert f"quarantined, {MAC} answered on eth0 at " in said
    assert f"asked again every 60 s, `lbctl quarantine --clear {VIP}` does not wait for that." in said
    assert "answers on" not in said


def test_one_whose_machine_answers_is_told_in_the_present() -> None:
    assert f"quarantined, {MAC} answers on eth0 (seen by n2)." in sentence(Answer(mac=MAC, node=None, after=0.001))


def test_why_names_the_owner_then_its_heirs_then_the_others() -> None:
    candidates = tuple(Candidate(node=node, eligible=node != "n4", alive=True) for node in ("n4", "n2", "n3", "n1"))
    known = Whereabouts(
        address=VIP,
        planned=Planned(owner="n3", heirs=("n1", "n2"), candidates=candidates),
        said=(Said(node="n3", epoch=1, since_unix=0.0, cause="moved", heirs=("n1", "n2")),),
        seen=Seen(interface="eth0", window=0.05),
    )
    report = Report(target=VIP, at_unix=0.0, told=Told(role="speaker", node="n1"), vips=((known, judge(known)),))
    lines = [line.split("  ")[1:] for line in text(report, why=True).splitlines() if line.startswith("  n")]
    assert [words[0] for words in lines if words[0] != "next"] == ["n3", "n1", "n2", "n4"]
