"""How a person is told a history: sentences that fit the terminal, columns in a pipe, nothing lost in either."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lbctl.cli import history_text
from lbctl.cli.history_text import text

NOW = 1700000000.0


def event(name: str, ago: float, **members: Any) -> dict[str, Any]:
    made = {
        "event": name, "at_unix": NOW - ago, "service": "default/shop", "addresses": ["192.0.2.1", "2001:db8::1"],
        "pools": ["first"], "cause": "automatic", "detail": "", "by": "", "id": 1,
    }  # fmt: skip
    return {**made, **members}


EVENTS = [
    event("reserved", 200000, cause="", by="ada", until_unix=NOW - 3600, ended_by="operator"),
    event("allocated", 7200, until_unix=None, ended_by=None),
    event(
        "quarantined", 7199, service=None, addresses=["192.0.2.1"], pools=[], cause="02:00:00:00:00:07",
        detail="02:00:00:00:00:07 answers on eth1", by="n1", until_unix=NOW - 60, ended_by="clean",
    ),
    event("quarantine_cleared", 60, service=None, addresses=["192.0.2.1"], pools=[], cause="clean", by="n2"),
    event("quarantine_cleared", 50, service=None, addresses=["192.0.2.1"], pools=[], cause="operator", by="bob",
          detail="of 02:00:00:00:00:07"),
    event("amended", 40, cause="pool_changed", detail="from first", pools=["second"]),
    event("released", 30, cause="service_deleted"),
    event("something_new", 20, cause="unheard_of"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def told(target: str | None, width: int | None, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[str]:
    monkeypatch.setattr(history_text, "terminal_width", lambda: width)
    document = {"events": EVENTS, "target": target, "older": 0, **options}
    return text(document, now=NOW, wide=False).splitlines()


def test_on_a_terminal_a_day_is_a_heading_and_an_event_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told("192.0.2.1", 80, monkeypatch)
    assert lines[:3] == [
        "2023-11-12 Sunday, UTC",
        "  14:40:00  reserved     default/shop  with 2001:db8::1 from first: by ada; for",
        "                                       2d6h",
    ]
    assert lines[3] == "2023-11-14 Tuesday, UTC"
    assert lines[4] == "  20:13:20  allocated    default/shop  with 2001:db8::1 from first: automatic;"
    assert "  22:12:20  cleared                    nobody answers any more, says n2" in lines
    assert "  22:12:30  cleared                    by bob, of 02:00:00:00:00:07" in lines


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("target", [None, "192.0.2.1", "default/shop"])
def test_it_fits_and_nothing_is_cut(width: int, target: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(target, width, monkeypatch)
    assert all(len(line) <= max(width, 64) for line in lines), lines
    words = set(" ".join(lines).replace(";", " ").replace(":", " ").split())
    assert {"quarantined", "service_deleted", "unheard_of", "something_new", "2d6h", "still"} <= words
    assert ("192.0.2.1" in words) is (target != "192.0.2.1")
    assert ("default/shop" in words) is (target != "default/shop")


def test_in_a_pipe_an_event_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    header, *rows = told("192.0.2.1", None, monkeypatch)
    assert len(rows) == len(EVENTS)
    assert header.split()[:3] == ["TIME", "(UTC)", "EVENT"]
    assert rows[1].split() == [
        "2023-11-14", "20:13:20", "allocated", "default/shop", "192.0.2.1,2001:db8::1", "first", "automatic",
        "for", "2h,", "still",
    ]  # fmt: skip


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(None, None, monkeypatch, older=7)[0] == "7 older events are not shown; --limit N shows more."
    assert told("192.0.2.1", 80, monkeypatch, events=[]) == ["Nothing is known of 192.0.2.1."]
    assert told(None, 80, monkeypatch, events=[]) == ["Nothing has happened yet."]


def test_a_name_of_some_length_stays_whole_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [event("allocated", 60, service="default/nginx-svc", addresses=["192.0.2.1"], until_unix=None)]
    lines = told("192.0.2.1", 80, monkeypatch, events=given)
    assert "default/nginx-svc" in lines[1]
    assert all(len(line) <= 80 for line in lines)
