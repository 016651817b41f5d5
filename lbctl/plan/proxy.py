"""Where the packets of every VIP go, as this node shall forward them: World in, Ruleset out.

Every node forwards for every VIP, whoever announces it, so that a takeover changes no rule and an old owner can go on
forwarding for a grace time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from lbctl.model.address import Family, IPAddress, address_key, family_of
from lbctl.model.allocation import Allocation
from lbctl.model.endpoint import Endpoint, EndpointSlice, SliceKey
from lbctl.model.frozen_map import FrozenMap, changed_keys, frozen
from lbctl.model.service import Port, Service, ServiceKey, ServiceType, TrafficPolicy, Transport
from lbctl.model.snapshot import World
from lbctl.plan.proxy_ruleset import (
    NO_PORTS,
    Backend,
    Frontend,
    Network,
    Note,
    Reach,
    Ruleset,
    Unserved,
    VirtualPort,
)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one service contributes."""

    ports: tuple[VirtualPort, ...]
    local: frozenset[IPAddress]
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyMemo:
    """What makes the next Ruleset cheap. The result never depends on it."""

    world: World
    node: str
    parts: Mapping[ServiceKey, _Part]
    slices_of: Mapping[ServiceKey, frozenset[SliceKey]]
    uses: FrozenMap[IPAddress, int]
    """How many services use each VIP."""
    ruleset: Ruleset


def ruleset(world: World, node: str, memo: ProxyMemo | None = None) -> tuple[Ruleset, ProxyMemo]:
    """What `node` shall forward. Nothing changed for the proxy: the very same Ruleset comes back."""
    own = _own_addresses(world, node)
    if memo is None or memo.node != node or own != _own_addresses(memo.world, node):
        slices_of: Mapping[ServiceKey, frozenset[SliceKey]] = _index(world.slices.items())
        parts = {key: _part(world, node, own, key, slices_of) for key in world.allocations}
        uses = FrozenMap(Counter(_vips(world.allocations.values())))
        result = _join(parts, frozenset(uses))
        return result, ProxyMemo(world=world, node=node, parts=parts, slices_of=slices_of, uses=uses, ruleset=result)
    dirty, slices_of = _dirty(memo, world)
    changed: dict[ServiceKey, tuple[_Part, _Part]] = {}
    for key in dirty:
        before = memo.parts.get(key, _NOTHING)
        after = _part(world, node, own, key, slices_of) if key in world.allocations else _NOTHING
        after = _keep_identity(before, after)
        if after is not before:
            changed[key] = (before, after)
    parts = frozen(memo.parts).having(
        {key: after for key, (_, after) in changed.items() if key in world.allocations},
        [key for key in dirty if key not in world.allocations],
    )
    uses = _uses(memo, world)
    vips = memo.ruleset.vips
    if (news := changed_keys(memo.uses, uses)) and any((vip in uses) is not (vip in vips) for vip in news):
        vips = (vips - news) | {vip for vip in news if vip in uses}
    result = memo.ruleset
    if changed or vips != result.vips:
        result = _rejoin(memo.ruleset, parts, changed, vips)
    return result, ProxyMemo(world=world, node=node, parts=parts, slices_of=slices_of, uses=uses, ruleset=result)


def stale_udp(old: Ruleset | None, new: Ruleset) -> dict[Frontend, frozenset[tuple[IPAddress, int]]]:
    """The UDP ports whose old flows must be looked at, and the backends (address, port) that may keep theirs.

    A UDP flow has no end that the kernel sees: as long as the client sends, it stays with an endpoint that is gone, or
    with the refusal it met before there was one. Without `old` every UDP port is named.
    """
    before = old.ports if old is not None else NO_PORTS
    stale: dict[Frontend, frozenset[tuple[IPAddress, int]]] = {}
    for frontend, port in new.ports.items():
        if frontend.transport is not Transport.UDP or (was := before.get(frontend)) is port:
            continue
        may_stay = frozenset((backend.address, backend.port) for backend in port.serving)
        if was is None or not was.serving or not may_stay.issuperset((b.address, b.port) for b in was.serving):
            stale[frontend] = may_stay
    for frontend in before:
        if frontend.transport is Transport.UDP and frontend not in new.ports:
            stale[frontend] = frozenset()
    return stale


_NOTHING = _Part((), frozenset(), ())


def _own_addresses(world: World, node: str) -> tuple[IPAddress, ...]:
    me = world.nodes.get(node)
    return me.addresses if me is not None else ()


def _index(slices: Iterable[tuple[SliceKey, EndpointSlice]]) -> dict[ServiceKey, frozenset[SliceKey]]:
    found: defaultdict[ServiceKey, list[SliceKey]] = defaultdict(list)
    for key, one in slices:
        if one.service is not None:
            found[one.service].append(key)
    return {service: frozenset(keys) for service, keys in found.items()}


