"""One step of the controller, pure: what the source, the ledger and the heartbeats say now, to what is to be done.

    decision, memo = step(inputs, memo)
    ledger.commit(decision.batch), then publish decision.world

Level-triggered: a step that is run twice, or after a missed event, decides the same. What it publishes is what the
ledger will hold once the batch is committed, and is published only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lbctl.config.checks.network import node_addresses_in_pools
from lbctl.controller.conflicts import quarantine_changes
from lbctl.controller.events import Event, allocation_events, held_back_events, kept_events, node_events, overlap_events
from lbctl.controller.records import Batch, LedgerState
from lbctl.model.address import IPAddress
from lbctl.model.claim import Claim
from lbctl.model.frozen_map import changed_keys, frozen
from lbctl.model.member import Liveness, Member, Role
from lbctl.model.node import Node
from lbctl.model.pool import Pool
from lbctl.model.service import Service, ServiceKey, ServiceType
from lbctl.model.snapshot import World
from lbctl.plan.allocate import ALL_READ, AllocationMemo, Unread, allocate
from lbctl.plan.protect import pools_in_force
from lbctl.plan.reason import Refusal

GENERATIONS_AHEAD = 1000
"""So many generations are noted in the ledger at once; a restart goes on above them. Saves a commit for each change."""
FORGET_TIME = 7 * 24 * 3600.0
"""Seconds after which a node that registered itself and is heard no more is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that a step looks at.

    `unread`: see `still_unread`. `published` is the World of the last step, whose generation this one goes on from.
    `pools_before`: at the first step, the pools that were in force until the controller ended. `load_balancer_class`:
    the one class of services that is ours; None: those without.
    """

    world: World
    unread: Unread = ALL_READ
    state: LedgerState
    members: Mapping[str, Member] = field(default_factory=dict)
    claims: Mapping[str, Mapping[IPAddress, Claim]] = field(default_factory=dict)
    published: World | None = None
    pools_before: Mapping[str, Pool] = field(default_factory=dict)
    pending: Mapping[ServiceKey, tuple[Refusal, ...]] = field(default_factory=dict)
    load_balancer_class: str | None = None
    now_unix: float
    started_unix: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`after` is the ledger's state once the batch is committed; `world` what is to be published then, None where
    nothing changed. `again`: another step may find more to do. `next_at_unix`: when one may decide otherwise though
    nothing happened. `held_back`: edits of pools that are not in force, and why."""

    batch: Batch
    after: LedgerState
    world: World | None
    pending: Mapping[ServiceKey, tuple[Refusal, ...]]
    events: tuple[Event, ...]
    again: bool
    next_at_unix: float | None = None
    held_back: tuple[Refusal, ...] = ()


def still_unread(before: Unread | None, state: LedgerState, world: World, *, complete: bool) -> Unread:
    """What the ledger knows and the source has not said since the start (`before` is None at the first World).

    Once the source is `complete`, what is not in its World does not exist; and what it said once and no longer says, it
    took back.
    """
    if complete:
        return ALL_READ
    if before is None:
        known = state.allocations.keys() | state.remembered.first_seen.keys()
        pools = {name for item in state.allocations.values() for name in (item.pool, item.second_pool) if name}
        before = Unread(services=frozenset(known), pools=frozenset(pools))
    after = Unread(services=before.services - world.services.keys(), pools=before.pools - world.pools.keys())
    return before if after == before else after


class _Untimed:
    """LoadBalancer services that do not say when they were created, against those whose first sight is noted."""

    def __init__(self) -> None:
        self._services: Mapping[ServiceKey, Service] = {}
        self._known: Mapping[ServiceKey, float] = {}
        self._unnoted: set[ServiceKey] = set()
        self._needless: set[ServiceKey] = set()

    def differences(self, inputs: Inputs) -> tuple[dict[ServiceKey, float], tuple[ServiceKey, ...]]:
        """Those to note, with the time; and those to forget, because they are gone."""
        services, known = inputs.world.services, inputs.state.remembered.first_seen
        for key in changed_keys(self._services, services) | changed_keys(self._known, known):
            service = services.get(key)
            untimed = service is not None and service.created_unix is None and service.type is ServiceType.LOAD_BALANCER
            (self._unnoted.add if untimed and key not in known else self._unnoted.discard)(key)
            (self._needless.add if key in known and not untimed else self._needless.discard)(key)
        self._services, self._known = services, known
        if not self._unnoted:
            # A set that held very many keeps its size, and is walked in the whole of it.
            self._unnoted = set()
        return dict.fromkeys(self._unnoted, inputs.now_unix), tuple(self._needless - inputs.unread.services)


class _Overlaps:
    """Pools that hold the address of a node that registered itself, each told once as long as it is so."""

    def __init__(self) -> None:
        self._pools: Mapping[str, Pool] | None = None
        self._known: frozenset[tuple[str, IPAddress, str]] = frozenset()

    def news(self, pools: Mapping[str, Pool], nodes: Iterable[Node], *, changed: bool) -> list[Event]:
        """`changed`: whether `nodes` are others than last time."""
        if pools is self._pools and not changed:
            return []
        found = node_addresses_in_pools(pools, nodes)
        news = [overlap for overlap in found if overlap not in self._known]
        self._pools, self._known = pools, frozenset(found)
        return overlap_events(news)


