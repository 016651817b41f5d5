"""The published file as a speaker follows it: forward only, and the last good one for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.model.service import Service, ServiceKey
from lbctl.model.snapshot import World
from lbctl.sources.published import PublishedError, PublishedSource, Trouble, read_published
from lbctl.sources.published_document import DocumentEncoder
from lbctl.sources.published_file import content_of
from tests.sources.published_worlds import KEY, PENDING, WORLD
from tests.support.bars import TRIES, first_in_line


def world(generation: int, *, made_unix: float | None = None) -> World:
    other = Service(key=ServiceKey("ns", f"other-{generation}"))
    return replace(
        WORLD,
        generation=generation,
        made_unix=float(generation) if made_unix is None else made_unix,
        services={KEY: WORLD.services[KEY], other.key: other},
    )


def text(made: World, *, cluster: str = "c", ledger: str = "l") -> bytes:
    return b"".join(DocumentEncoder(cluster=cluster, ledger=ledger).encode(made, PENDING))


def put(path: Path, content: bytes) -> None:
    """As the controller does it."""
    part = path.with_name(".part")
    part.write_bytes(content)
    part.replace(path)


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 60 s")


class Reader:
    """Follows a source and keeps what it yielded."""

    def __init__(self, source: PublishedSource) -> None:
        self.source = source
        self.worlds: list[World] = []
        self._more = asyncio.Event()

    async def follow(self) -> None:
        async for found in self.source.worlds():
            self.worlds.append(found)
            self._more.set()

    async def until(self, generation: int) -> World:
        while not self.worlds or self.worlds[-1].generation != generation:
            self._more.clear()
            async with asyncio.timeout(60):
                await self._more.wait()
        return self.worlds[-1]

    async def until_stale(self, trouble: str) -> str:
        await eventually(lambda: trouble in (self.source.stale or ""))
        return self.source.stale or ""


@contextlib.asynccontextmanager
async def following(source: PublishedSource) -> AsyncIterator[Reader]:
    reader = Reader(source)
    task = asyncio.create_task(reader.follow())
    try:
        yield reader
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    return folder / "snapshot.json"


async def test_it_notices_a_replacement_at_once(path: Path) -> None:
    put(path, text(world(1)))
    async with following(PublishedSource(path)) as reader:
        first = await reader.until(1)
        loop = asyncio.get_running_loop()
        took = []
        with first_in_line():
            for generation in range(2, 2 + TRIES):
                before = loop.time()
                put(path, text(world(generation)))
                await reader.until(generation)
                took.append(loop.time() - before)
        assert min(took) < 0.5, f"sooner than a poll, a second after the one before: {took}"
        assert reader.worlds[-1].services[KEY] is first.services[KEY]
        assert reader.source.published is not None
        assert reader.source.published.pending == PENDING
        assert reader.source.troubles == ()


async def test_a_missing_file_keeps_the_last_good_one_and_says_how_old_it_is(path: Path) -> None:
    put(path, text(world(7, made_unix=100.0)))
    async with following(PublishedSource(path, clock=lambda: 160.0)) as reader:
        await reader.until(7)
        path.unlink()
        said = await reader.until_stale("is missing")
        assert said.endswith("keeping generation 7, made 60 s ago")
        assert reader.source.age == 60.0
        put(path, text(world(8)))
        await reader.until(8)
        assert reader.source.stale is None


async def test_it_waits_for_a_folder_that_is_not_there_yet(path: Path) -> None:
    path.parent.rmdir()
    async with following(PublishedSource(path)) as reader:
        said = await reader.until_stale("is missing")
        assert said.endswith("nothing is known yet")
        path.parent.mkdir()
        put(path, text(world(1)))
        await reader.until(1)


async def test_another_folder_under_the_same_name_is_followed(path: Path) -> None:
    put(path, text(world(1)))
    async with following(PublishedSource(path)) as reader:
        await reader.until(1)
        path.parent.rename(path.parent.with_name("away"))
        path.parent.mkdir()
        for generation in (2, 3):
            put(path, text(world(generation)))
            await reader.until(generation)


async def test_a_link_that_is_switched_over_is_followed(path: Path) -> None:
    """As configuration management and mounted volumes do it."""
    for generation in (1, 2):
        (path.parent / str(generation)).mkdir()
        put(path.parent / str(generation) / "snapshot.json", text(world(generation)))
    current = path.parent / "current"
    current.symlink_to("1")
    async with following(PublishedSource(current / "snapshot.json")) as reader:
        await reader.until(1)
        (path.parent / "next").symlink_to("2")
        (path.parent / "next").rename(current)
        await reader.until(2)


async def test_an_older_generation_is_not_taken(path: Path) -> None:
    put(path, text(world(9)))
    async with following(PublishedSource(path)) as reader:
        await reader.until(9)
        put(path, text(world(8)))
        assert "generation 8, which is older" in await reader.until_stale("older")
        put(path, text(world(10)))
        await reader.until(10)
        assert [item.generation for item in reader.worlds] == [9, 10]


async def test_a_new_ledger_may_count_from_the_start_if_it_is_the_later_one(path: Path) -> None:
    put(path, text(world(900, made_unix=1000.0)))
    async with following(PublishedSource(path)) as reader:
        await reader.until(900)
        put(path, text(world(1, made_unix=999.0), ledger="earlier"))
        await reader.until_stale("older")
        put(path, text(world(2, made_unix=1001.0), ledger="later"))
        await reader.until(2)


async def test_another_clusters_file_is_not_taken(path: Path) -> None:
    put(path, text(world(1)))
    async with following(PublishedSource(path, cluster="c")) as reader:
        await reader.until(1)
        put(path, text(world(2), cluster="d"))
        assert "belongs to cluster 'd', this is 'c'" in await reader.until_stale("cluster")
        assert reader.worlds[-1].generation == 1


async def test_a_file_that_is_written_in_place_is_read_when_it_is_whole(path: Path) -> None:
    put(path, text(world(1)))
    content = text(world(2))
    async with following(PublishedSource(path)) as reader:
        await reader.until(1)
        with path.open("r+b", buffering=0) as file:
            for start in range(0, len(content), 700):
                file.seek(start)
                file.write(content[start : start + 700])
                os.utime(path, (1, 1))
                await asyncio.sleep(0.005)
            file.truncate()
        await reader.until(2)
        assert reader.source.stale is None, "a copy under way is no trouble"


async def test_a_torn_file_is_a_trouble_when_it_stays_so(path: Path) -> None:
    put(path, text(world(1)))
    now = 100.0
    async with following(PublishedSource(path, clock=lambda: now)) as reader:
        await reader.until(1)
        put(path, text(world(2))[:-100])
        await asyncio.sleep(0.1)
        assert reader.source.stale is None
        now = 110.0
        assert "keeping generation 1" in await reader.until_stale("not a whole document")


async def test_a_read_that_failed_is_tried_again_until_it_works(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays as it is: nothing but the next poll can bring it."""
    left = 2

    def flaky(of: Path) -> bytes:
        nonlocal left
        if left:
            left -= 1
            raise PublishedError(Trouble.UNREADABLE, f"{of} cannot be read: Input/output error")
        return content_of(of)

    monkeypatch.setattr("lbctl.sources.published.content_of", flaky)
    put(path, text(world(1)))
    async with following(PublishedSource(path)) as reader:
        await reader.until_stale("Input/output error")
        await reader.until(1)
        assert reader.source.stale is None