def _dirty(memo: ProxyMemo, world: World) -> tuple[frozenset[ServiceKey], Mapping[ServiceKey, frozenset[SliceKey]]]:
    """The services to look at again, and the index of slices as it is now."""
    changes = world.changes_since(memo.world)
    dirty: set[ServiceKey] = set(changes.of("services")) | set(changes.of("allocations"))
    slices_of: Mapping[ServiceKey, frozenset[SliceKey]] = memo.slices_of
    moved: dict[ServiceKey, frozenset[SliceKey]] = {}
    for key in changes.of("slices"):
        was, now = memo.world.slices.get(key), world.slices.get(key)
        before = was.service if was is not None else None
        after = now.service if now is not None else None
        if before is not None:
            dirty.add(before)
        if after is not None:
            dirty.add(after)
        if before != after:
            if before is not None:
                moved[before] = moved.get(before, slices_of.get(before, frozenset())) - {key}
            if after is not None:
                moved[after] = moved.get(after, slices_of.get(after, frozenset())) | {key}
    if moved:
        held = {service: keys for service, keys in moved.items() if keys}
        slices_of = frozen(slices_of).having(held, [service for service in moved if service not in held])
    return frozenset(dirty), slices_of


def _keep_identity(before: _Part, after: _Part) -> _Part:
    if after == before:
        return before
    old = {port.frontend: port for port in before.ports}
    ports = tuple(old[port.frontend] if old.get(port.frontend) == port else port for port in after.ports)
    return _Part(ports, after.local, after.notes)


def _join(parts: Mapping[ServiceKey, _Part], vips: frozenset[IPAddress]) -> Ruleset:
    ports: dict[Frontend, VirtualPort] = {}
    notes: list[Note] = []
    for key in sorted(parts):
        part = parts[key]
        notes.extend(part.notes)
        for port in part.ports:
            if ports.setdefault(port.frontend, port) is not port:
                notes.append(Note(key, str(port.frontend), Unserved.PORT_TAKEN))
    return Ruleset(ports=FrozenMap(ports), vips=vips, local=_local(parts), notes=tuple(notes))


def _rejoin(
    old: Ruleset,
    parts: Mapping[ServiceKey, _Part],
    changed: Mapping[ServiceKey, tuple[_Part, _Part]],
    vips: frozenset[IPAddress],
) -> Ruleset:
    """`_join`, by the changed services alone where nothing is in anybody's way."""
    if any(before.notes or after.notes for before, after in changed.values()) or any(
        note.reason is Unserved.PORT_TAKEN for note in old.notes
    ):
        return _join(parts, vips)
    leaving = {port.frontend for before, _ in changed.values() for port in before.ports}
    coming: dict[Frontend, VirtualPort] = {}
    for _, after in changed.values():
        for port in after.ports:
            taken = port.frontend in old.ports and port.frontend not in leaving
            if taken or coming.setdefault(port.frontend, port) is not port:
                return _join(parts, vips)
    ports = frozen(old.ports).having(coming, leaving)
    local = old.local
    if any(before.local != after.local for before, after in changed.values()):
        local = _local(parts)
    return Ruleset(ports=ports, vips=vips, local=local, notes=old.notes)


def _vips(allocations: Iterable[Allocation]) -> Iterator[IPAddress]:
    return (address for allocation in allocations for address in allocation.addresses)


def _uses(memo: ProxyMemo, world: World) -> FrozenMap[IPAddress, int]:
    """How many services use each VIP now."""
    before, after = memo.world.allocations, world.allocations
    changed = changed_keys(before, after)
    moved = Counter(_vips(after[key] for key in changed if key in after))
    moved.subtract(_vips(before[key] for key in changed if key in before))
    counts = {vip: memo.uses.get(vip, 0) + by for vip, by in moved.items() if by}
    return memo.uses.having(
        {vip: count for vip, count in counts.items() if count}, [v for v, n in counts.items() if not n]
    )


def _local(parts: Mapping[ServiceKey, _Part]) -> frozenset[IPAddress]:
    return frozenset().union(*(part.local for part in parts.values() if part.local))


