"""Who is a member, on a LAN in memory and in virtual time. Names A1-A14 are those of the attacks each rule answers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.protocol.heartbeat.identity import cluster_hash, node_hash
from lbctl.protocol.heartbeat.machine import Heartbeat
from lbctl.protocol.heartbeat.membership import MAX_STRANGERS
from lbctl.protocol.heartbeat.packet import HERE, TWO_WAY, Digest, Header, Heard, Kind, beat_bodies, encode_header
from lbctl.protocol.heartbeat.segments import LOOPBACK, Segment, Settings
from lbctl.protocol.heartbeat.stations import Sighting, Station
from lbctl.protocol.machine import Send
from tests.support.lan import PORT, VIA, Lan, Node

D = 0.15
"""The detection time of the default preset."""


def started(*names: str, seconds: float = 0.5, **settings: object) -> Lan:
    lan = Lan(names, **settings)  # type: ignore[arg-type]
    lan.run(seconds)
    return lan


def member_history(node: Node, name: str) -> list[tuple[str, str]]:
    return [(f["state"], f["cause"]) for f in node.told("member") if f["node"] == name]


def stranger_beat(name: str, incarnation: int = 1, sequence: int = 1) -> bytes:
    header = Header(Kind.BEAT, node_hash(name), incarnation, sequence, 0, 0, 50, 3, 1, 1, 0)
    (body,) = beat_bodies(name=name, hears=[], digests=[Digest(node_hash(name), incarnation, 0, 0, 0)], links=[])
    return encode_header(header, cluster_hash("test")) + body


def test_three_nodes_hear_each_other_within_milliseconds_of_the_last_start() -> None:
    lan = Lan("abc")
    took = lan.until(lambda: all(len(n.two_way) == 2 and all(n.two_way.values()) for n in lan.living()), within=0.1)
    assert took < 0.06  # their starts are up to 41 ms apart


def test_ready_is_said_after_one_detection_time_of_listening() -> None:
    lan = started("a", "b")
    for node in lan.living():
        (ready,) = [seen for seen in node.seen if seen.name == "ready"]
        first = min(seen.at for seen in node.seen)
        assert ready.at - lan.now + 0.5 >= D
        assert ready.at - first <= D + 0.051
        assert ready.fields == {"interval": 0.05, "multiplier": 3}


@pytest.mark.parametrize("seed", range(5))
def test_death_by_silence_is_found_by_deadline_by_all_at_once(seed: int) -> None:
    lan = started("a", "b", "c", seconds=0.5 + seed * 0.011)
    lan.kill("a")
    took = lan.until(lambda: all(lan[n].states["a"] == "gone" for n in "bc"), within=1)
    assert D - 0.051 <= took <= D + 0.002
    assert member_history(lan["b"], "a")[-2:] == [("suspect", "silent"), ("gone", "silent")]


def test_the_deadline_is_the_senders_own_so_that_presets_mix() -> None:
    lan = started("a", "b")
    lan.names.append("slow")
    lan.start("slow", interval=0.3)
    lan.run(5)
    assert member_history(lan["a"], "slow") == [("alive", "heard"), ("alive", "heard")]
    lan.kill("slow")
    assert 0.55 < lan.until(lambda: lan["a"].states["slow"] == "gone", within=2) < 0.91
    lan.kill("b")
    assert lan.until(lambda: lan["a"].states["b"] == "gone", within=2) < D + 0.01


def test_leaving_is_told_and_needs_no_vote() -> None:
    lan = started("a", "b", "c")
    lan.leave("a")
    assert lan.until(lambda: all(lan[n].states["a"] == "left" for n in "bc"), within=1) < 0.001
    lan.run(1)
    assert lan["a"].machine.left
    assert member_history(lan["b"], "a")[-1] == ("left", "leaving")
    assert lan["a"].machine.lease == 0.0
    assert [seen.name for seen in lan["a"].seen][-1] == "left"


def test_leaving_is_said_three_times_for_a_network_that_loses() -> None:
    found = 0
    for seed in range(20):
        lan = Lan("ab", seed=seed)
        lan.run(0.5)
        lan.loss = 0.5
        lan.leave("a")
        lan.run(0.03)
        found += lan["b"].states["a"] == "left"
    assert found >= 15


def test_a_restarted_node_is_its_new_incarnation_at_once() -> None:
    lan = started("a", "b", "c")
    old = lan["a"].incarnation
    lan.start("a")
    lan.until(lambda: any(f["incarnation"] != old and f["two_way"] for f in lan["b"].told("member")), within=0.12)
    lan.run(0.5)
    assert lan["b"].told("member")[-1]["incarnation"] == lan["a"].incarnation
    assert lan["b"].states == {"a": "alive", "c": "alive"}


def test_a_node_that_lost_its_state_and_its_clock_comes_back_after_its_old_self_is_gone() -> None:
    """A14: the incarnation of 1970 is lower than the one remembered."""
    lan = started("a", "b", "c")
    lan.start("a", incarnation=1)
    lan.run(0.1)
    assert lan["b"].told("member")[-1]["incarnation"] != 1
    lan.until(lambda: lan["b"].told("member")[-1]["incarnation"] == 1 and lan["b"].two_way["a"], within=0.3)


def test_of_two_incarnations_that_both_speak_the_first_one_stays() -> None:
    """A14: another machine under the name of one that runs: only a silent one is replaced."""
    lan = started("a", "b")
    me = Heard(*lan["b"].machine.membership.me, 3)
    (body,) = beat_bodies(name="a", hears=[me], digests=[], links=[])
    for sequence in range(1, 40):
        header = Header(Kind.BEAT, node_hash("a"), 10_000, sequence, 0, 0, 50, 3, 1, 1, 0)
        lan.inject("b", encode_header(header, cluster_hash("test")) + body)
        lan.run(0.025)
    assert {f["incarnation"] for f in lan["b"].told("member")} == {lan["a"].incarnation}
    lan.run(0.5)
    assert lan["b"].told("member")[-1]["incarnation"] == lan["a"].incarnation
    assert lan["b"].states == {"a": "alive"}


def test_replayed_and_old_beats_count_and_change_nothing() -> None:
    lan = Lan("ab")
    beats: list[bytes] = []
    lan.tap = lambda node, send: beats.append(send.payload) if node.name == "b" else None
    lan.run(0.5)
    lan.kill("b")
    lan.until(lambda: lan["a"].states["b"] == "gone", within=1)
    for beat in beats[-10:] * 20:
        lan.inject("a", beat, "10.0.0.2")
        lan.run(0.01)
    assert lan["a"].states["b"] == "gone"
    assert lan["a"].machine.counters["rx_replayed"] >= 200


def test_a_recording_played_into_a_cold_node_makes_no_member() -> None:
    """A14: what was recorded hears an incarnation that is no more."""
    lan = Lan("ab")
    beats: list[bytes] = []
    lan.tap = lambda node, send: beats.append(send.payload) if node.name == "b" else None
    lan.run(2)
    lan.kill("b")
    lan.start("a")
    lan.tap = None
    recorded = [beat for beat in beats if beat[3] == Kind.BEAT][-30:]
    for beat in recorded:
        lan.inject("a", beat, "10.0.0.2")
        lan.run(0.05)
    assert lan["a"].two_way == {"b": False}
    assert not any(lan["a"].told("member")[n]["two_way"] for n in range(len(lan["a"].told("member"))))


def test_a_deaf_node_is_no_member_and_hears_nobody_leave() -> None:
    """A2: it sends but receives nothing; the others stop counting it, and it cannot count them."""
    lan = started("a", "b", "c")
    lan.deafen("c")
    lan.until(lambda: all(lan[n].states["c"] == "gone" for n in "ab"), within=0.4)
    assert member_history(lan["a"], "c")[-1] == ("gone", "one_way")
    assert lan["a"].states["b"] == "alive"
    lan.heal()
    lan.until(lambda: all(lan[n].states["c"] == "alive" and lan[n].two_way["c"] for n in "ab"), within=0.2)


def test_one_broken_link_of_three_kills_nobody() -> None:
    """Half of the voters is not more than half."""
    lan = started("a", "b", "c")
    lan.blocked |= {("a", "b"), ("b", "a")}
    lan.run(3)
    assert lan["a"].states == {"b": "suspect", "c": "alive"}
    assert lan["b"].states == {"a": "suspect", "c": "alive"}
    assert lan["c"].states == {"a": "alive", "b": "alive"}
    lan.heal()
    lan.run(0.2)
    assert all(set(n.states.values()) == {"alive"} for n in lan.living())


def test_of_five_one_that_only_a_minority_cannot_hear_stays() -> None:
    lan = started(*"abcde")
    lan.blocked |= {("e", "a"), ("e", "b"), ("a", "e"), ("b", "e")}
    lan.run(2)
    assert {name: lan[name].states["e"] for name in "abcd"} == {
        "a": "suspect",
        "b": "suspect",
        "c": "alive",
        "d": "alive",
    }
    lan.blocked |= {("e", "c"), ("c", "e")}
    lan.until(lambda: all(lan[n].states["e"] == "gone" for n in "abc"), within=0.4)
    assert lan["d"].states["e"] == "alive"


def test_a_single_node_counts_as_a_majority_of_itself() -> None:
    lan = started("a")
    assert lan["a"].machine.membership.quorate


@pytest.mark.parametrize(("configured", "here", "quorate"), [(2, 1, False), (3, 2, True), (4, 2, False), (5, 3, True)])
def test_quorate_is_more_than_half_of_the_configured(configured: int, here: int, quorate: bool) -> None:
    names = "abcdefg"[:configured]
    lan = started(*names)
    for name in names[here:]:
        lan.kill(name)
    lan.run(0.5)
    assert lan["a"].machine.membership.quorate is quorate


def test_discovery_needs_no_configuration_and_unicast_needs_no_multicast() -> None:
    lan = Lan([])
    lan.names = ["a", "b"]
    for name in "ab":
        lan.start(name, peers=[])
    lan.run(0.2)
    assert lan["a"].states == {"b": "alive"}
    lan = Lan("ab")
    lan.multicast = False
    lan.run(0.2)
    assert lan["a"].states == {"b": "alive"}


def test_a_partition_of_ten_minutes_heals_without_multicast() -> None:
    """A13: unicast for ever, to the dead once a second."""
    lan = started("a", "b")
    lan.multicast = False
    lan.cut("b")
    lan.run(30)
    sent = lan["a"].sent
    lan.run(570)
    assert 2 * 540 <= lan["a"].sent - sent <= 2 * 571  # to the node and to the group
    lan.heal()
    assert lan.until(lambda: lan["a"].states["b"] == lan["b"].states["a"] == "alive", within=1.2) < 1.1


def test_an_observer_is_seen_and_sees_but_does_not_vote() -> None:
    lan = Lan([])
    lan.names = ["a", "b", "o"]
    for name in "ab":
        lan.start(name, peers=["a", "b"])
    lan.start("o", peers=["a", "b"], observer=True)
    lan.run(0.5)
    assert lan["o"].states == {"a": "alive", "b": "alive"}
    assert [f["role"] for f in lan["a"].told("member") if f["node"] == "o"] == ["observer"] * 2
    assert not lan["o"].told("ready")
    lan.kill("b")
    lan.run(0.5)
    assert lan["a"].states["b"] == lan["o"].states["b"] == "gone"
    assert not lan["a"].machine.membership.quorate


def test_a_second_segment_is_heard_by_itself_and_keeps_the_member() -> None:
    """What is said on a segment is about hearing on that segment; one that works is enough to live."""
    machines = {
        name: Heartbeat(Settings(cluster="test", node=name, incarnation=n), unix_offset=0.0)
        for n, name in ((1, "a"), (2, "b"))
    }
    now = 1000.0
    for n, (name, machine) in enumerate(machines.items(), start=1):
        other = "b" if name == "a" else "a"
        machine.set_peers([(other, [f"10.0.0.{3 - n}", f"10.0.1.{3 - n}"])], now)
        lanes = [Segment(ifindex=via, name=f"eth{via}", address=f"10.0.{via - 2}.{n}") for via in (2, 3)]
        machine.set_segments(lanes, now)

    def run(seconds: float, lost: set[tuple[str, int]]) -> None:
        """`lost`: (receiver, segment)."""
        nonlocal now
        end = now + seconds
        while now < end:
            now += 0.005
            for name, machine in machines.items():
                if (due := machine.next_timeout()) is not None and due <= now:
                    machine.handle_timeout(now)
                for output in machine.outputs():
                    if isinstance(output, Send) and not output.to[0].startswith("239."):  # type: ignore[index]
                        other = "b" if name == "a" else "a"
                        source = f"10.0.{output.via - 2}.{'ab'.index(name) + 1}"
                        if (other, output.via) not in lost:
                            machines[other].received(output.payload, output.via, (source, PORT), now)

    def lists(name: str, via: int) -> list[int]:
        return [entry.flags for entry in machines[name].membership.heard(via)]

    run(0.5, set())
    assert [lists(name, via) for name in "ab" for via in (2, 3)] == [[TWO_WAY | HERE]] * 4
    run(0.5, {("a", 3)})
    assert lists("a", 3) == [TWO_WAY]
    assert lists("b", 3) == [TWO_WAY | HERE]
    b_of_a = next(iter(machines["a"].membership.instances.values()))
    a_of_b = next(iter(machines["b"].membership.instances.values()))
    assert [ear.lists_me for _, ear in sorted(a_of_b.ears.items())] == [True, False]
    assert b_of_a.state.value == a_of_b.state.value == "alive"
    run(0.5, {("a", 3), ("a", 2)})
    assert a_of_b.state.value == "gone"


def test_over_loopback_only_observers_are_heard_and_only_by_speakers() -> None:
    """Every user of a host may send there; nobody becomes a speaker by it."""
    lan = started("a", "b")
    machine = lan["a"].machine
    segments = [Segment(ifindex=VIA, name="eth0", address="10.0.0.1"), LOOPBACK]
    machine.set_segments(segments, lan.now)
    for role, name in ((1, "speaker"), (2, "observer")):
        header = Header(Kind.BEAT, node_hash(name), 1, 1, 0, 0, 50, 3, 1, role, 0)
        (body,) = beat_bodies(name=name, hears=[], digests=[], links=[])
        machine.received(encode_header(header, cluster_hash("test")) + body, 1, ("127.0.0.1", 40000), lan.now)
    machine.handle_timeout(lan.now)
    sends = [output for output in machine.outputs() if isinstance(output, Send) and output.via == 1]
    assert {send.to for send in sends} == {("127.0.0.1", 40000)}
    assert machine.counters["rx_local_speaker"] == 1
    assert {instance.name for instance in machine.membership.instances.values()} == {"b", "observer"}


def test_a_name_used_twice_is_noted() -> None:
    lan = started("a", "b")
    lan.inject("a", stranger_beat("a", incarnation=7))
    lan.inject("a", stranger_beat("a", incarnation=7, sequence=2))
    assert lan["a"].told("name_in_use") == [{"address": "10.0.0.99", "incarnation": 7}]
    assert lan["a"].machine.counters["rx_own_name"] == 2


def test_a_flood_of_invented_names_is_bounded_and_kills_nobody() -> None:
    lan = started("a", "b")
    for n in range(10 * MAX_STRANGERS):
        lan.inject("a", stranger_beat(f"invented-{n}"))
        if n % 16 == 0:
            lan.run(0.005)
    assert len(lan["a"].machine.membership.instances) <= MAX_STRANGERS + 1
    lan.run(1)
    assert lan["a"].states["b"] == "alive"
    lan.kill("b")
    lan.until(lambda: lan["a"].states["b"] == "gone", within=0.2)


def test_what_work_learns_of_a_member() -> None:
    lan = started("a", "b")
    told = lan["a"].told("member")[-1]
    assert told == {
        "node": "b", "incarnation": lan["b"].incarnation, "state": "alive", "two_way": True, "role": "speaker",
        "addresses": ["10.0.0.2"], "macs": [["02:00:00:00:00:02", "eth0"]], "since_unix": told["since_unix"],
        "interval": 0.05, "multiplier": 3, "cause": "heard", "conflicts": [],
    }  # fmt: skip
    assert 0 < told["since_unix"] - 1_700_001_000 < 1


def test_what_a_member_says_of_macs_is_told_when_it_changes_and_only_then() -> None:
    lan = started("a", "b")
    known = len(lan["a"].told("member"))
    eth1 = Station(bytes.fromhex("020000000099"), "eth1")
    found = Sighting("192.0.2.7", bytes.fromhex("0200000000ee"), "eth0")
    lan["b"].machine.say([eth1], [found])
    lan.run(1)
    (told,) = lan["a"].told("member")[known:]
    assert told["macs"] == [["02:00:00:00:00:02", "eth0"], ["02:00:00:00:00:99", "eth1"]]
    assert told["conflicts"] == [["192.0.2.7", "02:00:00:00:00:ee", "eth0"]]
    lan["b"].machine.say([eth1], [found._replace(mac=bytes(6))])
    lan.run(1)
    (told,) = lan["a"].told("member")[known + 1 :]
    assert told["conflicts"] == [["192.0.2.7", "", "eth0"]]
    assert lan["a"].states["b"] == "alive"


def test_a_sighting_of_no_address_is_refused_before_it_is_sent() -> None:
    lan = started("a", "b")
    with pytest.raises(ValueError, match="no address"):
        lan["b"].machine.say([], [Sighting("", bytes(6), "eth0")])
    lan.run(0.1)
    assert lan["a"].states["b"] == "alive"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=10), st.integers(0, 2**32), st.integers(1, 6))
def test_no_bytes_and_no_damaged_packet_disturb_the_members(noise: list[bytes], seed: int, flips: int) -> None:
    lan = Lan("ab", seed=seed)
    heard: list[bytes] = []
    lan.tap = lambda node, send: heard.append(send.payload) if node.name == "b" else None
    lan.run(0.3)
    for payload in noise:
        lan["a"].machine.received(payload, VIA, ("10.0.0.2", PORT), lan.now)
    for packet in heard[:40]:
        damaged = bytearray(packet)
        for _ in range(flips):
            damaged[lan.random.randrange(48, len(damaged))] ^= 1 << lan.random.randrange(8)
        lan["a"].machine.received(bytes(damaged), VIA, ("10.0.0.66", PORT), lan.now)
        lan["a"].machine.handle_timeout(lan.now)
        lan["a"].machine.outputs()
