"""The footing of all tests that measure time: one good try is enough, and what never is good fails with all it saw."""

from __future__ import annotations

import os

import pytest

from tests.support import bars
from tests.support.bars import first_in_line, least, met_once


def test_the_first_good_try_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "await_calm", lambda: None)
    tries = iter([5.0, 4.0, 1.0, 0.5])
    assert met_once(lambda: next(tries), lambda found: found < 2) == 1.0


def test_no_good_try_is_a_failure_that_shows_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "await_calm", lambda: None)
    tries = iter([5.0, 4.5, 4.0])
    with pytest.raises(AssertionError, match=r"(?s)no try met the bar.*1 of 3.*: 5.0.*2 of 3.*: 4.5.*3 of 3.*: 4.0"):
        met_once(lambda: next(tries), lambda found: found < 2, tries=3)


def test_a_wrong_result_in_a_try_is_not_tried_again() -> None:
    count = 0

    def measure() -> float:
        nonlocal count
        count += 1
        raise AssertionError("two owners")

    with pytest.raises(AssertionError, match="two owners"):
        met_once(measure, lambda found: True)
    assert count == 1


def test_costs_are_compared_by_the_least_of_each() -> None:
    many, few = iter([9.0, 3.0, 5.0, 5.0]), iter([1.0, 8.0, 2.0, 2.0])
    found = least(lambda: next(many), lambda: next(few), enough=lambda many, few: many <= 3 * few)
    assert found == (3.0, 1.0)


def test_a_dear_first_measurement_of_the_small_side_lets_nothing_pass() -> None:
    few = iter([9.0] + [1.0] * 10)
    with pytest.raises(AssertionError, match=r"never enough:\n10.000000  9.000000\n10.000000  1.000000"):
        least(lambda: 10.0, lambda: next(few), enough=lambda many, few: many < 2 * few, rounds=5)


@pytest.mark.netns
def test_first_in_line_ends_with_the_block() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with first_in_line():
        assert os.getpriority(os.PRIO_PROCESS, 0) == -20
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
