"""The plan as a function: any memo gives what an empty one gives, in any order, and in time."""

from __future__ import annotations

import time
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.advertisement import Failback, L2Advertisement
from lbctl.model.member import Liveness, Member
from lbctl.model.node import EXCLUDE_LABEL, Node
from lbctl.model.snapshot import Drain, Pin, Snapshot, World, evolve
from lbctl.plan.announce import AnnounceMemo, announce
from lbctl.plan.eligible import OwnInterfaces
from lbctl.plan.planned import Plan
from tests.support.bars import least
from tests.support.worlds import (
    address,
    allocation,
    by_key,
    claim,
    conflict,
    endpoint,
    endpoints,
    key,
    labels,
    member,
    preferred,
    quarantine,
    selector,
    service,
    shuffled,
    view,
    vip_world,
)

NAMES = st.sampled_from("wxyz")
NODE_NAMES = st.sampled_from("abc")
VIPS = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"])


def subsets(items: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(items), unique_by=id, max_size=len(items))


SERVICES = [service(name, local=local, service_labels=labels(app=name)) for name in "wxyz" for local in (False, True)]
SLICES = [
    endpoints(name, *found)
    for name in "wxyz"
    for found in ((endpoint("a"),), (endpoint("a"), endpoint("b")), (endpoint("c", ready=False),))
] + [replace(endpoints("w", endpoint("b")), service=key("x"))]
NODES = [
    Node(name=name, labels=labels(host=name), network_unavailable=away) for name in "abc" for away in (False, True)
] + [Node(name="a", labels=labels(**{EXCLUDE_LABEL: ""}))]
ADS = [
    L2Advertisement(name="all"),
    L2Advertisement(name="some", node_selectors=(selector(host="a"), selector(host="b")), interfaces=("eth0",)),
    L2Advertisement(name="web", service_selectors=(selector(app="w"), selector(app="x"))),
    L2Advertisement(name="rather", preferred_nodes=(preferred(3, host="b"), preferred(1, host="c"))),
    L2Advertisement(name="back", failback=Failback.ALWAYS),
]
ALLOCATIONS = [
    allocation(name, *texts, id=n)
    for n, (name, texts) in enumerate(
        (name, texts)
        for name in "wxyz"
        for texts in (("192.0.2.1",), ("192.0.2.2",), ("192.0.2.1", "2001:db8::1"), ("192.0.2.3", "2001:db8::2"))
    )
]
MEMBERS = (
    [
        member(name, state, interfaces=interfaces)
        for name in "abcd"
        for state in (Liveness.ALIVE, Liveness.GONE)
        for interfaces in ([], ["eth1"])
    ]
    + [
        member(name, state, **more)
        for name in "abc"
        for state, more in ((Liveness.ALIVE, {"held_until_unix": 9.0}), (Liveness.DRAINING, {"two_way": True}))
    ]
    + [
        member(name, state, conflicts=(conflict("192.0.2.2"), conflict("2001:db8::1", mac="")))
        for name in "ab"
        for state in (Liveness.ALIVE, Liveness.GONE)
    ]
)
QUARANTINED = [
    quarantine(text, mac=mac) for text in ("192.0.2.1", "192.0.2.2", "2001:db8::1") for mac in ("02:ee", "02:dd")
]
DRAINS = [Drain(node=name, version=1, by="t", since_unix=0.0) for name in "abd"]
PINS = [
    Pin(address=address(text), node=name, version=version, by="t", since_unix=0.0)
    for version, (text, name) in enumerate((text, name) for text in ("192.0.2.1", "2001:db8::1") for name in "acx")
]
CLAIMS = [
    claim(name, text, epoch, quorate=epoch < 3, heirs=heirs)
    for name in "abcd"
    for text in ("192.0.2.1", "192.0.2.2", "2001:db8::1")
    for epoch in (1, 3)
    for heirs in ((), ("b", "c"))
]
OWN = [
    OwnInterfaces(node="a", usable=MappingProxyType({"eth0": True})),
    OwnInterfaces(node="a", usable=MappingProxyType({"eth0": False, "eth1": True})),
    OwnInterfaces(node="b", usable=MappingProxyType({})),
]


SEEN = ("members", "claims", "drains", "pins")
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "services": subsets(SERVICES),
    "slices": subsets(SLICES),
    "nodes": subsets(NODES),
    "l2_advertisements": subsets(ADS),
    "allocations": subsets(ALLOCATIONS),
    "quarantined": subsets(QUARANTINED),
    "members": subsets(MEMBERS),
    "claims": subsets(CLAIMS),
    "drains": st.lists(st.sampled_from(DRAINS), max_size=1),
    "pins": st.lists(st.sampled_from(PINS), max_size=2, unique_by=lambda pin: pin.address),
    "own": st.sampled_from(OWN),
}