def _part(
    world: World,
    node: str,
    own: tuple[IPAddress, ...],
    key: ServiceKey,
    slices_of: Mapping[ServiceKey, frozenset[SliceKey]],
) -> _Part:
    service = world.services.get(key)
    if service is None or service.type is not ServiceType.LOAD_BALANCER:
        return _NOTHING
    slices = [world.slices[slice_key] for slice_key in sorted(slices_of.get(key, ()))]
    ports: dict[Frontend, VirtualPort] = {}
    notes: list[Note] = []
    for address in world.allocations[key].addresses:
        family = family_of(address)
        ranges = _ranges(service, family)
        for port in service.ports:
            frontend = Frontend(address, port.protocol, port.port)
            if port.protocol is Transport.SCTP:
                notes.append(Note(key, str(frontend), Unserved.SCTP))
                continue
            found = _Found(node, own, service.traffic.publish_not_ready)
            for one in slices:
                if one.family is family and (number := _target(port, one)) is not None:
                    found.add(one, number)
            notes.extend(Note(key, subject, reason) for subject, reason in found.unusable)
            usable, serving, reach = found.chosen(service.traffic.external_policy)
            virtual = VirtualPort(
                frontend=frontend,
                service=key,
                backends=usable,
                serving=serving,
                reach=reach,
                affinity_time=max(1, service.traffic.affinity_time) if service.traffic.client_ip_affinity else None,
                source_ranges=ranges,
            )
            if ports.setdefault(frontend, virtual) is not virtual:
                notes.append(Note(key, str(frontend), Unserved.PORT_TAKEN))
    local = frozenset(b.address for port in ports.values() for b in (*port.backends, *port.serving) if b.local)
    return _Part(tuple(ports.values()), local, tuple(dict.fromkeys(notes)))


def _ranges(service: Service, family: Family) -> tuple[Network, ...] | None:
    """The sources let in, of one family. Ranges of the other family alone let nobody of this one in."""
    if not service.traffic.source_ranges:
        return None
    allowed: tuple[Network, ...]
    if family is Family.IPV4:
        allowed = tuple(collapse_addresses(r for r in service.traffic.source_ranges if isinstance(r, IPv4Network)))
    else:
        allowed = tuple(collapse_addresses(r for r in service.traffic.source_ranges if isinstance(r, IPv6Network)))
    return None if any(network.prefixlen == 0 for network in allowed) else allowed


def _target(port: Port, one: EndpointSlice) -> int | None:
    """The port of a slice's endpoints that a service's port means.

    Kubernetes joins by the port's name; a slice written by hand may instead name, or just number, the targetPort.
    """
    candidates = [p for p in one.ports if p.protocol is port.protocol]
    target = port.port if port.target_port is None else port.target_port
    named = next((p.port for p in candidates if p.name == port.name), None)
    if named is not None:
        return named
    return next((p.port for p in candidates if target in (p.name, p.port)), None)


class _Found:
    """The endpoints of one port while they are gathered: ready ones, and those that still serve while terminating."""

    def __init__(self, node: str, own: tuple[IPAddress, ...], all_ready: bool) -> None:
        self._node = node
        self._own = own
        self._all_ready = all_ready
        self._ready: dict[tuple[IPAddress, int], Backend] = {}
        self._draining: dict[tuple[IPAddress, int], Backend] = {}
        self.unusable: list[tuple[str, Unserved]] = []

    def add(self, one: EndpointSlice, port: int) -> None:
        for endpoint in one.endpoints:
            # Kubernetes gives no meaning to addresses beyond the first.
            address = endpoint.addresses[0] if endpoint.addresses else None
            if address is None or family_of(address) is not one.family:
                continue
            if not self._may_be_reached(address):
                self.unusable.append((str(address), Unserved.ENDPOINT_ADDRESS))
            elif not 0 < port < 65536:
                self.unusable.append((f"{address} port {port}", Unserved.ENDPOINT_PORT))
            elif self._all_ready or endpoint.is_ready:
                self._ready[address, port] = self._backend(endpoint, address, port)
            elif endpoint.is_usable:
                self._draining[address, port] = self._backend(endpoint, address, port)

    def _may_be_reached(self, address: IPAddress) -> bool:
        return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)

    def _backend(self, endpoint: Endpoint, address: IPAddress, port: int) -> Backend:
        here = endpoint.node == self._node if endpoint.node is not None else address in self._own
        return Backend(address=address, port=port, local=here)

    def chosen(self, policy: TrafficPolicy) -> tuple[tuple[Backend, ...], tuple[Backend, ...], Reach]:
        """Backends for new connections, backends that may keep theirs, and who is served."""
        if policy is TrafficPolicy.LOCAL:
            usable, serving = self._of(local_only=True)
            if usable:
                return usable, serving, Reach.EVERYONE
            usable, serving = self._of(local_only=False)
            return usable, serving, Reach.OWN if usable else Reach.EVERYONE
        return (*self._of(local_only=False), Reach.EVERYONE)

    def _of(self, *, local_only: bool) -> tuple[tuple[Backend, ...], tuple[Backend, ...]]:
        ready = _ordered(b for b in self._ready.values() if b.local or not local_only)
        serving = _ordered(b for b in {**self._draining, **self._ready}.values() if b.local or not local_only)
        return ready or serving, ready if ready == serving else serving


def _ordered(backends: Iterable[Backend]) -> tuple[Backend, ...]:
    return tuple(sorted(backends, key=lambda b: (address_key(b.address), b.port)))
