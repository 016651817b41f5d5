"""How long allocation takes: filling pools, one more service beside many, and what is kept of addresses on top.

    python -m bench.allocator [--rounds N]

Prints seconds of processor time (of this process alone, so a busy machine shows less), the best of the rounds. What is
timed is the plan: the world's maps are made, and the last ones dropped, outside; a step as a whole is the matter of
bench.controller. A plan for one service alone runs right after the maps were copied, so with everything out of the
processor's caches; what one more service costs is told by a thousand that come together.

"Linear" is MetalLB's way (section 3.9) in Python: for each service the pool is walked from its first address, each
looked up in a table by its text. It runs beside in the same process, so that the two can be compared whatever machine
this is.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_network

from lbctl.controller.launch import COLLECTOR
from lbctl.controller.records import Batch, LedgerState
from lbctl.model.address import AddressRange, Family, IPAddress
from lbctl.model.frozen_map import FrozenMap
from lbctl.model.pool import Choice, Pool, PoolOptions
from lbctl.model.reservation import Freed, Quarantine, Reservation
from lbctl.model.service import FamilySpec, LoadBalancerSpec, Port, Service, ServiceKey, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.allocate import AllocationMemo, AllocationPlan, Remembered, allocate
from lbctl.plan.reserve import choose_reservation

_NOW = 1_000_000.0


def span(text: str) -> AddressRange:
    network = ip_network(text)
    return AddressRange(network[0], network[-1], text)


def service(number: int, family: Family, *, share: str | None = None) -> Service:
    key = ServiceKey(f"ns-{number % 50}", f"svc-{number:06}")
    asked = LoadBalancerSpec(sharing_key=share)
    ports = (Port(port=1 + number % 60000),)
    return Service(
        key=key,
        type=ServiceType.LOAD_BALANCER,
        ports=ports,
        load_balancer=asked,
        family=FamilySpec(ip_families=(family,)),
        created_unix=float(number),
    )


@dataclass
class Controller:
    """A ledger in memory and the plans that are committed to it."""

    pools: dict[str, Pool]
    remembered: Remembered

    def __post_init__(self) -> None:
        self.world = World(pools=FrozenMap(self.pools))
        self.state = LedgerState(ledger="bench", remembered=self.remembered)
        self.memo: AllocationMemo | None = None
        self.plan = AllocationPlan()

    def put(self, services: Iterable[Service]) -> float:
        """Plans with these services beside the others; returns the seconds of the plan alone."""
        before = self.world.services
        assert isinstance(before, FrozenMap)
        last = self.world, self.state, self.plan
        after = before.having({item.key: item for item in services})
        self.world = replace(self.world, services=after, allocations=self.state.allocations)
        start = time.process_time()
        plan, self.memo = allocate(self.world, self.state.remembered, self.memo, now_unix=_NOW)
        took = time.process_time() - start
        del last
        self.plan = plan
        self.state = self.state.after(
            Batch(
                at_unix=_NOW,
                first_grant=self.state.next_grant,
                releases=plan.releases,
                amendments=plan.amendments,
                grants=plan.grants,
            )
        )
        return took


def kept_addresses(count: int, base: IPAddress) -> Remembered:
    """So many addresses reserved, in quarantine and cooling, each one of three."""
    reserved: dict[ServiceKey, Reservation] = {}
    quarantined: dict[IPAddress, Quarantine] = {}
    freed: dict[IPAddress, Freed] = {}
    for number in range(0, 3 * count, 3):
        key = ServiceKey("kept", f"svc-{number}")
        mine = base + number
        reserved[key] = Reservation(service=key, addresses=(mine,), pool="p", since_unix=0.0)
        bad = base + number + 1
        quarantined[bad] = Quarantine(address=bad, mac="02:00:00:00:00:01", node="n", interface="e", since_unix=0.0)
        cool = base + number + 2
        freed[cool] = Freed(address=cool, at_unix=_NOW - number % 50, service=key)
    return Remembered(reserved=FrozenMap(reserved), quarantined=FrozenMap(quarantined), freed=FrozenMap(freed))


def filled(count: int, family: Family, pool: Pool, remembered: Remembered | None = None) -> tuple[Controller, float]:
    controller = Controller({pool.name: pool}, remembered or Remembered())
    services = [service(number, family) for number in range(count)]
    return controller, controller.put(services)


def one_more(controller: Controller, family: Family, times: int = 30) -> float:
    """The middle of several single services, each a plan of its own."""
    first = 1_000_000 + len(controller.state.allocations)
    took = sorted(controller.put([service(first + number, family)]) for number in range(times))
    return took[len(took) // 2]


def some_more(controller: Controller, family: Family, many: int = 1000) -> float:
    """Of many services that come at once, the share of each."""
    first = 1_000_000 + len(controller.state.allocations)
    return controller.put([service(first + number, family) for number in range(many)]) / many


def reservation(controller: Controller) -> float:
    """Which address to reserve for a service that is not there yet."""
    world = replace(controller.world, allocations=controller.state.allocations)
    start = time.process_time()
    choose_reservation(world, controller.state.remembered, ServiceKey("ns", "later"), now_unix=_NOW)
    return time.process_time() - start


def linear(count: int, pool: AddressRange) -> float:
    """MetalLB's way: a walk from the first address for each service, and a table by text."""
    start = time.process_time()
    used: dict[str, int] = {}
    make = IPv4Address if pool.first.version == 4 else IPv6Address
    for number in range(count):
        at = int(pool.first)
        while (text := str(make(at))) in used:
            at += 1
        used[text] = number
    return time.process_time() - start


