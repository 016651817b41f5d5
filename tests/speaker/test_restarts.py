"""How often a speaker starts anew in place, and what it remembers of it."""

from __future__ import annotations

import pytest

from lbctl.speaker.restarts import DELAYS, MOST, TOLD_FOR, WITHIN, Restarts


def test_the_first_is_at_once_the_next_wait_and_after_five_within_a_minute_it_ends() -> None:
    restarts, now, delays = Restarts(), 1000.0, []
    while (delay := restarts.delay(now)) is not None:
        delays.append(delay)
        now += delay + 1.0
        restarts = restarts.once_more(now, "wire ended")
    assert delays == [*DELAYS, DELAYS[-1]] == [0.0, 1.0, 2.0, 4.0, 4.0]
    assert len(restarts.at) == MOST


def test_one_that_fails_now_and_then_is_started_for_ever() -> None:
    restarts, now = Restarts(), 1000.0
    for _ in range(100):
        now += WITHIN
        assert restarts.delay(now) == 0.0
        restarts = restarts.once_more(now, "wire ended")
        assert len(restarts.at) <= MOST


def test_it_is_carried_over_in_the_environment_and_taken_out_of_it() -> None:
    before = Restarts(at=(1.5, 2.5), why='pulse "ended", exit status 3')
    environment = {"HOME": "/", "LBCTL_RESTARTS": before.text()}
    assert Restarts.taken_from(environment) == before
    assert environment == {"HOME": "/"}
    assert Restarts.taken_from(environment) == Restarts()


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "7", "{}", '{"at":[1],"x":2}', '{"at":["a"],"why":""}', '{"at":3,"why":1}']
)
def test_what_somebody_else_put_there_is_as_if_it_were_not_there(text: str) -> None:
    assert Restarts.taken_from({"LBCTL_RESTARTS": text}) == Restarts()


def test_the_status_names_the_last_one_for_a_while() -> None:
    assert Restarts().troubles(5.0) == ()
    once = Restarts().once_more(100.0, "wire ended")
    assert once.troubles(112.0) == ("this speaker restarted itself 12 s ago: wire ended",)
    twice = once.once_more(110.0, "pulse ended")
    assert twice.troubles(112.0) == ("this speaker restarted itself 2 s ago, 2 times within 60 s: pulse ended",)
    assert twice.troubles(110.0 + TOLD_FOR) == ()
