"""The ledger through every crash: a kill or a power cut before each write, sync, truncate and delete of SQLite."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest

from lbctl.controller.ledger import Ledger
from lbctl.controller.ledger_reader import reading
from lbctl.controller.ledger_replay import check
from lbctl.controller.ledger_schema import Connection
from lbctl.controller.records import Batch, LedgerState
from tests.controller.kept_stories import changes
from tests.controller.recording_vfs import Recorder
from tests.plan.allocation_worlds import Cluster, pool, service

_POOL = pool("p", "192.0.2.0/29", "2001:db8::/125")
_STORIES = [
    ["a"],
    ["a", "b", "c"],
    ["b", "c", "d"],
    ["b", "c", "d"],
    ["c", "e", "f", "g", "h"],
    [],
    ["h", "a"],
]
_KEPT: list[tuple[dict[str, str], set[str]]] = [
    ({}, set()),
    ({"x": "192.0.2.7"}, set()),
    ({"x": "192.0.2.7", "y": "192.0.2.6 2001:db8::6"}, {"192.0.2.1"}),
    ({"x": "192.0.2.5"}, {"192.0.2.1", "2001:db8::2"}),
    ({"x": "192.0.2.5"}, {"2001:db8::2"}),
    ({}, {"192.0.2.1"}),
    ({"z": "192.0.2.4"}, set()),
]
"""What is reserved and what is quarantined with each story; released addresses cool all along."""


def _batch(cluster: Cluster, names: list[str], generation: int) -> Batch:
    """The services become these, some of them sharing; reservations and quarantines too; the generation is noted."""
    reserve, quarantined = _KEPT[generation - 1] if generation <= len(_KEPT) else _KEPT[-1]
    services = [
        service(name, ports=str(ord(name)), share="k" if name in "bce" else None, from_pool="p") for name in names
    ]
    cluster.now += 1
    plan = cluster.become(services=services).look()
    return Batch(
        at_unix=cluster.now,
        first_grant=cluster.state.next_grant,
        releases=plan.releases,
        amendments=plan.amendments,
        grants=plan.grants,
        kept=changes(cluster.state, cluster.now, reserve=reserve, quarantined=quarantined),
        generation=generation,
    )


def _run(folder: Path, recorder: Recorder, *, checkpoint_pages: int = 1000) -> list[LedgerState]:
    """Commits the stories one by one; returns the state after each, the empty one first."""

    def connect(path: Path) -> Connection:
        connection = apsw.Connection(str(path), vfs=recorder.name)
        connection.wal_autocheckpoint(checkpoint_pages)
        return connection

    ledger = Ledger(folder, new_name=lambda: "name", connector=connect)
    states = [ledger.open()]
    cluster = Cluster(_POOL)
    recorder.mark(1)
    for number, names in enumerate(_STORIES, 1):
        cluster.state = states[-1]
        states.append(ledger.commit(_batch(cluster, names, number)))
        recorder.mark(number + 1)
    ledger.close()
    last = states[-1].remembered
    assert last.freed
    assert any(state.remembered.reserved and state.remembered.quarantined for state in states)
    return states


@pytest.mark.parametrize("checkpoint_pages", [1000, 3], ids=["one checkpoint at the end", "many checkpoints"])
def test_every_crash_leaves_the_last_commit_or_the_one_that_was_under_way(
    memory_folder: Path, checkpoint_pages: int
) -> None:
    recorder = Recorder()
    recorded = memory_folder / "recorded"
    states = [None, *_run(recorded, recorder, checkpoint_pages=checkpoint_pages)]
    syncs = [item for item in recorder.log if item.kind == "sync" and item.file.endswith("-wal")]
    assert len(syncs) > len(_STORIES), "every commit syncs"
    tried = torn = 0
    for crash in recorder.crashes(seed=7):
        folder = memory_folder / "crashed"
        folder.mkdir()
        crash.put(folder)
        ledger = Ledger(folder, new_name=lambda: "name")
        found = ledger.open()
        before = states[crash.acknowledged] or LedgerState(ledger="name")
        under_way = states[min(crash.acknowledged + 1, len(states) - 1)]
        assert found in (before, under_way), (crash.at, crash.what)
        with reading(folder) as connection:
            assert check(connection) == [], crash.what
        _goes_on(ledger)
        ledger.close()
        shutil.rmtree(folder)
        tried += 1
        torn += found != before
    assert tried > 200, "crashes that were tried"
    assert torn > len(_STORIES), "crashes after the commit and before its answer"


def _goes_on(ledger: Ledger) -> None:
    """After the crash the next plan takes nothing from anybody and gives nothing twice."""
    before = ledger.state
    cluster = Cluster(_POOL)
    cluster.state = before
    keep = [name.name for name in before.allocations]
    after = ledger.commit(_batch(cluster, [*keep, "x", "y"], 99))
    for key, allocation in before.allocations.items():
        assert after.allocations[key] == allocation
    assert all(item.id >= before.next_grant for key, item in after.allocations.items() if key not in before.allocations)
    alone = [key for key in after.allocations if key not in after.remembered.terms]
    held = [address for key in alone for address in after.allocations[key].addresses]
    assert len(set(held)) == len(held)
    assert all(len(after.users[address]) == 1 for address in held)


def test_without_the_sync_the_test_would_see_it(memory_folder: Path) -> None:
    """The check checks: with syncs left out of the record, answered commits are lost."""
    recorder = Recorder()
    states = [None, *_run(memory_folder / "recorded", recorder)]
    recorder.log = [item for item in recorder.log if item.kind != "sync" or not item.file.endswith("-wal")]
    lost = 0
    for number, crash in enumerate(recorder.crashes(seed=7)):
        if crash.what.startswith("power lost, nothing") and crash.acknowledged > 1:
            folder = memory_folder / str(number)
            folder.mkdir()
            crash.put(folder)
            ledger = Ledger(folder, new_name=lambda: "name")
            lost += ledger.open() not in states[crash.acknowledged :]
            ledger.close()
    assert lost
