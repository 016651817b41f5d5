"""Snapshots: generations, identity of what did not change, and what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields, is_dataclass
from importlib import import_module
from ipaddress import ip_address
from pkgutil import iter_modules

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lbctl.model
from lbctl.model.claim import Claim
from lbctl.model.service import Service, ServiceKey
from lbctl.model.snapshot import MAPS, View, World, evolve

NAMES = st.sampled_from("abcdef")


def service(name: str) -> Service:
    return Service(key=ServiceKey("default", name))


def services(names: Mapping[str, int]) -> dict[ServiceKey, Service]:
    return {ServiceKey("default", name): service(name) for name in names}


def test_evolve_counts_generations_and_keeps_the_other_maps() -> None:
    first = World()
    second = evolve(first, made_unix=5.0, services=services({"a": 1}))
    assert (second.generation, second.made_unix) == (1, 5.0)
    assert second.pools is first.pools
    assert not first.services


def test_a_world_cannot_be_changed() -> None:
    world = evolve(World(), made_unix=0.0, services=services({"a": 1}))
    with pytest.raises(TypeError):
        world.services[ServiceKey("default", "b")] = service("b")  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        world.generation = 7  # type: ignore[misc]


def test_evolve_is_not_changed_by_its_argument_afterwards() -> None:
    given_map = services({"a": 1})
    world = evolve(World(), made_unix=0.0, services=given_map)
    given_map.clear()
    assert len(world.services) == 1


@given(
    old=st.dictionaries(NAMES, st.integers(0, 1)),
    new=st.dictionaries(NAMES, st.integers(0, 1)),
)
def test_changes_are_exactly_the_keys_whose_object_is_another(old: dict[str, int], new: dict[str, int]) -> None:
    kept = services(dict.fromkeys("abcdef", 1))

    def version(wanted: dict[str, int]) -> dict[ServiceKey, Service]:
        return {
            key: obj if wanted[key.name] == 0 else service(key.name) for key, obj in kept.items() if key.name in wanted
        }

    before = evolve(World(), made_unix=0.0, services=version(old))
    after = evolve(before, made_unix=0.0, services=version(new))
    expected = {
        key
        for key in kept
        if (key in before.services) != (key in after.services)
        or (key in before.services and before.services[key] is not after.services[key])
    }
    changes = after.changes_since(before)
    assert changes.of("services") == expected
    assert bool(changes) == bool(expected)
    assert not changes.of("pools")


def test_nothing_changed_is_false() -> None:
    world = evolve(World(), made_unix=0.0, services=services({"a": 1}))
    assert not world.changes_since(world)
    assert not evolve(world, made_unix=1.0).changes_since(world)


def test_maps_are_all_of_worlds_maps() -> None:
    assert set(MAPS) == {f.name for f in fields(World)} - {"generation", "made_unix"}


def test_claims_of_an_address_are_every_nodes_word_in_order_of_names() -> None:
    vip = ip_address("192.168.3.170")

    def claim(node: str) -> Claim:
        return Claim(address=vip, node=node, incarnation=1, epoch=1, quorate=True, since_unix=0.0, cause="started")

    view = View(claims={"n2": {vip: claim("n2")}, "n1": {vip: claim("n1")}, "n3": {}})
    assert [each.node for each in view.claims_of(vip)] == ["n1", "n2"]


def test_every_model_value_is_frozen_slotted_and_small() -> None:
    checked = 0
    for module in iter_modules(lbctl.model.__path__, "lbctl.model."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.name:
                checked += 1
                assert value.__dataclass_params__.frozen, value  # type: ignore[attr-defined]
                assert "__slots__" in vars(value), value
                if value is not World:
                    assert len(fields(value)) <= 12, value
    assert checked > 20
