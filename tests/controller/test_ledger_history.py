"""The history of an address and of a service: what happened, in order, with cause, and what ended it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lbctl.controller.history_document import history_document, moment
from lbctl.controller.kept import AddressChanges, ClearCause, Cleared, Unreserved
from lbctl.controller.ledger import Ledger
from lbctl.controller.ledger_history import Entry, Target, history
from lbctl.controller.ledger_reader import reading
from lbctl.controller.records import Batch
from lbctl.plan.allocation import Amendment, Release
from lbctl.plan.reason import Reason
from tests.controller.kept_stories import quarantine, reservation
from tests.controller.test_ledger import grant
from tests.plan.allocation_worlds import key


@pytest.fixture
def ledger(memory_folder: Path) -> Iterator[Ledger]:
    """What befell 192.0.2.1: reserved for a, held by a, then by b who is in quarantine for a while."""
    made = Ledger(memory_folder, new_name=lambda: "name")
    made.open()

    def commit(at: float, **changes: object) -> None:
        made.commit(Batch(at_unix=at, first_grant=made.state.next_grant, **changes))  # type: ignore[arg-type]

    def held(name: str) -> Release:
        return Release(allocation=made.state.allocations[key(name)], reason=Reason.SERVICE_DELETED)

    kept = reservation("a", "192.0.2.1", at=1.0)
    found = quarantine("192.0.2.1", at=6.0)
    commit(1.0, kept=AddressChanges(reserved=(kept,)))
    commit(2.0, grants=(grant("a", "192.0.2.1", "2001:db8::1"), grant("other", "192.0.2.11")))
    commit(3.0, amendments=(Amendment(allocation=made.state.allocations[key("a")], pool="q", terms=""),))
    commit(4.0, kept=AddressChanges(unreserved=(Unreserved(reservation=kept, by="bob"),)))
    commit(5.0, releases=(held("a"),), grants=(grant("b", "192.0.2.1"),))
    commit(6.0, kept=AddressChanges(quarantined=(found,)))
    commit(7.0, kept=AddressChanges(cleared=(Cleared(quarantine=found, cause=ClearCause.CLEAN, by="n2"),)))
    yield made
    made.close()


def told(ledger_folder: Path, target: Target, **options: object) -> tuple[Entry, ...]:
    with reading(ledger_folder) as connection:
        entries, _ = history(connection, target=target, **options)  # type: ignore[arg-type]
    return entries


def lines(entries: tuple[Entry, ...]) -> list[str]:
    made = []
    for entry in entries:
        name = entry.service.name if entry.service else "-"
        made.append(f"{entry.at_unix:g} {entry.happening.value} {name} {entry.cause} {entry.by}".rstrip())
    return made


def test_everything_that_befell_an_address_in_order(ledger: Ledger, memory_folder: Path) -> None:
    entries = told(memory_folder, ip_address("192.0.2.1"))
    assert lines(entries) == [
        "1 reserved a  ada",
        "2 allocated a automatic",
        "3 amended a pool_changed",
        "4 unreserved a  bob",
        "5 released a service_deleted",
        "5 allocated b automatic",
        "6 quarantined - 02:00:00:00:00:07 n1",
        "7 quarantine_cleared - clean n2",
    ]
    first = entries[1]
    assert (first.until_unix, first.ended_by, first.pools) == (5.0, "service_deleted", ("p",))
    assert (entries[2].pools, entries[2].detail) == (("q",), "from p")
    assert (entries[5].until_unix, entries[6].until_unix) == (None, 7.0)
    assert "02:00:00:00:00:07 answers on eth1" in entries[6].detail


def test_of_a_service_only_the_quarantines_it_met(ledger: Ledger, memory_folder: Path) -> None:
    assert [line.split()[1] for line in lines(told(memory_folder, key("b")))] == [
        "allocated",
        "quarantined",
        "quarantine_cleared",
    ]
    assert "quarantined" not in str(lines(told(memory_folder, key("a"))))
    assert told(memory_folder, key("nobody")) == ()


def test_an_address_is_not_one_that_it_is_the_beginning_of(ledger: Ledger, memory_folder: Path) -> None:
    assert lines(told(memory_folder, ip_address("192.0.2.11"))) == ["2 allocated other automatic"]
    assert [entry.happening.value for entry in told(memory_folder, ip_address("2001:db8::1"))] == [
        "allocated",
        "amended",
        "released",
    ]


def test_only_since_then_and_only_the_newest(ledger: Ledger, memory_folder: Path) -> None:
    assert [entry.at_unix for entry in told(memory_folder, None, since_unix=5.0)] == [5, 5, 6, 7]
    with reading(memory_folder) as connection:
        entries, older = history(connection, limit=2)
    assert ([entry.at_unix for entry in entries], older) == ([6, 7], 7)


def test_the_newest_of_everything_are_the_end_of_everything(ledger: Ledger, memory_folder: Path) -> None:
    """Of everything only so many rows are read; what is told is the same as if all had been. The clock goes back."""
    ledger.commit(Batch(at_unix=0.5, first_grant=ledger.state.next_grant, grants=(grant("late", "192.0.2.50"),)))
    with reading(memory_folder) as connection:
        everything, _ = history(connection)
        for since in (None, 3.0, 5.5):
            chosen = [entry for entry in everything if since is None or entry.at_unix >= since]
            for limit in range(1, len(everything) + 1):
                told_now, older = history(connection, since_unix=since, limit=limit)
                assert list(told_now) == chosen[-limit:]
                assert older == max(0, len(chosen) - limit)


def test_a_pool_that_changes_twice_is_told_from_which_each_time(ledger: Ledger, memory_folder: Path) -> None:
    held = ledger.state.allocations[key("b")]
    for at, (pool, terms) in enumerate((("q", ""), ("q", "t"), ("r", "t")), 10):
        amended = Amendment(allocation=held, pool=pool, terms=terms)
        ledger.commit(Batch(at_unix=float(at), first_grant=ledger.state.next_grant, amendments=(amended,)))
        held = ledger.state.allocations[key("b")]
    told_now = [
        (entry.cause, entry.detail) for entry in told(memory_folder, key("b")) if entry.happening.value == "amended"
    ]
    assert told_now == [("pool_changed", "from p"), ("terms_changed", ""), ("pool_changed", "from q")]


def test_the_document_has_both_forms_of_time(ledger: Ledger, memory_folder: Path) -> None:
    entries = told(memory_folder, ip_address("192.0.2.1"))
    document = history_document(entries, target=ip_address("192.0.2.1"), older=0)
    assert (document["schema"], document["target"]) == ("lbctl.io/history/v1", "192.0.2.1")
    events = document["events"]
    assert isinstance(events, list)
    assert events[1]["until_unix"] == 5.0
    assert events[1]["ended_by"] == "service_deleted"
    assert "until_unix" not in events[4]


def test_time_is_written_as_rfc_3339_with_its_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert moment(1700000000.25) == "2023-11-15T03:43:20.250+05:30"
        assert moment(1e300) == ""
    finally:
        monkeypatch.undo()
        time.tzset()
