"""The files source on a real disk: however a manifest changes, the World follows, soon and without a false step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from asyncinotify import Mask

from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.sources import files
from lbctl.sources.files import FilesSource
from lbctl.sources.tree import Listing, list_manifests
from lbctl.sources.watch import Change, FolderWatch, What, is_remote
from tests.sources.test_files_manifests import service
from tests.support.bars import PATIENCE, TRIES, first_in_line

STILL = 0.4
"""Seconds for which nothing must happen."""


class Followed:
    """A source that is being followed, and every World that it gave."""

    def __init__(self, source: FilesSource) -> None:
        self.source = source
        self.worlds: list[World] = []
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        async for world in self.source.worlds():
            self.worlds.append(world)
            self._changed.set()

    @property
    def services(self) -> set[str]:
        return {key.name for key in self.worlds[-1].services} if self.worlds else set()

    def port(self, name: str) -> int:
        return self.worlds[-1].services[ServiceKey("default", name)].ports[0].port

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                # Troubles change without a World, so they are looked at from time to time.
                waiting = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait([waiting], timeout=0.02)
                waiting.cancel()

    async def stays(self) -> None:
        """Fails when another World comes."""
        count = len(self.worlds)
        await asyncio.sleep(STILL)
        assert len(self.worlds) == count


Follow = Callable[..., Awaitable[Followed]]


@asynccontextmanager
async def following(*paths: Path, last_good: World | None = None) -> AsyncIterator[Followed]:
    followed = Followed(FilesSource(paths, last_good=last_good))
    task = asyncio.ensure_future(followed.follow())
    try:
        await followed.until(lambda: bool(followed.worlds))
        yield followed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "a.yaml").write_text(service("a"))
    return folder


async def test_first_world_and_a_change(etc: Path) -> None:
    async with following(etc) as followed:
        assert followed.services == {"a"}
        old = followed.worlds[-1]
        (etc / "b.yaml").write_text(service("b"))
        await followed.until(lambda: followed.services == {"a", "b"})
        assert followed.worlds[-1].services[ServiceKey("default", "a")] is old.services[ServiceKey("default", "a")]
        assert followed.worlds[-1].generation == old.generation + 1
        assert followed.source.complete


async def test_a_change_is_seen_soon(etc: Path) -> None:
    """200 ms is the bar; twice that must be met once."""
    async with following(etc) as followed:
        took = [PATIENCE]
        with first_in_line():
            while min(took) >= 2 * 0.2 and len(took) <= 2 * TRIES:
                port = 1000 + len(took)
                began = time.monotonic()
                (etc / "a.yaml").write_text(service("a", port))
                await followed.until(lambda port=port: followed.port("a") == port)  # type: ignore[misc]
                took.append(time.monotonic() - began)
        assert min(took) < 2 * 0.2, took


async def test_an_editor_that_renames_the_new_file_over_the_old_one(etc: Path) -> None:
    async with following(etc) as followed:
        (etc / ".a.yaml.tmp").write_text(service("a", 81))
        (etc / ".a.yaml.tmp").rename(etc / "a.yaml")
        await followed.until(lambda: followed.port("a") == 81)
        assert len(followed.worlds) == 2


async def test_an_editor_that_takes_the_old_file_away_first(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As vim does: the file is missing for a moment, and the service must not be."""
    for module in ("files", "manifests"):
        monkeypatch.setattr(f"lbctl.sources.{module}.GONE_TIME", PATIENCE)  # a busy machine may take its time
    async with following(etc) as followed:
        (etc / "a.yaml").rename(etc / "a.yaml~")
        await asyncio.sleep(0.03)
        (etc / "a.yaml").write_text(service("a", 81))
        (etc / "a.yaml~").unlink()
        await followed.until(lambda: followed.port("a") == 81)
        assert all(len(world.services) == 1 for world in followed.worlds)


