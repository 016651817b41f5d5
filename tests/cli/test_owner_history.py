"""Who announced an address, by several speakers' journals put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli import history_text
from lbctl.cli.history_text import text
from lbctl.cli.owner_history import Heard, merged, missing, told_twice
from lbctl.model.snapshot import Snapshot
from lbctl.speaker.owners import Move
from lbctl.speaker.recollection import recollection
from lbctl.speaker.status import Moves
from tests.cli.test_main import lbctl
from tests.cli.told import Daemon, serving, view
from tests.support.worlds import address, allocation, world

VIP = "192.0.2.1"
NOW = 1700000000.0
SNAPSHOT = Snapshot(world=world([allocation("x", VIP)]), view=view([], {"n1": "02:00:00:00:00:01"}))


def row(at: float, before: str | None, owner: str | None, epoch: int, **more: Any) -> dict[str, Any]:
    made = {"at_unix": NOW + at, "address": VIP, "from": before, "to": owner, "cause": "owner_gone", "gap": None}
    return {**made, "epoch": epoch, **more}


def heard(node: str, *rows: dict[str, Any], members: tuple[str, ...] = ()) -> Heard:
    known = [{"node": name, "state": "alive", "addresses": []} for name in members]
    return Heard(node=node, address=f"{node}:7967", document={"changes": list(rows), "members": known})


def test_what_several_saw_is_told_once_with_who_saw_it() -> None:
    changes = merged(
        [
            heard("n2", row(0, None, "n1", 1, cause="started"), row(10, "n1", "n2", 2, gap=0.15)),
            heard("n3", row(9.95, "n1", None, 1), row(10, "n1", "n2", 2, gap=0.3), row(0.1, None, "n1", 1)),
            heard("n1", row(10, None, "n2", 2)),
        ]
    )
    told = [(each["from"], each["to"], each["gap"], each["seen_by"]) for each in changes]
    assert told == [
        (None, "n1", None, ["n2", "n3"]),
        ("n1", None, None, ["n3"]),
        ("n1", "n2", 0.15, ["n1", "n2", "n3"]),
    ], "the gap is the new owner's"
    assert changes[0]["until_unix"] == NOW + 9.95
    assert changes[2]["until_unix"] is None
    assert told_twice(changes) == [changes[1]]


def test_two_owners_of_one_epoch_are_two_changes_and_so_is_an_epoch_that_came_again() -> None:
    changes = merged([heard("n1", row(0, None, "n1", 5), row(900, None, "n1", 5)), heard("n2", row(0, None, "n2", 5))])
    assert [(each["to"], each["at_unix"] - NOW) for each in changes] == [("n1", 0), ("n2", 0), ("n1", 900)]


def test_an_end_that_nobody_followed_is_told() -> None:
    changes = merged([heard("n1", row(0, None, "n1", 1), row(5, "n1", None, 1, cause="released"))])
    assert told_twice(changes) == []


def test_what_is_missing_is_said() -> None:
    nobody = Heard(node="", address="unix:/run/x.sock", failure="no speaker listens there")
    assert missing([nobody]) == [
        "who announced it is not shown: unix:/run/x.sock: no speaker listens there; name a speaker with --via HOST"
    ]
    deaf = Heard(node="n2", address="192.0.2.12:7967", failure="no speaker listens there")
    found = missing([heard("n1", members=("n1", "n2", "n3")), deaf])
    assert found == [
        "n2 was not asked: 192.0.2.12:7967: no speaker listens there",
        "not asked, and may have seen more: n3",
    ]


def test_people_read_sentences_among_those_of_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_text, "terminal_width", lambda: 120)
    owners = merged(
        [
            heard(
                "n2",
                row(0, None, "n1", 1, cause="started"),
                row(9.9, "n1", None, 1),
                row(10, "n1", "n2", 2, gap=0.15),
                row(20, "n2", None, 2, cause="released"),
            )
        ]
    )
    document = {"events": [], "older": 0, "target": VIP, "owners": owners}
    said = [" ".join(line.split()[1:]) for line in text(document, now=NOW + 60, wide=False).splitlines()[1:]]
    assert said == [
        "owner n1: started (seen by n2); for 9s",
        "owner n2 after n1: owner_gone, gap 150 ms (seen by n2); for 10s",
        "no owner n2 no longer has it: released (seen by n2)",
    ]
    monkeypatch.setattr(history_text, "terminal_width", lambda: None)
    header, *rows = text(document, now=NOW + 60, wide=False).splitlines()
    assert "ADDRESSES" not in header
    assert len(rows) == 3


def test_the_command_asks_speakers_and_needs_no_controller(tmp_path: Path) -> None:
    """Two sockets that are served as speakers serve theirs; a third where nobody listens."""

    def speaker(node: str) -> Any:
        def start() -> Any:
            moves = Moves()
            move = Move(address=address(VIP), previous="n1", owner="n2", cause="owner_gone", at_unix=NOW, gap=0.16)
            moves.add([move])
            return recollection(Daemon(SNAPSHOT, node=node).facts, moves, list)

        return start

    with serving(speaker("n1"), tmp_path / "n1") as n1, serving(speaker("n2"), tmp_path / "n2") as n2:
        nowhere = ("--state", str(tmp_path / "no-state"), "--via", f"unix:{tmp_path}/n3")
        told = lbctl("history", VIP, "--via", n1, "--via", n2, *nowhere, "-o", "json")
        assert told.returncode == 0, told.stderr
        document = json.loads(told.stdout)
        assert [(each["to"], each["seen_by"]) for each in document["owners"]] == [("n2", ["n1", "n2"])]
        assert [each["node"] for each in document["speakers"]] == ["n1", "n2"]
        assert "allocations are not shown: there is no ledger" in told.stderr
        assert "n3: no speaker listens there" in " ".join(document["missing"])
        by_name = lbctl("history", "default/x", "--via", n1, *nowhere)
        assert "n2 after n1: owner_gone, gap 160 ms" in by_name.stdout
        assert lbctl("history", "192.0.2.9", "--via", n1, *nowhere).returncode == 1
    assert lbctl("history", VIP, *nowhere).returncode == 2, "neither a ledger nor a speaker"
    assert lbctl("history", "--via", n1).returncode == 64
