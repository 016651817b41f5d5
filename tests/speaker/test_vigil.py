"""Who hangs, by the words that do not come and by one's own lateness; and pulse's judgement of the others."""

from __future__ import annotations

import mmap

from lbctl.speaker.pulse_sockets import is_stale
from lbctl.speaker.pulse_watch import WIRE_PATIENCE, WORK_PATIENCE, WireWatch, WorkWatch
from lbctl.speaker.shared_page import SIZE, WireStamps
from lbctl.speaker.vigil import GIVEN_UP, SILENT, TOLD_FOR, Vigil


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
        assert not watch.is_hung(1e6)
        stamps = WireStamps(page)
        stamps.turned(10.0)
        assert not watch.is_hung(10.0 + WIRE_PATIENCE - 0.001)
        assert watch.is_hung(10.0 + WIRE_PATIENCE)
        watch.woke(20.0)
        assert not watch.is_hung(20.1)
        assert watch.is_hung(20.0 + WIRE_PATIENCE)
        stamps.turned(20.1)
        assert not watch.is_hung(20.2)


def test_wire_gets_the_time_of_the_preset_and_more_where_it_is_not_real_time() -> None:
    with mmap.mmap(-1, SIZE) as page:
        assert WireWatch(page, 0.06, realtime=True).patience == WIRE_PATIENCE
        assert WireWatch(page, 0.9, realtime=True).patience == 0.9
        assert WireWatch(page, 0.15, realtime=False).patience == 1.0


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
