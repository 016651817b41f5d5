"""What is probed before it is announced, what becomes of an address that somebody has, and what is never probed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.address import IPAddress
from lbctl.model.interface import Interface, InterfaceFlag
from lbctl.model.member import Conflict, Liveness, Member
from lbctl.model.node import Node
from lbctl.model.pool import PoolOptions
from lbctl.model.reservation import Quarantine
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.plan.announce import PATIENCE
from lbctl.plan.reason import Cause, Reason
from lbctl.speaker.first_use import RECHECK_TIME, TROUBLES, Probed, probing_time, trouble_of
from lbctl.speaker.step import Situation, Step, Told, own_member, step
from tests.support.worlds import address, addresses, claim, member, view, vip_world

VIP, OTHER, VIP6 = "192.0.2.1", "192.0.2.2", "2001:db8::1"
MAC, MATE = "02:00:00:00:00:ee", "02:00:00:00:00:0b"
ETH0 = Interface(
    index=2,
    name="eth0",
    mac="02:00:00:00:00:0a",
    flags=InterfaceFlag.UP | InterfaceFlag.LOWER_UP | InterfaceFlag.BROADCAST,
    addresses=addresses("198.51.100.1"),
)
NODES = [Node(name=name) for name in "ab"]


@dataclass
class Work:
    """The work process of node a in virtual time, with a wire that knows who answers, and a pulse that claims."""

    world: World
    others: tuple[Member, ...] = ()
    claims: list[Any] = field(default_factory=list)
    used: dict[IPAddress, int] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    told: Told = field(default_factory=Told)
    now: float = 100.0
    interfaces: tuple[Interface, ...] = (ETH0,)
    probing: dict[str, list[int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    claimed: list[tuple[str, str]] = field(default_factory=list)
    findings: list[tuple[str, str]] = field(default_factory=list)
    said: list[list[str]] = field(default_factory=list)
    made: Step | None = None

    def view(self) -> View:
        me = own_member(
            "a", 1, self.interfaces, since_unix=0, interval=0.05, multiplier=3, conflicts=self.told.first_use.conflicts
        )
        return view(me, *self.others, claims=self.claims)

    def step(self, probed: Iterable[Probed] = ()) -> Step:
        situation = Situation(
            node="a",
            snapshot=Snapshot(world=self.world, view=self.view()),
            interfaces=self.interfaces,
            probed=tuple(probed),
            used=self.used,
            detection_time=0.15,
            listened=True,
        )
        made = step(situation, self.told, now=self.now, now_unix=1000.0 + self.now)
        self.told, self.made = made.told, made
        for message in made.to_wire:
            if message["op"] == "probe":
                for text in message["drop"]:
                    del self.probing[text]
                for text, where in message["set"]:
                    self.probing[text] = where
                    self.asked.append(text)
        for message in made.to_pulse:
            if message["op"] == "claim":
                self.claimed += [(text, message["cause"]) for text in message["addresses"]]
            if message["op"] == "say":
                self.said = message["conflicts"]
        self.findings += [(str(each.address), each.mac) for each in made.findings]
        return made

    def wire_answers(self) -> Step:
        """What is asked is answered; then a step."""
        probed = [
            Probed(address=address(text), mac=self.foreign[text], interface="eth0")
            if text in self.foreign
            else Probed(address=address(text))
            for text in self.probing
        ]
        self.probing.clear()
        return self.step(probed)

    def settle(self) -> None:
        """Steps and answers until nothing is left to do now."""
        self.step()
        for _ in range(20):
            if self.probing:
                self.wire_answers()
            elif self.made is not None and self.made.look_again_at is not None and self.made.look_again_at <= self.now:
                self.step()
            else:
                return
        raise AssertionError("it never comes to rest")

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.settle()

    @property
    def announced(self) -> list[str]:
        return [text for text, _ in self.claimed]


def quarantined(world: World, *texts: str, mac: str = MAC, node: str = "a") -> World:
    found = {
        address(text): Quarantine(address=address(text), mac=mac, node=node, interface="eth0", since_unix=1.0)
        for text in texts
    }
    return replace(world, quarantined=MappingProxyType(found))


def without_probe(world: World) -> World:
    pools = {name: replace(pool, options=PoolOptions(probe=False)) for name, pool in world.pools.items()}
    return replace(world, pools=MappingProxyType(pools))


def test_an_address_is_probed_then_claimed() -> None:
    work = Work(vip_world([VIP, VIP6]))
    work.step()
    assert work.probing == {VIP: [2], VIP6: [2]}
    assert not work.claimed
    work.wire_answers()
    assert work.claimed == [(VIP, "first_announced"), (VIP6, "first_announced")]
    assert not work.said
    # Asked for again until pulse did it, without another probe.
    work.later(1.0)
    assert work.asked == [VIP, VIP6]
    assert len(work.claimed) == 4


def test_each_is_claimed_as_soon_as_it_is_clean() -> None:
    work = Work(vip_world([VIP, OTHER]))
    work.step()
    work.step([Probed(address=address(OTHER))])
    assert work.announced == [OTHER]
    del work.probing[OTHER]
    work.wire_answers()
    assert work.announced == [OTHER, VIP]


@pytest.mark.parametrize(
    ("more", "world"),
    [
        ({"used": {address(VIP): 1}}, vip_world([VIP])),
        ({}, without_probe(vip_world([VIP]))),
    ],
    ids=["remembered", "not wanted"],
)
def test_what_was_used_before_or_is_not_to_be_probed_is_claimed_at_once(more: dict[str, Any], world: World) -> None:
    work = Work(world, **more)
    work.step()
    assert work.announced == [VIP]
    assert not work.asked


def test_a_new_allocation_of_an_address_is_a_new_first_use() -> None:
    """Whoever took it while it belonged to nobody must be found."""
    work = Work(vip_world([VIP]), used={address(VIP): 7})
    work.step()
    assert list(work.probing) == [VIP]


def test_after_a_restart_without_memory_it_is_probed_once_more() -> None:
    world = vip_world([VIP], since_unix=-1.0)
    work = Work(world)
    work.settle()
    assert work.claimed == [(VIP, Cause.STARTED)]
    assert work.asked == [VIP]


@pytest.mark.parametrize("state", [Liveness.GONE, Liveness.LEFT, Liveness.ALIVE])
def test_what_had_an_owner_is_never_probed(state: Liveness) -> None:
    """Not when the owner died, not when it left, not when it gave the address up: clients wait, and it was ours."""
    work = Work(vip_world([VIP], nodes=NODES), others=(member("b"),), claims=[claim("b", VIP)])
    work.step()
    work.others = (member("b", state),)
    work.claims = []
    for _ in range(30):
        work.now += 0.2
        work.step()
    assert work.announced[0] == VIP
    assert not work.asked


def test_an_address_that_somebody_has_is_not_claimed_and_told() -> None:
    work = Work(vip_world([VIP, OTHER]), foreign={VIP: MAC})
    work.settle()
    assert set(work.announced) == {OTHER}
    assert work.said == [[VIP, MAC, "eth0"]]
    assert work.findings == [(VIP, MAC)]
    assert trouble_of(work.told.first_use) == [
        f"{VIP} is in quarantine: another machine, {MAC}, answers for it on eth0",
    ]
    # Nothing is prepared for it, so that nobody claims it by any other way.
    assert address(VIP) not in work.told.prepared


def test_the_finding_is_an_event_with_the_mac() -> None:
    work = Work(vip_world([VIP]), foreign={VIP: MAC})
    work.step()
    made = work.wire_answers()
    (event,) = made.events
    assert event.name == "address_conflict"
    assert {key: event.fields[key] for key in ("address", "mac", "interface")} == {
        "address": VIP, "mac": MAC, "interface": "eth0",
    }  # fmt: skip
    (finding,) = made.findings
    assert finding.document(1.0) == {
        "at_unix": 1.0, "address": VIP, "event": "conflict", "mac": MAC, "interface": "eth0",
    }  # fmt: skip


def test_once_published_it_is_said_no_more_and_looked_at_again_until_it_is_free_twice() -> None:
    plain = vip_world([VIP])
    work = Work(plain, foreign={VIP: MAC})
    work.settle()
    work.world = quarantined(plain, VIP)
    work.settle()
    assert work.said == []
    assert work.asked == [VIP]
    work.later(RECHECK_TIME)
    assert work.asked == [VIP, VIP]
    # It is gone, but once is not enough: it may be rebooting.
    del work.foreign[VIP]
    work.later(RECHECK_TIME)
    assert work.said == []
    work.foreign[VIP] = MAC
    work.later(RECHECK_TIME)
    del work.foreign[VIP]
    work.later(RECHECK_TIME)
    assert work.said == []
    assert not work.announced
    work.later(RECHECK_TIME)
    assert work.said == [[VIP, "", "eth0"]]
    assert not work.announced, "the World says so still"
    # The controller cleared it: a first use like any other.
    probes = len(work.asked)
    work.world = plain
    work.settle()
    assert work.said == []
    assert len(work.asked) == probes + 1
    assert work.announced == [VIP]
    assert work.findings == [(VIP, MAC), (VIP, "")]


def test_cleared_by_hand_it_is_probed_anew() -> None:
    plain = vip_world([VIP])
    work = Work(plain, foreign={VIP: MAC})
    work.settle()
    work.world = quarantined(plain, VIP)
    work.settle()
    work.world = plain
    work.settle()
    assert work.said == [[VIP, MAC, "eth0"]]
    assert not work.announced


def test_without_a_controller_it_is_found_free_all_the_same() -> None:
    work = Work(vip_world([VIP]), foreign={VIP: MAC})
    work.settle()
    del work.foreign[VIP]
    work.later(RECHECK_TIME)
    assert not work.announced
    work.later(RECHECK_TIME)
    assert work.announced == [VIP]
    assert work.said == []


def test_another_machine_that_answers_is_news() -> None:
    work = Work(vip_world([VIP]), foreign={VIP: MAC})
    work.settle()
    work.foreign[VIP] = "02:00:00:00:00:dd"
    work.later(RECHECK_TIME)
    assert work.findings == [(VIP, MAC), (VIP, "02:00:00:00:00:dd")]
    assert work.said == [[VIP, "02:00:00:00:00:dd", "eth0"]]


def test_one_of_us_is_no_stranger_even_when_wire_did_not_know_it_yet() -> None:
    mate = member("b", macs=((MATE, "eth0"),))
    work = Work(vip_world([VIP]), others=(mate,), foreign={VIP: MATE})
    work.step()
    work.wire_answers()
    assert not work.findings
    assert list(work.probing) == [VIP], "asked again"
    work.foreign.clear()
    work.wire_answers()
    assert work.announced == [VIP]


def test_a_stranger_that_turns_out_to_be_one_of_us_is_no_conflict() -> None:
    """Its speaker was not heard yet when it answered."""
    plain = vip_world([VIP])
    work = Work(plain, foreign={VIP: MATE})
    work.settle()
    assert work.said == [[VIP, MATE, "eth0"]]
    work.others = (member("b", macs=((MATE, "eth0"),)),)
    work.foreign.clear()
    work.settle()
    assert work.announced == [VIP]
    # The same where the World has it already: it is told at once that this is none.
    work = Work(quarantined(plain, VIP, mac=MATE), others=work.others)
    work.settle()
    assert work.said == [[VIP, "", "eth0"]]
    assert not work.asked


def test_a_quarantine_of_the_world_is_kept_by_everybody_and_watched_by_one() -> None:
    vips = [f"10.0.0.{n}" for n in range(1, 41)]
    work = Work(quarantined(vip_world(vips, nodes=NODES), *vips, node="b"), others=(member("b"),))
    work.foreign = dict.fromkeys(vips, MAC)
    work.settle()
    assert not work.claimed
    assert not work.asked
    work.later(RECHECK_TIME)
    assert 5 < len(work.asked) < 35
    # The other one is gone: now all of them are this node's business.
    work.others = (member("b", Liveness.GONE),)
    work.settle()
    work.asked.clear()
    work.later(RECHECK_TIME)
    assert set(work.asked) == set(vips)
    assert not work.claimed


def test_who_found_it_leaves_it_to_who_would_own_it() -> None:
    vips = [f"10.0.0.{n}" for n in range(1, 41)]
    plain = vip_world(vips, nodes=NODES)
    work = Work(plain, foreign=dict.fromkeys(vips, MAC))
    work.settle()
    assert len(work.findings) == 40
    work.asked.clear()
    work.others = (member("b"),)
    work.world = quarantined(plain, *vips)
    work.settle()
    work.later(RECHECK_TIME)
    assert 5 < len(work.asked) < 35


def test_what_another_speaker_found_is_kept_to_before_the_world_says_it() -> None:
    found = Conflict(address=address(VIP), mac=MAC, interface="eth0")
    work = Work(vip_world([VIP, OTHER]), others=(member("b", conflicts=(found,)),))
    work.settle()
    assert set(work.announced) == {OTHER}
    assert VIP not in work.asked
    work.others = (member("b", Liveness.GONE, conflicts=(found,)),)
    work.settle()
    assert VIP in work.announced, "the word of a dead speaker does not bind"


def test_a_running_service_is_not_stopped() -> None:
    """What somebody claims stays where it is, and who inherits it goes on."""
    world = vip_world([VIP], nodes=NODES)
    work = Work(world, others=(member("b"),), claims=[claim("a", VIP)])
    work.settle()
    work.world = quarantined(world, VIP, node="b")
    made = work.step()
    assert [message["op"] for message in made.to_pulse] == []
    assert address(VIP) in work.told.prepared
    work.others, work.claims = (member("b"),), [claim("b", VIP, 2)]
    work.step()
    assert address(VIP) in work.told.prepared


def test_the_owner_of_a_running_one_looks_again_too() -> None:
    world = vip_world([VIP])
    work = Work(quarantined(world, VIP), claims=[claim("a", VIP)])
    work.settle()
    work.later(RECHECK_TIME)
    work.later(RECHECK_TIME)
    assert work.said == [[VIP, "", "eth0"]]


def test_of_two_families_the_one_that_is_free_is_announced() -> None:
    work = Work(vip_world([[VIP, VIP6]]), foreign={VIP: MAC})
    work.settle()
    assert set(work.announced) == {VIP6}
    work.claims = [claim("a", VIP6)]
    work.world = quarantined(work.world, VIP)
    work.settle()
    assert set(work.told.prepared) == set(addresses(VIP6))
    work.foreign.clear()
    for _ in range(2):
        work.later(RECHECK_TIME)
    assert work.said == [[VIP, "", "eth0"]]


def test_an_address_that_is_no_longer_allocated_is_watched_by_who_found_it() -> None:
    """A service that got another address leaves the old one to be found free some day."""
    world = vip_world([OTHER])
    work = Work(quarantined(world, VIP, node="a"), used={address(OTHER): 1})
    work.settle()
    work.later(RECHECK_TIME)
    assert work.asked == [VIP]
    work.later(RECHECK_TIME)
    assert work.said == [[VIP, "", "eth0"]]
    stranger = Work(quarantined(world, VIP, node="b"), others=(member("b"),), used={address(OTHER): 1})
    stranger.settle()
    stranger.later(RECHECK_TIME)
    assert not stranger.asked
    stranger.others = (member("b", Liveness.GONE),)
    stranger.settle()
    stranger.later(RECHECK_TIME)
    assert stranger.asked == [VIP]


def test_a_conflict_of_an_address_that_is_given_back_is_forgotten() -> None:
    work = Work(vip_world([VIP]), foreign={VIP: MAC})
    work.settle()
    work.world = vip_world([])
    work.settle()
    assert work.said == []
    assert work.told.first_use.watched == {}


def test_what_is_not_wanted_any_more_is_not_probed_on() -> None:
    work = Work(vip_world([VIP]))
    work.step()
    work.claims, work.others = [claim("b", VIP)], (member("b"),)
    work.step()
    assert work.probing == {}
    work.step([Probed(address=address(VIP), mac=MAC, interface="eth0")])
    assert work.said == []


def test_the_next_in_line_waits_for_the_probes_of_the_first() -> None:
    """A thousand first uses take the owner seconds; the others must not take them for unwilling meanwhile."""
    vips = [f"10.0.{n // 250}.{n % 250}" for n in range(1000)]
    work = Work(vip_world(vips, nodes=NODES), others=(member("b"),))
    work.step()
    mine = set(work.probing)
    assert 300 < len(mine) < 700
    work.now += PATIENCE + 0.1
    work.step()
    assert set(work.probing) == mine
    work.now += probing_time(1000)
    work.step()
    assert set(work.probing) == set(vips)


def test_when_a_quarantine_ends_the_owner_comes_first_and_the_next_in_line_waits() -> None:
    vips = [f"10.0.0.{n}" for n in range(1, 41)]
    plain = vip_world(vips, nodes=NODES)
    work = Work(quarantined(plain, *vips, node="b"), others=(member("b"),))
    work.settle()
    work.now += 50
    work.world = plain
    work.step()
    mine = set(work.probing)
    assert 5 < len(mine) < 35
    work.now += PATIENCE + 0.9
    work.step()
    assert set(work.probing) == set(vips)


def test_many_findings_are_said_and_shown_a_few_at_a_time() -> None:
    vips = [f"10.0.0.{n}" for n in range(1, 101)]
    plain = vip_world(vips)
    work = Work(plain, foreign=dict.fromkeys(vips, MAC))
    work.settle()
    assert len(work.findings) == 100
    assert len(work.said) == 16
    assert len(trouble_of(work.told.first_use)) == TROUBLES + 1
    known: set[str] = set()
    while work.said:
        known |= {text for text, _, _ in work.said}
        work.world = quarantined(plain, *known)
        work.settle()
    assert known == set(vips)
    assert not work.announced


def test_every_node_says_why() -> None:
    world = quarantined(vip_world([VIP], nodes=NODES), VIP)
    work = Work(world, others=(member("b"),))
    work.settle()
    (assignment,) = work.told.memo.elect.result.values()
    assert (assignment.owner, assignment.why_none) == (None, Reason.QUARANTINED)
    details = {v.node: [(r.reason, r.detail) for r in v.refusals] for v in assignment.eligibility.verdicts.values()}
    why = [(Reason.QUARANTINED, f"{VIP}: {MAC} answered on eth0, seen by a")]
    assert details == {"a": why, "b": why}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["answer", "step", "later", "occupy", "free", "publish", "clear", "claim", "release"]),
            st.sampled_from([VIP, OTHER, VIP6]),
        ),
        max_size=30,
    )
)
def test_nothing_is_claimed_while_a_probe_says_that_somebody_has_it(course: list[tuple[str, str]]) -> None:
    """After any course of events: claimed is only what the last probe found clean; and it comes to rest."""
    plain = vip_world([VIP, OTHER, VIP6])
    work = Work(plain)
    last: dict[str, bool] = {}
    published: set[str] = set()
    held: set[str] = set()
    for what, text in course:
        match what:
            case "answer":
                last |= {each: each in work.foreign for each in work.probing}
                work.claimed.clear()
                work.wire_answers()
            case "step":
                work.claimed.clear()
                work.step()
            case "later":
                work.now += RECHECK_TIME
                work.claimed.clear()
                work.step()
            case "occupy":
                work.foreign[text] = MAC
                continue
            case "free":
                work.foreign.pop(text, None)
                continue
            case "publish":
                published |= {each for each, mac, _ in work.said if mac}
            case "clear":
                published -= {each for each, mac, _ in work.said if not mac}
            case "claim":
                if text in work.announced:
                    held.add(text)
            case "release":
                held.discard(text)
        work.world = quarantined(plain, *published)
        work.claims = [claim("a", each) for each in held]
        for each in work.announced:
            assert last.get(each) is False or each in held or _had_an_owner(work, each)
    work.settle()


def _had_an_owner(work: Work, text: str) -> bool:
    return address(text) in work.told.owners.ended


def test_a_world_that_says_nothing_costs_nothing() -> None:
    used: Mapping[IPAddress, int] = {address(VIP): 1}
    work = Work(vip_world([VIP]), used=dict(used), claims=[claim("a", VIP)])
    work.step()
    before = work.told.first_use
    work.step()
    assert work.told.first_use is before
