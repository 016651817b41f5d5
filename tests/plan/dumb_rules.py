"""What the deliberately dumb allocator knows of one service, of two that would share, and of one pool."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from lbctl.model.address import AddressRange, Family, IPAddress, family_of
from lbctl.model.node import Namespace
from lbctl.model.pool import Pool
from lbctl.model.service import FamilyPolicy, Service, ServiceType, TrafficPolicy
from lbctl.plan.reason import Reason
from lbctl.plan.sharing import terms_of

V4, V6 = Family.IPV4, Family.IPV6
Families = tuple[Family, ...]


# What a service asks for ---------------------------------------------------------------------------------------------


def wishes(service: Service) -> list[Families]:
    """The families it may have, what it likes best first. Nothing: it cannot have any."""
    of_cluster = service.family.cluster_ips
    if "None" in of_cluster or "" in of_cluster:
        return []
    found: list[Family] = []
    for text in of_cluster:
        if family_of(ip_address(text)) not in found:
            found.append(family_of(ip_address(text)))
    listed = list(service.family.ip_families)
    policy = service.family.policy
    first = listed[0] if listed else V4
    if found:
        if len(found) == 1:
            return [] if policy is FamilyPolicy.REQUIRE else [(found[0],)]
    elif policy is None or policy is FamilyPolicy.SINGLE:
        found = listed or [V4]
    else:
        found = [V4, V6]
    if len(found) == 1 or policy is FamilyPolicy.SINGLE:
        return [(first,)]
    if policy is FamilyPolicy.PREFER:
        return [(V4, V6), (first,), (V6 if first is V4 else V4,)]
    return [(V4, V6)]


def cannot(service: Service, ours: str | None) -> Reason | None:
    """Why it can have no address at all."""
    if service.type is not ServiceType.LOAD_BALANCER:
        return Reason.NOT_LOAD_BALANCER
    if service.load_balancer.load_balancer_class != ours:
        return Reason.OTHER_CLASS
    if "None" in service.family.cluster_ips or "" in service.family.cluster_ips:
        return Reason.NO_CLUSTER_IP
    if not wishes(service):
        return Reason.NOT_ENOUGH_FAMILIES
    return None


# Who may share -------------------------------------------------------------------------------------------------------


def backends(service: Service) -> str:
    return str(service.selector) if service.traffic.external_policy is TrafficPolicy.LOCAL else ""


def disagreement(comer: Service, holder: Service) -> Reason | None:
    """Why the two may not be on one address."""
    mine, theirs = comer.load_balancer.sharing_key, holder.load_balancer.sharing_key
    if not mine:
        return Reason.ADDRESS_TAKEN
    if not theirs:
        return Reason.SHARING_NOT_ALLOWED
    if mine != theirs:
        return Reason.SHARING_KEY_DIFFERS
    if backends(comer) != backends(holder):
        return Reason.SHARING_BACKENDS_DIFFER
    for port in comer.ports:
        for other in holder.ports:
            if (port.protocol, port.port) == (other.protocol, other.port):
                return Reason.SHARING_PORT_IN_USE
    return None


# Pools ---------------------------------------------------------------------------------------------------------------


def every_address(pool: Pool, family: Family) -> Iterator[IPAddress]:
    for part in pool.ranges:
        if family_of(part.first) is family:
            for number in range(int(part.first), int(part.last) + 1):
                yield part.first + (number - int(part.first))


def buggy(pool: Pool, address: IPAddress) -> bool:
    return pool.avoid_buggy_ips and address.version == 4 and str(address).rpartition(".")[2] in ("0", "255")


def lies_in(part: AddressRange, address: IPAddress) -> bool:
    return part.first.version == address.version and int(part.first) <= int(address) <= int(part.last)


def contains(pool: Pool, address: IPAddress) -> bool:
    return any(lies_in(part, address) for part in pool.ranges)


def allows(pool: Pool, service: Service, namespaces: dict[str, Namespace]) -> bool:
    """Whether the pool may serve it at all (serviceAllocation); autoAssign is another matter."""
    rule = pool.service_allocation
    if rule is None:
        return True
    name = service.key.namespace
    labels = {"kubernetes.io/metadata.name": name}
    if name in namespaces:
        labels |= dict(namespaces[name].labels)
    place = not rule.namespaces and not rule.namespace_selectors
    place = place or name in rule.namespaces
    for selector in rule.namespace_selectors:
        place = place or selector.matches(labels)
    chosen = not rule.service_selectors
    for selector in rule.service_selectors:
        chosen = chosen or selector.matches(dict(service.labels))
    return place and chosen


def excluded(pool: Pool, address: IPAddress) -> bool:
    return any(lies_in(part, address) for part in pool.options.excluded)


def terms(service: Service) -> str:
    """Only to see whether they changed since it was let in; what they look like is the ledger's matter."""
    return terms_of(service).text
