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
    gratuitous = Gratuitous(table, jitter=lambda: jitter, at_once=at_once)
    gratuitous.set_pace(addresses, rate)
    gratuitous.start((address, ETH0) for address in addresses)
    return gratuitous


REQUEST = arp.gratuitous_request(mac=NODE, address=VIP4)
REPLY = arp.gratuitous_reply(mac=NODE, address=VIP4)


def test_both_forms_at_0_and_0_3_and_1_2_and_5_seconds_then_each_minute() -> None:
    said = _run(_started(answering(VIP4), VIP4), 100.0)
    frames = [(round(at, 6), output.payload) for at, output in said if isinstance(output, Send)]
    # The first minutely round is at any moment of a minute: here in its middle.
    times = [0.0, 0.3, 1.2, 5.0, 35.0, 95.0]
    assert frames == [(at, form) for at in times for form in (REQUEST, REPLY)]


def test_ipv6_is_announced_by_one_advertisement() -> None:
    said = _run(_started(answering(VIP6), VIP6), 5.0)
    frames = [(round(at, 6), output.payload) for at, output in said if isinstance(output, Send)]
    assert frames == [(at, ndp.unsolicited(mac=NODE, address=VIP6)) for at in (0.0, 0.3, 1.2, 5.0)]


@pytest.mark.parametrize(("jitter", "first", "period"), [(0.0, 0.0, 48.0), (0.5, 30.0, 60.0), (0.999, 59.94, 71.976)])
def test_jitter_moves_the_first_minute_and_each_period(jitter: float, first: float, period: float) -> None:
    said = _run(_started(answering(VIP6), VIP6, jitter=jitter), 150.0)
    times = [at for at, output in said if isinstance(output, Send)]
    assert times[4] - times[3] == pytest.approx(first)
    assert times[5] - times[4] == pytest.approx(period)


def test_thousands_taken_at_once_are_an_even_trickle_from_then_on() -> None:
    addresses = [ip(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(3_000)]
    # Any stretch of the irrational rotation is spread evenly, as chance spreads a big number.
    steps = itertools.count(1)
    gratuitous = Gratuitous(answering(*addresses), jitter=lambda: next(steps) * 0.6180339887 % 1, at_once=64)
    gratuitous.start((address, ETH0) for address in addresses)
    seconds = [0] * 190
    last: dict[bytes, float] = {}
    longest = 0.0
    for at, output in _run(gratuitous, 189.9):
        if isinstance(output, Send) and output.payload[20:22] == b"\x00\x01":
            seconds[int(at)] += 1
            address = output.payload[28:32]
            longest = max(longest, at - last.get(address, at))
            last[address] = at
    trickle = seconds[6:]
    assert sum(trickle) / len(trickle) == pytest.approx(3_000 / 60, rel=0.05)
    assert max(trickle) < 2 * 3_000 / 60
    assert min(trickle) > 0.5 * 3_000 / 60
    assert longest < 72.01


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


def _first_rounds(said: list[tuple[float, Send | Report]]) -> list[tuple[float, bytes]]:
    return [(at, a) for at, report in said if isinstance(report, Report) for a in report.fields["addresses"]]


def test_a_pace_counts_addresses_and_the_oldest_goes_first() -> None:
    """Dynamic ARP inspection shuts a port down: no first announcement of a takeover may jump the pace."""
    addresses = [ip(f"10.0.0.{n}") for n in range(1, 21)]
    said = _run(_started(answering(*addresses), *addresses, rate=10.0), 60.0)
    first = _first_rounds(said)
    assert [address for _, address in first] == addresses
    assert [at for at, _ in first] == pytest.approx([n / 10 for n in range(20)])
    # Each in both forms at once, and never more than ten a second of all rounds together.
    times = [at for at, output in said if isinstance(output, Send)]
    assert times[::2] == times[1::2]
    assert min(later - earlier for earlier, later in itertools.pairwise(times[::2])) >= 0.1 - 1e-9
    rounds = {a: sum(isinstance(o, Send) and o.payload[28:32] == a for _, o in said) for a in addresses}
    assert min(rounds.values()) >= 2 * 4


def test_a_pace_holds_back_nobody_else_and_is_for_each_interface() -> None:
    slow = [ip(f"10.0.0.{n}") for n in range(1, 6)]
    fast = [ip(f"10.0.1.{n}") for n in range(1, 201)]
    both = frozenset({ETH0, ETH1})
    gratuitous = Gratuitous(answering(*slow, *fast, where=both), jitter=lambda: 0.5, at_once=64)
    gratuitous.set_pace(slow, 2.0)
    gratuitous.start((address, port) for address in (*slow, *fast) for port in (ETH0, ETH1))
    first = {place: at for at, place in reversed(_places(_run(gratuitous, 4.0)))}
    assert [first[address, ETH0] for address in slow] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])
    assert [first[address, ETH1] for address in slow] == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])
    assert {first[address, port] for address in fast for port in both} == {0.0}


