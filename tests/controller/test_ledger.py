"""The ledger on a disk that works: what is committed is read back, whatever it was; and what it refuses to open."""

from __future__ import annotations

import sqlite3
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.ledger import FILE_NAME, Ledger
from lbctl.controller.ledger_schema import SCHEMA_VERSION
from lbctl.controller.lock import StateLock
from lbctl.controller.records import Batch, LedgerState
from lbctl.model.node import Node
from lbctl.plan.allocate import Grant
from lbctl.plan.reason import GrantCause
from tests.plan.allocation_worlds import Cluster, key, pool, service

POOL = pool("p", "192.0.2.0/28", "2001:db8::/124")


def open_ledger(folder: Path, **options: Any) -> Ledger:
    ledger = Ledger(folder, new_name=lambda: "name", **options)
    ledger.open()
    return ledger


def grant(name: str, *addresses: str, terms: str = "") -> Grant:
    return Grant(
        service=key(name),
        addresses=tuple(map(ip_address, addresses)),
        pool="p",
        cause=GrantCause.AUTOMATIC,
        terms=terms,
    )


def test_a_new_ledger_is_empty_and_has_a_name_for_good(tmp_path: Path) -> None:
    assert open_ledger(tmp_path).state == LedgerState(ledger="name")
    again = Ledger(tmp_path, new_name=lambda: "another")
    assert again.open().ledger == "name"


