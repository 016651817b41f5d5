"""A12: services join and part, and nodes learn of it at different times: one owner an address, whatever the order."""

from __future__ import annotations

from random import Random

import pytest

from lbctl.model.address import IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.node import Node
from lbctl.model.snapshot import Snapshot, World
from lbctl.plan.elect import elect
from tests.plan.cluster import Cluster
from tests.support.worlds import address, allocation, claim, labels, view, world

VIPS = tuple(f"192.0.2.{n}" for n in range(1, 7))
NAMES = ("a", "b", "c")
NODES = [Node(name=name, labels=labels(host=name)) for name in NAMES]


def grouped(random: Random, generation: int) -> World:
    """Every address is allocated, some of them joined by services that have two."""
    left = list(VIPS)
    random.shuffle(left)
    held: list[Allocation] = []
    while left:
        count = min(len(left), random.choice((1, 1, 2, 3)))
        together, left = left[:count], left[count:]
        for one, other in zip(together, together[1:] or together, strict=False):
            held.append(allocation(f"s{len(held)}", *dict.fromkeys((one, other)), id=generation * 100 + len(held)))
    return world(held, nodes=NODES, generation=generation)


@pytest.mark.parametrize("seed", range(12))
def test_a12_random_regroupings_with_nodes_that_lag(seed: int) -> None:
    random = Random(seed)
    cluster = Cluster(grouped(random, 1), lag=random.choice((1, 3)))
    cluster.start(*NAMES)
    cluster.run(4)
    unowned: dict[IPAddress, float] = {}
    worst = 0.0

    def look() -> None:
        nonlocal worst
        for vip in map(address, VIPS):
            if cluster.owner(vip):
                unowned.pop(vip, None)
            else:
                worst = max(worst, cluster.now - unowned.setdefault(vip, cluster.now))

    for generation in range(2, 7):
        made = grouped(random, generation)
        for name in random.sample(NAMES, len(NAMES)):
            cluster.become(made, name)
            cluster.run(random.choice((0.1, 0.3, 1.0)), look)
        cluster.run(6, look)
        cluster.everything_is_owned_once()
        for group in cluster.speakers["a"].memo.elect.result:
            assert len({name for vip in group for name in cluster.owner(vip)}) == 1, "one owner for a group"
        rest = cluster.now
        cluster.run(20)
        assert {move[4] for move in cluster.moved_since(rest)} <= {"rebalanced"}
    assert worst < 2.5


def test_a_merge_goes_to_the_better_claim_and_a_split_stays() -> None:
    apart = world([allocation("x", VIPS[0]), allocation("y", VIPS[1])], nodes=NODES, generation=1)
    joined = world([allocation("x", VIPS[0]), allocation("y", VIPS[0], VIPS[1])], nodes=NODES, generation=2)
    cluster = Cluster(apart)
    cluster.start("a", "b")
    cluster.run(3)
    (one,), (two,) = (cluster.owner(address(vip)) for vip in VIPS[:2])
    assert {one, two} == {"a", "b"}
    winner = cluster.speakers[one].claims
    vip = address(VIPS[0])
    winner[vip] = claim(one, VIPS[0], 9, heirs=winner[vip].heirs)
    cluster.become(joined)
    cluster.run(3)
    assert [cluster.owner(address(vip)) for vip in VIPS[:2]] == [[one], [one]]
    moves = len(cluster.moves)
    cluster.become(apart)
    cluster.run(20)
    assert [cluster.owner(address(vip)) for vip in VIPS[:2]] == [[one], [one]]
    assert len(cluster.moves) == moves


def test_claims_meet_by_address_where_groups_differ() -> None:
    """Two nodes that group an address differently see the same holder of it."""
    seen = view("a", "b", claims=[claim("b", VIPS[1], 5)])
    alone = world([allocation("y", VIPS[1])], nodes=NODES)
    both = world([allocation("x", VIPS[0], VIPS[1])], nodes=NODES)
    for found in (alone, both):
        (assignment,) = elect(Snapshot(world=found, view=seen))[0].values()
        assert assignment.owner == "b"
