"""The state folder under rough treatment by real processes: many orders at once, SIGKILL at any moment, other users."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path

import pytest

from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.kept import AddressChanges
from lbctl.controller.ledger import FILE_NAME, Ledger
from lbctl.controller.ledger_reader import reading
from lbctl.controller.ledger_replay import check
from lbctl.controller.ledger_text import exported
from lbctl.controller.lock import StateLock
from lbctl.controller.records import Batch, LedgerState
from lbctl.net.status_client import AskError, AskFailure, UnixAddress, ask, post
from tests.controller.kept_stories import quarantine
from tests.controller.ledger_schema1 import write_schema1
from tests.controller.running import Home
from tests.support.netns import eventually

_NOBODY = 65534
_POOL = """apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: first, namespace: metallb-system}
spec:
  addresses: [10.0.0.0/16]
"""


@pytest.fixture
def home(memory_folder: Path) -> Iterator[Home]:
    made = Home(memory_folder)
    made.put("pool", _POOL)
    yield made
    made.kill()


def state_of(home: Home) -> LedgerState:
    """What the ledger says after a kill; it must hold together."""
    folder = home.state / "controller"
    ledger = Ledger(folder, new_name=lambda: "none")
    state = ledger.open()
    ledger.close()
    with reading(folder) as connection:
        assert check(connection) == []
    return state


def test_fifty_orders_at_once_get_fifty_addresses(home: Home) -> None:
    home.start()
    daemon = UnixAddress(home.socket)
    with ThreadPoolExecutor(50) as pool:
        asked = [
            pool.submit(post, daemon, "/v1/reserve", {"service": f"a/s{number}"}, patience=60.0) for number in range(50)
        ]
        answers = [each.result() for each in asked]
    assert {status for status, _ in answers} == {200}
    assert len({answer["reservation"]["addresses"][0] for _, answer in answers}) == 50
    home.stop()
    assert len(state_of(home).remembered.reserved) == 50


def test_what_was_said_to_be_done_is_done_whenever_the_controller_is_killed(home: Home) -> None:
    chance = random.Random(3)
    confirmed: dict[str, str] = {}
    cleared: set[str] = set()

    def give_orders(start: int, over: threading.Event) -> None:
        daemon = UnixAddress(home.socket)
        for number in range(start, start + 10_000):
            try:
                status, answer = post(daemon, "/v1/reserve", {"service": f"a/s{number}"}, patience=60.0)
                assert status == 200, answer
                confirmed[f"s{number}"] = answer["reservation"]["addresses"][0]
                address = f"10.0.9.{number % 250}"
                status, answer = post(daemon, "/v1/clear", {"address": address}, patience=60.0)
                assert status == 200, answer
                cleared.add(address)
            except AskError:
                return
            if over.is_set():
                return

    for turn in range(5):
        if turn == 1:
            _quarantine_many(home)
            cleared.clear()
        home.start()
        over = threading.Event()
        threads = [threading.Thread(target=give_orders, args=(10_000 * (3 * turn + each), over)) for each in range(3)]
        before = len(confirmed)
        for thread in threads:
            thread.start()
        eventually(lambda before=before: len(confirmed) > before + 2)  # type: ignore[misc]
        time.sleep(chance.uniform(0.0, 0.3))
        home.kill()
        over.set()
        for thread in threads:
            thread.join()
        state = state_of(home)
        found = {key.name: str(item.addresses[0]) for key, item in state.remembered.reserved.items()}
        assert confirmed.items() <= found.items()
        assert len(set(found.values())) == len(found)
        assert not cleared & set(map(str, state.remembered.quarantined))
    assert len(confirmed) > 10


def _quarantine_many(home: Home) -> None:
    ledger = Ledger(home.state / "controller", new_name=lambda: "x")
    state = ledger.open()
    found = tuple(quarantine(f"10.0.9.{number}") for number in range(250))
    known = state.remembered.quarantined
    fresh = tuple(item for item in found if ip_address(str(item.address)) not in known)
    ledger.commit(Batch(at_unix=1.0, first_grant=state.next_grant, kept=AddressChanges(quarantined=fresh)))
    ledger.close()


def _bring_up(folder: Path) -> None:
    Ledger(folder, new_name=lambda: "none").open()


def _import(folder: Path, file: Path) -> None:
    from lbctl.cli.main import run

    run(["ledger", "import", str(file), "--state", str(folder.parent), "--replace"])


def _killed(work: Callable[[], None], after: float) -> bool:
    """Does the work in a process of its own, and kills that; whether it was still at it."""
    child = os.fork()
    if not child:
        # Nothing of it belongs into our output.
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        work()
        os._exit(0)
    time.sleep(after)
    os.kill(child, 9)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _until(turns: int, in_time: list[bool]) -> Iterator[int]:
    """So many turns, and more while too few kills came in time: that is the machine's affair."""
    for turn in range(20 * turns):
        if turn >= turns and sum(in_time) > 2:
            return
        yield turn


