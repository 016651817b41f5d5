"""What the service proxy costs: from a World to rules in the kernel, and one change more.

    python bench/proxy.py [--services N ...]

In a network namespace of its own, for each number of services of three endpoints: milliseconds to plan all and one
change, to load the table, to change one service's endpoints, to load the whole table again instead (what a proxy
without deltas does), to take the table over after a restart, and to verify it in full (only where somebody else changed
any rules since). One more row has ClientIP affinity, which costs a chain and a set for each endpoint. Bars: 1,000
services loaded in 1 s, and a change at most a fifth of a reload at 10,000. Exit 1 where one is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import TypeVar

from lbctl.model.address import Family
from lbctl.model.allocation import Allocation
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.service import Port, Service, ServiceKey, ServiceType, TrafficSpec
from lbctl.model.snapshot import World, evolve
from lbctl.net.nftables import Nft
from lbctl.net.proxy import Proxy, Verified, Way
from lbctl.plan.proxy import ruleset
from lbctl.plan.proxy_rules import table
from lbctl.plan.proxy_table import load_text
from tests.support.netns import entered, netns

_T = TypeVar("_T")
_COLUMNS = ("services", "plan all", "plan one", "load", "change one", "reload all", "restart", "verify")
_TRIES = 5


def a_world(services: int, affinity: bool) -> World:
    keys = [ServiceKey("bench", f"s{number}") for number in range(services)]
    first_vip, first_backend = int(ip_address("10.0.0.1")), int(ip_address("11.0.0.1"))
    return World(
        services=MappingProxyType(
            {
                key: Service(
                    key=key,
                    type=ServiceType.LOAD_BALANCER,
                    ports=(Port(port=80, target_port=8080),),
                    traffic=TrafficSpec(client_ip_affinity=affinity),
                )
                for key in keys
            }
        ),
        allocations=MappingProxyType(
            {
                key: Allocation(service=key, addresses=(ip_address(first_vip + at),), pool="p", id=at, since_unix=0.0)
                for at, key in enumerate(keys)
            }
        ),
        slices=MappingProxyType(
            {
                SliceKey("bench", key.name): EndpointSlice(
                    key=SliceKey("bench", key.name),
                    service=key,
                    family=Family.IPV4,
                    ports=(EndpointPort(port=8080),),
                    endpoints=tuple(
                        Endpoint(addresses=(ip_address(first_backend + at * 4 + n),), node=f"n{n}") for n in range(3)
                    ),
                )
                for at, key in enumerate(keys)
            }
        ),
    )


def one_endpoint_less(world: World, number: int) -> World:
    key = SliceKey("bench", f"s{number}")
    changed = replace(world.slices[key], endpoints=world.slices[key].endpoints[1:])
    return evolve(world, made_unix=0.0, slices={**world.slices, key: changed})


def timed(job: Callable[[], _T]) -> tuple[float, _T]:
    started = time.perf_counter()
    result = job()
    return (time.perf_counter() - started) * 1000, result


async def measured(services: int, affinity: bool) -> list[float]:
    """One row, in milliseconds."""
    world = a_world(services, affinity)
    plan_all, (rules, memo) = timed(lambda: ruleset(world, "n0"))
    proxy = Proxy(spacing=0)
    first = await proxy.apply(rules)
    assert first.way is Way.WHOLE
    planned, changes, reloads = [], [], []
    for number in range(_TRIES):
        world = one_endpoint_less(world, number)
        plan_one, (rules, memo) = timed(lambda w=world, m=memo: ruleset(w, "n0", m))  # type: ignore[misc]
        planned.append(plan_one)
        applied = await proxy.apply(rules)
        assert applied.way is Way.DELTA
        changes.append(applied.seconds * 1000)
    restarted = await Proxy(spacing=0).apply(rules)
    assert restarted.way is Way.UNCHANGED
    started = time.perf_counter()
    assert await proxy.verify() == Verified()
    verify = (time.perf_counter() - started) * 1000
    for _ in range(3):
        started = time.perf_counter()
        await Nft().load(load_text(table(rules)))
        reloads.append((time.perf_counter() - started) * 1000)
    median = statistics.median
    medians = [median(planned), first.seconds * 1000, median(changes), median(reloads)]
    return [plan_all, *medians, restarted.seconds * 1000, verify]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--services", type=int, nargs="+", default=[100, 1000, 10000], metavar="N")
    arguments = parser.parse_args()
    print("".join(f"{column:>12}" for column in _COLUMNS) + "   (milliseconds)")
    rows = [(count, False) for count in arguments.services] + [(min(1000, max(arguments.services)), True)]
    missed = []
    for count, affinity in rows:
        with netns("bench") as name, entered(name):
            row = asyncio.run(measured(count, affinity))
        print(
            f"{count:>12}" + "".join(f"{value:>12.1f}" for value in row) + ("   ClientIP" if affinity else ""),
            flush=True,
        )
        if count == 1000 and not affinity and row[2] > 1000:
            missed.append("1,000 services took more than 1 s to load")
        if count == 10000 and row[3] > row[4] / 5:
            missed.append("a change costs more than a fifth of a reload at 10,000 services")
    version = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    print(version)
    for bar in missed:
        print(f"missed: {bar}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
