"""Who may announce a group, and for everybody else every reason why not (MetalLB section 4.2, ours where it says so).

Liveness plays no part here: eligible says who may, `elect` says who shall. Interfaces of this node are known exactly;
those of other nodes as far as their heartbeats name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress, family_of
from lbctl.model.advertisement import L2Advertisement
from lbctl.model.allocation import Allocation
from lbctl.model.frozen_map import changed_keys
from lbctl.model.member import Role
from lbctl.model.node import EXCLUDE_LABEL, Node
from lbctl.model.pool import Pool
from lbctl.model.reservation import Quarantine
from lbctl.model.selector import LabelSelector
from lbctl.model.service import Service, ServiceKey, TrafficPolicy
from lbctl.model.snapshot import Snapshot, World, thawed
from lbctl.plan.backing import NONE, Backing, BackingMemo, back
from lbctl.plan.eligibility import Demand, Eligibility, InterfaceSet, OwnInterfaces, Verdict
from lbctl.plan.groups import Group, GroupKey, Groups, GroupsMemo, group
from lbctl.plan.quarantine import refusal_of, unannounced
from lbctl.plan.reason import Reason, Refusal
from lbctl.plan.subnet import Standing, Subnets, is_required, subnets

_EMPTY: Mapping[Any, Any] = MappingProxyType({})

__all__ = [
    "Demand",
    "Eligibility",
    "EligibleMemo",
    "InterfaceSet",
    "NodeFacts",
    "OwnInterfaces",
    "Verdict",
    "eligible",
]


_NOWHERE = Standing()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What eligibility looks at in a node. `interfaces` are the names known to be there and up, None when not known.

    `lacking`: for want of the carrier of which device below them some of them are not up.
    """

    node: Node
    interfaces: InterfaceSet = None
    present: InterfaceSet = None
    """The names known to be there at all, up or not."""
    lacking: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    standing: Standing = field(default_factory=Standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class EligibleMemo:
    """What the last answer was made of."""

    world: World = field(default_factory=World)
    groups: GroupsMemo = field(default_factory=GroupsMemo)
    backing: BackingMemo = field(default_factory=BackingMemo)
    nodes: Mapping[str, NodeFacts] = field(default_factory=lambda: _EMPTY)
    quarantined: Mapping[IPAddress, Quarantine] = field(default_factory=lambda: _EMPTY)
    tables: Mapping[tuple[Demand, ...], Mapping[str, Verdict]] = field(default_factory=lambda: _EMPTY)
    result: Mapping[GroupKey, Eligibility] = field(default_factory=lambda: _EMPTY)
    touched: frozenset[GroupKey] | None = frozenset()
    """The groups whose entry differs from that of the memo before this one; None when that may be any."""


def eligible(
    snapshot: Snapshot, memo: EligibleMemo | None = None, *, own: OwnInterfaces | None = None
) -> tuple[Mapping[GroupKey, Eligibility], EligibleMemo]:
    """For every group who may announce it. What did not change since `memo` keeps its identity.

    Args:
        snapshot: without a view the nodes are those that the world lists.
        own: the interfaces of the node that plans; None when nobody in particular does.
    """
    old = memo or EligibleMemo()
    world = snapshot.world
    groups, groups_memo = group(world, old.groups)
    backings, backing_memo = back(world, old.backing)
    nodes = _nodes(snapshot, own)
    if nodes == old.nodes:
        nodes = old.nodes
    rules_kept = (
        nodes is old.nodes
        and world.l2_advertisements is old.world.l2_advertisements
        and _same_labels(world.pools, old.world.pools)
    )
    tables = thawed(old.tables) if rules_kept else {}
    quarantined = unannounced(snapshot)
    judge = _Judge(
        world=world,
        backings=backings,
        nodes=nodes,
        tables=tables,
        subnets=subnets({name: facts.standing for name, facts in nodes.items()}),
        requiring=frozenset(name for name, ad in world.l2_advertisements.items() if ad.require_subnet),
        quarantined=quarantined,
    )
    touched: frozenset[GroupKey] | None
    if rules_kept:
        stale = _stale(world, groups, old, backings)
        for address, _ in quarantined.items() ^ old.quarantined.items() if quarantined != old.quarantined else ():
            if (found := groups.by_address.get(address)) is not None:
                stale[found.key] = found
        touched = frozenset(stale)
        if groups is not old.groups.groups:
            touched |= {
                key
                for key in changed_keys(old.groups.groups.by_key, groups.by_key)
                if key not in groups.by_key and key in old.result
            }
        answer = old.result
        if touched:
            made = thawed(old.result)
            for key in touched:
                if key in stale:
                    made[key] = judge.judge(stale[key])
                else:
                    del made[key]
            answer = MappingProxyType(made)
    else:
        touched = None
        answer = MappingProxyType({key: judge.judge(found) for key, found in groups.by_key.items()})
    return answer, EligibleMemo(
        world=world,
        groups=groups_memo,
        backing=backing_memo,
        nodes=nodes,
        quarantined=quarantined,
        tables=MappingProxyType(tables),
        result=answer,
        touched=touched,
    )


def _same_labels(pools: Mapping[str, Pool], before: Mapping[str, Pool]) -> bool:
    """Whether advertisements select the same pools as before: their ranges are no matter of eligibility."""
    return pools is before or {name: pool.labels for name, pool in pools.items()} == {
        name: pool.labels for name, pool in before.items()
    }


def _stale(
    world: World, groups: Groups, old: EligibleMemo, backings: Mapping[ServiceKey, Backing]
) -> dict[GroupKey, Group]:
    """The groups whose own inputs changed: their allocations, their services, or where their endpoints are."""
    known = old.groups.groups
    changed = changed_keys(known.by_key, groups.by_key)
    stale = {key: found for key in changed if (found := groups.by_key.get(key)) is not None}
    touched = changed_keys(old.world.services, world.services) | changed_keys(old.backing.backings, backings)
    for service in touched:
        allocation = world.allocations.get(service)
        if allocation is not None and allocation.addresses:
            found = groups.by_address[allocation.addresses[0]]
            stale[found.key] = found
    return stale


def _nodes(snapshot: Snapshot, own: OwnInterfaces | None) -> Mapping[str, NodeFacts]:
    """The nodes the world lists, and the speakers among the members that it does not (they carry no labels)."""
    nodes = thawed(snapshot.world.nodes)
    named: dict[str, frozenset[str]] = {}
    heard: dict[str, tuple[IPAddress, ...]] = {}
    if snapshot.view is not None:
        for name, member in snapshot.view.members.items():
            if member.role is Role.SPEAKER:
                heard[name] = member.addresses
                nodes.setdefault(name, Node(name=name, registered=True))
                if member.macs:
                    named[name] = frozenset(interface for _, interface in member.macs)
    if own is not None:
        nodes.setdefault(own.node, Node(name=own.node, registered=True))
    facts: dict[str, NodeFacts] = {}
    for name in sorted(nodes):
        standing = _NOWHERE
        if nodes[name].addresses or nodes[name].networks or heard.get(name):
            standing = Standing(
                addresses=frozenset((*nodes[name].addresses, *heard.get(name, ()))),
                networks=frozenset(nodes[name].networks),
            )
        if own is not None and name == own.node:
            up = frozenset(interface for interface, usable in own.usable.items() if usable)
            if own.networks:
                standing = Standing(networks=own.networks, complete=True)
            facts[name] = NodeFacts(
                node=nodes[name],
                interfaces=up,
                present=frozenset(own.usable),
                lacking=own.lacking,
                standing=standing,
            )
        else:
            known = named.get(name)
            facts[name] = NodeFacts(node=nodes[name], interfaces=known, present=known, standing=standing)
    return MappingProxyType(facts)


@dataclass(slots=True, kw_only=True)
class _Judge:
    """Judges group after group; nodes of one demand are judged once (`tables`)."""

    world: World
    backings: Mapping[ServiceKey, Backing]
    nodes: Mapping[str, NodeFacts]
    tables: dict[tuple[Demand, ...], Mapping[str, Verdict]]
    subnets: Subnets
    requiring: frozenset[str]
    quarantined: Mapping[IPAddress, Quarantine] = field(default_factory=lambda: _EMPTY)
    _demands: dict[tuple[str, tuple[tuple[str, str], ...] | None], Demand] = field(default_factory=dict)

    def judge(self, found: Group) -> Eligibility:
        refusals: list[Refusal] = []
        serving: list[tuple[ServiceKey, Demand]] = []
        local: list[tuple[ServiceKey, frozenset[str]]] = []
        by_address: dict[IPAddress, tuple[Demand, ...]] = {}
        even = True
        for allocation in found.allocations:
            service = self.world.services.get(allocation.service)
            if service is None:
                refusals.append(Refusal(str(allocation.service), Reason.NO_ENDPOINTS, "the service is not known"))
                continue
            backing = self.backings.get(service.key, NONE)
            if not backing.nodes:
                refusals.append(Refusal(str(service.key), Reason.NO_ENDPOINTS))
                continue
            demands, why_not = self._demands_of(service, allocation, backing)
            refusals.extend(why_not)
            if not demands:
                continue
            different = sorted(set(demands.values()))
            if service.load_balancer.sharing_key is not None:
                selecting = [
                    name
                    for demand in different
                    for name in demand
                    if self.world.l2_advertisements[name].service_selectors
                ]
                if selecting:
                    refusals.append(
                        Refusal(str(service.key), Reason.SHARED_WITH_SERVICE_SELECTOR, ", ".join(selecting))
                    )
                    continue
            serving.extend((service.key, demand) for demand in different)
            even = even and len(different) == 1 and len(demands) == len(allocation.addresses)
            for address, demand in demands.items():
                by_address[address] = (*by_address.get(address, ()), demand)
            if service.traffic.external_policy is TrafficPolicy.LOCAL:
                families = {family_of(address) for address in demands}
                local.append(
                    (service.key, frozenset.intersection(*(backing.nodes[family] for family in sorted(families))))
                )
        wanted = tuple(sorted({demand for _, demand in serving}))
        verdicts = self._table(wanted) if serving else _EMPTY
        if serving:
            required = is_required(wanted, self.requiring)
            verdicts = self.subnets.judged(verdicts, found.key, required=required)
        if local:
            verdicts = MappingProxyType({name: _localised(verdict, local) for name, verdict in verdicts.items()})
        eligibility = Eligibility(
            group=found,
            refusals=tuple(refusals),
            serving=tuple(serving),
            verdicts=verdicts,
            uneven=_EMPTY if even else MappingProxyType(by_address),
        )
        return self._less_quarantined(eligibility) if self.quarantined else eligibility

    def _less_quarantined(self, found: Eligibility) -> Eligibility:
        """Without the addresses that nobody may begin to announce; when none is left, that is every node's reason."""
        kept_back = tuple(each for a in found.group.key if (each := self.quarantined.get(a)) is not None)
        if not kept_back:
            return found
        found = replace(found, quarantined=kept_back)
        if found.announced:
            return found
        verdicts = {
            name: replace(verdict, refusals=(*verdict.refusals, *(refusal_of(name, q) for q in kept_back)))
            for name, verdict in found.verdicts.items()
        }
        return replace(found, verdicts=MappingProxyType(verdicts))

    def _demands_of(
        self, service: Service, allocation: Allocation, backing: Backing
    ) -> tuple[dict[IPAddress, Demand], list[Refusal]]:
        """The demand of each address that the service counts for, and why it does not for the others: an endpoint of
        one family answers for no address of the other, and each address is advertised as its own pool is."""
        demands: dict[IPAddress, Demand] = {}
        refusals: list[Refusal] = []
        for address in allocation.addresses:
            family = family_of(address)
            if family not in backing.nodes:
                refusals.append(Refusal(str(service.key), Reason.NO_ENDPOINTS, f"none of family {family.value}"))
                continue
            pool = allocation.pool_of(address)
            demand = self._demand(service, pool)
            if demand:
                demands[address] = demand
            elif (refusal := Refusal(str(service.key), Reason.NO_ADVERTISEMENT, f"pool {pool}")) not in refusals:
                refusals.append(refusal)
        return demands, refusals

    def _demand(self, service: Service, pool: str) -> Demand:
        labels_count = any(ad.service_selectors for ad in self.world.l2_advertisements.values())
        cached = (pool, service.labels if labels_count else None)
        if (known := self._demands.get(cached)) is not None:
            return known
        demand = tuple(
            sorted(
                name
                for name, ad in self.world.l2_advertisements.items()
                if self._covers_pool(ad, pool) and _any(ad.service_selectors, dict(service.labels))
            )
        )
        self._demands[cached] = demand
        return demand

    def _covers_pool(self, ad: L2Advertisement, pool_name: str) -> bool:
        if not ad.pools and not ad.pool_selectors:
            return True
        if pool_name in ad.pools:
            return True
        pool = self.world.pools.get(pool_name)
        labels = dict(pool.labels) if pool is not None else {}
        return pool is not None and any(selector.matches(labels) for selector in ad.pool_selectors)

    def _table(self, demands: tuple[Demand, ...]) -> Mapping[str, Verdict]:
        if (known := self.tables.get(demands)) is not None:
            return known
        table = MappingProxyType({name: self._verdict(facts, demands) for name, facts in self.nodes.items()})
        self.tables[demands] = table
        return table

    def _verdict(self, facts: NodeFacts, demands: tuple[Demand, ...]) -> Verdict:
        name = facts.node.name
        labels = dict(facts.node.labels)
        refusals: list[Refusal] = []
        if EXCLUDE_LABEL in labels:
            refusals.append(Refusal(name, Reason.NODE_EXCLUDED, f"label {EXCLUDE_LABEL}"))
        if facts.node.network_unavailable:
            refusals.append(Refusal(name, Reason.NETWORK_UNAVAILABLE))
        weighing: dict[str, L2Advertisement] = {}
        interfaces: dict[Demand, InterfaceSet] = {}
        paces: dict[Demand, float] = {}
        for demand in demands:
            ads = [self.world.l2_advertisements[ad] for ad in demand]
            covering = [ad for ad in ads if _any(ad.node_selectors, labels)]
            if not covering:
                refusals.append(Refusal(name, Reason.NODE_NOT_SELECTED, ", ".join(demand)))
                continue
            weighing.update((ad.name, ad) for ad in covering)
            allowed: InterfaceSet = (
                None
                if any(not ad.interfaces for ad in covering)
                else frozenset(interface for ad in covering for interface in ad.interfaces)
            )
            interfaces[demand] = allowed
            if rates := [ad.announce_rate for ad in covering if ad.announce_rate is not None]:
                paces[demand] = min(rates)
            refusal = _no_interface(facts, allowed)
            if refusal is not None and refusal not in refusals:
                refusals.append(refusal)
        weight = sum(
            term.weight for ad in weighing.values() for term in ad.preferred_nodes if term.preference.matches(labels)
        )
        return Verdict(
            node=name,
            refusals=tuple(refusals),
            weight=weight,
            interfaces=MappingProxyType(interfaces),
            paces=MappingProxyType(paces),
        )


def _no_interface(facts: NodeFacts, allowed: InterfaceSet) -> Refusal | None:
    """Why none of the allowed interfaces would do, as far as the node's interfaces are known."""
    if facts.interfaces is None or facts.present is None:
        return None
    if facts.interfaces if allowed is None else facts.interfaces & allowed:
        return None
    there = facts.present if allowed is None else facts.present & allowed
    if there & facts.lacking.keys():
        return Refusal(
            facts.node.name, Reason.NO_CARRIER, ", ".join(sorted({facts.lacking.get(name, name) for name in there}))
        )
    wanted = "any interface" if allowed is None else ", ".join(sorted(allowed))
    return Refusal(facts.node.name, Reason.NO_CARRIER if there else Reason.NO_INTERFACE, wanted)


def _localised(verdict: Verdict, local: Iterable[tuple[ServiceKey, frozenset[str]]]) -> Verdict:
    missing = tuple(
        Refusal(verdict.node, Reason.NO_LOCAL_ENDPOINTS, str(service))
        for service, nodes in local
        if verdict.node not in nodes
    )
    if not missing:
        return verdict
    return Verdict(
        node=verdict.node,
        refusals=verdict.refusals + missing,
        weight=verdict.weight,
        interfaces=verdict.interfaces,
        paces=verdict.paces,
    )


def _any(selectors: tuple[LabelSelector, ...], labels: Mapping[str, str]) -> bool:
    """Selectors are alternatives; none at all match everything."""
    return not selectors or any(selector.matches(labels) for selector in selectors)
