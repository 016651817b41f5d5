"""Who answers for a VIP or a service: the plan's own functions, told to people.

`locate` gives values; `where_document` is the JSON (`lbctl.io/where/v1`) that speakers and the controller answer with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address

from lbctl.model.address import IPAddress, address_key, family_of
from lbctl.model.claim import Claim
from lbctl.model.member import Member
from lbctl.model.reservation import Quarantine
from lbctl.model.service import ServiceKey, ServiceType
from lbctl.model.snapshot import Snapshot, View, World
from lbctl.plan.candidate import Candidate, candidates
from lbctl.plan.elect import Assignment, ElectMemo, elect
from lbctl.plan.eligible import OwnInterfaces
from lbctl.plan.quarantine import refusal_of
from lbctl.plan.reason import Reason, Refusal

SCHEMA = "lbctl.io/where/v1"
_REASONS_SHOWN = 10


class NotFound(StrEnum):
    """Why a target leads to no address."""

    NOT_A_TARGET = "not_a_target"
    NOT_ALLOCATED = "not_allocated"
    IN_NO_POOL = "in_no_pool"
    """Not ours to give: whoever has it is no matter of lbctl."""
    NO_SUCH_SERVICE = "no_such_service"
    NOT_LOAD_BALANCER = "not_load_balancer"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedVIP:
    """One address: who should announce it, who else could, and who says that it does."""

    address: IPAddress
    pool: str
    allocation_id: int
    assignment: Assignment
    candidates: tuple[Candidate, ...]
    said: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The answer for one target. `services` are those that use any of the addresses."""

    target: str
    services: tuple[ServiceKey, ...] = ()
    vips: tuple[LocatedVIP, ...] = ()
    error: NotFound | None = None
    message: str = ""


def locate(
    snapshot: Snapshot,
    target: str,
    memo: ElectMemo | None = None,
    *,
    own: OwnInterfaces | None = None,
    pending: Mapping[ServiceKey, tuple[Refusal, ...]] | None = None,
) -> tuple[Located, ElectMemo]:
    """Finds `target`: an address, `namespace/name`, or a name in the namespace `default`.

    Without a view the candidates are named and their owner is not. `pending`: why services wait, where that is known.
    """
    assignments, memo = elect(snapshot, memo, own=own)
    groups = memo.eligible.groups.groups
    wanted = _addresses(snapshot.world, target, pending or {})
    if isinstance(wanted, Located):
        return wanted, memo
    vips: list[LocatedVIP] = []
    services: set[ServiceKey] = set()
    for address in wanted:
        group = groups.by_address.get(address)
        if group is None:
            return _not_allocated(snapshot.world, target, address), memo
        assignment = assignments[group.key]
        holders = [allocation for allocation in group.allocations if address in allocation.addresses]
        services.update(allocation.service for allocation in holders)
        vips.append(
            LocatedVIP(
                address=address,
                pool=holders[0].pool_of(address),
                allocation_id=group.allocation_id(address),
                assignment=assignment,
                candidates=candidates(assignment, snapshot.view),
                said=snapshot.view.claims_of(address) if snapshot.view is not None else (),
            )
        )
    return Located(target=target, services=tuple(sorted(services)), vips=tuple(vips)), memo


def _addresses(
    world: World, target: str, pending: Mapping[ServiceKey, tuple[Refusal, ...]]
) -> tuple[IPAddress, ...] | Located:
    try:
        return (ip_address(target),)
    except ValueError:
        pass
    namespace, slash, name = target.rpartition("/")
    if not name or "/" in namespace or (slash and not namespace):
        return Located(
            target=target, error=NotFound.NOT_A_TARGET, message=f"{target!r} is neither an address nor namespace/name"
        )
    key = ServiceKey(namespace or "default", name)
    allocation = world.allocations.get(key)
    if allocation is not None and allocation.addresses:
        return allocation.addresses
    service = world.services.get(key)
    if service is None:
        return Located(target=target, error=NotFound.NO_SUCH_SERVICE, message=f"there is no service {key}")
    if service.type is not ServiceType.LOAD_BALANCER:
        return Located(
            target=target,
            services=(key,),
            error=NotFound.NOT_LOAD_BALANCER,
            message=f"service {key} has type {service.type.value}, not LoadBalancer",
        )
    return Located(
        target=target,
        services=(key,),
        error=NotFound.PENDING,
        message=_why_pending(key, pending.get(key, ())),
    )


def _why_pending(key: ServiceKey, refusals: tuple[Refusal, ...]) -> str:
    if not refusals:
        return f"service {key} has no address yet; `lbctl services` says why"
    if all(refusal.reason is Reason.OTHER_CLASS for refusal in refusals):
        return f"service {key} is of another class ({refusals[0].detail}): whoever looks after that gives it an address"
    shown = [(str(each) if each.subject != str(key) else str(each).removeprefix(f"{key}: ")) for each in refusals]
    more = f"; and {len(shown) - _REASONS_SHOWN} more" if len(shown) > _REASONS_SHOWN else ""
    return f"service {key} has no address yet: {'; '.join(shown[:_REASONS_SHOWN])}{more}"