def _places(said: list[tuple[float, Send | Report]]) -> list[tuple[float, tuple[bytes, int]]]:
    return [(at, (o.payload[28:32], o.via)) for at, o in said if isinstance(o, Send)]


def test_addresses_of_one_pace_share_it_and_a_pace_may_come_and_go() -> None:
    addresses = [ip(f"10.0.0.{n}") for n in range(1, 41)]
    gratuitous = _started(answering(*addresses), *addresses)
    gratuitous.set_pace(addresses[:20], 5.0)
    gratuitous.set_pace(addresses[20:], 5.0)
    said = _first_rounds(_run(gratuitous, 1.0))
    assert [address for _, address in said] == addresses[: len(said)]
    assert 5 <= len(said) <= 6
    # A new pace does not begin with a frame for free.
    gratuitous.set_pace(addresses[30:], None)
    gratuitous.set_pace(addresses[:2], 5.0)
    said = _first_rounds(_run(gratuitous, 1.1, start=1.01))
    assert [address for _, address in said] == addresses[30:]
    gratuitous.set_pace(addresses, None)
    assert len(_first_rounds(_run(gratuitous, 1.2, start=1.2))) >= 20


def test_a_lapsed_lease_holds_a_paced_address_too() -> None:
    table = answering(VIP4, lease_at=0.0)
    gratuitous = _started(table, VIP4, rate=1.0)
    gratuitous.handle_timeout(0.0)
    assert gratuitous.outputs() == []
    assert gratuitous.next_timeout() == pytest.approx(0.01)
    table.lease_at = 100.0
    gratuitous.handle_timeout(0.02)
    assert [send.payload for send in sends(gratuitous.outputs())] == [REQUEST, REPLY]


def test_once_is_one_round_and_leaves_the_schedule_alone() -> None:
    gratuitous = _started(answering(VIP4, VIP6), VIP4)
    _run(gratuitous, 6.0)
    gratuitous.once((VIP4, ETH0))
    gratuitous.once((VIP4, ETH0))
    gratuitous.once((VIP6, ETH0))  # answered, and not started
    said = _run(gratuitous, 40.0, start=8.0)
    assert [(at, output.payload) for at, output in said if isinstance(output, Send)] == [
        (at, form) for at in (8.0, 35.0) for form in (REQUEST, REPLY)
    ]
    gratuitous.once((VIP4, ETH0))
    gratuitous.stop([(VIP4, ETH0)])
    assert _run(gratuitous, 50.0, start=41.0) == []


def test_another_link_behind_an_interface_starts_all_that_is_announced_there_anew() -> None:
    table = answering(VIP4, VIP6, where=frozenset({ETH0, ETH1}))
    gratuitous = Gratuitous(table, jitter=lambda: 0.5)
    gratuitous.start([(VIP4, ETH0), (VIP6, ETH0), (VIP4, ETH1)])
    _run(gratuitous, 10.0)
    gratuitous.again([ETH1])
    gratuitous.again([])
    said = [(round(at, 6), output.via) for at, output in _run(gratuitous, 26.0, start=20.0) if isinstance(output, Send)]
    assert said == [(at, ETH1) for at in (20.0, 20.3, 21.2, 25.0) for _ in range(2)]


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
    assert [round(at - 0.25, 6) for at in requests] == [0.0, 0.3, 1.2, 5.0, 35.0]
    assert all(output.payload[6:12] == STRANGER for _, output in said if isinstance(output, Send))


def test_repeat_is_three_rounds_more_and_does_not_move_the_schedule() -> None:
    gratuitous = _started(answering(VIP4, VIP6), VIP4)
    _run(gratuitous, 6.0)
    gratuitous.repeat([VIP4, VIP6, VIP4])  # VIP6 is answered and was not started: not announced; twice is once
    said = _run(gratuitous, 40.0, start=10.0)
    frames = [(round(at, 6), output.payload) for at, output in said if isinstance(output, Send)]
    assert frames == [(at, form) for at in (10.0, 10.3, 11.2, 35.0) for form in (REQUEST, REPLY)]
    assert reports([output for _, output in said]) == []
    gratuitous.repeat([VIP4])
    assert len(_run(gratuitous, 40.5, start=40.5)) == 2
    gratuitous.repeat([VIP4])  # the newest repeat takes the place of the one before
    assert len(_run(gratuitous, 45.0, start=40.6)) == 6
    gratuitous.repeat([VIP4])
    _run(gratuitous, 45.0, start=45.0)
    gratuitous.stop([(VIP4, ETH0)])
    assert _run(gratuitous, 50.0, start=45.0) == []


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
