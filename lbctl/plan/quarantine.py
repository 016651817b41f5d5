"""Addresses that nobody may begin to announce, because a foreign machine answered when they were probed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.reservation import Quarantine
from lbctl.model.snapshot import Snapshot, World
from lbctl.plan.claims import is_living
from lbctl.plan.reason import Reason, Refusal

_EMPTY: Mapping[Any, Any] = MappingProxyType({})


def unannounced(snapshot: Snapshot) -> Mapping[IPAddress, Quarantine]:
    """Those addresses, each with who answered and who saw it.

    What the World has quarantined, and what living speakers found and it does not say yet. An address that somebody
    claims is in use: it is defended where it is (RFC 5227 section 2.4), and whoever inherits it goes on.
    """
    view = snapshot.view
    found = dict(snapshot.world.quarantined)
    for name, member in sorted(view.members.items()) if view is not None else ():
        for conflict in member.conflicts if is_living(member) else ():
            if conflict.mac:
                fresh = Quarantine(
                    address=conflict.address,
                    mac=conflict.mac,
                    node=name,
                    interface=conflict.interface,
                    since_unix=member.since_unix,
                )
                found.setdefault(conflict.address, fresh)
    if not found:
        return _EMPTY
    claimed = view.claims.values() if view is not None else ()
    return MappingProxyType({a: each for a, each in found.items() if not any(a in claims for claims in claimed)})


def refusal_of(node: str, found: Quarantine) -> Refusal:
    """Why `node`, like every other, may not announce a quarantined address."""
    detail = f"{found.address}: {found.mac} answered on {found.interface}, seen by {found.node}"
    return Refusal(node, Reason.QUARANTINED, detail)


def in_quarantine(world: World, addresses: Iterable[IPAddress]) -> list[Refusal]:
    """Why some of a service's addresses are announced by nobody."""
    return [
        refusal_of(str(address), found)
        for address in addresses
        if (found := world.quarantined.get(address)) is not None
    ]