class StepMemo:
    """What the last step worked out and the next one need not. Worth nothing but time."""

    def __init__(self) -> None:
        self.allocation: AllocationMemo | None = None
        self.untimed = _Untimed()
        self.nodes_from: tuple[Mapping[str, Node], Mapping[str, Node]] | None = None
        self.nodes: Mapping[str, Node] = {}
        self.held_back: tuple[Refusal, ...] = ()
        self.overlaps = _Overlaps()


def step(inputs: Inputs, memo: StepMemo | None = None) -> tuple[Decision, StepMemo]:
    """Decides; changes nothing but the memo, which is used up."""
    memo = memo or StepMemo()
    state, now = inputs.state, inputs.now_unix
    seen, forgotten = memo.untimed.differences(inputs)
    kept = quarantine_changes(state, inputs.members, now, inputs.claims)
    noted = state.after(Batch(at_unix=now, first_grant=state.next_grant, seen=seen, forgotten=forgotten, kept=kept))
    pools, held_back = _pools_in_force(inputs)
    world = replace(inputs.world, allocations=state.allocations, pools=pools)
    plan, memo.allocation = allocate(
        world,
        noted.remembered,
        memo.allocation,
        now_unix=now,
        load_balancer_class=inputs.load_balancer_class,
        unread=inputs.unread,
    )
    nodes, nodes_dropped = _registrations(inputs)
    planned = Batch(
        at_unix=now,
        first_grant=state.next_grant,
        releases=plan.releases,
        amendments=plan.amendments,
        grants=plan.grants,
        nodes=nodes,
        nodes_dropped=nodes_dropped,
    )
    after = noted.after(planned)
    batch = replace(planned, seen=seen, forgotten=forgotten, kept=kept)
    wanted = replace(
        inputs.world,
        pools=pools,
        allocations=after.allocations,
        quarantined=after.remembered.quarantined,
        nodes=_all_nodes(inputs.world.nodes, after.nodes, memo),
    )
    publish: World | None = None
    news = [
        key for key in changed_keys(inputs.pending, plan.pending) if inputs.pending.get(key) != plan.pending.get(key)
    ]
    if inputs.published is None or news or wanted.changes_since(inputs.published):
        generation = (inputs.published.generation if inputs.published else state.generation) + 1
        publish = replace(wanted, generation=generation, made_unix=now)
        if generation >= state.generation:
            batch = replace(batch, generation=generation + GENERATIONS_AHEAD)
            after = replace(after, generation=generation + GENERATIONS_AHEAD)
    events = (
        *kept_events(kept, state),
        *allocation_events(plan, batch.allocations(), news),
        *node_events(nodes, nodes_dropped),
        *(held_back_events(held_back) if held_back != memo.held_back else ()),
        *memo.overlaps.news(
            pools,
            (node for name, node in sorted(after.nodes.items()) if name not in inputs.world.nodes),
            changed=bool(nodes or nodes_dropped),
        ),
    )
    memo.held_back = held_back
    return Decision(
        batch=batch,
        after=after,
        world=publish,
        pending=plan.pending,
        events=events,
        again=not plan.settled,
        next_at_unix=plan.next_at_unix,
        held_back=held_back,
    ), memo


def _pools_in_force(inputs: Inputs) -> tuple[Mapping[str, Pool], tuple[Refusal, ...]]:
    """Pools that could not be read are not gone (`unread`), so nothing is held back for them."""
    before = inputs.pools_before if inputs.published is None else inputs.published.pools
    known = {name: pool for name, pool in before.items() if name not in inputs.unread.pools}
    return pools_in_force(before if len(known) == len(before) else known, inputs.world, inputs.state.allocations)


def _registrations(inputs: Inputs) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Nodes to note because their speakers are heard, and nodes to forget because they were not heard for long."""
    known = inputs.state.nodes
    heard: list[Node] = []
    for member in inputs.members.values():
        if member.role is Role.SPEAKER and member.state in (Liveness.ALIVE, Liveness.DRAINING, Liveness.SUSPECT):
            before = known.get(member.node)
            if before is None or before.addresses != member.addresses:
                heard.append(Node(name=member.node, addresses=member.addresses, registered=True))
    dropped = [
        name
        for name in known
        if inputs.now_unix - _last_heard(inputs.members.get(name), inputs.started_unix, inputs.now_unix) > FORGET_TIME
    ]
    return tuple(sorted(heard, key=lambda node: node.name)), tuple(sorted(dropped))


def _last_heard(member: Member | None, started_unix: float, now_unix: float) -> float:
    if member is None:
        return started_unix
    return member.since_unix if member.state in (Liveness.GONE, Liveness.LEFT) else now_unix


def _all_nodes(described: Mapping[str, Node], registered: Mapping[str, Node], memo: StepMemo) -> Mapping[str, Node]:
    """Nodes with a manifest are as it says; the others as their speakers registered them."""
    if not registered:
        return described
    if memo.nodes_from is None or memo.nodes_from[0] is not described or memo.nodes_from[1] is not registered:
        memo.nodes_from = (described, registered)
        memo.nodes = frozen(memo.nodes).become({**registered, **described})
    return memo.nodes
