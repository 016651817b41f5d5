"""Which nodes have an address in the subnet of a VIP, as far as the node that plans can know.

Its own interfaces it knows with their prefix lengths; the prefix lengths of others it does not hear, so it takes what
it knows for the whole segment: its own networks, and those that Nodes are said to be in. Where nothing is known of a
VIP's subnet, no node is better than another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.plan.eligibility import Demand, Verdict
from lbctl.plan.reason import Reason, Refusal

_EMPTY: Mapping[Any, Any] = MappingProxyType({})
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a node stands: its addresses, and its networks where it is known that these are all of them."""

    addresses: frozenset[IPAddress] = frozenset()
    networks: frozenset[Network] = frozenset()
    complete: bool = False


@dataclass(slots=True, kw_only=True)
class Subnets:
    """Judges verdict tables by subnet; tables alike stay one table."""

    standing: Mapping[str, Standing]
    networks: tuple[Network, ...] = ()
    _known: dict[tuple[int, tuple[Network, ...], bool], tuple[Mapping[str, Verdict], Mapping[str, Verdict]]] = field(
        default_factory=dict
    )

    def judged(
        self, verdicts: Mapping[str, Verdict], addresses: Sequence[IPAddress], *, required: bool
    ) -> Mapping[str, Verdict]:
        """The table with who is outside of the subnet of one of these addresses; the very same where that is nobody.

        `required`: who is outside may not announce them, and who cannot be said to be inside neither.
        """
        if not self.networks and not required:
            return verdicts
        around = tuple(self._around(address) for address in addresses)
        if not required and not any(around):
            return verdicts
        known = (id(verdicts), tuple(n for found in around for n in found), required)
        cached = self._known.get(known)
        if cached is None or cached[0] is not verdicts:
            cached = self._known[known] = (verdicts, self._judge(verdicts, around, required=required))
        return cached[1]

    def _around(self, address: IPAddress) -> tuple[Network, ...]:
        return tuple(network for network in self.networks if network.version == address.version and address in network)

    def _judge(
        self, verdicts: Mapping[str, Verdict], around: Sequence[tuple[Network, ...]], *, required: bool
    ) -> Mapping[str, Verdict]:
        outside = {
            node for node in verdicts if any(self._is_outside(node, found, required=required) for found in around)
        }
        if not outside:
            return verdicts
        made: dict[str, Verdict] = {}
        for node, verdict in verdicts.items():
            if node in outside and required:
                refusal = Refusal(node, Reason.NO_SUBNET_ADDRESS, "it has no address in the subnet of the VIP")
                verdict = replace(verdict, refusals=(*verdict.refusals, refusal))
            made[node] = replace(verdict, outside=True) if node in outside else verdict
        return MappingProxyType(made)

    def _is_outside(self, node: str, around: tuple[Network, ...], *, required: bool) -> bool:
        standing = self.standing[node]
        if not around:
            # Nobody is known to be inside; where that is required, nobody may.
            return required
        if standing.networks & set(around):
            return False
        inside = any(address in network for address in standing.addresses for network in around)
        return not inside and (standing.complete or bool(standing.addresses))


def subnets(standing: Mapping[str, Standing]) -> Subnets:
    """What is known of the segments, out of where each node stands."""
    networks = {network for each in standing.values() for network in each.networks if not network.is_link_local}
    return Subnets(standing=standing, networks=tuple(sorted(networks, key=str)))


def is_required(demands: Iterable[Demand], requiring: frozenset[str]) -> bool:
    """Whether some service may be announced by advertisements alone that want the subnet."""
    return bool(requiring) and any(all(name in requiring for name in demand) for demand in demands)


def outside(addresses: Iterable[IPAddress], networks: Iterable[Network]) -> list[IPAddress]:
    """Of addresses those that lie in none of the networks."""
    known = tuple(networks)
    return [a for a in addresses if not any(n.version == a.version and a in n for n in known)]
