"""A process that hangs is no process that ended: it closes nothing. Each one alone, and all three (rule A8).

One cluster serves all tests of this file; each begins with every speaker running and agreed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.support.bars import PATIENCE, met_once
from tests.support.netns import eventually
from tests.support.speakers import Speakers
from tests.support.worlds import vip_world

pytestmark = pytest.mark.netns
soon = partial(eventually, every=0.01)

VIP = "192.0.2.100"
VIPS = [VIP, "192.0.2.101", "192.0.2.102"]
NAMES = ["a", "b", "c"]
BAR = 2 * 0.22
"""Seconds to the first frame of the next owner: twice the documented bar."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Speakers]:
    with Speakers(NAMES, folder=tmp_path_factory.mktemp("speakers")) as cluster:
        cluster.publish(vip_world(VIPS, made_unix=time.time()))
        cluster.start_all()
        yield cluster


def first_frame(cluster: Speakers, owner: str, strike: Callable[[], None]) -> tuple[str, float]:
    """Strikes the owner; who announces the VIP next, and how many seconds later."""
    mac = cluster.lan[owner].mac
    cluster.asker.announcements(0.0)
    began = time.monotonic()
    strike()
    while time.monotonic() < began + PATIENCE:
        for address, announcer in cluster.asker.announcements(1.0, count=1):
            if address == VIP and announcer != mac:
                return cluster.node_of(announcer), time.monotonic() - began
    raise AssertionError(f"nobody announced {VIP}")


def never_two(cluster: Speakers, successor: str, seconds: float) -> None:
    """For so long, nobody but the successor answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = cluster.answering(VIP, within=0.02)
        assert found <= {successor}, f"{found} answer, the owner is {successor}"


def pids_of(cluster: Speakers, owner: str, part: str) -> list[int]:
    parts = {"work": cluster[owner].pid, **cluster[owner].children()}
    return list(parts.values()) if part == "all" else [parts[part]]


@pytest.mark.parametrize("part", ["pulse", "wire", "all"])
def test_a_stopped_process_costs_a_detection_time_and_never_makes_two_owners(
    running: Speakers, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def struck() -> float:
        running.restore(VIPS)
        owner = running.owner(VIP)
        pids, children = pids_of(running, owner, part), running[owner].children()

        def stop() -> None:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)

        try:
            successor, took = first_frame(running, owner, stop)
            never_two(running, successor, 0.4)
        finally:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    assert part == "wire"
        never_two(running, successor, 1.0)
        if part == "wire":
            running[owner].wait_back(children)
            assert 'restarting why="the process that answers ARP and NDP did not run' in running[owner].log
        running.agreed(VIP, successor, among=NAMES)
        return took

    took = met_once(struck, lambda found: found < BAR)
    with capsys.disabled():
        print(f"\n  {part} stopped: first frame of the next owner after {took * 1000:.0f} ms", end="")


def test_a_stopped_pulse_is_said_by_the_status_of_its_node(running: Speakers) -> None:
    running.restore(VIPS)
    owner = running.owner(VIP)
    pid = running[owner].children()["pulse"]
    os.kill(pid, signal.SIGSTOP)
    try:
        soon(lambda: "no word from pulse" in str(running[owner].ask("/v1/status")["troubles"]))
    finally:
        os.kill(pid, signal.SIGCONT)
    soon(lambda: "no word from" not in str(running[owner].ask("/v1/status")["troubles"]))


def test_a_stopped_work_moves_nothing(running: Speakers) -> None:
    running.restore(VIPS)
    owner = running.owner(VIP)
    os.kill(running[owner].pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        while time.monotonic() < began + 2.5:
            running.alone(VIP, owner)
    finally:
        os.kill(running[owner].pid, signal.SIGCONT)
    soon(lambda: "held up for" in str(running[owner].ask("/v1/status")["troubles"]))
    running.alone(VIP, owner)