def _not_allocated(world: World, target: str, address: IPAddress) -> Located:
    pools = [
        name
        for name, pool in sorted(world.pools.items())
        if any(address in part for part in pool.ranges if part.family is family_of(address))
    ]
    if not pools:
        return Located(target=target, error=NotFound.IN_NO_POOL, message=f"{address} is no VIP: no pool has it")
    message = f"no service holds {address}; it is free in pool {pools[0]}"
    if (found := world.quarantined.get(address)) is not None:
        message = (
            f"no service holds {address}, and none is given it: it is quarantined, "
            f"{found.mac} answered on {found.interface} (seen by {found.node})"
        )
    return Located(target=target, error=NotFound.NOT_ALLOCATED, message=message)


def where_document(
    located: Located,
    snapshot: Snapshot,
    *,
    node: str,
    role: str,
    at_unix: float,
    stale: str | None = None,
    previous: Mapping[IPAddress, str] | None = None,
) -> dict[str, object]:
    """The answer as the JSON of `/v1/where`.

    Args:
        located: from `locate` on the same snapshot.
        node: who answers.
        role: `speaker` or `controller`.
        at_unix: now.
        stale: what is wrong with the age of the world, if anything.
        previous: who held an address before its owner, as far as this node remembers.
    """
    view = snapshot.view
    return {
        "schema": SCHEMA,
        "target": located.target,
        "node": node,
        "role": role,
        "at_unix": at_unix,
        "world": {
            "generation": snapshot.world.generation,
            "age": max(0.0, at_unix - snapshot.world.made_unix),
            "stale": stale,
        },
        "view": {
            "synced": view.synced if view is not None else False,
            "members": [member_document(member) for _, member in sorted(view.members.items())] if view else [],
        },
        "services": [str(key) for key in located.services],
        "vips": [_vip_document(vip, previous or {}) for vip in located.vips],
        "error": {"reason": located.error.value, "message": located.message} if located.error else None,
    }


def orders_document(view: View | None) -> dict[str, object]:
    """The orders that are in force."""
    drains = view.drains.values() if view is not None else ()
    pins = view.pins.values() if view is not None else ()
    return {
        "drains": [
            {"node": drain.node, "by": drain.by, "version": drain.version, "since_unix": drain.since_unix}
            for drain in sorted(drains, key=lambda drain: drain.node)
        ],
        "pins": [
            {
                "address": str(pin.address),
                "node": pin.node,
                "by": pin.by,
                "version": pin.version,
                "since_unix": pin.since_unix,
            }
            for pin in sorted(pins, key=lambda pin: address_key(pin.address))
        ],
    }


def member_document(member: Member) -> dict[str, object]:
    """One member as it appears in the JSON of the status API."""
    return {
        "node": member.node,
        "state": member.state.value,
        "role": member.role.value,
        "two_way": member.two_way,
        "since_unix": member.since_unix,
        "held_until_unix": member.held_until_unix or None,
        "addresses": [str(address) for address in member.addresses],
        "macs": [list(pair) for pair in member.macs],
        "conflicts": [
            {"address": str(each.address), "mac": each.mac or None, "interface": each.interface}
            for each in member.conflicts
        ],
    }


def _vip_document(vip: LocatedVIP, previous: Mapping[IPAddress, str]) -> dict[str, object]:
    planned = vip.assignment
    found = planned.eligibility.quarantine(vip.address)
    left_out = planned.eligibility.left_out(vip.address)
    # The other addresses of the group may have an owner.
    owner = planned.owner if found is None and not left_out else None
    why_none = Reason.QUARANTINED if found is not None else left_out[0].reason if left_out else planned.why_none
    judged = vip.candidates if found is None else _kept_back(vip.candidates, found)
    if left_out:
        judged = [replace(each, eligible=False, refusals=(*each.refusals, *left_out)) for each in judged]
    reason = why_none.value if owner is None and why_none is not None else None
    return {
        "address": str(vip.address),
        "pool": vip.pool,
        "allocation_id": vip.allocation_id,
        "planned": {
            "owner": owner,
            "reason": reason,
            "take": planned.take.value if planned.take is not None and owner is not None else None,
            "pinned": planned.pin.node if planned.pin is not None else None,
            "heirs": list(planned.heirs) if found is None and not left_out else [],
            "refusals": [_refusal(r.subject, r.reason.value, r.detail) for r in planned.eligibility.refusals],
            "candidates": [
                {
                    "node": candidate.node,
                    "eligible": candidate.eligible,
                    "alive": candidate.alive,
                    "reasons": [_refusal(r.subject, r.reason.value, r.detail) for r in candidate.refusals],
                }
                for candidate in judged
            ],
        },
        "quarantine": {
            "mac": found.mac,
            "interface": found.interface,
            "node": found.node,
            "since_unix": found.since_unix,
        }
        if found is not None
        else None,
        "said": [
            {
                "node": claim.node,
                "epoch": claim.epoch,
                "since_unix": claim.since_unix,
                "cause": claim.cause,
                "incarnation": claim.incarnation,
                "quorate": claim.quorate,
                "heirs": list(claim.heirs),
                "previous": previous.get(vip.address),
            }
            for claim in vip.said
        ],
    }


def _kept_back(found: Iterable[Candidate], quarantine: Quarantine) -> list[Candidate]:
    """None may announce a quarantined address, whatever becomes of the others of its group."""
    kept: list[Candidate] = []
    for each in found:
        why = refusal_of(each.node, quarantine)
        refusals = each.refusals if why in each.refusals else (*each.refusals, why)
        kept.append(replace(each, eligible=False, refusals=refusals))
    return kept


def _refusal(subject: str, reason: str, detail: str) -> dict[str, str]:
    return {"subject": subject, "reason": reason, "detail": detail}
