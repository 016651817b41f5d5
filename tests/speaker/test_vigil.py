"""Who hangs, by the words that do not come and by one's own lateness; and pulse's judgement of the others."""

from __future__ import annotations

import mmap
import signal
import socket
import subprocess
import time

import pytest

from lbctl.net.channel import Channel
from lbctl.speaker.pulse_sockets import is_stale
from lbctl.speaker.pulse_watch import (
    STALLED_PATIENCE,
    WIRE_PATIENCE,
    WORK_PATIENCE,
    WireWatch,
    WorkWatch,
    kernel_state,
)
from lbctl.speaker.shared_page import SIZE, TURN, WireStamps, read_time, write_pid
from lbctl.speaker.vigil import GIVEN_UP, SILENT, TOLD_FOR, Vigil
from lbctl.speaker.wire import KERNEL_TIME, Wire
from tests.support.netns import eventually


def test_a_child_that_is_silent_is_said_and_pulse_given_up() -> None:
    vigil = Vigil()
    assert vigil.troubles(1e6) == []
    vigil.heard("pulse", 100.0)
    vigil.heard("wire", 100.0)
    assert vigil.troubles(100.0 + SILENT - 0.01) == []
    said = vigil.troubles(100.0 + SILENT)
    assert [text.split(":")[0] for text in said] == ["no word from pulse for 2 s", "no word from wire for 2 s"]
    assert vigil.given_up(100.0 + GIVEN_UP - 0.1) is None
    assert vigil.given_up(100.0 + GIVEN_UP) == "pulse said nothing for 30 s"
    vigil.heard("pulse", 131.0)
    assert vigil.given_up(131.0) is None


def test_one_that_was_held_up_itself_says_so_and_accuses_nobody() -> None:
    vigil = Vigil()
    vigil.heard("pulse", 100.0)
    vigil.sleep(100.0, 1.0)
    vigil.woke(140.0)
    assert vigil.given_up(140.0) is None
    (said,) = vigil.troubles(141.0)
    assert said.startswith("this process was held up for 39.0 s, 1 s ago")
    vigil.heard("pulse", 140.0 + TOLD_FOR)
    assert vigil.troubles(140.0 + TOLD_FOR) == []
    vigil.sleep(300.0, 1.0)
    vigil.woke(301.5)
    assert "held up" not in str(vigil.troubles(301.5))


def test_wire_is_judged_by_its_stamp_and_excused_when_nobody_ran() -> None:
    with mmap.mmap(-1, SIZE) as page:
        watch = WireWatch(page, 0.15, realtime=True)
        assert watch.verdict_at() is None
        assert watch.verdict(1e6) is None
        stamps = WireStamps(page)
        stamps.turned(10.0)
        assert watch.verdict(10.0 + WIRE_PATIENCE - 0.001) is None
        assert watch.verdict(10.0 + WIRE_PATIENCE) == "did not run for 0.15 s"
        watch.woke(20.0)
        assert watch.verdict(20.1) is None
        assert watch.verdict(20.0 + WIRE_PATIENCE)
        stamps.turned(20.1)
        assert watch.verdict(20.2) is None


def test_wire_gets_the_time_of_the_preset_and_more_where_it_is_not_real_time() -> None:
    with mmap.mmap(-1, SIZE) as page:
        assert WireWatch(page, 0.06, realtime=True).patience == WIRE_PATIENCE
        assert WireWatch(page, 0.9, realtime=True).patience == 0.9
        assert WireWatch(page, 0.15, realtime=False).patience == STALLED_PATIENCE