async def test_a_pipe_in_its_place_is_refused_and_the_file_read_when_it_is_back(path: Path) -> None:
    os.mkfifo(path)
    async with following(PublishedSource(path)) as reader:
        assert "is a pipe" in await reader.until_stale("not a regular file")
        put(path, text(world(1)))
        await reader.until(1)
        assert reader.source.stale is None


_ENDS = """
import asyncio, sys, threading
from pathlib import Path
from lbctl.sources import published

reads = threading.Event()

def hang(path):
    print("reading", flush=True)
    reads.set()
    threading.Event().wait()

setattr(published, sys.argv[2], hang)

async def main():
    async for _ in published.PublishedSource(Path(sys.argv[1])).worlds():
        pass

async def some():
    task = asyncio.create_task(main())
    while not reads.is_set():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task])

asyncio.run(some())
print("ended", flush=True)
"""


@pytest.mark.parametrize("where", ["content_of", "_stamp"])
def test_a_read_that_never_comes_back_does_not_hold_up_the_end(path: Path, where: str) -> None:
    """As with a file server that is gone."""
    put(path, text(world(1)))
    done = subprocess.run(
        [sys.executable, "-c", _ENDS, str(path), where], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "reading\nended\n", "")


async def test_a_read_that_takes_long_is_a_trouble(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def slow(of: Path) -> bytes:
        released.wait(90)
        return content_of(of)

    monkeypatch.setattr("lbctl.sources.published._HUNG_TIME", 0.2)
    monkeypatch.setattr("lbctl.sources.published.content_of", slow)
    put(path, text(world(1)))
    try:
        async with following(PublishedSource(path)) as reader:
            await reader.until_stale("no answer")
            released.set()
            await reader.until(1)
            assert reader.source.stale is None
    finally:
        released.set()


async def test_a_restart_finds_the_last_good_one_again(path: Path, tmp_path: Path) -> None:
    kept = tmp_path / "speakers" / "n1" / "published.json"
    put(path, text(world(5)))
    async with following(PublishedSource(path, last_good=kept)) as reader:
        await reader.until(5)
        await eventually(kept.exists)
    path.unlink()
    async with following(PublishedSource(path, last_good=kept)) as reader:
        await reader.until(5)
        assert "keeping generation 5" in await reader.until_stale("is missing")
        put(path, text(world(4)))
        await reader.until_stale("older")
        put(path, text(world(6)))
        await reader.until(6)


async def test_a_damaged_copy_is_as_good_as_none(path: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_bytes(text(world(9))[:-50])
    put(path, text(world(1)))
    async with following(PublishedSource(path, last_good=kept)) as reader:
        await reader.until(1)


async def test_where_no_copy_can_be_kept_it_says_so_and_goes_on(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    put(path, text(world(1)))
    async with following(PublishedSource(path, last_good=tmp_path / "file" / "kept.json")) as reader:
        await reader.until(1)
        put(path, text(world(2)))
        await reader.until(2)
        assert any("no copy kept" in item for item in reader.source.troubles)


def test_reading_once(path: Path) -> None:
    put(path, text(world(3)))
    found = read_published(path, cluster="c")
    assert (found.world, found.pending) == (world(3), PENDING)
    for wrong, trouble in ((path.with_name("none"), Trouble.MISSING), (path.parent, Trouble.UNREADABLE)):
        with pytest.raises(PublishedError) as caught:
            read_published(wrong)
        assert caught.value.trouble is trouble
        assert str(wrong) in str(caught.value)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(PublishedError, match="is a folder, not a regular file"):
            read_published(path.parent)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(PublishedError, match="belongs to cluster 'c', this is 'x'"):
        read_published(path, cluster="x")
