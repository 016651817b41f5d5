"""Who had each address before, out of the changes of owner; and the tables for it in a kernel."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address

import pytest

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
HOPS = {name: ip_address(f"198.51.100.{number}") for number, name in enumerate(("a", "b", "c"), 1)}
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
    assert found.speakers == {"02:00:00:00:00:02", "02:00:00:00:00:03"}


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
