"""What is in force of the manifests, step by step and without waiting."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.sources.manifests import GONE_TIME, Manifests
from lbctl.sources.tree import list_manifests


def service(name: str, port: int = 80) -> str:
    return f"""apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  type: LoadBalancer
  ports:
  - port: {port}
"""


def pool(name: str, addresses: str) -> str:
    return f"""apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: {name}
spec:
  addresses: [{addresses}]
"""


class Disk:
    """A folder and the manifests in force of it."""

    def __init__(self, folder: Path, *, last_good: World | None = None) -> None:
        self.folder = folder
        self.manifests = Manifests([str(folder)], last_good)
        self.now = 100.0

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def look(self) -> World:
        """Reads everything again, as after a burst of changes."""
        listing = list_manifests([self.folder])
        self.manifests.update(listing, {*listing.files, *self.manifests.files}, self.now)
        return self.manifests.state.world

    def look_later(self) -> World:
        """Twice, so that what is missing is missed."""
        self.look()
        self.now += GONE_TIME + 0.01
        return self.look()

    @property
    def services(self) -> set[str]:
        return {key.name for key in self.manifests.state.world.services}

    def troubles(self) -> tuple[str, ...]:
        return self.manifests.state.troubles

    def complete(self) -> bool:
        return self.manifests.state.complete


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "etc")


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What is logged, as (name, fields)."""
    said: list[tuple[str, dict[str, Any]]] = []

    def event(_: logging.Logger, name: str, /, *, level: int = logging.INFO, **fields: Any) -> None:
        said.append((name, fields))

    monkeypatch.setattr("lbctl.sources.manifests.event", event)
    return said


def test_objects_of_all_files(disk: Disk) -> None:
    disk.write("a.yaml", service("a"))
    disk.write("deep/er/b.yml", service("b"))
    disk.write("c.json", '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}}')
    disk.write("notes.txt", "not: a: manifest")
    disk.write(".hidden.yaml", service("hidden"))
    world = disk.look()
    assert disk.services == {"a", "b", "c"}
    assert disk.complete()
    assert disk.troubles() == ()
    assert world.generation == 1


def test_a_file_with_two_names_is_read_once(disk: Disk) -> None:
    path = disk.write("a.yaml", service("a"))
    (disk.folder / "b.yaml").symlink_to("a.yaml")
    (disk.folder / "more").mkdir()
    (disk.folder / "more/c.yaml").hardlink_to(path)
    disk.look()
    assert disk.services == {"a"}
    assert disk.troubles() == ()


def test_what_does_not_change_stays_the_very_same(disk: Disk) -> None:
    disk.write("a.yaml", service("a") + "---\n" + service("b"))
    disk.write("p.yaml", pool("p", "10.0.0.0/24"))
    old = disk.look()
    assert disk.look() is old
    disk.write("a.yaml", service("a") + "---\n" + service("b", 81))
    new = disk.look()
    assert new.generation == old.generation + 1
    assert dict(new.changes_since(old).maps) == {"services": {ServiceKey("default", "b")}}
    assert new.pools is old.pools


def test_a_comment_changes_nothing(disk: Disk) -> None:
    disk.write("a.yaml", service("a"))
    old = disk.look()
    disk.write("a.yaml", "# a comment\n" + service("a"))
    assert disk.look() is old


@pytest.mark.parametrize(
    "broken",
    [
        service("a") + "---\na: b: c\n",
        service("a", 99) + "---\n" + service("b").replace("type: LoadBalancer", "type: Nonsense"),
        service("a", 99) + "---\n" + service("b")[:-20] + '"',
        "\ta: b",
        b"\x00\xff\xfe",
        "",
        "\n\n",
        "- just a list\n",
    ],
)
def test_a_broken_file_keeps_its_last_good_state_and_says_so(
    disk: Disk, broken: str | bytes, events: list[tuple[str, dict[str, Any]]]
) -> None:
    disk.write("a.yaml", service("a") + "---\n" + service("b"))
    disk.write("c.yaml", service("c"))
    old = disk.look()
    path = disk.write("a.yaml", broken)
    disk.write("c.yaml", service("c", 81))
    new = disk.look()
    assert dict(new.changes_since(old).maps) == {"services": {ServiceKey("default", "c")}}
    (trouble,) = disk.troubles()
    assert trouble.startswith(str(path))
    assert "stays in force" in trouble
    assert disk.complete()
    assert any(name in ("manifest_refused", "manifest_unusable") for name, _ in events)
    count = len(events)
    disk.look()
    assert len(events) == count, "said once, not each time"
    disk.write("a.yaml", service("a"))
    disk.look()
    assert disk.services == {"a", "c"}
    assert disk.troubles() == ()
    assert "manifest_good_again" in [name for name, _ in events]


def test_a_broken_file_that_becomes_what_it_was(disk: Disk) -> None:
    good = service("a")
    disk.write("a.yaml", good)
    old = disk.look()
    disk.write("a.yaml", good + "---\nx: y: z")
    assert disk.look() is old
    assert disk.troubles()
    disk.write("a.yaml", good)
    assert disk.look() is old
    assert disk.troubles() == ()


