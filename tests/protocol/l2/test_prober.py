"""Before an address is used first: who is asked, how often, how long, and whose word counts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.protocol.l2 import arp, ndp, prober
from lbctl.protocol.l2.conflict import Conflict
from lbctl.protocol.l2.prober import (
    CLEAN,
    CONFLICT,
    GAP,
    LISTEN,
    PROBES,
    QUICK_LISTEN,
    QUICK_PROBES,
    QUICK_RATE,
    Prober,
)
from lbctl.protocol.l2.responder import Responder
from lbctl.protocol.machine import Report, Send
from tests.protocol.l2.frames import (
    CLIENT,
    CLIENT4,
    CLIENT6,
    ETH0,
    ETH1,
    NODE,
    STRANGER,
    VIP4,
    VIP6,
    answering,
    ip,
    reports,
    sends,
)

HERE = frozenset({ETH0})
MATE = bytes.fromhex("02000000000b")


def ready(*, rate: float = prober.RATE, macs: dict[int, bytes] | None = None) -> Prober:
    machine = Prober(rate=rate)
    machine.set_ports(macs if macs is not None else {ETH0: NODE, ETH1: NODE})
    return machine


def run(machine: Prober, *, until: float = 10.0, since: float = 0.0) -> Iterator[tuple[float, Send | Report]]:
    """Plays the clock: everything it says, with the moment."""
    now = since
    while (due := machine.next_timeout()) is not None and due <= until:
        now = max(now, due)
        machine.handle_timeout(now)
        for output in machine.outputs():
            yield now, output


def clean(address: bytes) -> Report:
    return Report(CLEAN, {"address": address})


@pytest.mark.parametrize(
    ("address", "probe"),
    [
        (VIP4, arp.probe(mac=NODE, target_ip=VIP4)),
        (VIP6, ndp.solicitation(mac=NODE, source_ip=ndp.NO_ADDRESS, target=VIP6)),
    ],
    ids=["arp", "ndp"],
)
def test_three_probes_twenty_milliseconds_apart_then_silence_is_listened_through(address: bytes, probe: bytes) -> None:
    machine = ready()
    machine.start(address, HERE)
    said = list(run(machine))
    assert [output for _, output in said] == [Send(probe, ETH0)] * PROBES + [clean(address)]
    assert [round(at, 6) for at, _ in said] == [0.0, 0.02, 0.04, 0.14]
    assert machine.pending == 0
    assert machine.next_timeout() is None


def test_the_probe_claims_nothing() -> None:
    """RFC 5227 section 2.1.1: sender address all zero, target MAC too, to everybody."""
    packet = arp.parse(arp.probe(mac=NODE, target_ip=VIP4))
    assert packet is not None
    assert packet.is_probe
    assert (packet.sender_ip, packet.target_mac, packet.destination) == (bytes(4), bytes(6), b"\xff" * 6)
    message = ndp.parse(ndp.solicitation(mac=NODE, source_ip=ndp.NO_ADDRESS, target=VIP6))
    assert isinstance(message, ndp.NdpMessage)
    assert (message.source_ip, message.link_layer) == (ndp.NO_ADDRESS, None)
    assert message.destination_ip == ndp.solicited_node(VIP6)


WHO_HAS_IT = {
    "reply": arp.reply(mac=STRANGER, sender_ip=VIP4, target_mac=NODE, target_ip=bytes(4)),
    "reply to another": arp.reply(mac=STRANGER, sender_ip=VIP4, target_mac=CLIENT, target_ip=CLIENT4),
    "request from it": arp.request(mac=STRANGER, sender_ip=VIP4, target_ip=CLIENT4),
    "announcement": arp.gratuitous_request(mac=STRANGER, address=VIP4),
    "gratuitous reply": arp.gratuitous_reply(mac=STRANGER, address=VIP4),
    "probe": arp.probe(mac=STRANGER, target_ip=VIP4),
    "na": ndp.advertisement(mac=STRANGER, target=VIP6, to_mac=NODE, to_ip=CLIENT6, solicited=True),
    "na to all": ndp.unsolicited(mac=STRANGER, address=VIP6),
    "na without option": ndp._frame(NODE, STRANGER, VIP6, CLIENT6, ndp.ADVERTISEMENT, 0, VIP6),
    "na from it of another": ndp._frame(NODE, STRANGER, VIP6, CLIENT6, ndp.ADVERTISEMENT, 0, CLIENT6),
    "dad": ndp.solicitation(mac=STRANGER, source_ip=ndp.NO_ADDRESS, target=VIP6),
    "ns from it": ndp.solicitation(mac=STRANGER, source_ip=VIP6, target=CLIENT6),
}
WHO_DOES_NOT = {
    "asks for it": arp.request(mac=STRANGER, sender_ip=CLIENT4, target_ip=VIP4),
    "says another": arp.gratuitous_request(mac=STRANGER, address=CLIENT4),
    "reply to it": arp.reply(mac=STRANGER, sender_ip=CLIENT4, target_mac=NODE, target_ip=VIP4),
    "group mac": arp.reply(mac=b"\xff" * 6, sender_ip=VIP4, target_mac=NODE, target_ip=bytes(4)),
    "ns for it": ndp.solicitation(mac=STRANGER, source_ip=CLIENT6, target=VIP6),
    "na of another": ndp.unsolicited(mac=STRANGER, address=CLIENT6),
    "routed na": ndp.unsolicited(mac=STRANGER, address=VIP6).replace(b"\x3a\xff", b"\x3a\xfe", 1),
    "broken checksum": ndp.unsolicited(mac=STRANGER, address=VIP6)[:56] + b"\x00\x00" + bytes(32),
    "cut off": arp.gratuitous_request(mac=STRANGER, address=VIP4)[:40],
    "not l2": b"\x00" * 60,
    "empty": b"",
}


@pytest.mark.parametrize("frame", WHO_HAS_IT.values(), ids=WHO_HAS_IT.keys())
@pytest.mark.parametrize("after", [0.0, 0.03, 0.139])
def test_whoever_speaks_for_it_while_it_is_probed_has_it(frame: bytes, after: float) -> None:
    address = VIP4 if frame[12:14] == b"\x08\x06" else VIP6
    machine = ready()
    machine.start(address, HERE)
    machine.handle_timeout(0.0)
    said = [output for _, output in run(machine, until=after)]
    assert not reports(said)
    machine.received(frame, ETH0, after)
    (report,) = reports(machine.outputs())
    assert report == Report(CONFLICT, {"address": address, "mac": STRANGER, "ifindex": ETH0})
    assert machine.conflicts == 1
    # That is all: it is asked no more, and a second answer is no second report.
    machine.received(frame, ETH0, after)
    assert [output for _, output in run(machine, since=after)] == []


@pytest.mark.parametrize("frame", WHO_DOES_NOT.values(), ids=WHO_DOES_NOT.keys())
def test_whoever_does_not_is_not_in_conflict(frame: bytes) -> None:
    machine = ready()
    for address in (VIP4, VIP6):
        machine.start(address, HERE)
    machine.handle_timeout(0.0)
    machine.outputs()
    machine.received(frame, ETH0, 0.05)
    assert reports(machine.outputs()) == []
    assert [output.name for _, output in run(machine) if isinstance(output, Report)] == [CLEAN, CLEAN]


@pytest.mark.parametrize("mac", [NODE, MATE], ids=["own", "another speaker's"])
@pytest.mark.parametrize("name", ["reply", "probe", "announcement", "dad", "na to all"])
def test_one_of_us_is_never_in_conflict(name: str, mac: bytes) -> None:
    """Also not the old owner of an address, or a speaker that finds it unused at the same moment."""
    machine = ready()
    machine.set_friends([MATE])
    frame = WHO_HAS_IT[name].replace(STRANGER, mac)
    if frame[12:14] != b"\x08\x06":
        rest = {"address": VIP6} if name == "na to all" else {"source_ip": ndp.NO_ADDRESS, "target": VIP6}
        frame = ndp.unsolicited(mac=mac, **rest) if name == "na to all" else ndp.solicitation(mac=mac, **rest)
    for address in (VIP4, VIP6):
        machine.start(address, HERE)
    machine.handle_timeout(0.0)
    machine.received(frame, ETH0, 0.01)
    assert [output.name for _, output in run(machine) if isinstance(output, Report)] == [CLEAN, CLEAN]
    assert machine.conflicts == 0


def test_what_is_said_before_the_first_probe_or_on_another_interface_does_not_count() -> None:
    machine = ready()
    machine.received(WHO_HAS_IT["reply"], ETH0, 0.0)
    machine.start(VIP4, HERE)
    machine.received(WHO_HAS_IT["reply"], ETH0, 0.0)
    machine.handle_timeout(0.0)
    machine.received(WHO_HAS_IT["reply"], ETH1, 0.01)
    assert [output for _, output in run(machine) if isinstance(output, Report)] == [clean(VIP4)]


def test_it_is_asked_on_every_interface_and_an_answer_on_any_counts() -> None:
    machine = ready(macs={ETH0: NODE, ETH1: MATE})
    both = frozenset({ETH0, ETH1})
    machine.start(VIP4, both)
    machine.handle_timeout(0.0)
    first = sends(machine.outputs())
    assert [(send.via, send.payload[6:12]) for send in first] == [(ETH0, NODE), (ETH1, MATE)]
    machine.received(WHO_HAS_IT["reply"], ETH1, 0.01)
    (report,) = reports(machine.outputs())
    assert report.fields["ifindex"] == ETH1


def test_without_a_usable_interface_it_waits_and_a_changed_one_begins_again() -> None:
    machine = ready(macs={})
    machine.start(VIP4, HERE)
    assert machine.next_timeout() is None
    machine.set_ports({ETH1: NODE})
    assert machine.next_timeout() is None
    machine.set_ports({ETH0: NODE, ETH1: NODE})
    said = list(run(machine, until=0.1))
    assert len(said) == PROBES
    # Its carrier went away before the silence was listened through: what was not heard proves nothing.
    machine.set_ports({ETH1: NODE})
    assert list(run(machine)) == []
    assert machine.pending == 1
    machine.set_ports({ETH0: MATE, ETH1: NODE})
    said = list(run(machine, since=5.0))
    assert [at for at, output in said if isinstance(output, Report)] == [pytest.approx(5.14)]
    assert {send.payload[6:12] for send in sends([output for _, output in said])} == {MATE}


def test_silence_that_was_not_read_does_not_count() -> None:
    """A process that slept finds its deadline over and the answer still in its socket."""
    machine = ready()
    machine.start(VIP4, HERE)
    machine.heard_until = 0.1
    assert [output for _, output in run(machine, until=0.1) if isinstance(output, Report)] == []
    machine.handle_timeout(5.0)
    assert machine.outputs() == []
    machine.received(WHO_HAS_IT["reply"], ETH0, 5.0)
    (report,) = reports(machine.outputs())
    assert report.name == CONFLICT


def test_what_nobody_wants_to_know_any_more_is_not_reported() -> None:
    machine = ready()
    machine.start(VIP4, HERE)
    machine.start(VIP6, HERE)
    machine.handle_timeout(0.0)
    machine.stop(VIP4)
    machine.received(WHO_HAS_IT["reply"], ETH0, 0.01)
    assert [output for _, output in run(machine) if isinstance(output, Report)] == [clean(VIP6)]


def test_asked_twice_it_is_probed_once_and_asked_later_it_is_probed_anew() -> None:
    machine = ready()
    machine.start(VIP4, HERE)
    machine.start(VIP4, HERE)
    machine.handle_timeout(0.0)
    machine.start(VIP4, HERE)
    assert len(list(run(machine))) == PROBES + 1
    machine.start(VIP4, HERE)
    assert len(list(run(machine, since=1.0))) == PROBES + 1


def test_a_thousand_take_three_seconds_and_the_first_are_ready_at_once() -> None:
    machine = ready()
    addresses = [ip(f"10.0.{n // 250}.{n % 250}") for n in range(1000)]
    for address in addresses:
        machine.start(address, HERE)
    said = list(run(machine))
    done = {output.fields["address"]: at for at, output in said if isinstance(output, Report)}
    assert done.keys() == set(addresses)
    assert min(done.values()) < 0.16
    assert 2.9 < max(done.values()) < 3.4
    # Never much faster than the rate, in any tenth of a second; and never two probes of one closer than they should be.
    sent = [at for at, output in said if isinstance(output, Send)]
    for start in sent[::50]:
        assert sum(start <= at < start + 0.1 for at in sent) <= 1000 * 0.1 + 12
    by_address: dict[bytes, list[float]] = {}
    for at, output in said:
        if isinstance(output, Send):
            by_address.setdefault(output.payload[38:42], []).append(at)
    for times in by_address.values():
        assert len(times) == PROBES
        assert all(GAP - 1e-9 <= b - a < 2 * GAP for a, b in itertools.pairwise(times))
        assert times[-1] + LISTEN <= max(done.values())


def test_a_lower_rate_is_kept() -> None:
    machine = ready(rate=15)
    for n in range(5):
        machine.start(ip(f"10.0.0.{n}"), HERE)
    sent = [at for at, output in run(machine) if isinstance(output, Send)]
    assert len(sent) == 15
    assert sent[-1] == pytest.approx(14 / 15, abs=0.03)


def test_fewer_probes_and_less_patience_for_who_may_not_wait() -> None:
    machine = Prober(probes=2, listen=0.02)
    machine.set_ports({ETH0: NODE})
    machine.start(VIP4, HERE)
    said = list(run(machine))
    assert [round(at, 6) for at, _ in said] == [0.0, 0.02, 0.04]
    assert said[-1][1] == clean(VIP4)


def test_two_that_probe_at_once_both_find_it_free_when_they_know_each_other() -> None:
    one, two = ready(macs={ETH0: NODE}), ready(macs={ETH0: MATE})
    one.set_friends([MATE])
    two.set_friends([NODE])
    assert [name for name, _ in _back_to_back(one, two)] == [CLEAN, CLEAN]


def test_of_two_strangers_that_probe_at_once_the_one_that_hears_the_other_leaves_it() -> None:
    """RFC 5227 section 2.1.1: a probe of another for the same address is a conflict."""
    found = _back_to_back(ready(macs={ETH0: NODE}), ready(macs={ETH0: MATE}))
    assert [name for name, _ in found] == [CONFLICT, CLEAN]


def quick(macs: dict[int, bytes]) -> Prober:
    machine = Prober(rate=QUICK_RATE, probes=QUICK_PROBES, listen=QUICK_LISTEN, lowest_asker_wins=True)
    machine.set_ports(macs)
    return machine


@pytest.mark.parametrize("address", [VIP4, VIP6], ids=["arp", "ndp"])
def test_of_two_speakers_that_ask_before_a_takeover_exactly_one_finds_it_free(address: bytes) -> None:
    """Heartbeats fail between them and the segment works: were each to give in to the other, nobody would take it."""
    low, high = b"\x02\x00\x00\x00\x00\x01", b"\x02\x00\x00\x00\x00\x02"
    one, two = quick({ETH0: low}), quick({ETH0: high})
    for first, second in ((one, two), (two, one)):
        found: dict[Prober, str] = {}
        for machine in (first, second):
            machine.start(address, HERE)
        for number in range(30):
            for machine, other in ((first, second), (second, first)):
                machine.handle_timeout(number / 200)
                for output in machine.outputs():
                    if isinstance(output, Send):
                        other.received(output.payload, ETH0, number / 200)
                    else:
                        found[machine] = output.name
        assert found == {one: CLEAN, two: CONFLICT}


@pytest.mark.parametrize("frame", WHO_HAS_IT.values(), ids=WHO_HAS_IT.keys())
def test_before_a_takeover_the_word_of_a_speaker_counts_too(frame: bytes) -> None:
    """It names no friends. Of a probe the lower MAC has the better right; here that is the other's."""
    address = VIP4 if frame[12:14] == b"\x08\x06" else VIP6
    machine = quick({ETH0: b"\x06" + NODE[1:]})
    machine.start(address, HERE)
    assert machine.wants(address)
    machine.handle_timeout(0.0)
    machine.outputs()
    machine.received(frame, ETH0, 0.01)
    assert reports(machine.outputs()) == [Report(CONFLICT, {"address": address, "mac": STRANGER, "ifindex": ETH0})]
    assert not machine.wants(address)


