"""How full the pools are: of each pool and family the addresses, counted (MetalLB section 3.8, exact for IPv6 too).

Worked out when somebody asks; nothing is kept up to date for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from lbctl.model.address import Family, IPAddress, address_key
from lbctl.model.pool import Pool
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import World
from lbctl.plan.allocation import Remembered
from lbctl.plan.family_space import spaces_of
from lbctl.plan.positions import PoolFinder, code_of, family_of_code
from lbctl.plan.reason import Reason, Refusal

SCHEMA = "lbctl.io/pools/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCount:
    """The addresses of one family in one pool.

    `size`: those that may be given, so neither excluded nor avoided. `assigned`: those in use by services, each once
    however many share it, also where it would not be given anew; `outside` of them are in use though not of `size`:
    excluded or avoided since. `available`: those of `size` neither in use nor
    reserved nor in quarantine; `cooling` of them were freed a moment ago and come last. `reserved`: kept for a service
    and not in use. `quarantined`: all of them, in use or not. `services`: those that have an address of these.
    """

    pool: str
    family: Family
    size: int
    assigned: int
    outside: int
    available: int
    cooling: int
    reserved: int
    quarantined: int
    services: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNevertheless:
    """An address that its service keeps though it would not be given anew, and why it would not."""

    address: IPAddress
    service: ServiceKey
    pool: str
    reason: Reason
    detail: str = ""


def count(world: World, remembered: Remembered | None, *, now_unix: float) -> tuple[PoolCount, ...]:
    """Pools by name, IPv4 first. Without `remembered` nothing counts as cooling or reserved, and quarantines are those
    of the world."""
    spaces, finder = {name: spaces_of(pool) for name, pool in world.pools.items()}, PoolFinder(world.pools)
    # Of (pool, family) the addresses: in use, kept from being given, reserved and idle, in quarantine, cooling.
    used: dict[tuple[str, Family], dict[int, set[ServiceKey]]] = {}
    in_use: set[int] = set()
    for key, allocation in world.allocations.items():
        for address in allocation.addresses:
            code = code_of(address)
            in_use.add(code)
            for name in finder.homes(code):
                used.setdefault((name, family_of_code(code)), {}).setdefault(code, set()).add(key)
    quarantined = set(map(code_of, world.quarantined if remembered is None else remembered.quarantined))
    reserved: set[int] = set()
    freed: dict[int, float] = {}
    if remembered is not None:
        reserved.update(map(code_of, chain.from_iterable(item.addresses for item in remembered.reserved.values())))
        freed = {code_of(address): item.at_unix for address, item in remembered.freed.items()}
    idle_reserved = _by_pool(finder, reserved - in_use)
    by_quarantine = _by_pool(finder, quarantined)
    by_freed = _by_pool(finder, freed.keys() - in_use - reserved - quarantined)
    counts: list[PoolCount] = []
    for name, pool in sorted(world.pools.items()):
        for family, space in sorted(spaces[name].items()):
            at = (name, family)
            mine = used.get(at, {})
            kept = {*mine, *idle_reserved.get(at, ()), *by_quarantine.get(at, ())}
            size = space.size()
            counts.append(
                PoolCount(
                    pool=name,
                    family=family,
                    size=size,
                    assigned=len(mine),
                    outside=len(mine) - sum(map(space.has, mine)),
                    available=size - sum(map(space.has, kept)),
                    cooling=sum(
                        space.has(code) and freed[code] + pool.options.cooling_time > now_unix
                        for code in by_freed.get(at, ())
                    ),
                    reserved=len(idle_reserved.get(at, ())),
                    quarantined=len(by_quarantine.get(at, ())),
                    services=len(set().union(*mine.values())) if mine else 0,
                )
            )
    return tuple(counts)


def _by_pool(finder: PoolFinder, codes: set[int]) -> dict[tuple[str, Family], list[int]]:
    found: dict[tuple[str, Family], list[int]] = {}
    for code in codes:
        for name in finder.homes(code):
            found.setdefault((name, family_of_code(code)), []).append(code)
    return found


def kept_nevertheless(world: World, remembered: Remembered | None) -> tuple[KeptNevertheless, ...]:
    """Addresses in use that are excluded by their pool or reserved for another: nobody is renumbered for that, and
    somebody may want to know."""
    reserved = {
        address: key
        for key, item in (remembered.reserved.items() if remembered is not None else ())
        for address in item.addresses
    }
    some_exclude = {name for name, pool in world.pools.items() if pool.options.excluded}
    found: list[KeptNevertheless] = []
    for key, allocation in world.allocations.items():
        for address in allocation.addresses:
            name = allocation.pool_of(address)
            whose = reserved.get(address, key) if reserved else key
            if name in some_exclude and any(address in part for part in world.pools[name].options.excluded):
                why, detail = Reason.EXCLUDED, f"pool {name} excludes it"
            elif whose != key:
                why, detail = Reason.RESERVED, f"for {whose}"
            else:
                continue
            found.append(KeptNevertheless(address=address, service=key, pool=name, reason=why, detail=detail))
    return tuple(sorted(found, key=lambda item: (address_key(item.address), item.service)))


def pools_document(
    world: World, remembered: Remembered | None, *, now_unix: float, held_back: tuple[Refusal, ...] = ()
) -> dict[str, object]:
    """`lbctl.io/pools/v1`. What is not known without the ledger is null."""
    of_pool: dict[str, list[PoolCount]] = {}
    for item in count(world, remembered, now_unix=now_unix):
        of_pool.setdefault(item.pool, []).append(item)
    refused = {refusal.subject: refusal for refusal in held_back}
    known = remembered is not None
    return {
        "schema": SCHEMA,
        "pools": [
            {
                **_pool_members(pool),
                "families": [
                    {
                        "family": item.family.value,
                        "size": item.size,
                        "assigned": item.assigned,
                        "outside": item.outside,
                        "available": item.available,
                        "cooling": item.cooling if known else None,
                        "reserved": item.reserved if known else None,
                        "quarantined": item.quarantined,
                        "services": item.services,
                    }
                    for item in of_pool.get(name, ())
                ],
                "held_back": refused[name].detail if name in refused else None,
            }
            for name, pool in sorted(world.pools.items())
        ],
        "left_out": [
            {"pool": refusal.subject, "detail": refusal.detail}
            for refusal in held_back
            if refusal.subject not in world.pools
        ],
        "kept": [
            {
                "address": str(item.address),
                "service": str(item.service),
                "pool": item.pool,
                "reason": item.reason.value,
                "detail": item.detail,
            }
            for item in kept_nevertheless(world, remembered)
        ],
    }


def _pool_members(pool: Pool) -> dict[str, object]:
    options = pool.options
    return {
        "name": pool.name,
        "addresses": [item.text for item in pool.ranges],
        "excluded": [item.text for item in options.excluded],
        "auto_assign": pool.auto_assign,
        "choice": options.choice.value,
        "cooling_time": options.cooling_time,
        "protected": options.protected,
    }
