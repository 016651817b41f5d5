"""What the status socket answers, and the moves that can be followed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from lbctl.model.member import Liveness
from lbctl.model.node import Node
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.net.status_server import Answer
from lbctl.plan.reason import Reason, Refusal
from lbctl.speaker.owners import Move
from lbctl.speaker.status import Facts, Moves, routes
from lbctl.speaker.step import Situation, Told, own_interfaces, step
from tests.speaker.test_step import ETH0
from tests.support.worlds import address, allocation, by_key, claim, member, service, view, world

VIP = "192.0.2.1"
WORLD = replace(
    world(
        [allocation("x", VIP, since_unix=5.0)],
        services=[service("x"), service("waiting"), replace(service("inner"), type=ServiceType.CLUSTER_IP)],
        nodes=[Node(name="a"), Node(name="b")],
        generation=4,
    ),
    made_unix=1000.0,
)
VIEW = view("a", member("b", Liveness.GONE), claims=[claim("a", VIP, since_unix=900.0)])


def facts(found: World = WORLD, seen: View = VIEW, **more: Any) -> Facts:
    snapshot = Snapshot(world=found, view=seen)
    situation = Situation(node="a", snapshot=snapshot, interfaces=(ETH0,), detection_time=0.15, listened=True)
    told = step(situation, Told(), now=1.0, now_unix=1000.0).told
    return Facts(node="a", snapshot=snapshot, own=own_interfaces("a", (ETH0,)), told=told, **more)


async def asked(known: Facts, path: str, moves: Moves | None = None, **query: str) -> Answer:
    answer = await routes(known, moves or Moves())[path](query)
    json.dumps(answer.body)
    return answer


async def test_where_names_the_owner_and_the_one_before() -> None:
    answer = await asked(facts(remembered_owners={VIP: ("a", "b")}, stale=lambda: "late"), "/v1/where", target=VIP)
    assert answer.status == 200
    assert answer.body["world"]["stale"] == "late"
    (vip,) = answer.body["vips"]
    assert vip["planned"]["owner"] == "a"
    assert [(said["node"], said["previous"]) for said in vip["said"]] == [("a", "b")]


async def test_where_not_found_is_404_with_its_reason() -> None:
    answer = await asked(facts(), "/v1/where", target="192.0.2.77")
    assert (answer.status, answer.body["vips"]) == (404, [])
    assert answer.body["error"]["reason"]
    assert (await asked(facts(), "/v1/where")).body["error"]["reason"] == "not_a_target"


async def test_services_and_their_owners_and_why_some_wait() -> None:
    waiting = {ServiceKey("default", "waiting"): (Refusal("pool", Reason.POOL_EXHAUSTED, "10 of 10"),)}
    rows = (await asked(facts(pending=waiting), "/v1/services")).body["services"]
    assert [row["name"] for row in rows] == ["waiting", "x"], "of type LoadBalancer, by name"
    assert rows[1] == {
        "namespace": "default",
        "name": "x",
        "type": "LoadBalancer",
        "addresses": [VIP],
        "ports": ["80/TCP"],
        "pool": "pool",
        "pools": ["pool"],
        "owners": ["a"],
        "since_unix": 5.0,
        "created_unix": None,
        "pending": [],
    }
    assert rows[0]["pending"] == [{"subject": "pool", "reason": "pool_exhausted", "detail": "10 of 10"}]


UNOWNED = [
    pytest.param(replace(WORLD, slices=by_key([])), ["no_endpoints"], id="no endpoints"),
    pytest.param(
        replace(WORLD, nodes=by_key([Node(name="a", network_unavailable=True)])), ["network_unavailable"], id="no node"
    ),
]


@pytest.mark.parametrize(("found", "reasons"), UNOWNED)
async def test_an_allocated_service_that_nobody_announces_says_why(found: World, reasons: list[str]) -> None:
    rows = (await asked(facts(found, view("a")), "/v1/services")).body["services"]
    (row,) = [row for row in rows if row["name"] == "x"]
    assert row["owners"] == []
    assert [refusal["reason"] for refusal in row["pending"]] == reasons


async def test_status() -> None:
    known = facts(
        ready=True,
        since_unix=990.0,
        counters={"wire_arp_answers": 3},
        capabilities={"net_raw": True},
        troubles=lambda: ("no carrier",),
    )
    body = (await asked(known, "/v1/status")).body
    assert body["schema"] == "lbctl.io/status/v1"
    assert (body["role"], body["node"], body["ready"], body["generation"]) == ("speaker", "a", True, 4)
    assert (body["troubles"], body["counters"]) == (["no carrier"], {"wire_arp_answers": 3})
    assert {m["node"]: m["state"] for m in body["members"]} == {"a": "alive", "b": "gone"}


async def test_a_world_that_was_never_made_has_no_age() -> None:
    assert (await asked(facts(World()), "/v1/status")).body["age"] is None


def moved(number: int) -> Move:
    return Move(address=address(VIP), previous="a", owner=f"n{number}", cause="owner_gone", at_unix=1.0, gap=0.1)


async def test_moves_come_at_once_or_when_there_are_some() -> None:
    moves = Moves()
    assert (await asked(facts(), "/v1/moves", moves)).body["cursor"] == 0
    moves.add([moved(1), moved(2)])
    first = (await asked(facts(), "/v1/moves", moves, since="0")).body
    assert [move["to"] for move in first["moves"]] == ["n1", "n2"]
    assert first["moves"][0] == {
        "address": VIP, "from": "a", "to": "n1", "cause": "owner_gone", "at_unix": 1.0, "gap": 0.1,
    }  # fmt: skip
    waiting = asyncio.create_task(asked(facts(), "/v1/moves", moves, since=str(first["cursor"])))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    moves.add([moved(3)])
    later = (await waiting).body
    assert ([move["to"] for move in later["moves"]], later["cursor"]) == (["n3"], 3)


async def test_a_cursor_of_the_life_before_starts_anew() -> None:
    moves = Moves()
    moves.add([moved(1)])
    assert [m["to"] for m in (await asked(facts(), "/v1/moves", moves, since="77")).body["moves"]] == ["n1"]


async def test_a_cursor_must_be_a_number() -> None:
    answer = await asked(facts(), "/v1/moves", since="now")
    assert (answer.status, answer.body["error"]["reason"]) == (400, "bad_cursor")


async def test_only_the_newest_moves_are_kept() -> None:
    moves = Moves(kept=2)
    moves.add(moved(number) for number in range(5))
    assert [move.owner for move in moves.after(0)] == ["n3", "n4"]
    assert await moves.wait(5, 0.01) == []


async def test_what_nobody_announces_is_a_trouble_beside_the_others() -> None:
    wrong = replace(WORLD, l2_advertisements={})
    seen = view("a", "b")
    told = facts(wrong, seen, troubles=lambda: ("another",))
    status = (await asked(told, "/v1/status")).body
    assert status["troubles"] == [
        "another",
        f"default/x: {VIP} is announced by nobody: no_advertisement (pool pool)",
    ]
    rows = (await asked(told, "/v1/services")).body["services"]
    assert [row["pending"][0]["reason"] for row in rows if row["name"] == "x"] == ["no_advertisement"]


async def test_before_all_claims_are_heard_nobody_is_said_to_announce_nothing() -> None:
    told = facts(replace(WORLD, l2_advertisements={}), replace(view("a", "b"), synced=False))
    assert (await asked(told, "/v1/status")).body["troubles"] == []