def test_before_a_takeover_a_hundred_addresses_are_asked_for_in_fifty_milliseconds() -> None:
    machine = quick({ETH0: NODE})
    addresses = [ip(f"10.0.0.{n}") for n in range(100)]
    for address in addresses:
        machine.start(address, HERE)
    done = [at for at, output in run(machine) if isinstance(output, Report) and output.name == CLEAN]
    assert len(done) == 100
    assert max(done) <= 0.06


def _back_to_back(one: Prober, two: Prober) -> list[tuple[str, float]]:
    found = []
    for number in range(40):
        now = number / 200
        if number == 0:
            one.start(VIP4, HERE)
        if number == 2:
            two.start(VIP4, HERE)
        for machine, other in ((one, two), (two, one)):
            due = machine.next_timeout()
            if due is not None and due <= now:
                machine.handle_timeout(now)
            for output in machine.outputs():
                if isinstance(output, Send):
                    other.received(output.payload, ETH0, now)
                else:
                    found.append((output.name, round(now, 3)))
    return found


@pytest.mark.parametrize("address", [VIP4, VIP6], ids=["arp", "ndp"])
def test_a_node_that_owns_it_answers_the_probe(address: bytes) -> None:
    """The probe of a stranger finds us as ours would find it; and our own watch takes it for what it is, a question."""
    table = answering(address)
    owner, watch = Responder(table), Conflict(table)
    asker = ready(macs={ETH0: STRANGER})
    asker.start(address, HERE)
    asker.handle_timeout(0.0)
    (probe,) = sends(asker.outputs())
    owner.received(probe.payload, ETH0, 0.0)
    watch.received(probe.payload, ETH0, 0.0)
    assert watch.outputs() == []
    (answer,) = sends(owner.outputs())
    asker.received(answer.payload, ETH0, 0.001)
    (report,) = reports(asker.outputs())
    assert report.fields["mac"] == NODE


