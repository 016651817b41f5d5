"""What the rows tell from the first to the last is what the ledger says; and the check finds what was tampered with."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.controller import kept, ledger_replay
from lbctl.controller.ledger import FILE_NAME, Ledger
from lbctl.controller.ledger_reader import reading
from lbctl.controller.ledger_replay import check
from lbctl.controller.records import Batch, LedgerState
from lbctl.plan.allocation import Release
from lbctl.plan.reason import Reason
from tests.controller.kept_stories import changes, wishes
from tests.controller.ledger_schema1 import write_schema1
from tests.controller.test_ledger import grant
from tests.plan.allocation_worlds import Cluster, key, pool, service

POOL = pool("p", "192.0.2.0/29")
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def findings(folder: Path) -> list[str]:
    with reading(folder) as connection:
        return check(connection)


def write(folder: Path, data: st.DataObject, *, most: int = 10) -> LedgerState:
    """A ledger with a drawn past: services that come, go, share and change; reservations and quarantines."""
    ledger = Ledger(folder, new_name=lambda: "name")
    ledger.open()
    cluster = Cluster(POOL)
    cluster.now = 1000.0
    for _ in range(data.draw(st.integers(1, most))):
        names = data.draw(st.lists(st.sampled_from("abcdef"), max_size=5, unique=True))
        share = data.draw(st.sampled_from([None, "k"]))
        cluster.become(services=[service(name, ports=str(80 + ord(name)), share=share) for name in names])
        cluster.now += data.draw(st.sampled_from([1, 0, -5]))
        plan = cluster.look()
        reserve, quarantined = data.draw(wishes())
        state = ledger.state
        batch = Batch(
            at_unix=cluster.now,
            first_grant=state.next_grant,
            releases=plan.releases,
            amendments=plan.amendments,
            grants=plan.grants,
            kept=changes(state, cluster.now, reserve=reserve, quarantined=quarantined),
        )
        cluster.state = ledger.commit(batch)
    ledger.close()
    return ledger.state


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_rows_tell_what_the_ledger_says(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        folder = Path(name)
        if data.draw(st.booleans()):
            write_schema1(folder)
            Ledger(folder, new_name=lambda: "name").open()
            assert findings(folder) == []
            return
        after = write(folder, data)
        assert findings(folder) == []
        ledger = Ledger(folder, new_name=lambda: "name")
        assert ledger.open() == after
        assert list(ledger.state.remembered.freed) == list(after.remembered.freed), "in the order they were freed"
        ledger.close()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_only_so_many_freed_addresses_are_remembered(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        patch.setattr(kept, "FREED_KEPT", 2)
        patch.setattr(ledger_replay, "FREED_KEPT", 2)
        after = write(Path(name), data)
        assert len(after.remembered.freed) <= 2
        assert findings(Path(name)) == []


@pytest.mark.parametrize(
    ("tampering", "complaint"),
    [
        ("DELETE FROM releases", "gives default/b the 192.0.2.0 of default/a"),
        ("UPDATE grants SET addresses = '192.0.2.1' WHERE name = 'd'", "gives default/d the 192.0.2.1 of default/c"),
        ("UPDATE grants SET addresses = '192.0.2.300' WHERE name = 'c'", "row 3 of grants has '192.0.2.300'"),
        ("INSERT INTO releases VALUES (77, 'x', '', 1.0, 9)", "row 77 of releases belongs to a row of grants"),
        ("DELETE FROM freed", "freed address 192.0.2.2"),
        ("UPDATE freed SET name = 'other'", "freed address"),
        ("INSERT INTO quarantine_ends VALUES (1, 'x', '', 1.0, 9), (2, 'x', '', 1.0, 9)", "belongs to a row"),
        (
            "INSERT INTO grants SELECT 9, namespace, name, '192.0.2.7', pool, terms, cause, at_unix, second_pool, "
            "batch FROM grants WHERE name = 'c'",
            "grant 9 gives default/c 192.0.2.7 while it holds grant 3",
        ),
        ("UPDATE grants SET name = 'a' || char(10) || 'b' WHERE name = 'c'", "row 3 of grants has 'a\\nb' for name"),
        ("UPDATE grants SET terms = 'x' WHERE name = 'c'", "row 3 of grants has 'x' for terms"),
        ("UPDATE meta SET value = 9223372036854775807 WHERE key = 'generation'", "is no generation"),
        (
            "INSERT INTO quarantines SELECT 5, address, mac, node, interface, at_unix, batch FROM quarantines",
            "192.0.2.1 is quarantined more than once",
        ),
        (
            "INSERT INTO reservations SELECT 9, namespace, 'q', addresses, pool, second_pool, by_whom, at_unix, batch "
            "FROM reservations",
            "192.0.2.5 is reserved for more than one service",
        ),
    ],
)
def test_what_was_tampered_with_is_found(tmp_path: Path, tampering: str, complaint: str) -> None:
    ledger = Ledger(tmp_path, new_name=lambda: "name")
    ledger.open()
    for at, (leaves, comes) in enumerate((("", "a"), ("a", "bcdi"), ("i", "e"))):
        state = ledger.state
        releases = tuple(
            Release(allocation=item, reason=Reason.SERVICE_DELETED)
            for name, item in state.allocations.items()
            if name.name == leaves
        )
        grants = tuple(grant(name, f"192.0.2.{number}") for number, name in enumerate(comes, 3 * (at == 2)))
        ledger.commit(
            Batch(
                at_unix=at,
                first_grant=state.next_grant,
                releases=releases,
                grants=grants,
                kept=changes(state, 1.0, reserve={"x": "192.0.2.5"}, quarantined={"192.0.2.1"}),
            )
        )
        if comes == "e":
            plan = tuple(
                Release(allocation=ledger.state.allocations[key("d")], reason=Reason.SERVICE_DELETED) for _ in "d"
            )
            ledger.commit(Batch(at_unix=at + 1, first_grant=ledger.state.next_grant, releases=plan))
    ledger.close()
    assert findings(tmp_path) == []
    with sqlite3.connect(tmp_path / FILE_NAME) as writer:
        writer.execute(tampering)
    writer.close()
    assert any(complaint in finding for finding in findings(tmp_path)), findings(tmp_path)