def test_at_first_sight_the_good_documents_of_a_broken_file_are_taken(disk: Disk) -> None:
    disk.write("a.yaml", service("a") + "---\nx: y: z")
    disk.look()
    assert disk.services == {"a"}
    assert not disk.complete()
    (trouble,) = disk.troubles()
    assert "LB0004" in trouble
    disk.write("a.yaml", service("a") + "---\n" + service("b"))
    disk.look()
    assert disk.services == {"a", "b"}
    assert disk.complete()
    assert disk.troubles() == ()


def test_a_file_that_is_gone_takes_its_objects_with_it_after_a_moment(disk: Disk) -> None:
    path = disk.write("a.yaml", service("a"))
    disk.write("b.yaml", service("b"))
    disk.look()
    path.unlink()
    disk.look()
    assert disk.services == {"a", "b"}, "an editor may just be about to put the new one there"
    disk.now += GONE_TIME / 2
    disk.look()
    assert disk.services == {"a", "b"}
    disk.now += GONE_TIME
    disk.look()
    assert disk.services == {"b"}
    assert disk.troubles() == ()


def test_few_changes_among_many_files(disk: Disk) -> None:
    """Here the world is patched and not put together anew."""
    for number in range(40):
        disk.write(f"{number}.yaml", service(f"s{number}"))
    disk.look()
    (disk.folder / "7.yaml").unlink()
    disk.write("8.yaml", service("s8", 81) + "---\n" + service("new"))
    disk.write("9.yaml", service("renamed"))
    disk.look_later()
    assert disk.services == {f"s{n}" for n in range(40) if n not in (7, 9)} | {"new", "renamed"}
    disk.write("7.yaml", service("s7"))
    disk.write("8.yaml", "broken: [")
    disk.look()
    assert "s7" in disk.services
    assert "new" in disk.services


def test_a_file_that_is_only_gone_for_a_moment(disk: Disk) -> None:
    path = disk.write("a.yaml", service("a"))
    old = disk.look()
    path.unlink()
    disk.look()
    disk.write("a.yaml", service("a"))
    disk.now += 1
    assert disk.look() is old


def test_a_renamed_file_keeps_its_objects_the_very_same(disk: Disk) -> None:
    disk.write("a.yaml", service("a"))
    old = disk.look()
    (disk.folder / "a.yaml").rename(disk.folder / "b.yaml")
    listing = list_manifests([disk.folder])
    disk.manifests.update(listing, set(listing.files), disk.now)
    assert disk.manifests.state.world.services == old.services
    disk.look_later()
    assert disk.manifests.state.world.services == old.services
    assert disk.troubles() == ()


def test_the_folder_going_away_takes_nothing(disk: Disk) -> None:
    disk.write("a.yaml", service("a"))
    old = disk.look()
    disk.folder.rename(disk.folder.with_name("away"))
    assert disk.look_later() is old
    (trouble,) = disk.troubles()
    assert "No such file" in trouble
    assert "stays in force" in trouble
    disk.folder.with_name("away").rename(disk.folder)
    assert disk.look_later() is old
    assert disk.troubles() == ()


def test_another_empty_folder_in_its_place_takes_nothing(disk: Disk) -> None:
    """As when the disk with the manifests is not mounted."""
    disk.write("a.yaml", service("a"))
    old = disk.look()
    disk.folder.rename(disk.folder.with_name("away"))
    disk.folder.mkdir()
    assert disk.look_later() is old
    assert len(disk.troubles()) == 1
    disk.write("b.yaml", service("b"))
    disk.look_later()
    assert disk.services == {"b"}
    assert disk.troubles() == ()


def test_removing_the_last_file_removes_its_objects(disk: Disk) -> None:
    path = disk.write("a.yaml", service("a"))
    disk.look()
    path.unlink()
    disk.look_later()
    assert disk.services == set()
    assert disk.troubles() == ()
    assert disk.complete()


def test_a_missing_folder_at_the_start(disk: Disk) -> None:
    world = disk.look()
    assert world.generation == 1
    assert not disk.complete()
    assert "No such file" in disk.troubles()[0]
    disk.write("a.yaml", service("a"))
    disk.look()
    assert disk.services == {"a"}
    assert disk.complete()
    assert disk.troubles() == ()


def test_a_new_file_that_contradicts_what_is_in_force_is_left_out(disk: Disk) -> None:
    """Also when its name sorts first: what is in force stays."""
    disk.write("b.yaml", pool("second", "10.0.0.0/24") + "---\n" + service("b"))
    old = disk.look()
    disk.write("a.yaml", pool("first", "10.0.0.128/25") + "---\n" + service("a"))
    assert disk.look() is old
    (trouble,) = disk.troubles()
    assert "a.yaml" in trouble
    assert "LB0205" in trouble
    assert "left out" in trouble
    disk.write("b.yaml", pool("second", "10.0.0.0/25") + "---\n" + service("b"))
    disk.look()
    assert disk.services == {"a", "b"}
    assert set(disk.manifests.state.world.pools) == {"first", "second"}
    assert disk.troubles() == ()


