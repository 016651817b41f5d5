"""The pulse process as it is, three of them on a bridge: takeovers, endings, pauses, refusals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.speaker.pulses import PulseProcess, Pulses
from tests.support.bars import PATIENCE, met_once
from tests.support.netns import Segment, eventually

pytestmark = pytest.mark.netns
NAMES = ("a", "b", "c")
ADDRESS = {name: f"192.0.2.{n}" for n, name in enumerate(NAMES, start=1)}
VIPS = [f"192.0.2.{n}" for n in range(100, 160)]
INTERVAL, D = 0.05, 0.15
TAKEN_BAR = 2 * D
"""Seconds in which the others have taken over who fell silent: twice what it takes where nothing else runs."""


@pytest.fixture(scope="module")
def lan() -> Iterator[Segment]:
    with Segment({name: [f"{ADDRESS[name]}/24"] for name in NAMES}) as segment:
        yield segment


@pytest.fixture
def pulses() -> Iterator[Pulses]:
    with Pulses() as started:
        yield started


def start(lan: Segment, pulses: Pulses, names: Sequence[str] = NAMES, **setup: object) -> None:
    """Pulses that hear each other."""
    for name in names:
        peers = [(other, ADDRESS[other]) for other in NAMES if other != name]
        pulses.start(lan[name], ADDRESS[name], peers=peers, **setup)
    pulses.until(lambda: all(p.is_ready() and p.counts(*(set(names) - {p.name})) for p in pulses))


def share(pulses: Pulses) -> None:
    """Each is prepared for all VIPs, heirs the next two in order, and claims its third."""
    names = list(pulses.nodes)
    for n, node in enumerate(pulses):
        heirs = [*names[n + 1 :], *names[:n]]
        node.tell("prepare", generation=1, set=[[vip, 1, heirs] for vip in VIPS], drop=[], complete=True)
        node.tell("claim", addresses=VIPS[n :: len(names)], cause="started")
    pulses.until(lambda: sum(len(node.mine) for node in pulses) == len(VIPS))
    pulses.until(lambda: all(node.claims.get(o.name) == o.mine for node in pulses for o in pulses if o is not node))


def taken_after(pulses: Pulses, owner: PulseProcess, end: Callable[[], None]) -> tuple[float, float]:
    """Ends an owner somehow; seconds to the first and the last address that wire was told to answer elsewhere."""
    vips = set(owner.mine)
    others = [node for node in pulses if node is not owner]
    began = time.monotonic()
    end()
    pulses.until(lambda: vips <= {vip for node in others for vip in node.answering})
    moments = [said.at - began for node in others for said in node.ops("answer") if said.at > began]
    return min(moments), max(moments)


def alive(node: PulseProcess) -> bool:
    """Whether it never held anybody for anything but alive: a bar on time, for beats are late on a held-up machine."""
    return {said.message["state"] for said in node.ops("member")} == {"alive"}


def test_the_others_take_over_from_a_killed_pulse_within_three_intervals(
    lan: Segment, capsys: pytest.CaptureFixture[str]
) -> None:
    def takeover() -> tuple[float, float]:
        with Pulses() as pulses:
            start(lan, pulses)
            share(pulses)
            moments = taken_after(pulses, pulses["a"], pulses["a"].process.kill)
            # c, who takes nothing, may hear the last vote a moment after b has acted on it.
            pulses.until(lambda: all(pulses[name].members["a"]["state"] == "gone" for name in ("b", "c")))
            pulses.until(lambda: {row[4] for row in pulses["b"].mine.values()} == {"started", "owner_gone"})
            assert all(row[2] for row in pulses["b"].mine.values())
            # Its first heir is b; c has taken nothing.
            assert set(pulses["c"].mine) == set(VIPS[2::3])
        return moments

    # Not before the time either: a beat that is late by itself counts against the owner.
    first, last = met_once(takeover, lambda moments: moments[0] >= D - INTERVAL - 0.01 and moments[1] <= TAKEN_BAR)
    with capsys.disabled():
        print(f"\n  takeover of 20 addresses after SIGKILL: {first * 1000:.0f} to {last * 1000:.0f} ms", end="")


def test_the_others_take_over_from_a_cut_node_and_give_nothing_back(lan: Segment) -> None:
    def takeover() -> float:
        with Pulses() as pulses:
            start(lan, pulses)
            share(pulses)
            try:
                _, last = taken_after(pulses, pulses["a"], lan["a"].cut)
                pulses.for_seconds(0.5)
                pulses.until(lambda: {row[2] for vip, row in pulses["a"].mine.items() if vip in VIPS[1::3]} == {False})
                assert not any(row[2] for vip, row in pulses["a"].mine.items() if vip not in VIPS[0::3])
            finally:
                lan["a"].heal()
            pulses.until(lambda: pulses["a"].mine == {} and pulses["a"].answering == set())
            assert len(pulses["b"].mine) == 40
            assert len(pulses["c"].mine) == 20
        return last

    met_once(takeover, lambda last: last <= TAKEN_BAR)


@pytest.mark.parametrize("side", ["work", "wire"])
def test_a_closed_channel_is_told_as_leaving_and_costs_no_detection_time(lan: Segment, side: str) -> None:
    def takeover() -> float:
        with Pulses() as pulses:
            start(lan, pulses)
            share(pulses)
            owner = pulses["a"]

            def close() -> None:
                channel = owner.work if side == "work" else owner.wire
                owner.ended.update(("work", "wire"))
                channel.close()

            _, last = taken_after(pulses, owner, close)
            pulses.until(lambda: pulses["b"].members["a"]["state"] == "left")
            assert owner.process.wait(PATIENCE) == 0
            assert owner.lease_until == 0.0
        return last

    met_once(takeover, lambda last: last < D - INTERVAL)


def test_leave_releases_tells_and_exits(lan: Segment) -> None:
    def takeover() -> float:
        with Pulses() as pulses:
            start(lan, pulses)
            share(pulses)
            owner = pulses["a"]
            _, last = taken_after(pulses, owner, lambda: owner.tell("leave"))
            pulses.until(lambda: bool(owner.ops("left")))
            assert owner.process.wait(PATIENCE) == 0
            pulses.until(lambda: owner.ended == {"work", "wire"})
            assert owner.mine == {}
            assert owner.answering == set()
            assert owner.lease_until == 0.0
            pulses.until(lambda: {row[4] for row in pulses["b"].mine.values()} == {"started", "owner_left"})
        return last

    met_once(takeover, lambda last: last < D - INTERVAL)


def test_signals_to_the_whole_group_are_left_to_work(lan: Segment, pulses: Pulses) -> None:
    start(lan, pulses, ["a"])
    for number in (signal.SIGINT, signal.SIGTERM):
        pulses["a"].process.send_signal(number)
    pulses.for_seconds(0.2)
    assert pulses["a"].process.poll() is None
    pulses.until(lambda: pulses["a"].lease_until > time.monotonic())


def test_the_lease_is_renewed_each_interval_and_only_after_ready(lan: Segment, pulses: Pulses) -> None:
    node = pulses.start(lan["a"], ADDRESS["a"])
    assert node.lease_until == 0.0
    pulses.until(node.is_ready)

    def watched() -> tuple[int, float]:
        """How often it was renewed in a second, and the least that was left of it."""
        seen = set()
        least_left = D
        began = time.monotonic()
        while time.monotonic() < began + 1.0:
            until = node.lease_until
            left = until - time.monotonic()
            assert left <= D + 0.001
            least_left = min(least_left, left)
            seen.add(until)
            pulses.read(0.01)
        assert len(seen) <= 22
        return len(seen), least_left

    met_once(watched, lambda found: found[0] >= 15 and found[1] > 0)


def test_a_stopped_pulse_answers_nothing_when_it_wakes(lan: Segment, pulses: Pulses) -> None:
    """The lease runs out while it sleeps and does not come back before it has dropped what others took (A8)."""
    start(lan, pulses)
    share(pulses)
    owner = pulses["a"]
    taken_after(pulses, owner, lambda: owner.process.send_signal(signal.SIGSTOP))
    assert owner.lease_until < time.monotonic()
    pulses.for_seconds(0.5)
    owner.process.send_signal(signal.SIGCONT)

    def silent_while_it_holds_what_others_hold() -> None:
        until, now = owner.lease_until, time.monotonic()
        # What it had said before it had this lease is read now, however long this test was held up before.
        pulses.read(0)
        assert until < now or not owner.answering & (pulses["b"].answering | pulses["c"].answering)

    pulses.for_seconds(1.0, silent_while_it_holds_what_others_hold)
    pulses.until(lambda: owner.mine == {} and bool(owner.notes("paused")))
    assert owner.notes("paused")[0]["gap"] > 0.5
    pulses.until(lambda: owner.lease_until > time.monotonic() and owner.counts("b", "c"))


def test_a_restarted_pulse_joins_under_its_new_incarnation(lan: Segment, pulses: Pulses) -> None:
    start(lan, pulses)
    share(pulses)
    old = pulses["a"]
    old.process.kill()
    new = pulses.start(lan["a"], ADDRESS["a"], peers=[("b", ADDRESS["b"])])
    pulses.until(lambda: pulses["b"].members["a"]["incarnation"] == new.incarnation and pulses["b"].counts("a"))
    pulses.until(lambda: set(VIPS) == {vip for name in "bc" for vip in pulses[name].answering})
    pulses.until(lambda: new.claims.get("b") == pulses["b"].mine and new.claims.get("c") == pulses["c"].mine)


def test_keys_let_in_who_has_one_of_them(lan: Segment, pulses: Pulses) -> None:
    one, two = [1, "00" * 32], [2, "11" * 32]
    for name, keys in (("a", [one]), ("b", [one, two]), ("c", [two])):
        pulses.start(lan[name], ADDRESS[name], peers=[(n, ADDRESS[n]) for n in NAMES if n != name], keys=keys)
    pulses.until(lambda: pulses["a"].counts("b") and pulses["b"].counts("a"))
    pulses.until(lambda: pulses["c"].counters.get("rx_unknown_key", 0) > 10)
    assert "c" not in pulses["a"].members
    assert not any(node.notes("unauthenticated") for node in pulses)


def test_without_a_key_it_runs_and_warns(lan: Segment, pulses: Pulses) -> None:
    pulses.start(lan["a"], ADDRESS["a"])
    pulses.until(lambda: bool(pulses["a"].notes("unauthenticated")))


def test_a_segment_whose_address_comes_later_is_used_then(lan: Segment, pulses: Pulses) -> None:
    start(lan, pulses, ["b"])
    node = pulses.start(lan["a"], "192.0.2.71", peers=[("b", ADDRESS["b"])])
    pulses.until(lambda: bool(node.notes("segment_refused")))
    assert not node.notes("segment_refused")[1:]
    lan["a"].add_address("192.0.2.71/24")
    try:
        pulses.until(lambda: node.counts("b") and pulses["b"].counts("a"))
        pulses.until(lambda: pulses["b"].members["a"]["addresses"] == ["192.0.2.71"])
    finally:
        lan["a"].run(["ip", "addr", "del", "192.0.2.71/24", "dev", "eth0"])


def test_it_speaks_ipv6_where_there_is_no_ipv4(pulses: Pulses) -> None:
    with Segment({"a": [], "b": []}) as six:
        local = {name: eventually(lambda name=name: six[name].link_local) for name in "ab"}  # type: ignore[misc]
        for name, other in (("a", "b"), ("b", "a")):
            pulses.start(six[name], local[name], peers=[(other, local[other])])
        pulses.until(lambda: pulses["a"].counts("b") and pulses["b"].counts("a"))
        pulses.until(lambda: pulses["a"].members["b"]["addresses"] == [local["b"]])
        pulses.until(lambda: pulses["a"].members["b"]["macs"] == [[six["b"].mac, "eth0"]])


def test_without_real_time_it_relaxes_unless_told_otherwise(lan: Segment, pulses: Pulses) -> None:
    """Without CAP_SYS_NICE it may not raise its priority; a late process would be declared dead by the others."""
    for realtime, interval in ((True, 0.3), (False, 0.05)):
        node = pulses.start(lan["a"], ADDRESS["a"], unprivileged=True, realtime=realtime)
        pulses.until(node.is_ready)
        assert node.ops("ready")[0].message["interval"] == interval
        if realtime:
            pulses.until(lambda node=node: node.notes("no_realtime") and node.notes("relaxed_interval"))  # type: ignore[misc]
        else:
            assert not node.notes("no_realtime")
            assert not node.notes("relaxed_interval")
        node.end()


def test_it_is_real_time_and_locked_in_memory_when_it_may(lan: Segment, pulses: Pulses) -> None:
    start(lan, pulses, ["a"])
    pid = pulses["a"].process.pid
    assert os.sched_getscheduler(pid) & 0xFF == os.SCHED_FIFO
    assert os.sched_getparam(pid).sched_priority == 10
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
        locked = next(line for line in status if line.startswith("VmLck:"))
    assert int(locked.split()[1]) > 1000


def test_messages_it_cannot_read_are_noted_and_nothing_stops(lan: Segment, pulses: Pulses) -> None:
    start(lan, pulses, ["a"])
    node = pulses["a"]
    node.tell("prepare", generation="x", set=[["nonsense"]], drop=[], complete=False)
    node.tell("prepare", generation=1, set=[["not-an-address", 1, []]], drop=[], complete=False)
    node.tell("peers", peers=[{"name": "b", "addresses": ["www.example.org"]}])
    node.tell("from the future", anything=1)
    pulses.until(lambda: len(node.notes("bad_message")) == 1 and len(node.notes("not_an_address")) == 2)
    assert node.process.poll() is None


def test_tables_of_thousands_hold_up_no_beat(lan: Segment) -> None:
    vips = [f"10.1.{n // 250}.{n % 250 + 1}" for n in range(10_000)]

    def takeover() -> tuple[bool, float]:
        """Whether nobody was held for dead meanwhile, and the seconds until the last of 10,000 was taken over."""
        with Pulses() as pulses:
            start(lan, pulses)
            for at in range(0, len(vips), 256):
                piece = vips[at : at + 256]
                rows = [[vip, 1, ["b", "c"]] for vip in piece]
                for node in pulses:
                    node.tell("prepare", generation=1, set=rows, drop=[], complete=False)
                pulses["a"].tell("claim", addresses=piece, cause="started")
            pulses.until(lambda: len(pulses["c"].claims.get("a", ())) == len(vips))
            pulses.for_seconds(1.2)
            held = all(map(alive, pulses))
            _, last = taken_after(pulses, pulses["a"], pulses["a"].process.kill)
        return held, last

    # The bar is 1.5 s, and the test itself reads 10,000 lines in the time it measures.
    met_once(takeover, lambda found: found[0] and found[1] < 2 * 1.5)


def test_started_by_hand_it_says_so(lan: Segment) -> None:
    ran = subprocess.run([sys.executable, "-m", "lbctl.speaker.pulse"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "run-speaker" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_noise_on_the_port_is_counted_and_does_no_harm(lan: Segment) -> None:
    def noise() -> tuple[bool, dict[str, int]]:
        with Pulses() as pulses:
            start(lan, pulses, ["a", "b"])
            with lan["c"].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for n in range(3000):
                    sock.sendto(os.urandom(n % 1600 + 1), (ADDRESS["a"], 7966))
                    if n == 1000:
                        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
            before = len(pulses["a"].ops("counters"))
            # The counters after the next: everything that was sent is counted in them.
            pulses.until(lambda: len(pulses["a"].ops("counters")) >= before + 2)
            return alive(pulses["a"]), pulses["a"].counters

    # A pulse that was held up may lose datagrams: its socket holds only so many.
    met_once(
        noise,
        lambda found: found[0] and found[1].get("rx_hop_limit", 0) > 900 and found[1].get("rx_not_heartbeat", 0) > 900,
    )
