"""Who waits is asked again only when something changed that could matter to it; and is served in the order of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lbctl.model.service import Service
from lbctl.plan import allocate as allocate_module
from lbctl.plan.reason import Reason
from tests.plan.allocation_worlds import PREFER, REQUIRE, V6, Cluster, pool, quarantine, reserve, service
from tests.plan.compare import compare

HOLDERS, WAITING = 8, 120
FULL = pool("a", "192.0.2.0/29")


class Asked:
    """How often the allocator looked for addresses of a service."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        for name in ("_serve", "second_address"):
            monkeypatch.setattr(allocate_module, name, self._counted(getattr(allocate_module, name)))

    def _counted(self, search: Callable[..., Any]) -> Callable[..., Any]:
        def counted(memo: Any, wish: Any, *rest: Any) -> Any:
            self.names.append(wish.key.name)
            return search(memo, wish, *rest)

        return counted

    def since(self) -> int:
        found = len(self.names)
        self.names.clear()
        return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def _plain(name: str, number: int) -> Service:
    return service(name, created=float(number))


def _own_key(name: str, number: int) -> Service:
    return service(name, created=float(number), share=f"k{number}")


def _one_key(name: str, number: int) -> Service:
    return service(name, created=float(number), share="k")


def _named(name: str, number: int) -> Service:
    return service(name, created=float(number), ip=f"192.0.2.{number % HOLDERS}")


def _both(name: str, number: int) -> Service:
    return service(name, created=float(number), stack=REQUIRE if number >= HOLDERS else None)


def _of_the_pool(name: str, number: int) -> Service:
    return service(f"ns{number}/{name}", created=float(number), from_pool="a")


@pytest.mark.parametrize("kind", [_plain, _own_key, _one_key, _named, _both, _of_the_pool])
def test_a_change_has_only_those_asked_whom_it_may_help(asked: Asked, kind: Callable[[str, int], Service]) -> None:
    """Also where each of those who wait is in a namespace of its own, or has a sharing key of its own."""
    cluster = Cluster(FULL)
    wanted = [kind(f"s{number:03}", number) for number in range(HOLDERS + WAITING)]
    cluster.put(*wanted)
    assert len(cluster.state.allocations) == HOLDERS
    assert len(cluster.plan.pending) == WAITING
    asked.since()
    cluster.put(kind("late", HOLDERS + WAITING))
    assert asked.since() < 10, "one more who waits"
    first = wanted[0].key
    cluster.become(services=[item for item in cluster.world.services.values() if item.key != first]).settle()
    assert asked.since() < 10 + (2 * WAITING // HOLDERS if kind is _named else 0), "one address for the first of them"
    assert len(cluster.state.allocations) == (HOLDERS - 1 if kind is _both else HOLDERS)
    last = wanted[-1].key
    cluster.become(services=[item for item in cluster.world.services.values() if item.key != last]).settle()
    assert asked.since() < 10, "one who waits gone"
    reserve(cluster, "somebody", "203.0.113.1").settle()
    assert asked.since() == 0, "nothing to do with any of them"


def test_nor_those_who_want_a_second_address(asked: Asked) -> None:
    cluster = Cluster(pool("a", "192.0.2.0/24"))
    cluster.put(*(service(f"s{number}", stack=PREFER) for number in range(WAITING)))
    assert len(cluster.plan.pending) == WAITING
    asked.since()
    cluster.put(service("late", stack=PREFER))
    assert asked.since() < 10
    assert cluster.text("late") == cluster.text("s7") == "a: pool_lacks_family (it has no IPv6 addresses)"


def test_each_is_told_when_what_there_is_to_tell_is_another() -> None:
    cluster = Cluster(pool("a", "192.0.2.0/30")).put(*(service(f"s{number}", created=number) for number in range(4)))
    cluster.put(service("x"), service("y"))
    for name in "xy":
        assert cluster.text(name) == "a: pool_exhausted (all 4 IPv4 addresses in use)"
    quarantine(cluster, "192.0.2.0").delete("s0")
    for name in "xy":
        assert cluster.text(name) == "a: pool_exhausted (of 4 IPv4 addresses 3 in use, 1 quarantined)"
    quarantine(cluster).settle()
    assert cluster.addresses("x") == "192.0.2.0"
    assert cluster.text("y") == "a: pool_exhausted (all 4 IPv4 addresses in use)"


def test_kinds_take_turns_by_rank() -> None:
    """Three addresses come free, and go to the first three of all, whatever pool or sharing they ask for."""
    cluster = Cluster(FULL).put(*(service(f"s{number}", created=0.0) for number in range(HOLDERS)))
    kinds: list[dict[str, Any]] = [{}, {"from_pool": "a"}, {"share": "k"}, {}, {"share": "l"}, {"from_pool": "a"}]
    cluster.put(*(service(f"w{number}", created=10.0 - number, **asked) for number, asked in enumerate(kinds)))
    cluster.delete("s1", "s2", "s3")
    assert [cluster.addresses(f"w{number}") for number in range(6)] == [
        "",
        "",
        "",
        "192.0.2.3",
        "192.0.2.2",
        "192.0.2.1",
    ]


@pytest.mark.parametrize("memo", [True, False])
def test_who_may_share_with_one_who_is_served_before_it_does_so_in_the_same_plan(memo: bool) -> None:
    cluster = Cluster(pool("a", "192.0.2.0/32")).put(service("s"))
    for at, name in enumerate("bcd"):
        cluster.put(service(name, share="l" if name == "c" else "k", ports=str(at + 1), created=20.0 + at))
    assert set(cluster.why("d").values()) == {Reason.POOL_EXHAUSTED}
    cluster.become(services=[item for item in cluster.world.services.values() if item.key.name != "s"])
    assert {grant.service.name for grant in cluster.look(memo=memo).grants} == {"b", "d"}


def test_a_clock_that_is_put_back_has_nobody_asked(asked: Asked) -> None:
    cluster = Cluster(FULL).put(*(_plain(f"s{number:03}", number) for number in range(HOLDERS + WAITING)))
    asked.since()
    cluster.now -= 1000.0
    assert cluster.look().settled
    assert asked.since() == 0
    assert cluster.look(memo=False).pending == cluster.plan.pending


def test_what_one_gives_up_is_for_those_whose_turn_comes_after_it_in_the_same_plan() -> None:
    """The third one gives up its IPv6 address when it wants both families and there is no IPv4 address left. The first
    one of those who want a second address has been refused by then; the last one has not."""
    cluster = Cluster(pool("a", "192.0.2.0/31", "2001:db8::/128"))
    cluster.put(service("r", families=(V6,), created=2.0))
    cluster.put(*(service(f"p{number}", created=number, stack=PREFER) for number in (1.0, 3.0)))
    wanting = service("r", families=(V6,), created=2.0, stack=REQUIRE)
    cluster.become(services=[wanting, *(item for item in cluster.world.services.values() if item.key != wanting.key)])
    plan = cluster.look()
    assert [grant.service.name for grant in plan.grants] == ["p3.0"]
    compare(cluster, plan)
