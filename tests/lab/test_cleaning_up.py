"""Whatever happens while a lab is made, used or removed, nothing of it stays; and nothing else is touched."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.lab import namespaces, processes, record
from lbctl.lab.cluster import Lab, LabError, names, sweep
from tests.lab.conftest import remains
from tests.support.netns import eventually

pytestmark = pytest.mark.netns


def test_down_leaves_nothing_and_may_be_repeated(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(nodes=2)
    lab.up(daemons=False)
    assert remains(lab)
    assert lab.name in names()
    assert len(namespaces.existing(lab.name)) == 7
    assert lab.down()
    assert remains(lab) == []
    assert not lab.down()


def test_a_daemon_that_does_not_start_takes_the_lab_with_it(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(nodes=1, speaker_args=["--no-such-option"])
    with pytest.raises(LabError), lab:
        pass
    assert remains(lab) == []


@pytest.mark.parametrize("step", range(0, 24, 4))
def test_interrupted_at_any_step_of_building(
    make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    count = itertools.count()
    configure, add = namespaces.configure, namespaces.add

    def interrupt() -> None:
        if next(count) == step:
            raise KeyboardInterrupt

    def interrupted_configure(*arguments: object) -> None:
        interrupt()
        configure(*arguments)  # type: ignore[arg-type]

    def interrupted_add(name: str) -> None:
        add(name)
        interrupt()

    monkeypatch.setattr(namespaces, "configure", interrupted_configure)
    monkeypatch.setattr(namespaces, "add", interrupted_add)
    lab = make_lab(nodes=2)
    with pytest.raises(KeyboardInterrupt):
        lab.up(daemons=False)
    assert next(count) > step, "the step was never reached"
    assert remains(lab) == []


_BUILD = """
import sys
from lbctl.lab.cluster import Lab
Lab(sys.argv[1], nodes=4).up(daemons=False, keep=sys.argv[2] == "keep")
print("up", flush=True)
sys.stdin.read()
"""


def _build_elsewhere(lab: Lab, keep: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _BUILD, lab.name, keep], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("namespaces_there", [1, 5, 11])
def test_killed_while_building(make_lab: Callable[..., Lab], namespaces_there: int) -> None:
    lab = make_lab()
    with _build_elsewhere(lab, "keep") as builder:
        eventually(lambda: len(namespaces.existing(lab.name)) >= namespaces_there, every=0)
        builder.kill()
    assert remains(lab)
    with pytest.raises(LabError, match="there is no lab"):
        Lab.find(lab.name)
    # Either way out works: building it again, and removing it.
    if namespaces_there == 5:
        lab.up(daemons=False)
        assert lab.exec("web1", ["curl", "-s", "-m60", "http://10.244.3.10/"]).returncode == 0
    assert lab.down()
    assert remains(lab) == []


def test_another_process_finds_it_and_removes_it(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    with _build_elsewhere(lab, "keep") as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "up\n"
        builder.kill()
    found = Lab.find(lab.name)
    assert found.nodes == ("n1", "n2", "n3", "n4")
    assert found.is_running("web4")
    with pytest.raises(LabError, match="is there already"):
        lab.up(daemons=False)
    assert lab.name not in sweep(), "it was made to stay"
    assert found.down()
    assert remains(lab) == []


def test_what_was_made_for_a_process_that_is_gone_is_swept(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    with _build_elsewhere(lab, "own") as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "up\n"
        assert lab.name not in sweep()
        assert Lab.find(lab.name).is_running("web1")
        builder.kill()
        builder.wait()
        assert lab.name in sweep()
    assert remains(lab) == []


def test_two_labs_stand_beside_each_other(make_lab: Callable[..., Lab]) -> None:
    one, two = make_lab(nodes=1), make_lab(nodes=1)
    one.up(daemons=False)
    two.up(daemons=False)
    one.cut("n1")
    two.exec("client", ["ping", "-q", "-c1", "-w60", "192.168.3.103"], check=True)
    one.apply_text("a.yaml", "a: 1\n")
    assert list(two.manifests.iterdir()) == []
    one.down()
    assert two.is_running("web1")
    two.exec("client", ["ping", "-q", "-c1", "-w60", "192.168.3.103"], check=True)
    two.down()
    assert remains(one) == remains(two) == []


def test_a_process_that_has_an_old_number_now_is_left_alone(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(nodes=1)
    lab.up(daemons=False)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        daemon = record.read_daemon(lab.folder / "web1")
        real = processes.identify(stranger.pid)
        assert daemon is not None
        assert real is not None
        # The web server is gone long since, and its number was given to the stranger, who began later.
        record.write_daemon(
            lab.folder / "web1",
            dataclasses.replace(daemon, process=dataclasses.replace(real, started=daemon.process.started - 1)),
        )
        lab.down()
        assert stranger.poll() is None
        assert remains(lab) == []
    finally:
        stranger.kill()
        stranger.wait()


def test_a_half_made_namespace_is_removed_too(make_lab: Callable[..., Lab]) -> None:
    # `ip netns add` killed between making the file and mounting the namespace on it.
    lab = make_lab(nodes=1)
    Path("/run/netns").mkdir(exist_ok=True)
    Path("/run/netns", lab.netns("n1")).touch()
    assert lab.down()
    assert remains(lab) == []


def test_a_launcher_does_not_outlive_whoever_started_it(make_lab: Callable[..., Lab]) -> None:
    # Started by a process that is gone before it is on its host: it must not go on to become a daemon.
    lab = make_lab(nodes=1)
    lab.up(daemons=False)
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = subprocess.run(lab.command("n1", ["echo", "here"], parent=gone.pid), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == b""


def test_only_root_makes_labs(make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    lab = make_lab()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(LabError, match="run it as root"):
            lab.up()
