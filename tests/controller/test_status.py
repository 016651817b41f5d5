"""What the controller says of addresses that nobody announces, as far as it hears."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from lbctl.controller.status import Facts, routes
from lbctl.model.advertisement import L2Advertisement
from lbctl.model.node import Node
from lbctl.model.service import ServiceType
from lbctl.model.snapshot import Drain, View, World
from lbctl.plan import unowned as unowned_module
from lbctl.plan.reason import Reason, Refusal
from lbctl.plan.unowned import GRACE
from tests.support.worlds import claim, key, member, service, view, vip_world

VIP = "192.0.2.1"
NODES = (Node(name="n1"), Node(name="n2"))
TYPO = [L2Advertisement(name="l2", interfaces=("eth9",))]
HEARD = view(member("n1", interfaces=["eth0"]), member("n2", interfaces=["eth0"]))
BY_NOBODY = f"default/s0: {VIP} is announced by nobody: no_interface (eth9): n1, n2"


def world(**more: Any) -> World:
    return vip_world([VIP], nodes=NODES, **more)


async def asked(facts: Facts, path: str, **query: str) -> Any:
    answer = await routes(facts)[path](query)
    json.dumps(answer.body)
    return answer.body


def facts(found: World, seen: View | None = HEARD, **more: Any) -> Facts:
    return Facts(**{"host": "c", "since_unix": 0.0, "world": found, "view": lambda: seen, "ready": True, **more})


async def test_a_mistaken_interface_is_in_services_and_a_trouble() -> None:
    told = facts(world(advertisements=TYPO), troubles=lambda: ("another",))
    (row,) = (await asked(told, "/v1/services"))["services"]
    assert row["owners"] == []
    assert row["pending"] == [{"subject": name, "reason": "no_interface", "detail": "eth9"} for name in ("n1", "n2")]
    assert (await asked(told, "/v1/status"))["troubles"] == ["another", BY_NOBODY]


async def test_what_is_announced_is_no_trouble() -> None:
    told = facts(world(), view(*HEARD.members.values(), claims=[claim("n2", VIP)]))
    (row,) = (await asked(told, "/v1/services"))["services"]
    assert (row["owners"], row["pending"]) == (["n2"], [])
    assert (await asked(told, "/v1/status"))["troubles"] == []


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(facts(world(advertisements=TYPO), None), id="nobody is listened to"),
        pytest.param(facts(world(advertisements=TYPO), replace(HEARD, synced=False)), id="not all claims are heard"),
        pytest.param(facts(world(advertisements=TYPO, since_unix=1e11)), id="allocated just now"),
        pytest.param(facts(world(advertisements=TYPO), since_unix=1e11), id="started just now"),
    ],
)
async def test_nothing_is_said_of_what_cannot_be_known_yet(told: Facts) -> None:
    assert (await asked(told, "/v1/status"))["troubles"] == []
    (row,) = (await asked(told, "/v1/services"))["services"]
    assert row["pending"] == []


async def test_a_node_that_should_and_does_not_is_a_trouble_when_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = routes(facts(world()))
    assert (await handlers["/v1/status"]({})).body["troubles"] == []
    now = time.time()
    monkeypatch.setattr("lbctl.controller.status.time.time", lambda: now + GRACE + 1)
    (line,) = (await handlers["/v1/status"]({})).body["troubles"]
    assert f"default/s0: {VIP} is announced by nobody: not_claimed (" in line


async def test_the_orders_that_it_hears_are_told() -> None:
    drains = {"n1": Drain(node="n1", version=3, by="n2", since_unix=5.0)}
    told = (await routes(facts(world(), replace(HEARD, drains=drains)))["/v1/status"]({})).body
    assert told["orders"] == {"drains": [{"node": "n1", "by": "n2", "version": 3, "since_unix": 5.0}], "pins": []}
    assert (await routes(facts(world(), None))["/v1/status"]({})).body["orders"] == {"drains": [], "pins": []}


async def test_it_is_looked_through_again_only_when_something_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counting(*arguments: Any) -> Any:
        calls.append(arguments)
        return unowned_module.unowned(*arguments)

    monkeypatch.setattr("lbctl.controller.status.unowned", counting)
    told = facts(world(advertisements=TYPO))
    handlers = routes(told)
    for path in ("/v1/status", "/v1/services", "/v1/status"):
        await handlers[path]({})
    assert len(calls) == 1
    told.world = world()
    await handlers["/v1/status"]({})
    told.view = lambda: view(*HEARD.members.values())
    await handlers["/v1/status"]({})
    assert len(calls) == 3


async def test_those_of_another_class_do_not_count_as_waiting_and_where_says_why_one_waits() -> None:
    base = world()
    waiting = [replace(service(name), type=ServiceType.LOAD_BALANCER) for name in ("full", "other")]
    told = facts(
        replace(base, services={**base.services, **{each.key: each for each in waiting}}),
        pending={
            key("full"): (Refusal("pool", Reason.POOL_EXHAUSTED, "all in use"),),
            key("other"): (Refusal("default/other", Reason.OTHER_CLASS, "acme.io/lb"),),
        },
    )
    assert (await asked(told, "/v1/status"))["counters"]["pending"] == 1
    error = (await asked(told, "/v1/where", target="default/full"))["error"]
    assert error["message"] == "service default/full has no address yet: pool: pool_exhausted (all in use)"
    error = (await asked(told, "/v1/where", target="default/other"))["error"]
    assert "is of another class (acme.io/lb)" in error["message"]
