"""Putting the published file in place: killed at any call it leaves the old file or the new one, and never more than
the ledger knows."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lbctl.controller.errors import StateError, StateTrouble
from lbctl.controller.ledger import Ledger
from lbctl.controller.publisher import Publisher
from lbctl.controller.step import Inputs, StepMemo, step
from lbctl.model.snapshot import World
from lbctl.sources.published import read_published
from lbctl.sources.published_document import DocumentEncoder
from tests.plan.allocation_worlds import pool, service
from tests.plan.allocation_worlds import world as small_world
from tests.sources.published_worlds import PENDING, WORLD

_CALLS = ("open", "write", "fsync", "close", "rename", "replace", "mkdir", "unlink")


def publisher(path: Path) -> Publisher:
    return Publisher(path, DocumentEncoder(cluster="c", ledger="l"))


def kills(folder: Path, work: Callable[[Path], object], calls: Sequence[str] = _CALLS) -> Iterator[Path]:
    """Does the work in a new folder for every call of os in it, killed before that call; yields the folders."""
    for number in count(1):
        place = folder / str(number)
        if not killed_at(number, partial(work, place), calls):
            return
        yield place


def killed_at(number: int, work: Callable[[], object], calls: Sequence[str] = _CALLS) -> bool:
    """Runs the work in a child that kills itself before its `number`-th call of os; False when it came to its end."""
    child = os.fork()
    if child == 0:
        called = 0

        def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*args: Any, **options: Any) -> Any:
                nonlocal called
                called += 1
                if called == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **options)

            return counted

        try:
            for name in calls:
                setattr(os, name, deadly(getattr(os, name)))
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_at_any_call_it_leaves_the_old_file_or_the_new_one(memory_folder: Path) -> None:
    path = memory_folder / "published" / "snapshot.json"
    publisher(path).publish(WORLD, PENDING)
    new = replace(WORLD, generation=43)
    found: list[int] = []
    number = 0
    while killed_at(number := number + 1, lambda: publisher(path).publish(new, PENDING)):
        found.append(read_published(path).world.generation)
        publisher(path).publish(WORLD, PENDING)
    assert len(found) > 20
    assert sorted(found) == found, "from one call on it is the new one"
    assert set(found) == {42, 43}
    assert [item.name for item in path.parent.iterdir()] == [path.name], "and nothing is left lying about"


def test_the_first_one_is_there_as_a_whole_or_not_at_all(memory_folder: Path) -> None:
    found = []
    for place in kills(memory_folder, lambda place: publisher(place / "snapshot.json").publish(WORLD, PENDING)):
        path = place / "snapshot.json"
        assert not path.exists() or read_published(path).world == WORLD
        found.append(path.exists())
    assert len(found) > 20
    assert found == sorted(found)
    assert set(found) == {False, True}


def test_content_is_on_the_disk_before_it_has_the_name_and_the_name_before_the_answer(
    memory_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []

    def noted(name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def wrapper(first: Any, *args: Any, **options: Any) -> Any:
            about = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else str(first)
            calls.append((name, Path(about).name))
            return call(first, *args, **options)

        return wrapper

    path = memory_folder / "published" / "snapshot.json"
    for name in ("write", "fsync", "rename"):
        monkeypatch.setattr(os, name, noted(name))
    publisher(path).publish(WORLD, PENDING)
    part = ".snapshot.json.part"
    last_write = max(at for at, call in enumerate(calls) if call == ("write", part))
    assert calls[last_write + 1 :] == [("fsync", part), ("rename", part), ("fsync", "published")]


@pytest.mark.parametrize("name", ["open", "write", "fsync", "rename"])
def test_an_error_leaves_the_old_file_and_no_part(
    memory_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = memory_folder / "published" / "snapshot.json"
    publisher(path).publish(WORLD, PENDING)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, name, full)
        with pytest.raises(StateError) as caught:
            publisher(path).publish(replace(WORLD, generation=43), PENDING)
    assert caught.value.trouble is StateTrouble.DISK_FULL
    assert read_published(path).world == WORLD
    assert [item.name for item in path.parent.iterdir()] == [path.name]


# Together with the ledger ---------------------------------------------------------------------------------------------

_POOL = pool("p", "192.0.2.0/29")
_STORIES = ["a", "abc", "bcd", "cefgh", "", "ha"]


def _live(state: Path) -> None:
    """A controller's life without its loop: steps, commits, publishes."""
    ledger = Ledger(state / "controller", new_name=lambda: "l")
    ledger.open()
    places = publisher(state / "published" / "snapshot.json")
    memo, last = StepMemo(), None
    for at, names in enumerate(_STORIES):
        wanted: World = small_world([_POOL], [service(name) for name in names])
        decision, memo = step(
            Inputs(world=wanted, state=ledger.state, published=last, now_unix=float(at), started_unix=0.0), memo
        )
        if decision.batch:
            ledger.commit(decision.batch, decision.after)
        if decision.world is not None:
            last = decision.world
            places.publish(last, decision.pending)


def test_killed_anywhere_what_is_published_is_committed(memory_folder: Path) -> None:
    found, behind = 0, 0
    for state in kills(memory_folder, _live, [name for name in _CALLS if name != "write"]):
        path = state / "published" / "snapshot.json"
        ledger = Ledger(state / "controller", new_name=lambda: "other")
        committed = ledger.open()
        ledger.close()
        if path.exists():
            published = read_published(path).world
            found += 1
            known = _granted_ever(state)
            for allocation in published.allocations.values():
                assert known[allocation.id] == " ".join(map(str, allocation.addresses))
            behind += committed.allocations != published.allocations
            assert committed.generation >= published.generation
    assert found > 30
    assert behind, "some kills were between a commit and its publication"


def _granted_ever(state: Path) -> dict[int, str]:
    reader = sqlite3.connect(state / "controller" / "ledger.sqlite")
    try:
        return dict(reader.execute("SELECT id, addresses FROM grants").fetchall())
    finally:
        reader.close()