def test_an_edit_that_contradicts_another_file_keeps_the_last_good_state(disk: Disk) -> None:
    disk.write("a.yaml", service("a"))
    disk.write("b.yaml", service("b"))
    old = disk.look()
    disk.write("a.yaml", service("a", 81) + "---\n" + service("b", 82))
    assert disk.look() is old
    (trouble,) = disk.troubles()
    assert "LB0113" in trouble
    (disk.folder / "b.yaml").unlink()
    world = disk.look_later()
    assert world.services[ServiceKey("default", "b")].ports[0].port == 82
    assert disk.troubles() == ()


def test_at_the_start_the_first_of_two_that_contradict_is_taken(disk: Disk) -> None:
    disk.write("a.yaml", pool("first", "10.0.0.0/24"))
    disk.write("b.yaml", pool("second", "10.0.0.0/25"))
    world = disk.look()
    assert set(world.pools) == {"first"}
    assert "LB0205" in disk.troubles()[0]


@pytest.mark.parametrize("name", ["a.yaml", "z.yaml"])
@pytest.mark.parametrize("text", [pool("wide", "192.0.2.0/24"), service("web", 8443)])
def test_a_file_that_was_left_out_is_left_out_after_a_restart_too(tmp_path: Path, name: str, text: str) -> None:
    before = Disk(tmp_path)
    before.write("m.yaml", pool("first", "192.0.2.1-192.0.2.9"))
    before.write("n.yaml", service("web"))
    published = before.look()
    before.write(name, text)
    assert before.look() is published
    assert any(name in trouble for trouble in before.manifests.state.troubles)
    after = Disk(tmp_path, last_good=published)
    world = after.look()
    assert (world.pools, world.services) == (published.pools, published.services)
    assert any(name in trouble for trouble in after.manifests.state.troubles)


@pytest.mark.parametrize("how", ["missing", "broken", "empty"])
def test_after_a_restart_what_was_in_force_stays_until_all_was_read_well(tmp_path: Path, how: str) -> None:
    before = Disk(tmp_path / "etc")
    before.write("a.yaml", service("a") + "---\n" + pool("p", "10.0.0.0/24"))
    last_good = before.look()
    if how == "missing":
        (tmp_path / "etc").rename(tmp_path / "away")
    elif how == "broken":
        before.write("a.yaml", service("a", 81) + "---\nx: y: z")
    else:
        (tmp_path / "etc/a.yaml").unlink()
    after = Disk(tmp_path / "etc", last_good=last_good)
    world = after.look()
    assert world.pools == last_good.pools
    assert world.services[ServiceKey("default", "a")].ports[0].port == (81 if how == "broken" else 80)
    assert after.troubles()
    assert not after.complete()
    after.write("a.yaml", service("b"))
    world = after.look_later()
    assert after.services == {"b"}
    assert not world.pools
    assert after.complete()
    assert after.troubles() == ()


def test_what_was_removed_while_we_were_down_is_gone(tmp_path: Path) -> None:
    before = Disk(tmp_path / "etc")
    before.write("a.yaml", service("a"))
    before.write("b.yaml", service("b"))
    last_good = before.look()
    (tmp_path / "etc/a.yaml").unlink()
    after = Disk(tmp_path / "etc", last_good=last_good)
    after.look()
    assert after.services == {"b"}
    assert after.complete()


def test_an_unreadable_file_keeps_its_last_good_state(disk: Disk) -> None:
    path = disk.write("a.yaml", service("a"))
    old = disk.look()
    # A link in a circle is what root cannot read either.
    path.unlink()
    path.symlink_to(path.name)
    assert disk.look_later() is old
    (trouble,) = disk.troubles()
    assert "a.yaml" in trouble
    path.unlink()
    disk.write("a.yaml", service("a"))
    assert disk.look() is old
    assert disk.troubles() == ()


def test_findings_are_logged_once_and_only_some_of_very_many(
    disk: Disk, events: list[tuple[str, dict[str, Any]]]
) -> None:
    many = "---\n".join(service(f"s{n}").replace("type:", "kype:") for n in range(100))
    disk.write("a.yaml", many)
    disk.look()
    names = [name for name, _ in events]
    assert names.count("manifest_finding") == 20
    assert ("manifest_findings_more", {"more": 80}) in events
    disk.write("b.yaml", service("b"))
    disk.look()
    assert [name for name, _ in events].count("manifest_finding") == 20


def test_allowed_findings_are_not_logged(disk: Disk, events: list[tuple[str, dict[str, Any]]]) -> None:
    disk.write("a.yaml", pool("old", "10.0.0.0/24"))
    disk.write("b.yaml", "# lbctl: allow LB0207\n" + pool("new", "10.1.0.0/24"))
    disk.look()
    assert [fields["code"] for name, fields in events if name == "manifest_finding"] == ["LB0207"]
    events.clear()
    disk.write("a.yaml", pool("old", "10.0.0.0/24").replace("name: old", "name: old  # lbctl: allow LB0207, LB0206"))
    disk.look()
    assert events == []
