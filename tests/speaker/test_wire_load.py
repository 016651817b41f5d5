"""Answers under load, in the short form: 10,000 ARP requests a second, and what must not delay them.

The long form with its ratio to the kernel is `python -m bench.responder`. Times are put to the best of some runs; lost
and doubled answers fail at once, because lateness excuses none.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bench.arp_load import LATE, Load, finish, run, start
from bench.responder import P99_BAR, busy_loop, by_kernel, by_wire, vips
from tests.support.bars import met_once
from tests.support.netns import Segment
from tests.support.wire_process import WireProcess

pytestmark = pytest.mark.netns

RATE = 10_000
_MAX_BAR = 2 * LATE * 1000
"""Milliseconds: twice what not one answer may take."""


def _complete(measure: Callable[[], Load]) -> Callable[[], Load]:
    """Of every run: each request has its one answer."""

    def measured() -> Load:
        load = measure()
        assert load.lost == 0, load
        assert load.doubled == 0, load
        return load

    return measured


def test_ten_thousand_requests_a_second_for_a_thousand_vips_are_all_answered_in_time() -> None:
    load = met_once(_complete(lambda: by_wire(1000, rate=RATE, seconds=2.0)), good=lambda load: load.p99 < 2 * P99_BAR)
    assert load.sent == 20_000


def test_a_busy_loop_on_the_core_loses_nothing_and_delays_little() -> None:
    def measure() -> Load:
        with busy_loop(0):
            return by_wire(1000, rate=RATE, seconds=1.0)

    met_once(_complete(measure), good=lambda load: load.p99 < 2 * P99_BAR)


def test_the_yardstick_itself_loses_nothing() -> None:
    assert by_kernel(rate=RATE, seconds=0.5).lost == 0


def test_work_that_neither_reads_nor_writes_delays_no_answer() -> None:
    """Its channel is full from the first moment: a thousand announcements do not fit into it."""
    addresses = vips(1000)

    def measure() -> Load:
        with (
            Segment({"node": [], "client": []}) as lan,
            WireProcess(lan["node"].netns, room_to_work=2048) as wire,
        ):
            node = lan["node"]
            wire.interfaces(node)
            wire.table({vip: [node.ifindex] for vip in addresses})
            wire.settle()
            wire.answer(addresses)
            time.sleep(0.1)  # so that the channel is full; it may fill up later as well
            load = run(lan["client"], addresses, rate=RATE, seconds=1.5)
            # It reads again, and nothing that matters was lost.
            wire.wait_announced(addresses)
            wire.counters(lambda counters: counters["arp_answers"] >= load.sent)
        return load

    met_once(_complete(measure), good=lambda load: load.max < _MAX_BAR)


def test_a_takeover_of_five_thousand_addresses_delays_no_answer() -> None:
    mine = vips(100)
    taken = [f"10.78.{number >> 8}.{number & 255}" for number in range(4000)]
    taken += [f"2001:db8::{number:x}" for number in range(1, 1001)]

    def measure() -> Load:
        with Segment({"node": [], "client": []}) as lan, WireProcess(lan["node"].netns) as wire:
            wire.serve(lan["node"], mine)
            flood = start(lan["client"], mine, rate=RATE, seconds=2.0)
            try:
                wire.table({vip: [lan["node"].ifindex] for vip in taken})
                wire.answer(taken)
                wire.wait_announced(taken)
                wire.answer(drop=taken)
                return finish(flood)
            finally:
                flood.kill()
                flood.wait()

    met_once(_complete(measure), good=lambda load: load.max < _MAX_BAR)
