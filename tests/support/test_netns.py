"""The helper itself: a segment carries frames, a cut stops them with the carrier up, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.netns import Segment, call_in, eventually, sweep

pytestmark = pytest.mark.netns


def _mine() -> list[str]:
    return [path.name for path in Path("/run/netns").glob(f"lbt-{os.getpid()}-*")]


def test_hosts_reach_each_other_and_all_is_removed_again() -> None:
    before = _mine()
    with Segment({"a": ["192.0.2.1/24", "fd00::1/64"], "b": ["192.0.2.2/24", "fd00::2/64"]}) as lan:
        a, b = lan["a"], lan["b"]
        a.run(["ping", "-c1", "-W2", "192.0.2.2"])
        a.run(["ping", "-c1", "-W2", "fd00::2"])
        assert a.mac != b.mac
        assert b.link_local.startswith("fe80::")
        b.cut()
        assert a.run(["ping", "-c1", "-W1", "192.0.2.2"], check=False).returncode != 0
        assert "LOWER_UP" in b.run(["ip", "link", "show", "eth0"]).stdout
        b.heal()
        a.run(["ping", "-c1", "-W2", "192.0.2.2"])
        b.pull()
        eventually(lambda: "NO-CARRIER" in b.run(["ip", "link", "show", "eth0"]).stdout)
        assert len(_mine()) == len(before) + 3
    assert _mine() == before


def test_a_host_may_stand_on_two_segments() -> None:
    with Segment({"a": ["192.0.2.1/24"]}) as left, Segment({"b": ["198.51.100.2/24"]}) as right:
        second = right.add_host("a", ["198.51.100.1/24"], also=left["a"])
        assert second.interface == "eth1"
        assert second.netns == left["a"].netns
        left["a"].run(["ping", "-c1", "-W2", "198.51.100.2"])


def test_a_failure_inside_leaves_nothing() -> None:
    before = _mine()
    with pytest.raises(RuntimeError, match="no-such"), Segment({"a": ["192.0.2.1/24"]}) as lan:
        lan["a"].run(["ip", "link", "show", "no-such"])
    assert _mine() == before


def test_what_a_killed_run_left_is_swept() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    name = f"lbt-{gone.pid}-1-left"
    subprocess.run(["ip", "netns", "add", name], check=True)
    sweep()
    assert not Path("/run/netns", name).exists()


def test_a_thread_comes_back_home() -> None:
    home = Path("/proc/thread-self/ns/net").readlink()
    with Segment({"a": []}) as lan:
        there = call_in(lan["a"].netns, lambda: Path("/proc/thread-self/ns/net").readlink())
    assert there != home
    assert Path("/proc/thread-self/ns/net").readlink() == home
