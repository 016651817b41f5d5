"""What a lab writes down is what is read again, and one lab is never taken for another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lbctl.lab import namespaces, record
from lbctl.lab.namespaces import LabError
from lbctl.lab.processes import Process


@pytest.mark.parametrize("owner", [None, Process(pid=7, started=99)])
def test_a_lab_is_read_as_it_was_written(tmp_path: Path, owner: Process | None) -> None:
    written = record.LabRecord(
        name="a", nodes=4, finished=True, owner=owner, controller_args=("--x",), speaker_args=("--y", "1")
    )
    record.write_lab(tmp_path, written)
    assert record.read_lab(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["lab.json"]


def test_a_daemon_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert record.read_daemon(tmp_path) is None
    written = record.DaemonRecord(name="run-speaker", process=Process(pid=1, started=2))
    record.write_daemon(tmp_path, written)
    assert record.read_daemon(tmp_path) == written


def test_another_versions_lab_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(LabError, match="another version"):
        record.read_lab(tmp_path)


@pytest.mark.parametrize("name", ["lab", "a", "a-b", "lbt-1-2", "9", "a" * 32])
def test_names_that_go(name: str) -> None:
    assert record.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a b", "a" * 33, "ä", "a_b", "a\n"])
def test_names_that_do_not(name: str) -> None:
    with pytest.raises(LabError, match="cannot name a lab"):
        record.check_name(name)


def test_labs_whose_names_begin_alike_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "RUN", tmp_path)
    for lab, host in (("a", "n1"), ("a-b", "n1"), ("a", "sw"), ("b", "n1")):
        (tmp_path / namespaces.full_name(lab, host)).touch()
    (tmp_path / "other").touch()
    assert namespaces.existing("a") == ["lbctl-a-n1", "lbctl-a-sw"]
    assert namespaces.existing("a-b") == ["lbctl-a-b-n1"]


def test_only_one_builds_or_removes_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with record.locked(folder, make=True) as there:
        assert there
        with pytest.raises(LabError, match="another process"), record.locked(folder, make=False):
            pass
    with record.locked(folder, make=False) as there:
        assert there
        shutil.rmtree(folder)
    with record.locked(folder, make=False) as there:
        assert not there
    assert not folder.exists()
