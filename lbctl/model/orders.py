"""The orders of operators that are in force, out of the rows that heartbeats bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.frozen_map import FrozenMap
from lbctl.model.snapshot import Drain, Pin, Rebalance

Row = Sequence[Any]
"""(kind, key, node, version, by, since_unix, active): a `drain` of a node, a `pin` of an address, a `rebalance`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a View says of orders."""

    drains: Mapping[str, Drain] = field(default_factory=FrozenMap)
    pins: Mapping[IPAddress, Pin] = field(default_factory=FrozenMap)
    rebalance: Rebalance | None = None

    def with_rows(self, rows: Iterable[Row]) -> Orders:
        """After these rows, each of which is newer than what was known of its subject."""
        drains, pins, rebalance = dict(self.drains), dict(self.pins), self.rebalance
        for kind, key, node, version, by, since_unix, active in rows:
            match kind:
                case "drain" if active:
                    drains[key] = Drain(node=key, version=version, by=by, since_unix=since_unix)
                case "drain":
                    drains.pop(key, None)
                case "pin" if active:
                    address = ip_address(key)
                    pins[address] = Pin(address=address, node=node, version=version, by=by, since_unix=since_unix)
                case "pin":
                    pins.pop(ip_address(key), None)
                case "rebalance":
                    rebalance = Rebalance(version=version, by=by, since_unix=since_unix) if active else None
                case _:
                    pass
        return Orders(
            drains=self.drains if drains == self.drains else MappingProxyType(drains),
            pins=self.pins if pins == self.pins else MappingProxyType(pins),
            rebalance=rebalance,
        )
