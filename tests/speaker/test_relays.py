"""Who had each address before, out of the changes of owner; and the tables for it in a kernel."""

from __future__ import annotations

import asyncio
import itertools
import time
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.member import Liveness, Member
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.net.handover import Handover
from lbctl.plan.relay_rules import Relays
from lbctl.speaker.owners import Move, Owners
from lbctl.speaker.relays import ConnectionRelays
from tests.support.netns import Segment

VIP = ip_address("192.0.2.1")
HOPS = {name: ip_address(f"198.51.100.{number}") for number, name in enumerate(("a", "b", "c", "d"), 1)}
EVERYBODY = Snapshot(
    world=World(),
    view=View(
        source="a",
        members={
            name: Member(
                node=name,
                incarnation=1,
                state=Liveness.ALIVE,
                two_way=True,
                addresses=(hop,),
                macs=((f"02:00:00:00:00:0{number}", "eth0"),),
            )
            for number, (name, hop) in enumerate(HOPS.items(), 1)
        },
    ),
)


class Kernel(Handover):
    """What the kernel was told last."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Relays()

    async def restore(self) -> dict[IPAddress, tuple[IPAddress, float]]:
        return {}

    async def apply(self, relays: Relays) -> None:
        self.now = relays


def held(node: str) -> Owners:
    claim = Claim(
        address=VIP, node=node, incarnation=1, epoch=1, quorate=True, since_unix=0.0, cause="moved", allocation_id=1
    )
    return Owners(held={VIP: claim})


def followed(*moves: tuple[str | None, str | None, str]) -> Relays:
    """What node `a` tells its kernel after these moves (from, to, cause)."""

    async def run() -> Relays:
        kernel = Kernel()
        relays = ConnectionRelays("a", 600.0, kernel)
        for previous, owner, cause in moves:
            move = Move(address=VIP, previous=previous, owner=owner, cause=cause, at_unix=0.0)
            relays.follow(EVERYBODY, held(owner) if owner else Owners(), [move], time.monotonic())
        task = asyncio.create_task(relays.run())
        await asyncio.sleep(0.05)
        task.cancel()
        return kernel.now

    return asyncio.run(run())


def test_the_way_to_the_holder_is_there_before_it_is_needed() -> None:
    found = followed((None, "b", "first_announced"))
    assert dict(found.holder) == {VIP: HOPS["b"]}
    assert not found.past
    assert found.speakers == {"02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:00:04"}


@pytest.mark.parametrize("cause", ["moved", "drained", "rebalanced", "failback", "stopping", "owner_left", "released"])
def test_who_takes_over_by_plan_keeps_the_way_back(cause: str) -> None:
    found = followed((None, "b", "first_announced"), ("b", "a", cause))
    assert not found.holder
    ((hop, left),) = found.past.values()
    assert hop == HOPS["b"]
    assert 590 < left <= 600


def test_there_is_no_way_back_to_the_dead() -> None:
    found = followed((None, "b", "first_announced"), ("b", "a", "owner_gone"))
    assert not found.holder
    assert not found.past


def test_who_gave_it_on_still_knows_whom_it_had_it_from() -> None:
    found = followed(("b", "a", "moved"), ("a", "c", "moved"))
    assert dict(found.holder) == {VIP: HOPS["c"]}
    assert found.past[VIP][0] == HOPS["b"]


def test_nothing_is_sent_back_to_the_node_that_has_it() -> None:
    """Two that know nothing of a packet would send it to and fro."""
    found = followed(("b", "a", "moved"), ("a", "b", "moved"))
    assert dict(found.holder) == {VIP: HOPS["b"]}
    assert not found.past


NODES = ["a", "b", "c", "d"]


@given(st.lists(st.sampled_from(NODES), min_size=2, max_size=8))
def test_a_packet_comes_past_everybody_who_had_the_address_once(owners: list[str]) -> None:
    """Whatever the moves: from the owner on, hop by hop, every node before it is met, and no node twice."""
    owners = [owner for owner, _ in itertools.groupby(owners)]
    moves = [
        Move(address=VIP, previous=previous, owner=owner, cause="moved", at_unix=0.0)
        for previous, owner in itertools.pairwise(owners)
    ]
    following: dict[str, str] = {}
    for node in NODES:
        relays = ConnectionRelays(node, 600.0, Kernel())
        for move in moves:
            relays.follow(EVERYBODY, held(str(move.owner)), [move], 1000.0)
        hop = relays._past.get(VIP, (None, 0.0))[0]
        if hop is not None:
            following[node] = next(name for name, address in HOPS.items() if address == hop)
        assert relays._holder.get(VIP) == (HOPS[owners[-1]] if owners[-1] != node else None) or not moves
    met = [owners[-1]]
    while (after := following.get(met[-1])) is not None and moves:
        met.append(after)
        assert len(met) <= len(NODES)
    assert set(met) == set(owners)
    assert len(met) == len(set(met))


@pytest.mark.netns
def test_the_kernel_keeps_the_past_over_a_restart_of_the_speaker() -> None:
    async def listed() -> dict[IPAddress, tuple[IPAddress, float]]:
        return await Handover().restore()

    async def story() -> None:
        first = Handover()
        assert await listed() == {}
        relays = Relays(past={VIP: (HOPS["b"], 60.0)}, holder={ip_address("192.0.2.2"): HOPS["c"]})
        await first.apply(relays)
        await first.apply(relays)
        ((hop, left),) = (await listed()).values()
        assert hop == HOPS["b"]
        assert 30 < left <= 60
        await first.end(relays.past)
        second = Handover()
        kept = await second.restore()
        await second.apply(Relays(past=dict(kept), holder={VIP: HOPS["c"]}))
        assert set(await listed()) == {VIP}
        await second.end({})
        assert await listed() == {}

    with Segment({"a": ["198.51.100.1/24"]}) as lan, lan["a"].entered():
        asyncio.run(story())


@pytest.mark.netns
def test_with_no_time_at_all_nothing_is_left_of_an_earlier_speaker() -> None:
    async def story() -> None:
        await Handover().apply(Relays(past={VIP: (HOPS["b"], 60.0)}, holder={VIP: HOPS["c"]}))
        relays = ConnectionRelays("a", 0.0)
        relays.follow(EVERYBODY, held("b"), [], time.monotonic())
        await relays.run()
        assert relays.trouble is None

    with Segment({"a": ["198.51.100.1/24"]}) as lan, lan["a"].entered():
        asyncio.run(story())
        assert "lbctl" not in lan["a"].run(["nft", "list", "tables"]).stdout