def best(rounds: int, measure: Callable[[], float]) -> float:
    found: list[float] = []
    for _ in range(rounds):
        gc.collect()
        found.append(measure())
    return min(found)


def main() -> None:
    gc.set_threshold(*COLLECTOR)  # as the controller does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    four = Pool(name="p", ranges=(span("10.0.0.0/16"),))
    six = Pool(name="p", ranges=(span("2001:db8::/64"),))
    lru = replace(four, options=PoolOptions(choice=Choice.LEAST_RECENTLY_USED))
    holes = tuple(span(f"10.0.{number}.128/26") for number in range(0, 256, 2))
    excluding = Pool(name="p", ranges=(span("10.0.0.0/15"),), options=PoolOptions(excluded=holes))
    kept4 = kept_addresses(5000, IPv4Address("10.0.0.0"))
    roomy = Pool(name="p", ranges=(span("10.0.0.0/15"),))
    rows: list[tuple[str, float, str]] = []

    def fill(name: str, count: int, family: Family, pool: Pool, kept: Remembered | None = None) -> None:
        took = best(rounds, lambda: filled(count, family, pool, kept)[1])
        rows.append((f"fill {name}, {count} services", took, "s"))

    fill("10.0.0.0/16", 10_000, Family.IPV4, four)
    fill("10.0.0.0/16", 65_000, Family.IPV4, four)
    fill("2001:db8::/64", 10_000, Family.IPV6, six)
    fill("2001:db8::/64", 65_000, Family.IPV6, six)
    fill("least recently used", 65_000, Family.IPV4, lru)
    fill("with 128 ranges excluded", 65_000, Family.IPV4, excluding)
    fill("with 15,000 addresses kept", 65_000, Family.IPV4, roomy, kept4)
    for name, pool, family in (("IPv4", roomy, Family.IPV4), ("IPv6", six, Family.IPV6)):
        for count in (1_000, 65_000):
            controller, _ = filled(count, family, pool)
            # As the daemon does once all is allocated.
            gc.collect()
            gc.freeze()
            took = best(rounds, lambda controller=controller, family=family: one_more(controller, family))  # type: ignore[misc]
            rows.append((f"a plan for one more beside {count}, {name}", took * 1e6, "us, caches cold"))
            took = min(some_more(controller, family) for _ in range(2 + 2 * rounds))
            rows.append((f"one more of 1000 beside {count}, {name}", took * 1e6, "us"))
    for name, pool, family in (("IPv4", four, Family.IPV4), ("IPv6", six, Family.IPV6)):
        controller, _ = filled(50_000, family, pool)
        took = best(1 + 2 * rounds, lambda controller=controller: reservation(controller))  # type: ignore[misc]
        rows.append((f"a reservation beside 50000, {name}", took * 1e3, "ms"))
    small = linear(2_000, four.ranges[0])
    rows.append(("linear: fill 10.0.0.0/16, 2000 services", small, "s"))
    rows.append(("linear: the same with 10000 (25 times that)", small * 25, "s, reckoned"))
    for name, value, unit in rows:
        print(f"{name:<48} {value:10.3f} {unit}")
    ratio = small * 25 / rows[0][1]
    print(f"{'10000 services, linear to ours':<48} {ratio:10.0f} times")


if __name__ == "__main__":
    main()
