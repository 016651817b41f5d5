"""What another configuration would change, before it does: the daemons' own decisions for both, compared.

    told = diff(current, new, remembered, now_unix=now)

Nothing is decided here. Allocations come from `allocate` on the same ledger, owners from `elect` with those of now as
incumbents, sessions from `session_key`, prefixes from `RoutePlanner`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceKey
from lbctl.model.snapshot import SOURCE_MAPS, World
from lbctl.plan.allocate import Remembered
from lbctl.plan.diff_objects import ObjectChange, changed_objects
from lbctl.plan.diff_owners import VIPChange, changed_owners
from lbctl.plan.diff_routes import RouteChange, changed_routes
from lbctl.plan.diff_services import (
    PendingService,
    ServiceChange,
    Stranded,
    changed_services,
    still_pending,
    stranded,
)
from lbctl.plan.diff_sessions import SessionChange, changed_sessions
from lbctl.plan.diff_suppose import NOTHING_SUPPOSED, Supposed, suppose_endpoints
from lbctl.plan.protect import pools_in_force
from lbctl.plan.reason import Refusal
from lbctl.plan.routes import RoutePlanner
from lbctl.plan.session_key import paired
from lbctl.plan.settle import Settled, settle

Secrets = Mapping[str, str]
"""The password of a BGPPeer by the peer's name, where it is in a Secret that could be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """All that would change, and beside it who would go on waiting for an address.

    `before` and `after` are the two sides at rest. `refused` are edits of pools that would be held back, because they
    take addresses in use from a protected pool; `after` is without them. `objects` are the edits themselves, and
    `supposed` is what VIPs and routes were judged by beside what is known.
    """

    before: Settled
    after: Settled
    refused: tuple[Refusal, ...] = ()
    services: tuple[ServiceChange, ...] = ()
    stranded: tuple[Stranded, ...] = ()
    vips: tuple[VIPChange, ...] = ()
    sessions: tuple[SessionChange, ...] = ()
    routes: tuple[RouteChange, ...] = ()
    objects: tuple[ObjectChange, ...] = ()
    pending: tuple[PendingService, ...] = ()
    supposed: Supposed = NOTHING_SUPPOSED

    def __bool__(self) -> bool:
        """Whether anything would change. Who waits now and goes on waiting is no change."""
        return bool(
            self.refused or self.services or self.stranded or self.vips or self.sessions or self.routes or self.objects
        )


def diff(
    current: World,
    new: World,
    remembered: Remembered | None,
    *,
    now_unix: float,
    secrets: tuple[Secrets, Secrets] | None = None,
    owners: Mapping[IPAddress, str] | None = None,
    load_balancer_class: str | None = None,
) -> Diff:
    """What would change if `new` took the place of `current`.

    Args:
        current: what is in force, with the ledger's allocations.
        new: what is to be; its allocations are not looked at.
        remembered: of the same ledger. None: there is no ledger, and both begin with what `current` would be given on
            an empty one.
        secrets: of `current` and of `new`, where both are known.
        load_balancer_class: as for `allocate`.
        owners: who announces which address now, as far as speakers said so; else the planned owner counts.
    """
    before = settle(current, remembered or Remembered(), now_unix=now_unix, load_balancer_class=load_balancer_class)
    start, known = (current, remembered) if remembered is not None else (before.world, before.remembered)
    wanted = replace(_alike(new, current), allocations=start.allocations, quarantined=current.quarantined)
    pools, refused = pools_in_force(current.pools, wanted, start.allocations)
    wanted = replace(wanted, pools=pools)
    after = settle(wanted, known, now_unix=now_unix, memo=before.memo, load_balancer_class=load_balancer_class)
    passwords = secrets or ({}, {})
    if not after.world.changes_since(before.world) and passwords[0] == passwords[1]:
        return Diff(before=before, after=after, refused=refused, pending=still_pending(before, after))
    was, shall, supposed = suppose_endpoints(before.world, after.world)
    planner = RoutePlanner(was)
    planners = planner, RoutePlanner(shall, planner)
    pairs = paired(was.bgp_peers, shall.bgp_peers, passwords)
    sessions = changed_sessions(was, shall, pairs, passwords)
    return Diff(
        before=before,
        after=after,
        refused=refused,
        services=changed_services(before, after),
        stranded=stranded(before, after),
        vips=changed_owners(was, shall, planners[1], owners or {}),
        sessions=sessions,
        routes=changed_routes(was, shall, planners, pairs),
        objects=changed_objects(was, shall, sessions, pairs, passwords),
        pending=still_pending(before, after),
        supposed=supposed,
    )


def _alike(new: World, current: World) -> World:
    """`new` with what is equal in `current` as the very same objects, which is what plans know changes by."""
    maps: dict[str, Any] = {}
    for name in SOURCE_MAPS:
        mine, theirs = getattr(new, name), getattr(current, name)
        if mine is theirs:
            continue
        if mine == theirs:
            maps[name] = theirs
        else:
            maps[name] = MappingProxyType(
                {key: old if (old := theirs.get(key)) == value else value for key, value in mine.items()}
            )
    return replace(new, **maps)


__all__ = [
    "Diff",
    "ObjectChange",
    "PendingService",
    "RouteChange",
    "Secrets",
    "ServiceChange",
    "ServiceKey",
    "SessionChange",
    "Stranded",
    "Supposed",
    "VIPChange",
    "diff",
]