async def test_a_file_is_not_read_while_it_is_being_written(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first half alone would be a good manifest, with a service less."""
    monkeypatch.setattr("lbctl.sources.files._OPEN_TIME", PATIENCE)
    whole = service("a") + "---\n" + service("b")
    (etc / "a.yaml").write_text(whole)
    async with following(etc) as followed:
        with (etc / "a.yaml").open("w") as stream:
            stream.write(service("a"))
            stream.flush()
            await followed.stays()
            stream.write("---\n" + service("b", 81))
        await followed.until(lambda: followed.port("b") == 81)
        assert all(len(world.services) == 2 for world in followed.worlds)


async def test_a_writer_who_never_closes_is_not_waited_for_forever(etc: Path) -> None:
    async with following(etc) as followed:
        with (etc / "a.yaml").open("a") as stream:
            stream.write("---\n" + service("b"))
            stream.flush()
            await followed.until(lambda: followed.services == {"a", "b"})


async def test_a_broken_file_keeps_its_last_good_state(etc: Path) -> None:
    (etc / "b.yaml").write_text(service("b"))
    async with following(etc) as followed:
        (etc / "a.yaml").write_text(service("a")[:-8] + "\tport: [")
        await followed.until(lambda: bool(followed.source.troubles))
        assert "a.yaml:" in followed.source.troubles[0]
        (etc / "b.yaml").write_text(service("b", 81))
        await followed.until(lambda: followed.port("b") == 81)
        assert followed.services == {"a", "b"}
        (etc / "a.yaml").write_text(service("a", 82))
        await followed.until(lambda: followed.port("a") == 82)
        assert not followed.source.troubles


async def test_files_come_and_go(etc: Path) -> None:
    async with following(etc) as followed:
        (etc / "more").mkdir()
        (etc / "more/b.yaml").write_text(service("b"))
        await followed.until(lambda: followed.services == {"a", "b"})
        (etc / "more/b.yaml").write_text(service("b", 81))
        await followed.until(lambda: followed.port("b") == 81)
        (etc / "a.yaml").unlink()
        await followed.until(lambda: followed.services == {"b"})
        (etc / "more").rename(etc.parent / "elsewhere")
        await followed.until(lambda: followed.services == set())
        (etc.parent / "elsewhere").rename(etc / "back")
        await followed.until(lambda: followed.services == {"b"})


async def test_what_is_no_manifest_is_no_matter(etc: Path) -> None:
    async with following(etc) as followed:
        (etc / "notes.txt").write_text("x")
        (etc / ".a.yaml.swp").write_text(service("c"))
        (etc / "a.yaml").touch()
        await followed.stays()


async def test_a_careful_writer_costs_one_file_and_not_a_look_at_all(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among 30,000 files a look takes longer than everything else that a change takes."""
    looks: list[Listing] = []

    def look(paths: Sequence[Path]) -> Listing:
        looks.append(list_manifests(paths))
        return looks[-1]

    monkeypatch.setattr(files, "list_manifests", look)
    async with following(etc) as followed:
        before = len(looks)
        for name in ("b", "a", "c"):
            part = etc / f".{name}.yaml.part"
            part.write_text(service(name, 8000))
            part.replace(etc / f"{name}.yaml")
            await followed.until(lambda name=name: name in followed.services and followed.port(name) == 8000)  # type: ignore[misc]
        assert len(looks) == before


async def test_a_config_map_is_swapped_as_a_whole(tmp_path: Path) -> None:
    """A volume of Kubernetes: files are links through `..data`, a link that is renamed over the old one."""
    volume = tmp_path / "volume"

    def version(name: str, texts: dict[str, str]) -> None:
        (volume / name).mkdir(parents=True)
        for file, text in texts.items():
            (volume / name / file).write_text(text)
        (volume / "..data_tmp").symlink_to(name)
        (volume / "..data_tmp").rename(volume / "..data")

    version("..1", {"a.yaml": service("a"), "b.yaml": service("b")})
    for file in ("a.yaml", "b.yaml"):
        (volume / file).symlink_to(f"..data/{file}")
    async with following(volume) as followed:
        assert followed.services == {"a", "b"}
        version("..2", {"a.yaml": service("a", 81), "b.yaml": service("b", 81)})
        await followed.until(lambda: followed.port("b") == 81)
        assert followed.port("a") == 81
        assert len(followed.worlds) == 2, "both files at once"
        version("..3", {"a.yaml": service("a", 82), "b.yaml": service("b", 81)})
        await followed.until(lambda: followed.port("a") == 82)


async def test_a_link_to_a_file_elsewhere(etc: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "git"
    elsewhere.mkdir()
    (elsewhere / "b.yaml").write_text(service("b"))
    (etc / "b.yaml").symlink_to(elsewhere / "b.yaml")
    async with following(etc) as followed:
        assert followed.services == {"a", "b"}
        (elsewhere / "b.yaml").write_text(service("b", 81))
        await followed.until(lambda: followed.port("b") == 81)
        (elsewhere / "new").write_text(service("b", 82))
        (elsewhere / "new").rename(elsewhere / "b.yaml")
        await followed.until(lambda: followed.port("b") == 82)


async def test_the_path_itself_is_a_link_that_is_swapped(tmp_path: Path) -> None:
    for name, port in (("one", 81), ("two", 82)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(service("a", port))
    (tmp_path / "etc").symlink_to("one")
    async with following(tmp_path / "etc") as followed:
        assert followed.port("a") == 81
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "etc")
        await followed.until(lambda: followed.port("a") == 82)
        (tmp_path / "two/a.yaml").write_text(service("a", 83))
        await followed.until(lambda: followed.port("a") == 83)


async def test_a_folder_that_is_made_later(tmp_path: Path) -> None:
    async with following(tmp_path / "not/yet") as followed:
        assert followed.services == set()
        assert "No such file" in followed.source.troubles[0]
        assert not followed.source.complete
        (tmp_path / "not/yet").mkdir(parents=True)
        (tmp_path / "not/yet/a.yaml").write_text(service("a"))
        await followed.until(lambda: followed.services == {"a"})
        assert not followed.source.troubles
        assert followed.source.complete


async def test_a_folder_that_goes_away_takes_nothing_with_it(etc: Path) -> None:
    async with following(etc) as followed:
        etc.rename(etc.with_name("away"))
        await followed.until(lambda: bool(followed.source.troubles))
        await followed.stays()
        assert followed.services == {"a"}
        etc.mkdir()
        (etc / "b.yaml").write_text(service("b"))
        await followed.until(lambda: followed.services == {"b"})


async def test_files_named_one_by_one(etc: Path, tmp_path: Path) -> None:
    single = tmp_path / "single.manifest"
    single.write_text(service("s"))
    async with following(single, etc / "a.yaml", etc) as followed:
        assert followed.services == {"a", "s"}
        assert not followed.source.troubles, "a.yaml is read once, though it is named twice"
        single.write_text(service("s", 81))
        await followed.until(lambda: followed.port("s") == 81)
        (tmp_path / "other").write_text("x")
        await followed.stays()


async def test_a_file_that_was_asked_for_by_name_takes_nothing_with_it(etc: Path, tmp_path: Path) -> None:
    """The operator named it, so its absence is a trouble and not a wish; at a restart it would be missing as well."""
    single = tmp_path / "single.yaml"
    single.write_text(service("s"))
    async with following(single, etc) as followed:
        single.unlink()
        await followed.until(lambda: bool(followed.source.troubles))
        assert str(single) in followed.source.troubles[0]
        await followed.stays()
        single.write_text(service("s", 81))
        await followed.until(lambda: followed.port("s") == 81)
        assert not followed.source.troubles


async def test_a_burst_of_changes_is_read_at_once(etc: Path) -> None:
    async with following(etc) as followed:
        for number in range(200):
            (etc / f"s{number}.yaml").write_text(service(f"s{number}"))
        await followed.until(lambda: len(followed.services) == 201)
        assert len(followed.worlds) < 60


async def test_where_inotify_is_not_to_be_had_files_are_looked_at(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("lbctl.sources.watch.Inotify", refused)
    async with following(etc) as followed:
        await followed.until(lambda: bool(followed.source.troubles))
        assert "Too many open files" in followed.source.troubles[0]
        (etc / "a.yaml").write_text(service("a", 81))
        (etc / "b.yaml").write_text(service("b"))
        await followed.until(lambda: followed.services == {"a", "b"} and followed.port("a") == 81)
        (etc / "b.yaml").unlink()
        await followed.until(lambda: followed.services == {"a"})


async def test_when_watches_run_out_files_are_looked_at(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lbctl.sources.watch.Inotify.add_watch", refused)
    async with following(etc) as followed:
        await followed.until(lambda: bool(followed.source.troubles))
        (etc / "a.yaml").write_text(service("a", 81))
        await followed.until(lambda: followed.port("a") == 81)


async def test_a_network_share_is_looked_at(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbctl.sources.files.is_remote", lambda _: True)
    monkeypatch.setattr("lbctl.sources.watch.FolderWatch._changes", lambda *_: [])  # another host changes it
    async with following(etc) as followed:
        (etc / "a.yaml").write_text(service("a", 81))
        await followed.until(lambda: followed.port("a") == 81)


def test_which_file_systems_are_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    table = (
        "22 1 0:21 / / rw - ext4 /dev/sda rw\n"
        "23 22 0:22 / /mnt/share rw shared:5 - nfs4 host:/x rw\n"
        "24 23 0:23 / /mnt/share/local rw - tmpfs tmpfs rw\n"
        "25 22 0:24 / /mnt/my\\040disk rw - fuse.sshfs host: rw\n"
        "odd line\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: table)
    assert not is_remote("/etc/lbctl")
    assert is_remote("/mnt/share/lbctl")
    assert not is_remote("/mnt/share/local/x")
    assert not is_remote("/mnt/shared")
    assert is_remote("/mnt/my disk/x")


async def test_nothing_is_left_open(etc: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        async with following(etc):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


async def test_too_much_to_tell_means_looking_at_everything(tmp_path: Path) -> None:
    with FolderWatch() as watch:
        assert watch.follow({str(tmp_path): None})
        assert not watch.follow({str(tmp_path): None})
        assert list(watch._changes(Mask.Q_OVERFLOW, None, None)) == [Change("", What.EVERYTHING)]


@pytest.mark.parametrize(
    ("do", "what"),
    [
        (lambda folder: (folder / "x").write_text("y"), [What.BEING_WRITTEN, What.WRITTEN]),
        (lambda folder: (folder / "a").unlink(), [What.GONE]),
        (lambda folder: (folder / "a").chmod(0o600), [What.WRITTEN]),
        (lambda folder: (folder / "x").symlink_to("a"), [What.WRITTEN]),
        (lambda folder: (folder / "x").mkdir(), [What.EVERYTHING]),
        (lambda folder: (folder / "a").rename(folder / "x"), [What.GONE, What.WRITTEN]),
    ],
)
async def test_what_a_watch_tells(tmp_path: Path, do: Callable[[Path], object], what: Sequence[What]) -> None:
    (tmp_path / "a").write_text("z")
    with FolderWatch() as watch:
        watch.follow({str(tmp_path): None})
        do(tmp_path)
        told = [change.what for change in await watch.next(PATIENCE)]
    assert list(dict.fromkeys(told)) == list(what)