@pytest.mark.parametrize(
    ("state", "patience", "said"),
    [
        ("T", WIRE_PATIENCE, "did not run for 0.15 s (it is stopped)"),
        ("t", WIRE_PATIENCE, "did not run for 0.15 s (it is stopped)"),
        ("Z", WIRE_PATIENCE, "did not run for 0.15 s"),
        ("", WIRE_PATIENCE, "did not run for 0.15 s"),
        ("D", STALLED_PATIENCE, "did not run for 1 s (it waits in the kernel)"),
        ("R", STALLED_PATIENCE, "did not run for 1 s (it has no CPU or hangs)"),
        ("S", STALLED_PATIENCE, "did not run for 1 s (nothing woke it)"),
    ],
)
def test_only_one_that_is_surely_stopped_is_condemned_at_once(state: str, patience: float, said: str) -> None:
    asked: list[int] = []

    def state_of(pid: int) -> str:
        asked.append(pid)
        return state

    with mmap.mmap(-1, SIZE) as page:
        watch = WireWatch(page, 0.15, realtime=True, state_of=state_of)
        write_pid(page, 77)
        WireStamps(page).turned(10.0)
        turns = 0
        while True:
            now = watch.verdict_at()
            assert now is not None
            if (verdict := watch.verdict(now)) is not None:
                break
            turns += 1
        assert (round(now - 10.0, 9), verdict) == (patience, said)
        assert set(asked) == {77}
        assert turns <= STALLED_PATIENCE / 0.05, "it does not look all the time"


def test_one_that_runs_again_before_the_verdict_is_judged_anew() -> None:
    with mmap.mmap(-1, SIZE) as page:
        watch = WireWatch(page, 0.15, realtime=True, state_of=lambda pid: "D")
        write_pid(page, 77)
        stamps = WireStamps(page)
        stamps.turned(10.0)
        assert watch.verdict(10.9) is None
        stamps.turned(10.92)
        assert watch.verdict(11.9) is None
        assert watch.verdict(10.92 + STALLED_PATIENCE) is not None


def test_the_kernel_tells_how_a_process_is() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            eventually(lambda: kernel_state(child.pid) == "S")
            child.send_signal(signal.SIGSTOP)
            eventually(lambda: kernel_state(child.pid) == "T")
        finally:
            child.kill()
    assert kernel_state(child.pid) == ""


def test_wire_says_beforehand_what_may_take_the_kernel_long(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, work = socket.socketpair()
    other, pulse = socket.socketpair()
    with mine, other, mmap.mmap(-1, SIZE) as page:
        wire = Wire(Channel(work), Channel(pulse), page)
        silent: list[float] = []

        def slow(*_: object) -> list[int]:
            silent.append(read_time(page, TURN) - time.monotonic())
            return []

        monkeypatch.setattr(wire._ports, "use", slow)
        monkeypatch.setattr(wire._ports, "retry_groups", slow)
        monkeypatch.setattr(wire._groups, "step", slow)
        monkeypatch.setattr(type(wire._groups), "pending", True)
        wire._use_interfaces([])
        wire._turn({}, time.monotonic())
        assert len(silent) == 3
        assert all(0.5 * KERNEL_TIME < each <= KERNEL_TIME for each in silent)
        assert read_time(page, TURN) <= time.monotonic(), "and takes it back when it is done"
        wire._close()


def test_work_is_judged_by_its_words_once_it_has_begun() -> None:
    watch = WorkWatch()
    watch.woke(5.0)
    assert not watch.is_hung(1e6)
    watch.heard(10.0)
    assert not watch.is_hung(10.0 + WORK_PATIENCE - 0.1)
    assert watch.is_hung(10.0 + WORK_PATIENCE)
    watch.woke(45.0)
    assert not watch.is_hung(60.0)


def test_what_waited_longer_than_a_detection_time_is_stale_whatever_the_clock_did_before() -> None:
    assert is_stale(1000.0, 1000.2, 0.15)
    assert not is_stale(1000.1, 1000.2, 0.15)
    assert not is_stale(0.0, 1000.0, 0.15), "the kernel did not say"
    # Set back by an hour, or to 1970: what comes afterwards counts at once.
    assert not is_stale(5.0, 5.001, 0.15)
    assert not is_stale(1000.0, 5.0, 0.15)
