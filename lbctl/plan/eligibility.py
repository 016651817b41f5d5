"""Who may announce a group: the answer of `eligible`, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.reservation import Quarantine
from lbctl.model.service import ServiceKey
from lbctl.plan.groups import Group
from lbctl.plan.reason import Refusal

_EMPTY: Mapping[Any, Any] = MappingProxyType({})

Demand = tuple[str, ...]
"""The names of the L2Advertisements that match a service, sorted. Services of one demand have one answer."""

InterfaceSet = frozenset[str] | None
"""Interfaces by name; None is all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnInterfaces:
    """The interfaces of the node that plans: name -> whether it is up and has carrier.

    `lacking` names for some the device below them whose carrier is what they lack. `networks` are those that it has
    an address in; none when they are not known.
    """

    node: str
    usable: Mapping[str, bool] = field(default_factory=lambda: _EMPTY)
    lacking: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    networks: frozenset[IPv4Network | IPv6Network] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One node and one group: no refusals means eligible. `weight` is the sum of the preferences that match.

    `interfaces` says for each demand of the group where the node may announce, `paces` for some of them how many
    addresses a second. `outside`: it has no address in the subnet of the VIP, where that is known.
    """

    node: str
    refusals: tuple[Refusal, ...] = ()
    weight: int = 0
    interfaces: Mapping[Demand, InterfaceSet] = field(default_factory=lambda: _EMPTY)
    paces: Mapping[Demand, float] = field(default_factory=lambda: _EMPTY)
    outside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligibility:
    """A group, who may announce it, and why the others may not.

    `refusals` concern the group as a whole, or services and single addresses that are left out of it because others
    keep it alive. `serving` are the services that count, each with its demand (two, where its addresses are of
    different pools); when there are none, nobody may announce the group. `quarantined` are the addresses of the group
    that nobody announces, while the others may be. `uneven`: where the services that count do not count alike for all
    of their addresses, the demands of each address.
    """

    group: Group
    refusals: tuple[Refusal, ...] = ()
    serving: tuple[tuple[ServiceKey, Demand], ...] = ()
    verdicts: Mapping[str, Verdict] = field(default_factory=lambda: _EMPTY)
    quarantined: tuple[Quarantine, ...] = ()
    uneven: Mapping[IPAddress, tuple[Demand, ...]] = field(default_factory=lambda: _EMPTY)

    @property
    def announced(self) -> tuple[IPAddress, ...]:
        """The addresses of the group that are worth announcing: those of services that count."""
        counting = {service for service, _ in self.serving}
        wanted = {
            a for allocation in self.group.allocations if allocation.service in counting for a in allocation.addresses
        }
        if self.uneven:
            wanted &= self.uneven.keys()
        wanted -= {quarantine.address for quarantine in self.quarantined}
        return tuple(address for address in self.group.key if address in wanted)

    def quarantine(self, address: IPAddress) -> Quarantine | None:
        return next((found for found in self.quarantined if found.address == address), None)

    def left_out(self, address: IPAddress) -> tuple[Refusal, ...]:
        """Why nobody announces this one, while others of the group may be; empty where it is not so."""
        if not self.uneven or address in self.uneven:
            return ()
        holders = {str(a.service) for a in self.group.allocations if address in a.addresses}
        return tuple(refusal for refusal in self.refusals if refusal.subject in holders)

    @property
    def nodes(self) -> tuple[Verdict, ...]:
        """The eligible ones, by name."""
        return tuple(verdict for verdict in self.verdicts.values() if not verdict.refusals)

    def interfaces(self, address: IPAddress, node: str) -> InterfaceSet:
        """Where `node` may announce `address`: every interface that an advertisement of one of its services allows."""
        verdict = self.verdicts.get(node)
        if verdict is None:
            return frozenset()
        allowed: frozenset[str] = frozenset()
        for demand in self._demands(address):
            some = verdict.interfaces.get(demand, frozenset())
            if some is None:
                return None
            allowed |= some
        return allowed

    def pace(self, address: IPAddress, node: str) -> float | None:
        """How many addresses a second `node` may announce where it announces this one: the strictest that is asked."""
        verdict = self.verdicts.get(node)
        if verdict is None or not verdict.paces:
            return None
        paces = verdict.paces
        return min((paces[demand] for demand in self._demands(address) if demand in paces), default=None)

    def _demands(self, address: IPAddress) -> tuple[Demand, ...]:
        """Those of the services that `address` is announced for."""
        if self.uneven:
            return self.uneven.get(address, ())
        holders = {a.service for a in self.group.allocations if address in a.addresses}
        return tuple(demand for service, demand in self.serving if service in holders)