def _schema1_of(folder: Path, grants: int) -> None:
    write_schema1(folder)
    with sqlite3.connect(folder / FILE_NAME) as writer:
        writer.executemany(
            "INSERT INTO grants VALUES (?, 'default', ?, ?, 'p', '', 'automatic', 10.0)",
            [(number, f"n{number}", f"10.{number >> 8}.{number & 255}.1") for number in range(100, 100 + grants)],
        )
    writer.close()


def test_a_migration_that_is_killed_happened_or_did_not(memory_folder: Path) -> None:
    chance = random.Random(4)
    in_time: list[bool] = []
    for turn in _until(12, in_time):
        folder = memory_folder / str(turn) / "controller"
        _schema1_of(folder, 2000)
        in_time.append(_killed(lambda folder=folder: _bring_up(folder), chance.uniform(0.0, 0.05)))  # type: ignore[misc]
        ledger = Ledger(folder, new_name=lambda: "none")
        assert len(ledger.open().allocations) == 2002
        ledger.close()
        with reading(folder) as connection:
            assert check(connection) == []
        assert not [item.name for item in folder.iterdir() if item.name.endswith(".part")]
    assert sum(in_time) > 2


def test_an_import_that_is_killed_happened_or_did_not_and_the_next_one_tidies(memory_folder: Path) -> None:
    chance = random.Random(5)
    texts: list[bytes] = []
    for number, grants in enumerate((1500, 2500)):
        _schema1_of(memory_folder / f"{number}", grants)
        _bring_up(memory_folder / f"{number}")
        with reading(memory_folder / f"{number}") as connection:
            texts.append(b"".join(exported(connection)))
        (memory_folder / f"{number}.jsonl").write_bytes(texts[-1])
    folder = memory_folder / "state" / "controller"
    _import(folder, memory_folder / "0.jsonl")
    in_time: list[bool] = []
    for turn in _until(12, in_time):
        file = memory_folder / f"{(turn + 1) % 2}.jsonl"
        in_time.append(_killed(lambda file=file: _import(folder, file), chance.uniform(0.0, 0.25)))  # type: ignore[misc]
        with reading(folder) as connection:
            assert b"".join(exported(connection)) in texts
            assert check(connection) == []
    assert sum(in_time) > 2
    _import(folder, memory_folder / "0.jsonl")
    assert not [item.name for item in folder.iterdir() if ".part" in item.name]
    for copy in folder.glob("ledger-2*.sqlite"):
        with sqlite3.connect(copy) as reader:
            assert reader.execute("SELECT count(*) FROM grants").fetchone()[0] in (1506, 2506)
        reader.close()


def _as_nobody(attempt: Callable[[], None]) -> None:
    """Raises AssertionError where the attempt does, as a user without any rights."""
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            attempt()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_other_users_may_read_the_ledger_and_change_nothing(home: Home) -> None:
    home.service("web")
    home.start()
    eventually(lambda: "web" in home.addresses())
    home.config.parent.chmod(0o755)
    folder, daemon = home.state / "controller", UnixAddress(home.socket)

    def attempt() -> None:
        with pytest.raises(AskError) as refused:
            ask(daemon, "/v1/status")
        assert refused.value.failure is AskFailure.FORBIDDEN
        with pytest.raises(AskError) as refused:
            post(daemon, "/v1/reserve", {"service": "default/shop"})
        assert refused.value.failure is AskFailure.FORBIDDEN
        with pytest.raises(StateError) as caught:
            StateLock(folder).acquire()
        assert caught.value.trouble is StateTrouble.READ_ONLY
        for file in (folder / FILE_NAME, folder / "lock", home.snapshot):
            with pytest.raises(PermissionError):
                file.open("ab")
        with pytest.raises(PermissionError):
            (folder / FILE_NAME).unlink()
        with reading(folder) as connection:
            assert check(connection) == []

    _as_nobody(attempt)
    assert home.ask("/v1/status")["counters"]["allocations"] == 1


def test_a_ledger_that_makes_no_sense_ends_the_start_in_a_line(home: Home) -> None:
    home.service("web")
    home.start()
    eventually(lambda: "web" in home.addresses())
    home.stop()
    with sqlite3.connect(home.state / "controller" / FILE_NAME) as writer:
        writer.execute("UPDATE grants SET terms = 'x'")
    writer.close()
    said = home.refused()
    assert "makes no sense: grant 1 of 'default'/'web': 'x' are no terms of sharing; put a copy back" in said
