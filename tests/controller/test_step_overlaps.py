"""A pool that holds the address of a node that registered itself: no manifest shows it, so a step says it."""

from __future__ import annotations

from dataclasses import replace

from lbctl.model.node import Node
from tests.controller.test_step import Life, member, said
from tests.plan.allocation_worlds import pool


def of_pool(*items: str) -> Life:
    life = Life()
    life.world = replace(life.world, pools={"p": pool("p", *items)})
    return life


def test_it_is_said_once() -> None:
    life = of_pool("198.51.100.0/24")
    life.members = {"n1": member("n1")}
    decision = life.step()
    assert said(decision) == ["node_registered", "pool_holds_node_address"]
    assert [str(value) for value in decision.events[1].fields.values()] == ["p", "198.51.100.1", "n1"]
    assert decision.events[1].warns
    assert said(life.step()) == []


def test_it_is_said_when_the_pool_comes_later() -> None:
    life = of_pool("192.0.2.0/24")
    life.members = {"n1": member("n1")}
    assert said(life.step()) == ["node_registered"]
    life.world = replace(life.world, pools={"p": pool("p", "198.51.100.0/31")})
    assert said(life.step()) == ["pool_holds_node_address"]
    life.world = replace(life.world, pools={"p": pool("p", "198.51.100.0/30")})
    assert said(life.step()) == []


def test_a_node_with_a_manifest_is_left_to_the_checks_of_manifests() -> None:
    life = of_pool("198.51.100.0/24")
    life.world = replace(life.world, nodes={"n1": Node(name="n1")})
    life.members = {"n1": member("n1")}
    assert said(life.step()) == ["node_registered"]
