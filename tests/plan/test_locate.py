"""Who answers, told to people: targets, refusals, and the JSON of the status API."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lbctl.model.address import AddressRange
from lbctl.model.member import Liveness
from lbctl.model.node import Node
from lbctl.model.pool import Pool
from lbctl.model.service import ServiceType
from lbctl.model.snapshot import Snapshot
from lbctl.plan.locate import NotFound, locate, where_document
from tests.support.worlds import (
    address,
    addresses,
    allocation,
    by_key,
    claim,
    conflict,
    endpoint,
    endpoints,
    member,
    quarantine,
    service,
    view,
    vip_world,
    world,
)

POOL = Pool(name="pool", ranges=(AddressRange(address("192.0.2.1"), address("192.0.2.9"), "192.0.2.1-192.0.2.9"),))
SERVICES = [
    service("x"),
    service("y"),
    service("waiting"),
    replace(service("inner"), type=ServiceType.CLUSTER_IP),
]
WORLD = replace(
    world(
        [allocation("x", "192.0.2.1", "2001:db8::1", id=3), allocation("y", "192.0.2.1", id=5)],
        services=SERVICES,
        pools=[POOL],
        nodes=[Node(name="a"), Node(name="b", network_unavailable=True)],
        generation=9,
    ),
    made_unix=1000.0,
)
VIEW = view("a", member("b", Liveness.GONE), claims=[claim("a", "192.0.2.1", 4, since_unix=900.0, heirs=("c",))])
HERE = Snapshot(world=WORLD, view=VIEW)

FOUND = [
    ("192.0.2.1", ["192.0.2.1"], ["default/x", "default/y"]),
    ("2001:0db8::1", ["2001:db8::1"], ["default/x"]),
    ("default/x", ["192.0.2.1", "2001:db8::1"], ["default/x", "default/y"]),
    ("y", ["192.0.2.1"], ["default/x", "default/y"]),
]


@pytest.mark.parametrize(("target", "vips", "services"), FOUND)
def test_a_target_leads_to_its_addresses(target: str, vips: list[str], services: list[str]) -> None:
    found, _ = locate(HERE, target)
    assert found.error is None
    assert tuple(vip.address for vip in found.vips) == addresses(*vips)
    assert [str(key) for key in found.services] == services


REFUSED = [
    ("", NotFound.NOT_A_TARGET, "neither"),
    ("a/b/c", NotFound.NOT_A_TARGET, "neither"),
    ("/x", NotFound.NOT_A_TARGET, "neither"),
    ("192.0.2.5", NotFound.NOT_ALLOCATED, "free in pool pool"),
    ("203.0.113.1", NotFound.IN_NO_POOL, "pool"),
    ("other/x", NotFound.NO_SUCH_SERVICE, "other/x"),
    ("default/inner", NotFound.NOT_LOAD_BALANCER, "ClusterIP"),
    ("default/waiting", NotFound.PENDING, "lbctl services"),
]


@pytest.mark.parametrize(("target", "error", "words"), REFUSED)
def test_what_leads_nowhere_says_why(target: str, error: NotFound, words: str) -> None:
    found, _ = locate(HERE, target)
    assert (found.error, found.vips) == (error, ())
    assert words in found.message


def test_the_document_says_what_is_planned_and_said() -> None:
    found, _ = locate(HERE, "192.0.2.1")
    document = where_document(
        found, HERE, node="a", role="speaker", at_unix=1010.0, stale="late", previous={address("192.0.2.1"): "b"}
    )
    json.dumps(document)
    assert document["schema"] == "lbctl.io/where/v1"
    assert document["world"] == {"generation": 9, "age": 10.0, "stale": "late"}
    assert document["error"] is None
    assert document["services"] == ["default/x", "default/y"]
    (vip,) = document["vips"]  # type: ignore[misc]
    assert (vip["address"], vip["pool"], vip["allocation_id"]) == ("192.0.2.1", "pool", 5)  # type: ignore[has-type]
    planned = vip["planned"]  # type: ignore[has-type]
    assert (planned["owner"], planned["reason"]) == ("a", None)
    assert [(c["node"], c["eligible"], c["alive"]) for c in planned["candidates"]] == [
        ("a", True, True),
        ("b", False, False),
    ]
    assert [r["reason"] for r in planned["candidates"][1]["reasons"]] == ["network_unavailable", "node_not_alive"]
    assert vip["said"] == [  # type: ignore[has-type]
        {
            "node": "a",
            "epoch": 4,
            "since_unix": 900.0,
            "cause": "started",
            "incarnation": 1,
            "quorate": True,
            "heirs": ["c"],
            "previous": "b",
        }
    ]


def test_without_a_view_candidates_are_named_and_no_owner() -> None:
    alone = Snapshot(world=WORLD)
    found, _ = locate(alone, "192.0.2.1")
    document = where_document(found, alone, node="", role="published", at_unix=1.0)
    (vip,) = document["vips"]  # type: ignore[misc]
    assert vip["planned"]["owner"] is None  # type: ignore[has-type]
    assert [c["node"] for c in vip["planned"]["candidates"]] == ["a", "b"]  # type: ignore[has-type]
    assert (vip["said"], document["view"]) == ([], {"synced": False, "members": []})  # type: ignore[has-type]


def test_an_address_that_nobody_may_announce_has_a_reason() -> None:
    bad = replace(WORLD, nodes=by_key([Node(name="b", network_unavailable=True)]))
    found, _ = locate(Snapshot(world=bad, view=view()), "192.0.2.1")
    document = where_document(found, Snapshot(world=bad, view=view()), node="b", role="speaker", at_unix=1.0)
    (vip,) = document["vips"]  # type: ignore[misc]
    assert vip["planned"]["reason"] == "network_unavailable"  # type: ignore[has-type]


def document(snapshot: Snapshot, target: str) -> dict[str, Any]:
    located, _ = locate(snapshot, target)
    found: dict[str, Any] = json.loads(
        json.dumps(where_document(located, snapshot, node="a", role="speaker", at_unix=0))
    )
    return found


@pytest.mark.parametrize("published", [True, False])
def test_a_quarantined_address_says_who_has_it(published: bool) -> None:
    """By the World, or by the word of the speaker that found it, which the World does not repeat yet."""
    held = vip_world(["192.0.2.1"])
    if published:
        snapshot = Snapshot(
            world=replace(held, quarantined=by_key([quarantine("192.0.2.1", node="b")])), view=view("a")
        )
    else:
        snapshot = Snapshot(world=held, view=view("a", member("b", conflicts=(conflict("192.0.2.1"),))))
    (vip,) = document(snapshot, "192.0.2.1")["vips"]
    assert {k: vip["quarantine"][k] for k in ("mac", "interface", "node")} == {
        "mac": "02:00:00:00:00:ee", "interface": "eth0", "node": "b",
    }  # fmt: skip
    assert (vip["planned"]["owner"], vip["planned"]["reason"], vip["planned"]["heirs"]) == (None, "quarantined", [])
    assert {each["reason"] for c in vip["planned"]["candidates"] for each in c["reasons"]} == {"quarantined"}
    assert not any(c["eligible"] for c in vip["planned"]["candidates"])


def test_of_two_families_each_says_its_own() -> None:
    held = replace(vip_world([["192.0.2.1", "2001:db8::1"]]), quarantined=by_key([quarantine("192.0.2.1")]))
    four, six = document(Snapshot(world=held, view=view("a", "b")), "default/s0")["vips"]
    assert (four["planned"]["owner"], four["planned"]["reason"]) == (None, "quarantined")
    assert all("quarantined" in [r["reason"] for r in c["reasons"]] for c in four["planned"]["candidates"])
    assert six["planned"]["owner"] in ("a", "b")
    assert six["quarantine"] is None
    assert not any(r["reason"] == "quarantined" for c in six["planned"]["candidates"] for r in c["reasons"])


def test_a_quarantined_address_that_nobody_holds_is_not_called_free() -> None:
    found, _ = locate(
        Snapshot(world=replace(WORLD, quarantined=by_key([quarantine("192.0.2.5")])), view=VIEW), "192.0.2.5"
    )
    assert found.error is NotFound.NOT_ALLOCATED
    assert "02:00:00:00:00:ee answered on eth0 (seen by a)" in found.message
    assert "free" not in found.message


def test_an_address_that_is_left_out_of_its_group_has_no_owner_and_a_reason() -> None:
    dual = allocation("x", "192.0.2.1", "2001:db8::1")
    snapshot = Snapshot(
        world=world([dual], nodes=[Node(name="a")], slices=[endpoints("x", endpoint("a"))]), view=view("a")
    )
    located, _ = locate(snapshot, "default/x")
    document: Any = where_document(located, snapshot, node="a", role="speaker", at_unix=1.0)
    four, six = document["vips"]
    assert four["planned"]["owner"] == "a"
    assert (six["planned"]["owner"], six["planned"]["reason"], six["planned"]["heirs"]) == (None, "no_endpoints", [])
    (candidate,) = six["planned"]["candidates"]
    assert candidate["eligible"] is False
    assert candidate["reasons"][0]["detail"] == "none of family IPv6"