def situation_of(parts: dict[str, Any]) -> tuple[Snapshot, OwnInterfaces]:
    maps: dict[str, Any] = {name: by_key(found) for name, found in parts.items() if name not in (*SEEN, "own")}
    orders: dict[str, Any] = {
        "drains": MappingProxyType({drain.node: drain for drain in parts["drains"]}),
        "pins": MappingProxyType({pin.address: pin for pin in parts["pins"]}),
    }
    seen = view(*parts["members"], claims=parts["claims"], **orders) if parts["members"] is not None else None
    return Snapshot(world=World(**maps), view=seen), parts["own"]


@st.composite
def situations(draw: st.DrawFn) -> tuple[Snapshot, OwnInterfaces]:
    parts = {name: draw(some) for name, some in PARTS.items()}
    if not draw(st.integers(0, 5)):
        parts["members"] = None
    return situation_of(parts)


@st.composite
def courses(draw: st.DrawFn) -> list[tuple[Snapshot, OwnInterfaces]]:
    """A life: from one situation to the next a few parts change, and all others stay the very same objects."""
    parts = {name: draw(some) for name, some in PARTS.items()}
    snapshot, own = situation_of(parts)
    course = [(snapshot, own)]
    for _ in range(draw(st.integers(1, 6))):
        changed = draw(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=2, unique=True))
        parts |= {name: draw(PARTS[name]) for name in changed}
        fresh, own = situation_of(parts)
        maps = {name: getattr(fresh.world, name) for name in changed if hasattr(World, name)}
        seen = fresh.view if set(SEEN) & set(changed) else snapshot.view
        snapshot = Snapshot(world=replace(snapshot.world, **maps), view=seen)
        course.append((snapshot, own))
    return course


def content(plan: Plan) -> tuple[Any, ...]:
    wanted = plan.strays, plan.taking, plan.returning, dict(plan.loads), plan.resting
    return dict(plan.prepared), dict(plan.assignments), dict(plan.by_address), plan.fleet, wanted


@settings(max_examples=200)
@given(courses())
def test_any_memo_gives_what_an_empty_one_gives(course: list[tuple[Snapshot, OwnInterfaces]]) -> None:
    memo = AnnounceMemo()
    for snapshot, own in course:
        before = memo.prepared
        plan, memo = announce(snapshot, memo, own=own)
        fresh, _ = announce(snapshot, own=own)
        assert content(plan) == content(fresh)
        if plan.touched is not None:
            assert all(
                plan.prepared.get(address) is before.get(address)
                for address in {*before, *plan.prepared} - plan.touched
            )


@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_maps_does_not_matter(situation: tuple[Snapshot, OwnInterfaces], random: Any) -> None:
    snapshot, own = situation
    straight, _ = announce(snapshot, own=own)
    other, _ = announce(replace(snapshot, world=shuffled(snapshot.world, random.shuffle)), own=own)
    assert content(straight) == content(other)


@given(situations())
def test_whoever_may_is_in_line_and_the_owner_is_alive(situation: tuple[Snapshot, OwnInterfaces]) -> None:
    snapshot, own = situation
    plan, _ = announce(snapshot, own=own)
    for assignment in plan.assignments.values():
        drained = set(snapshot.view.drains) if snapshot.view is not None else set()
        assert set(assignment.order) == {verdict.node for verdict in assignment.eligibility.nodes} - drained
        if assignment.owner is None:
            assert assignment.why_none is not None or snapshot.view is None
        else:
            assert assignment.owner in assignment.order
            assert assignment.owner in plan.alive
            assert assignment.owner not in assignment.heirs
            assert set(assignment.heirs) <= plan.alive


def test_a_thousand_groups_on_three_nodes_are_planned_in_a_tenth_of_a_second() -> None:
    """One change among them costs a small part of that. In time of our own process: the machine has other work too."""
    many = vip_world([f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)])
    members: list[Member | str] = [member(name, interfaces=["eth0"]) for name in "abc"]
    own = OwnInterfaces(node="a", usable={"eth0": True})
    snapshot = Snapshot(world=many, view=view(*members))
    name, old = next(iter(many.slices.items()))
    empty = replace(old, endpoints=())
    changed = Snapshot(world=evolve(many, made_unix=1.0, slices={**many.slices, name: empty}), view=snapshot.view)
    memos = []

    def full() -> float:
        start = time.process_time()
        _, memo = announce(snapshot, own=own)
        memos.append(memo)
        return time.process_time() - start

    def one() -> float:
        start = time.process_time()
        announce(changed, memos[-1], own=own)
        return time.process_time() - start

    least(full, one, enough=lambda full, one: full < 2 * 0.1 and one < full / 3)
