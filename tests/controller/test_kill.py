"""SIGKILL at random while services come and go: no address twice, none changed, all that is published is committed.

The daemon is `lbctl run-controller` in a process of its own, forked from this one so that it starts in a tenth of a
second and many kills fit into a short test.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lbctl.cli.run_controller
import lbctl.controller.launch  # noqa: F401 loaded here once, not after each fork
from lbctl.cli.main import run
from lbctl.controller.ledger import Ledger
from lbctl.controller.records import LedgerState
from lbctl.sources.published import PublishedError, read_published
from tests.controller.running import Home
from tests.support.netns import eventually

_NAMES = [f"s{number}" for number in range(8)]
_POOL = """apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: first, namespace: metallb-system}
spec:
  addresses: [192.0.2.1-192.0.2.6]
"""


@pytest.fixture
def home(memory_folder: Path) -> Iterator[Home]:
    made = Home(memory_folder)
    made.put("pool", _POOL)
    yield made
    made.kill()


def _start(home: Home) -> int:
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        log = os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = run(home.argv()[3:])
    finally:
        os._exit(status)


class Watch:
    """What must hold after every kill, held against what was seen before."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._held: dict[str, tuple[int, str]] = {}
        self.commits = 0
        self.behind = 0
        self.newest = 0

    def forget(self, name: str) -> None:
        """The service was removed: it may come back with another address."""
        self._held.pop(name, None)

    def look(self) -> LedgerState:
        controller = self._home.state / "controller"
        copy = self._home.state.with_name("copy")
        # The controller is to find what the kill left, not what our reading made of it.
        shutil.copytree(controller, copy)
        try:
            ledger = Ledger(copy, new_name=lambda: "none")
            state = ledger.open()
            ledger.close()
            self._no_address_twice(state)
            self._none_changed(state)
            self._published_is_committed(copy, state)
        finally:
            shutil.rmtree(copy)
        self.commits += state.next_grant > self.newest
        self.newest = state.next_grant
        return state

    def _no_address_twice(self, state: LedgerState) -> None:
        held = [address for item in state.allocations.values() for address in item.addresses]
        assert len(held) == len(set(held))

    def _none_changed(self, state: LedgerState) -> None:
        now = {key.name: (item.id, str(item.addresses[0])) for key, item in state.allocations.items()}
        for name, was in self._held.items():
            assert now.get(name) == was, f"{name} had {was}"
        self._held = {name: held for name, held in now.items() if name in self._home_names()}

    def _home_names(self) -> set[str]:
        return {path.stem for path in self._home.config.glob("s*.yaml")}

    def _published_is_committed(self, copy: Path, state: LedgerState) -> None:
        try:
            published = read_published(self._home.snapshot).world
        except PublishedError:
            assert not self._home.snapshot.exists(), "there is a file, and it is not whole"
            return
        reader = sqlite3.connect(copy / "ledger.sqlite")
        known = dict(reader.execute("SELECT id, addresses FROM grants"))
        reader.close()
        for allocation in published.allocations.values():
            assert known[allocation.id] == str(allocation.addresses[0])
        assert published.generation <= state.generation
        self.behind += dict(published.allocations) != dict(state.allocations)


def _change(home: Home, watch: Watch, chance: random.Random) -> None:
    name = chance.choice(_NAMES)
    if (home.config / f"{name}.yaml").exists():
        watch.forget(name)
        home.drop(name)
    else:
        home.service(name)


def _await_commit(home: Home, watch: Watch, chance: random.Random) -> None:
    """Changes something and returns when the ledger's log grows, which is before that is published."""
    log = home.state / "controller" / "ledger.sqlite-wal"

    def written() -> int:
        return log.stat().st_mtime_ns if log.exists() else 0

    before, until = written(), time.monotonic() + 0.5
    _change(home, watch, chance)
    while written() == before and time.monotonic() < until:
        pass


def _kills(home: Home, count: int, seed: int, enough: Callable[[Watch], bool]) -> Watch:
    """Every other kill comes at any moment, the others are aimed at the time between a commit and its publication.

    More than `count` while it is not enough: where a daemon needs longer to start, fewer are killed at work.
    """
    chance = random.Random(seed)
    watch = Watch(home)
    for number in range(10 * count):
        if number >= count and enough(watch):
            break
        child = _start(home)
        try:
            until = time.monotonic() + chance.uniform(0.0, 0.8)
            while time.monotonic() < until:
                _change(home, watch, chance)
                time.sleep(chance.uniform(0.0, 0.1))
            if number % 2:
                _await_commit(home, watch, chance)
        finally:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), (
            f"it ended by itself: {os.waitstatus_to_exitcode(status)}; {home.logged()[-900:]}"
        )
        if (home.state / "controller" / "ledger.sqlite").exists():
            watch.look()
    # At last it is left alone, and settles.
    home.start()
    wanted = {path.stem for path in home.config.glob("s*.yaml")}
    eventually(lambda: len(home.addresses()) == min(6, len(wanted)) and set(home.addresses()) <= wanted)
    watch.look()
    home.stop()
    assert "Traceback" not in home.logged()
    return watch


def test_fifteen_kills(home: Home) -> None:
    watch = _kills(home, 15, seed=1, enough=lambda watch: watch.newest > 5 and watch.commits > 3)
    assert watch.newest > 5, "grants were made between the kills"
    assert watch.commits > 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_kills(home: Home) -> None:
    watch = _kills(home, 200, seed=2, enough=lambda watch: watch.commits > 40 and watch.behind > 0)
    assert watch.commits > 40
    assert watch.behind, "some kills were between a commit and its publication"
