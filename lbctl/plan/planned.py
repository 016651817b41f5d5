"""What one node is to do by the plan: the values that `announce` makes and `moves` and the speaker read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.plan.elect import Assignment
from lbctl.plan.eligible import InterfaceSet
from lbctl.plan.fleet import Fleet
from lbctl.plan.groups import Group, GroupKey

_EMPTY: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An address this node may announce: where, and who inherits it while this node owns it.

    `owner` is whom the plan wants to announce it. `pace`: so many addresses a second, this one among them, are
    announced on each interface; None = as fast as it goes.
    """

    allocation_id: int
    heirs: tuple[str, ...] = ()
    interfaces: InterfaceSet = None
    owner: str | None = None
    pace: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What this node may announce, and who shall announce what.

    `strays`: what this node claims and another should announce, or nobody. `taking`: groups that it is to take from
    who holds them, now; `returning`: groups that it is wanted for more than who holds them. `loads` counts the groups
    that each node holds; `resting` when none is without an owner that could have one.
    """

    prepared: Mapping[IPAddress, Prepared]
    assignments: Mapping[GroupKey, Assignment]
    by_address: Mapping[IPAddress, Group]
    fleet: Fleet = field(default_factory=Fleet)
    touched: frozenset[IPAddress] | None = None
    """The addresses that may be prepared differently from the memo before; None when that may be any."""
    strays: frozenset[IPAddress] = frozenset()
    taking: frozenset[GroupKey] = frozenset()
    returning: frozenset[GroupKey] = frozenset()
    loads: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    resting: bool = True

    @property
    def alive(self) -> frozenset[str]:
        return self.fleet.alive