def test_what_is_committed_is_read_back(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    batch = Batch(
        at_unix=5.5,
        first_grant=1,
        grants=(grant("a/x", "192.0.2.1", "2001:db8::1"), grant("b/y", "192.0.2.2", terms="k\n\nTCP/80")),
        seen={key("a/x"): 4.0},
        nodes=(Node(name="n1", addresses=(ip_address("192.0.2.9"),), registered=True),),
        generation=1000,
    )
    after = ledger.commit(batch)
    assert after.allocations[key("a/x")].since_unix == 5.5
    assert after.remembered.terms == {key("b/y"): "k\n\nTCP/80"}
    ledger.close()
    assert open_ledger(tmp_path).state == after


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_file_says_what_the_values_say(data: st.DataObject) -> None:
    """Replaying batches in memory and reading the file back is the same, also with stretches between openings."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        ledger = open_ledger(Path(folder))
        cluster = Cluster(POOL)
        for _ in range(data.draw(st.integers(1, 8))):
            names = data.draw(st.lists(st.sampled_from("abcdef"), max_size=4, unique=True))
            share = data.draw(st.sampled_from([None, "k"]))
            cluster.become(services=[service(name, ports=str(80 + ord(name)), share=share) for name in names])
            cluster.now += 1
            plan = cluster.look()
            batch = Batch(
                at_unix=cluster.now,
                first_grant=ledger.state.next_grant,
                releases=plan.releases,
                amendments=plan.amendments,
                grants=plan.grants,
                seen=dict.fromkeys(cluster.world.services, cluster.now),
                forgotten=tuple(ledger.state.remembered.first_seen.keys() - cluster.world.services.keys()),
            )
            cluster.state = ledger.commit(batch)
            if data.draw(st.booleans()):
                ledger.close()
                assert ledger.open() == cluster.state
        ledger.close()
        assert open_ledger(Path(folder)).state == cluster.state


def test_history_is_only_added_to(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    cluster = Cluster(POOL)
    for services in ([service("x")], [], [service("x")], [service("x", from_pool="none")]):
        plan = cluster.become(services=services).look()
        batch = Batch(at_unix=1.0, first_grant=ledger.state.next_grant, releases=plan.releases, grants=plan.grants)
        cluster.state = ledger.commit(batch)
    with sqlite3.connect(tmp_path / FILE_NAME) as reader:
        grants = reader.execute("SELECT id, name, addresses, cause FROM grants ORDER BY id").fetchall()
        releases = reader.execute("SELECT grant_id, cause FROM releases ORDER BY grant_id").fetchall()
    reader.close()
    assert grants == [(1, "x", "192.0.2.0", "automatic"), (2, "x", "192.0.2.0", "returned")]
    assert releases == [(1, "service_deleted"), (2, "requested_pool_changed")]


def test_ids_are_not_used_again_after_a_restart(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.commit(Batch(at_unix=1.0, first_grant=7, grants=(grant("x", "192.0.2.1"),)))
    ledger.close()
    assert open_ledger(tmp_path).state.next_grant == 8


def test_an_address_is_never_given_twice_whatever_the_plan_says(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    before = ledger.commit(Batch(at_unix=1.0, first_grant=1, grants=(grant("x", "192.0.2.1"),)))
    with pytest.raises(AssertionError, match=r"192\.0\.2\.1 of default/x to default/y"):
        ledger.commit(Batch(at_unix=1.0, first_grant=2, grants=(grant("y", "192.0.2.1"),)))
    with pytest.raises(AssertionError, match="to default/z"):
        ledger.commit(
            Batch(at_unix=1.0, first_grant=2, grants=(grant("y", "192.0.2.2"), grant("z", "192.0.2.2", terms="k")))
        )
    assert ledger.state is before
    ledger.close()
    assert open_ledger(tmp_path).state == before


def test_it_works_on_an_apsw_connection_as_well(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, connector=lambda path: apsw.Connection(str(path)))
    after = ledger.commit(Batch(at_unix=1.0, first_grant=1, grants=(grant("x", "192.0.2.1"),)))
    ledger.close()
    assert open_ledger(tmp_path).state == after


def test_a_reader_may_look_while_the_controller_writes(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    reader = sqlite3.connect(f"file:{tmp_path / FILE_NAME}?mode=ro", uri=True)
    assert reader.execute("SELECT count(*) FROM grants").fetchone() == (0,)
    ledger.commit(Batch(at_unix=1.0, first_grant=1, grants=(grant("x", "192.0.2.1"),)))
    assert reader.execute("SELECT count(*) FROM grants").fetchone() == (1,)
    reader.close()


# What it does not open ------------------------------------------------------------------------------------------------


def trouble(folder: Path) -> StateError:
    with pytest.raises(StateError) as caught:
        open_ledger(folder)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_newer_ledger_is_refused_by_name(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as writer:
        writer.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (SCHEMA_VERSION + 1,))
    writer.close()
    found = trouble(tmp_path)
    assert found.trouble is StateTrouble.NEWER_SCHEMA
    assert "written by a newer lbctl" in str(found)


@pytest.mark.parametrize(
    "content", [b"not a database at all, but some text" * 300, b"SQLite format 3\0" + b"\xff" * 8192]
)
def test_a_damaged_ledger_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    found = trouble(tmp_path)
    assert found.trouble is StateTrouble.DAMAGED
    assert (tmp_path / FILE_NAME).read_bytes() == content, "and left as it is"


def test_pages_that_were_overwritten_are_found(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.commit(
        Batch(
            at_unix=1.0,
            first_grant=1,
            grants=tuple(grant(f"s{n}", f"10.0.{n >> 8}.{n & 255}") for n in range(1000)),
        )
    )
    ledger.close()
    with (tmp_path / FILE_NAME).open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xa5" * 3 * 4096)
    assert trouble(tmp_path).trouble is StateTrouble.DAMAGED


def test_a_path_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = trouble(tmp_path / "file" / "controller")
    assert str(tmp_path / "file") in str(found)


def test_one_controller_for_one_folder(tmp_path: Path) -> None:
    with StateLock(tmp_path):
        with pytest.raises(StateError, match="another controller") as caught:
            StateLock(tmp_path).acquire()
        assert caught.value.trouble is StateTrouble.IN_USE
    with StateLock(tmp_path):
        pass


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE grants SET terms = 'x'",
        "UPDATE grants SET addresses = 'nowhere'",
        "UPDATE grants SET addresses = x'00'",
        "UPDATE grants SET addresses = '192.0.2.1 192.0.2.1'",
        "UPDATE grants SET addresses = 'fe80::1%eth0'",
        "UPDATE grants SET at_unix = 9e999",
        "UPDATE grants SET id = 9223372036854775807",
        "UPDATE meta SET value = 9223372036854775807 WHERE key = 'generation'",
        "UPDATE meta SET value = 9223372036854775807 WHERE key = 'batch'",
        "UPDATE meta SET value = 'x' WHERE key = 'generation'",
        "DELETE FROM meta WHERE key = 'batch'",
        "INSERT INTO grants SELECT 9, namespace, name, '192.0.2.7', pool, terms, cause, at_unix, second_pool, batch "
        "FROM grants",
        "INSERT INTO quarantines VALUES (9223372036854775807, '192.0.2.1', '', '', '', 1.0, 1)",
        "INSERT INTO nodes VALUES ('n', 'nowhere')",
    ],
)
def test_rows_that_no_step_could_go_on_from_are_refused_at_the_door(tmp_path: Path, tampering: str) -> None:
    ledger = open_ledger(tmp_path)
    ledger.commit(Batch(at_unix=1.0, first_grant=1, grants=(grant("a", "192.0.2.1"),)))
    ledger.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as writer:
        writer.execute(tampering)
    writer.close()
    with pytest.raises(StateError) as caught:
        open_ledger(tmp_path)
    assert caught.value.trouble is StateTrouble.IMPOSSIBLE
    assert str(caught.value).startswith(f"{tmp_path / FILE_NAME} makes no sense: ")
    assert "\n" not in str(caught.value)