@given(st.binary(max_size=120), st.sampled_from([ETH0, ETH1, 99]))
def test_any_frame_is_taken_without_complaint(frame: bytes, ifindex: int) -> None:
    machine = ready()
    for address in (VIP4, VIP6):
        machine.start(address, HERE)
    machine.handle_timeout(0.0)
    machine.received(frame, ifindex, 0.0)
    for kind in (b"\x08\x06", b"\x86\xdd"):
        machine.received(frame[:12] + kind + frame[14:], ifindex, 0.0)


@given(st.lists(st.tuples(st.sampled_from(["start", "stop", "ports", "none", "tick", "answer"]), st.integers(0, 4))))
def test_whatever_happens_each_address_that_is_wanted_is_answered_once(steps: list[tuple[str, int]]) -> None:
    machine = ready()
    wanted: dict[bytes, int] = {}
    told: list[bytes] = []
    now = 0.0

    def collect() -> None:
        for report in reports(machine.outputs()):
            told.append(report.fields["address"])
            assert wanted.pop(report.fields["address"]) == 1

    for what, number in steps:
        now += 0.013
        address = ip(f"10.0.0.{number}")
        match what:
            case "start":
                machine.start(address, HERE)
                wanted[address] = 1
            case "stop":
                machine.stop(address)
                wanted.pop(address, None)
            case "ports":
                machine.set_ports({ETH0: NODE})
            case "none":
                machine.set_ports({})
            case "tick":
                machine.handle_timeout(now)
            case "answer":
                machine.received(arp.gratuitous_request(mac=STRANGER, address=address), ETH0, now)
        collect()
    machine.set_ports({ETH0: NODE})
    while (due := machine.next_timeout()) is not None:
        now = max(now, due)
        machine.handle_timeout(now)
        collect()
    assert not wanted
    assert machine.pending == 0
