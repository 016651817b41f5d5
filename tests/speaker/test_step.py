"""The step: what is to be told, once, and again only when it did not happen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.address import IPAddress
from lbctl.model.advertisement import L2Advertisement
from lbctl.model.interface import Interface, InterfaceFlag
from lbctl.model.member import Liveness, Role
from lbctl.model.node import Node
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.speaker.announcers import PIECE
from lbctl.speaker.step import ASK_AGAIN, MOVES_LOGGED, Situation, Step, Told, own_member, step
from tests.support.worlds import address, addresses, claim, member, view, vip_world

VIP, OTHER = "192.0.2.1", "192.0.2.2"
ETH0 = Interface(
    index=2,
    name="eth0",
    mac="02:00:00:00:00:0a",
    flags=InterfaceFlag.UP | InterfaceFlag.LOWER_UP | InterfaceFlag.BROADCAST,
    addresses=addresses("198.51.100.1", "fe80::1"),
)
ETH1 = replace(ETH0, index=3, name="eth1", mac="02:00:00:00:00:1a", addresses=addresses("fe80::2"))


@dataclass
class Work:
    """A work process in virtual time: what pulse and wire would know from all it said."""

    situation: Situation
    told: Told = field(default_factory=Told)
    now: float = 100.0
    prepared: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    table: dict[str, list[int]] = field(default_factory=dict)

    def step(self, **changes: Any) -> Step:
        self.situation = replace(self.situation, **changes)
        made = step(self.situation, self.told, now=self.now, now_unix=1000.0 + self.now)
        self.told = made.told
        for message in (*made.to_wire, *made.to_wire_after):
            if message["op"] == "table":
                self.table.update(dict(message["set"]))
                for text in message["drop"]:
                    del self.table[text]
        for message in made.to_pulse:
            if message["op"] == "prepare":
                self.prepared.update({text: (number, tuple(heirs)) for text, number, heirs in message["set"]})
                for text in message["drop"]:
                    del self.prepared[text]
        return made

    def see(self, world: World | None = None, seen: View | None = None, **changes: Any) -> Step:
        now = self.situation.snapshot
        if world is not None:
            changes.setdefault("used", remembering(world))
        return self.step(snapshot=Snapshot(world=world or now.world, view=seen or now.view), **changes)


def remembering(world: World) -> dict[IPAddress, int]:
    """The memory of a node that has seen every address announced."""
    return {each: held.id for held in world.allocations.values() for each in held.addresses}


def working(world: World, seen: View, **more: Any) -> Work:
    settings: dict[str, Any] = {"interfaces": (ETH0,), "listened": True, "used": remembering(world), **more}
    situation = Situation(node="a", snapshot=Snapshot(world=world, view=seen), detection_time=0.15, **settings)
    return Work(situation)


def of(messages: Iterable[dict[str, Any]], op: str) -> list[dict[str, Any]]:
    return [message for message in messages if message["op"] == op]


ALONE = view("a")


def test_the_first_step_tells_everything() -> None:
    made = working(vip_world([VIP]), ALONE).step()
    assert of(made.to_pulse, "segments")[0]["segments"] == [
        {"ifindex": 2, "name": "eth0", "address": "198.51.100.1", "mac": "02:00:00:00:00:0a", "usable": True}
    ]
    assert of(made.to_wire, "interfaces")[0]["interfaces"] == [
        {
            "ifindex": 2,
            "name": "eth0",
            "mac": "02:00:00:00:00:0a",
            "link_local": "fe80::1",
            "addresses": ["198.51.100.1", "fe80::1"],
            "gateways": [],
            "link": "",
            "usable": True,
        }
    ]
    assert of(made.to_wire, "table")[0]["set"] == [[VIP, [2]]]
    assert of(made.to_pulse, "prepare")[0]["set"] == [[VIP, 1, []]]
    assert of(made.to_pulse, "claim") == [{"op": "claim", "addresses": [VIP], "cause": "first_announced"}]
    assert of(made.to_pulse, "peers") == [{"op": "peers", "peers": []}]


def test_a_pace_is_told_before_the_table_and_its_end_too() -> None:
    quick, slow = (
        vip_world([VIP], advertisements=[L2Advertisement(name="l2", announce_rate=rate)]) for rate in (None, 2.5)
    )
    work = working(slow, ALONE)
    made = work.step()
    assert [message["op"] for message in made.to_wire if message["op"] in ("pace", "table")] == ["pace", "table"]
    assert of(made.to_wire, "pace") == [{"op": "pace", "rate": 2.5, "addresses": [VIP]}]
    assert of(work.step().to_wire, "pace") == []
    assert of(work.see(quick).to_wire, "pace") == [{"op": "pace", "rate": None, "addresses": [VIP]}]


def test_said_once_is_said() -> None:
    work = working(vip_world([VIP]), ALONE)
    work.step()
    again = work.step()
    assert (again.to_pulse, again.to_wire, again.to_wire_after, again.moves) == ((), (), (), ())


def test_pulse_hears_where_before_what() -> None:
    """A claim before its preparation would be refused; a release before its drop keeps its cause."""
    made = working(vip_world([VIP]), ALONE).step()
    ops = [message["op"] for message in made.to_pulse]
    assert ops == ["segments", "peers", "say", "prepare", "claim"]


def test_nothing_is_claimed_before_pulse_has_listened() -> None:
    work = working(vip_world([VIP]), ALONE, listened=False)
    made = work.step()
    assert of(made.to_pulse, "prepare")
    assert not of(made.to_pulse, "claim")
    assert of(work.step(listened=True).to_pulse, "claim")


def test_a_claim_that_does_not_happen_is_asked_for_again() -> None:
    work = working(vip_world([VIP]), ALONE)
    made = work.step()
    assert made.look_again_at == work.now + ASK_AGAIN
    work.now += ASK_AGAIN / 2
    assert not work.step().to_pulse
    work.now += ASK_AGAIN / 2
    assert of(work.step().to_pulse, "claim")
    done = work.see(seen=view("a", claims=[claim("a", VIP)]))
    assert not done.to_pulse
    assert done.look_again_at is None
    assert [(move.previous, move.owner) for move in done.moves] == [(None, "a")]


def test_a_freed_address_is_released_with_its_cause_then_dropped() -> None:
    work = working(vip_world([VIP, OTHER]), view("a", claims=[claim("a", VIP), claim("a", OTHER)]))
    work.step()
    made = work.see(vip_world([VIP]))
    assert [m["op"] for m in made.to_pulse] == ["release", "prepare"]
    assert made.to_pulse[0] == {"op": "release", "addresses": [OTHER], "cause": "no_longer_allocated"}
    assert made.to_pulse[1]["drop"] == [OTHER]
    assert of(made.to_wire_after, "table")[0]["drop"] == [OTHER]
    assert not made.to_wire


def test_a_new_heir_is_one_small_message() -> None:
    many = vip_world([f"10.0.0.{n}" for n in range(1, 100)], nodes=[Node(name=n) for n in "abc"])
    work = working(many, view("a", "b"))
    work.step()
    one = vip_world([f"10.0.0.{n}" for n in range(1, 101)], nodes=[Node(name=n) for n in "abc"])
    one = replace(one, allocations={**one.allocations, **many.allocations}, slices={**one.slices, **many.slices})
    made = work.see(replace(one, nodes=many.nodes))
    assert [m["set"] for m in of(made.to_pulse, "prepare")] == [[["10.0.0.100", 100, ["b"]]]]


def test_long_lists_come_in_pieces() -> None:
    made = working(vip_world([f"10.0.{n // 250}.{n % 250}" for n in range(3 * PIECE + 1)]), ALONE).step()
    assert [len(m["set"]) for m in of(made.to_pulse, "prepare")] == [PIECE, PIECE, PIECE, 1]
    assert [len(m["set"]) for m in of(made.to_wire, "table")] == [PIECE, PIECE, PIECE, 1]
    assert sum(len(m["addresses"]) for m in of(made.to_pulse, "claim")) == 3 * PIECE + 1


def test_interfaces_decide_where_an_address_is_answered() -> None:
    ad = L2Advertisement(name="l2", interfaces=("eth1",))
    work = working(vip_world([VIP], advertisements=[ad]), ALONE, interfaces=(ETH0, ETH1))
    work.step()
    assert work.table == {VIP: [3]}
    # The card comes back under another number.
    made = work.step(interfaces=(ETH0, replace(ETH1, index=7)))
    assert work.table == {VIP: [7]}
    assert [m["op"] for m in made.to_wire] == ["interfaces", "table"]


def test_carrier_lost_is_not_eligible() -> None:
    work = working(vip_world([VIP]), view("a", claims=[claim("a", VIP)]))
    work.step()
    made = work.step(interfaces=(replace(ETH0, flags=InterfaceFlag.UP | InterfaceFlag.BROADCAST),))
    assert of(made.to_pulse, "release") == [{"op": "release", "addresses": [VIP], "cause": "not_eligible"}]
    assert not of(made.to_pulse, "segments")[0]["segments"][0]["usable"]
    assert work.prepared == {}


def test_a_segment_without_ipv4_speaks_by_link_local_and_one_without_address_not_at_all() -> None:
    mute = replace(ETH0, index=9, name="mute", addresses=())
    made = working(vip_world([]), ALONE, interfaces=(ETH1, mute)).step()
    assert [s["address"] for s in of(made.to_pulse, "segments")[0]["segments"]] == ["fe80::2"]


def test_who_lost_its_ipv4_address_is_silent_where_others_speak_ipv4() -> None:
    lost = replace(ETH0, addresses=addresses("fe80::1"))

    def usable(seen: View, **more: Any) -> bool:
        made = working(vip_world([]), seen, interfaces=(lost,), **more).step()
        return bool(of(made.to_pulse, "segments")[0]["segments"][0]["usable"])

    assert usable(ALONE)
    assert usable(view("a", member("b", addresses=addresses("fe80::b"))))
    assert not usable(view("a", member("b", addresses=addresses("198.51.100.2"))))
    assert not usable(ALONE, remembered={"b": addresses("198.51.100.2")})
    assert not usable(ALONE, peers=addresses("198.51.100.2"))
    work = working(vip_world([]), ALONE, remembered={"b": addresses("198.51.100.2")})
    assert of(work.step().to_pulse, "segments")[0]["segments"][0]["usable"]


def test_peers_are_configured_remembered_and_named_ones() -> None:
    nodes = [Node(name="a", addresses=addresses("198.51.100.1")), Node(name="b", addresses=addresses("198.51.100.2"))]
    work = working(
        vip_world([], nodes=nodes),
        ALONE,
        peers=addresses("198.51.100.4", "198.51.100.2", "198.51.100.1"),
        remembered={"c": addresses("198.51.100.3")},
    )
    (told,) = of(work.step().to_pulse, "peers")
    assert {peer["name"]: peer["addresses"] for peer in told["peers"]} == {
        "b": ["198.51.100.2"],
        "c": ["198.51.100.3"],
        "198.51.100.4": ["198.51.100.4"],
    }
    # Once somebody is heard from there, the address has a name.
    (told,) = of(work.see(seen=view("a", member("d", addresses=addresses("198.51.100.4")))).to_pulse, "peers")
    assert {peer["name"] for peer in told["peers"]} == {"b", "c", "d"}


def test_the_macs_of_the_others_are_friends() -> None:
    seen = view("a", member("b", interfaces=["eth0"]), member("c", role=Role.OBSERVER, macs=(("02:cc", "eth0"),)))
    (told,) = of(working(vip_world([]), seen).step().to_wire, "friends")
    assert told["macs"] == ["02:00:00:00:00:01", "02:cc"]


def test_a_failover_of_many_is_logged_in_brief() -> None:
    vips = [f"10.0.0.{n}" for n in range(1, 101)]
    work = working(vip_world(vips), view("a", "b"))
    work.step()
    made = work.see(seen=view("a", "b", claims=[claim("b", vip) for vip in vips]))
    assert len(made.moves) == 100
    assert len(made.events) == MOVES_LOGGED + 1
    assert made.events[-1].fields == {"count": 100 - MOVES_LOGGED}


def test_i_am_a_living_member_of_my_own_view() -> None:
    me = own_member("a", 5, (ETH0, ETH1), since_unix=1.0, interval=0.05, multiplier=3)
    assert (me.state, me.two_way, me.addresses) == (Liveness.ALIVE, True, addresses("198.51.100.1", "fe80::2"))


FULL = vip_world([VIP, OTHER, "192.0.2.3"], nodes=[Node(name=n) for n in "abc"])
WORLDS = [
    replace(
        FULL,
        allocations=MappingProxyType({k: a for k, a in FULL.allocations.items() if str(a.addresses[0]) in vips}),
        slices=MappingProxyType({k: s for k, s in FULL.slices.items() if backed or k.name != "s0-ipv4"}),
    )
    for vips in ([], [VIP], [VIP, OTHER], [OTHER, "192.0.2.3"])
    for backed in (True, False)
]
"""They share their objects, as generations of one world do."""
VIEWS = [
    view(*members, claims=claims)
    for members in (["a"], ["a", "b"], ["a", "b", "c"], ["a", member("b", Liveness.GONE)])
    for claims in ([], [claim("a", VIP)], [claim("b", VIP, 2), claim("a", OTHER)])
]
INTERFACES = [(), (ETH0,), (ETH0, ETH1)]


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.sampled_from(WORLDS), st.sampled_from(VIEWS), st.sampled_from(INTERFACES)), min_size=1, max_size=6
    )
)
def test_what_was_said_in_deltas_adds_up(course: list[tuple[World, View, tuple[Interface, ...]]]) -> None:
    """After any course of events the others know what they would from one first step; saying it twice says nothing."""
    work = working(WORLDS[0], VIEWS[0])
    for found, seen, interfaces in course:
        work.see(found, seen, interfaces=interfaces)
        work.now += 5  # what is kept for a while is kept no longer
        work.step()
        fresh = Work(work.situation)
        fresh.step()
        assert work.table == fresh.table
        assert work.prepared == fresh.prepared
        assert set(work.prepared) == set(work.table)
        assert not work.step().to_pulse


def test_addresses_are_told_in_canonical_form() -> None:
    work = working(vip_world(["2001:db8::1"]), ALONE)
    work.step()
    assert list(work.prepared) == [str(address("2001:0db8:0::1"))] == ["2001:db8::1"]
