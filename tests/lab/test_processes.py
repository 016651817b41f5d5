"""Signals reach the process that was recorded, and never another one that has its number now."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.lab import processes


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def test_a_process_is_known_by_its_start_time_too(sleeper: subprocess.Popen[bytes]) -> None:
    real = processes.identify(sleeper.pid)
    assert real is not None
    impostor = dataclasses.replace(real, started=real.started - 1)
    assert not processes.is_alive(impostor)
    assert not processes.send_signal(impostor, signal.SIGKILL)
    assert processes.wait_gone([impostor], 0.0)
    assert processes.is_alive(real)
    assert not processes.wait_gone([real], 0.01)
    assert processes.send_signal(real, signal.SIGKILL)
    assert processes.wait_gone([real], 60.0)
    # A zombie until we wait for it: gone for us.
    assert processes.identify(sleeper.pid) is None
    assert not processes.is_alive(real)
    sleeper.wait()
    assert not processes.send_signal(real, signal.SIGKILL)


def test_a_name_with_spaces_and_parentheses_does_not_confuse(tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(odd), "60"])
    try:
        found = processes.identify(child.pid)
        ours = processes.identify(os.getpid())
        assert found is not None
        assert ours is not None
        assert found.started >= ours.started
        assert processes.arguments(found) == [str(odd), "60"]
    finally:
        child.kill()
        child.wait()


def test_a_session_holds_the_children_when_its_leader_is_gone() -> None:
    script = "import subprocess, sys; c = subprocess.Popen(['sleep', '600']); print(c.pid, flush=True)"
    leader = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    leader.wait()
    leader.stdout.close()
    try:
        assert [process.pid for process in processes.in_session(leader.pid)] == [child]
    finally:
        os.kill(child, signal.SIGKILL)


def _writer(script: str, path: Path) -> subprocess.Popen[bytes]:
    with path.open("wb") as out:
        return subprocess.Popen([sys.executable, "-c", script], stdout=out)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("import time; print('one\\nready', flush=True); time.sleep(60)", True),
        ("print('ready')", True),
        ("print('already')", False),
        ("pass", False),
    ],
)
def test_waits_for_a_line_or_for_the_end(tmp_path: Path, script: str, found: bool) -> None:
    out = tmp_path / "out"
    child = _writer(script, out)
    process = processes.identify(child.pid)
    assert process is not None
    try:
        assert processes.wait_for_line(out, "ready", process, 30.0) is found
    finally:
        child.kill()
        child.wait()


def test_does_not_wait_for_a_line_for_ever(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    out = tmp_path / "out"
    out.touch()
    process = processes.identify(sleeper.pid)
    assert process is not None
    assert not processes.wait_for_line(out, "ready", process, 0.02)


def test_finds_who_is_in_a_namespace_but_never_ourselves(sleeper: subprocess.Popen[bytes]) -> None:
    found = processes.in_namespaces([Path(f"/proc/{os.getpid()}/ns/net")])
    pids = [process.pid for process in found]
    assert sleeper.pid in pids
    assert os.getpid() not in pids
