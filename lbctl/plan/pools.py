"""Which pools a service may be served from, and in which order they are tried (MetalLB section 3.2, rules P8-P10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbctl.model.node import Namespace
from lbctl.model.pool import Pool, ServiceAllocation
from lbctl.model.selector import LabelSelector
from lbctl.model.service import Service
from lbctl.plan.reason import GrantCause, Reason, Refusal

_LONGEST = 120
"""Characters of a list in a refusal."""
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""Kubernetes puts it on every namespace; it holds for a namespace that no object describes, too."""


@dataclass(frozen=True, slots=True)
class PoolChoice:
    """Pools to try where none is asked for, tier after tier, each in order; and those not to be tried, and why.

    `names`: the pools of all tiers.
    """

    tiers: tuple[tuple[GrantCause, tuple[str, ...]], ...]
    refusals: tuple[Refusal, ...]
    names: tuple[str, ...]


class PoolMatcher:
    """Answers for one set of pools and namespaces; what it found for a kind of service it remembers."""

    def __init__(self, pools: Mapping[str, Pool], namespaces: Mapping[str, Namespace]) -> None:
        self._pools = dict(sorted(pools.items()))
        self._namespaces = namespaces
        self._allowed: dict[tuple[str, str], bool] = {}
        self._choices: dict[object, PoolChoice] = {}
        self._alike: dict[PoolChoice, PoolChoice] = {}
        pinned = [pool.service_allocation for pool in pools.values() if pool.service_allocation is not None]
        self._labels_matter = any(item.service_selectors for item in pinned)
        self.reads_namespaces = any(item.namespace_selectors for item in pinned)

    def compatible(self, pool: Pool, service: Service) -> bool:
        """Whether the pool's `serviceAllocation` lets the service in. A pool without one lets everybody in."""
        pinned = pool.service_allocation
        if pinned is None:
            return True
        if not self._namespace_allowed(pool.name, pinned, service.key.namespace):
            return False
        if not pinned.service_selectors:
            return True
        labels = dict(service.labels)
        return any(selector.matches(labels) for selector in pinned.service_selectors)

    def _namespace_allowed(self, pool: str, pinned: ServiceAllocation, namespace: str) -> bool:
        # Selectors that match no namespace keep everybody out; the pool does not become everybody's for it.
        if not pinned.namespaces and not pinned.namespace_selectors:
            return True
        if namespace in pinned.namespaces:
            return True
        if not pinned.namespace_selectors:
            return False
        known = self._allowed.get((pool, namespace))
        if known is None:
            found = self._namespaces.get(namespace)
            labels = {NAMESPACE_NAME_LABEL: namespace, **dict(found.labels if found else ())}
            known = any(selector.matches(labels) for selector in pinned.namespace_selectors)
            self._allowed[pool, namespace] = known
        return known

    def choice(self, service: Service) -> PoolChoice:
        """Pinned pools by priority (1 first, 0 last), then the open ones; names decide between equals. The very same
        object for all who have the same choice."""
        kind = (service.key.namespace, service.labels) if self._labels_matter else service.key.namespace
        found = self._choices.get(kind)
        if found is None:
            found = self._choose(service)
            found = self._choices[kind] = self._alike.setdefault(found, found)
        return found

    def _choose(self, service: Service) -> PoolChoice:
        pinned: list[tuple[float, str]] = []
        open_to_all: list[str] = []
        refusals: list[Refusal] = []
        for name, pool in self._pools.items():
            if not pool.auto_assign:
                refusals.append(Refusal(name, Reason.POOL_NOT_AUTO))
            elif not self.compatible(pool, service):
                refusals.append(not_compatible(pool))
            elif pool.service_allocation is None:
                open_to_all.append(name)
            else:
                pinned.append((pool.service_allocation.priority or float("inf"), name))
        tiers = (
            (GrantCause.PINNED_POOL, tuple(name for _, name in sorted(pinned))),
            (GrantCause.AUTOMATIC, tuple(open_to_all)),
        )
        names = tuple(name for _, tier in tiers for name in tier)
        return PoolChoice(tuple(tier for tier in tiers if tier[1]), tuple(refusals), names)


def not_compatible(pool: Pool) -> Refusal:
    """That the pool is for others, and for whom."""
    pinned = pool.service_allocation
    return Refusal(pool.name, Reason.POOL_NOT_COMPATIBLE, f"it is for {_whom(pinned)}" if pinned is not None else "")


def _whom(pinned: ServiceAllocation) -> str:
    """A service has to be in the right namespace and have the right labels, where both are said."""
    spaces = [_shorter(", ".join(pinned.namespaces))] if pinned.namespaces else []
    if pinned.namespace_selectors:
        spaces.append("those with labels " + _alternatives(pinned.namespace_selectors))
    words = []
    if spaces:
        words.append(f"namespace{'s' if len(pinned.namespaces) != 1 or len(spaces) > 1 else ''} {' or '.join(spaces)}")
    if pinned.service_selectors:
        words.append(f"services with labels {_alternatives(pinned.service_selectors)}")
    return " and ".join(words) or "nobody in particular"


def _alternatives(selectors: tuple[LabelSelector, ...]) -> str:
    return _shorter(" or ".join(map(str, selectors)))


def _shorter(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
