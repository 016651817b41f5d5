"""`lbctl diff` beside a real controller: what it says before an edit is what happens after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.exit_status import ExitStatus
from tests.cli.test_diff import run
from tests.controller.running import POOL, Home, manifest


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    yield made
    made.kill()


def documents(*texts: str) -> str:
    """One file, so that an edit comes into force as a whole."""
    return "---\n".join(texts)


def told(home: Home, new: Path, *more: str) -> tuple[int, dict[str, Any]]:
    done = run(str(new), "--state", str(home.state), "-o", "json", *more, cwd=home.config)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_what_is_told_is_what_happens(home: Home, tmp_path: Path) -> None:
    home.put("pool", documents(POOL, *map(manifest, "abcd")))
    home.start()
    before = home.until(lambda held: held if len(held) == 3 else None)
    assert before == {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
    status, same = told(home, home.config)
    assert (status, same["allocations"]) == (ExitStatus.OK, "ledger")
    assert [item["service"] for item in same["pending"]] == ["default/d"]

    new = tmp_path / "new.yaml"
    pool = POOL.replace("192.0.2.1-192.0.2.3", "192.0.2.2-192.0.2.3, 198.51.100.0/30")
    new.write_text(documents(pool, *map(manifest, "abd"), manifest("e", ip="192.0.2.3")))
    status, found = told(home, new)
    assert status == ExitStatus.FOUND
    assert {item["service"]: item["event"] for item in found["services"]} == {
        "default/a": "changes",
        "default/c": "loses",
        "default/d": "gets",
        "default/e": "gets",
    }
    assert [item["address"] for item in found["stranded"]] == ["192.0.2.1"]

    after = before | {item["service"].removeprefix("default/"): " ".join(item["after"]) for item in found["services"]}
    home.put("pool", new.read_text())
    home.until(lambda held: held == {name: addresses for name, addresses in after.items() if addresses})
    assert told(home, new)[0] == ExitStatus.OK, "now it is in force"
    status, asked = told(home, new, "--socket", str(home.socket))
    assert (status, asked["owners"]) == (ExitStatus.OK, "asked")


def test_an_edit_of_a_protected_pool_is_told_and_held_back(home: Home, tmp_path: Path) -> None:
    protected = POOL.replace("namespace: metallb-system}", "annotations: {lbctl.io/protect: in-use}}")
    home.put("pool", documents(protected, manifest("a")))
    home.start()
    home.until(lambda held: held == {"a": "192.0.2.1"})
    new = tmp_path / "pool.yaml"
    new.write_text(documents(protected.replace("192.0.2.1-", "192.0.2.2-"), manifest("a"), manifest("b")))
    status, found = told(home, new)
    assert status == ExitStatus.FOUND
    assert [(item["pool"], item["reason"]) for item in found["refused"]] == [("first", "pool_protected")]
    assert [(item["service"], item["after"]) for item in found["services"]] == [("default/b", ["192.0.2.2"])]
    home.put("pool", new.read_text())
    home.until(lambda held: held == {"a": "192.0.2.1", "b": "192.0.2.2"})
