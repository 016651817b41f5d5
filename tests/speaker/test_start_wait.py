"""A9 in the work process: what a start may ask for while not all nodes are heard."""

from __future__ import annotations

from ipaddress import ip_address

from lbctl.plan.reason import Cause
from lbctl.speaker.start_wait import START_WAIT, StartWait

NEW, OLD = ip_address("192.0.2.1"), ip_address("192.0.2.2")
WANTED = {NEW: Cause.STARTED, OLD: Cause.OWNER_GONE}


def test_before_pulse_has_listened_nothing_is_counted() -> None:
    start = StartWait().after({"b"}, frozenset({"a"}), listened=False, now=0.0)
    assert start == StartWait()
    assert start.allowed(WANTED, START_WAIT, 0.0) == WANTED


def test_while_one_is_missing_only_what_an_owner_left_is_asked_for() -> None:
    start = StartWait().after({"b", "c"}, frozenset({"a", "b"}), listened=True, now=5.0)
    assert start.allowed(WANTED, START_WAIT, 6.0) == {OLD: Cause.OWNER_GONE}
    assert start.over_at(START_WAIT, 6.0) == 15.0


def test_it_ends_by_itself() -> None:
    start = StartWait().after({"b"}, frozenset({"a"}), listened=True, now=5.0)
    assert start.allowed(WANTED, START_WAIT, 15.0) == WANTED
    assert start.over_at(START_WAIT, 15.0) is None


def test_once_all_were_heard_it_is_over_for_good_though_never_all_at_once() -> None:
    start = StartWait().after({"b", "c"}, frozenset({"a", "b"}), listened=True, now=5.0)
    start = start.after({"b", "c"}, frozenset({"a", "c"}), listened=True, now=5.1)
    assert start.met_all
    later = start.after({"b", "c", "d"}, frozenset({"a"}), listened=True, now=6.0)
    assert later.allowed(WANTED, START_WAIT, 6.0) == WANTED


def test_who_is_alone_waits_for_nobody() -> None:
    assert StartWait().after(set(), frozenset({"a"}), listened=True, now=5.0).met_all
