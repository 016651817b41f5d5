"""When which address is announced, in virtual time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.gratuitous import ANNOUNCED, Gratuitous
from lbctl.protocol.l2.table import Table
from lbctl.protocol.machine import Report, Send
from tests.protocol.l2.frames import ETH0, ETH1, NODE, STRANGER, VIP4, VIP6, answering, ip, reports, sends


def _run(gratuitous: Gratuitous, until: float, start: float = 0.0) -> list[tuple[float, Send | Report]]:
    """Wakes the machine whenever it asks for it, up to a moment; everything it said, with the time."""
    said: list[tuple[float, Send | Report]] = []
    now = start
    while (at := gratuitous.next_timeout()) is not None and max(at, now) <= until:
        now = max(at, now)
        gratuitous.handle_timeout(now)
        said.extend((now, output) for output in gratuitous.outputs())
    return said


def _started(
    table: Table, *addresses: bytes, jitter: float = 0.5, at_once: int = 64, rate: float | None = None
) -> Gratuitous:
    gratuitous = Gratuitous(table, jitter=lambda: jitter, at_once=at_once, rate=rate)
    gratuitous.start((address, ETH0) for address in addresses)
    return gratuitous


REQUEST = arp.gratuitous_request(mac=NODE, address=VIP4)
REPLY = arp.gratuitous_reply(mac=NODE, address=VIP4)


def test_both_forms_at_0_and_0_3_and_1_2_and_5_seconds_then_each_minute() -> None:
    said = _run(_started(answering(VIP4), VIP4), 130.0)
    frames = [(round(at, 6), output.payload) for at, output in said if isinstance(output, Send)]
    times = [0.0, 0.3, 1.2, 5.0, 65.0, 125.0]
    assert frames == [(at, form) for at in times for form in (REQUEST, REPLY)]


def test_ipv6_is_announced_by_one_advertisement() -> None:
    said = _run(_started(answering(VIP6), VIP6), 5.0)
    frames = [(round(at, 6), output.payload) for at, output in said if isinstance(output, Send)]
    assert frames == [(at, ndp.unsolicited(mac=NODE, address=VIP6)) for at in (0.0, 0.3, 1.2, 5.0)]


@pytest.mark.parametrize(("jitter", "period"), [(0.0, 48.0), (0.5, 60.0), (0.999, 71.976)])
def test_jitter_moves_the_period(jitter: float, period: float) -> None:
    said = _run(_started(answering(VIP6), VIP6, jitter=jitter), 80.0)
    times = [at for at, output in said if isinstance(output, Send)]
    assert times[4] - times[3] == pytest.approx(period)


def test_announced_is_said_once_and_behind_its_first_frame() -> None:
    said = [output for _, output in _run(_started(answering(VIP4, VIP6), VIP4, VIP6), 200.0)]
    (report,) = reports(said)
    assert report.name == ANNOUNCED
    assert report.fields == {"addresses": [VIP4, VIP6]}
    before = {send.payload[:42] for send in sends(said[: said.index(report)])}
    assert {REQUEST, ndp.unsolicited(mac=NODE, address=VIP6)[:42]} <= before


def test_a_big_takeover_says_each_address_once_before_any_second_form() -> None:
    addresses = [ip(f"10.0.{n >> 8}.{n & 255}") for n in range(1000)]
    gratuitous = _started(answering(*addresses), *addresses)
    said = []
    rounds = 0
    while gratuitous.pending:
        gratuitous.handle_timeout(0.0)
        outputs = gratuitous.outputs()
        assert len(sends(outputs)) <= 64
        said += outputs
        rounds += 1
    frames = [send.payload for send in sends(said)]
    assert frames[:1000] == [arp.gratuitous_request(mac=NODE, address=address) for address in addresses]
    assert frames[1000:] == [arp.gratuitous_reply(mac=NODE, address=address) for address in addresses]
    assert [address for report in reports(said) for address in report.fields["addresses"]] == addresses
    assert rounds == 32
    assert gratuitous.sent == 2000


def test_a_first_announcement_overtakes_the_repeats() -> None:
    table = answering(VIP4, VIP6)
    gratuitous = _started(table, VIP4, at_once=1)
    gratuitous.handle_timeout(0.0)
    assert [send.payload for send in sends(gratuitous.outputs())] == [REQUEST]
    gratuitous.start([(VIP6, ETH0)])
    gratuitous.handle_timeout(0.0)
    assert [send.payload for send in sends(gratuitous.outputs())] == [ndp.unsolicited(mac=NODE, address=VIP6)]


def test_a_rate_spaces_the_frames() -> None:
    addresses = [ip(f"10.0.0.{n}") for n in range(1, 21)]
    said = _run(_started(answering(*addresses), *addresses, rate=10.0), 10.0)
    times = [at for at, output in said if isinstance(output, Send)]
    assert len(times) >= 90
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.1 - 1e-9


def test_nothing_is_said_after_stop_and_a_new_start_begins_anew() -> None:
    gratuitous = _started(answering(VIP4), VIP4)
    assert len(sends([output for _, output in _run(gratuitous, 0.0)])) == 2
    gratuitous.stop([(VIP4, ETH0)])
    assert _run(gratuitous, 1.0) == []
    gratuitous.start([(VIP4, ETH0)])
    said = _run(gratuitous, 2.0 + 1.2, start=2.0)
    assert [round(at - 2.0, 6) for at, output in said if isinstance(output, Send)] == [0, 0, 0.3, 0.3, 1.2, 1.2]


def test_what_the_table_no_longer_answers_is_not_announced_even_without_stop() -> None:
    table = answering(VIP4)
    gratuitous = _started(table, VIP4)
    table.release(VIP4)
    assert _run(gratuitous, 100.0) == []


def test_a_restart_does_not_double_the_schedule() -> None:
    table = answering(VIP4)
    gratuitous = _started(table, VIP4)
    _run(gratuitous, 0.2)
    table.set_ports({ETH0: STRANGER})
    gratuitous.start([(VIP4, ETH0)])
    said = _run(gratuitous, 70.0, start=0.25)
    requests = [at for at, output in said if isinstance(output, Send) and output.payload[20:22] == b"\x00\x01"]
    assert [round(at - 0.25, 6) for at in requests] == [0.0, 0.3, 1.2, 5.0, 65.0]
    assert all(output.payload[6:12] == STRANGER for _, output in said if isinstance(output, Send))


def test_repeat_is_three_rounds_more_and_does_not_move_the_schedule() -> None:
    gratuitous = _started(answering(VIP4, VIP6), VIP4)
    _run(gratuitous, 6.0)
    gratuitous.repeat([VIP4, VIP6, VIP4])  # VIP6 is answered and was not started: not announced; twice is once
    said = _run(gratuitous, 70.0, start=10.0)
    frames = [(round(at, 6), output.payload) for at, output in said if isinstance(output, Send)]
    assert frames == [(at, form) for at in (10.0, 10.3, 11.2, 65.0) for form in (REQUEST, REPLY)]
    assert reports([output for _, output in said]) == []
    gratuitous.repeat([VIP4])
    assert len(_run(gratuitous, 70.5, start=70.5)) == 2
    gratuitous.repeat([VIP4])  # the newest repeat takes the place of the one before
    assert len(_run(gratuitous, 75.0, start=70.6)) == 6
    gratuitous.repeat([VIP4])
    _run(gratuitous, 75.0, start=75.0)
    gratuitous.stop([(VIP4, ETH0)])
    assert _run(gratuitous, 80.0, start=75.0) == []


def test_without_lease_nothing_is_said_and_nothing_is_lost() -> None:
    table = answering(VIP4, lease_at=0.0)
    gratuitous = _started(table, VIP4)
    for now in (0.0, 0.01, 0.02):
        gratuitous.handle_timeout(now)
        assert gratuitous.outputs() == []
        assert gratuitous.next_timeout() == pytest.approx(now + 0.01)
    table.lease_at = 100.0
    gratuitous.handle_timeout(0.03)
    assert sends(gratuitous.outputs())[0].payload == REQUEST


def test_each_interface_is_announced_with_its_own_mac() -> None:
    table = answering(VIP4, where=frozenset({ETH0, ETH1}))
    table.set_ports({ETH0: NODE, ETH1: STRANGER})
    gratuitous = Gratuitous(table, jitter=lambda: 0.5)
    gratuitous.start([(VIP4, ETH0), (VIP4, ETH1)])
    gratuitous.handle_timeout(0.0)
    assert {(send.via, send.payload[6:12]) for send in sends(gratuitous.outputs())} == {(ETH0, NODE), (ETH1, STRANGER)}


def test_a_frame_that_waited_is_looked_at_again() -> None:
    table = answering(VIP4, VIP6)
    gratuitous = _started(table, VIP4, VIP6)
    gratuitous.handle_timeout(0.0)
    frames = sends(gratuitous.outputs())
    assert all(map(gratuitous.is_true, frames))
    table.release(VIP4)
    assert [gratuitous.is_true(frame) for frame in frames] == [len(frame.payload) > 42 for frame in frames]
    table.set_ports({ETH0: STRANGER})
    assert not any(map(gratuitous.is_true, frames))


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.sampled_from(["start", "stop", "repeat", "release", "claim"]), st.integers(0, 3)),
        max_size=20,
    )
)
def test_whatever_happens_only_answered_addresses_are_announced(steps: list[tuple[float, str, int]]) -> None:
    addresses = [VIP4, VIP6, ip("192.0.2.101"), ip("192.0.2.102")]
    table = answering(*addresses)
    gratuitous = Gratuitous(table, jitter=lambda: 0.5, at_once=2)
    now = 0.0
    for gap, step, which in steps:
        address = addresses[which]
        for _, output in _run(gratuitous, now + gap, start=now):
            if isinstance(output, Send):
                assert gratuitous.is_true(output)
        now += gap
        match step:
            case "start":
                gratuitous.start([(address, ETH0)])
            case "stop":
                gratuitous.stop([(address, ETH0)])
            case "repeat":
                gratuitous.repeat([address])
            case "release":
                gratuitous.stop(table.release(address).stopped)
            case "claim":
                gratuitous.start(table.claim(address).started)
    assert gratuitous.pending <= 4 * len(addresses) + len(steps)
