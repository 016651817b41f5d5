"""The status API's answers made out of the published file, for a host where no daemon can be asked.

The file has the World and no View: what is planned can be named as far as eligible nodes go, owners cannot.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceType
from lbctl.model.snapshot import Snapshot
from lbctl.plan.counters import pools_document
from lbctl.plan.locate import locate, where_document
from lbctl.plan.quarantine import in_quarantine
from lbctl.sources.published_document import Published, PublishedError
from lbctl.sources.published_file import read_published


class NotPublished(Exception):
    """The published file cannot be used; the text is fit for people."""


def where(path: Path, target: str) -> dict[str, Any]:
    """`/v1/where` with role `published`, and `node_addresses` (address -> node) beside. Raises NotPublished."""
    published = _read(path)
    snapshot = Snapshot(world=published.world)
    located, _ = locate(snapshot, target, pending=published.pending)
    document: dict[str, Any] = where_document(located, snapshot, node="", role="published", at_unix=time.time())
    addresses: dict[IPAddress, str] = {
        address: node.name for node in snapshot.world.nodes.values() for address in node.addresses
    }
    return {**document, "node_addresses": {str(address): name for address, name in addresses.items()}}


def services(path: Path) -> dict[str, Any]:
    """`/v1/services`; owners are not known here and left empty. Raises NotPublished."""
    published = _read(path)
    world = published.world
    rows: list[dict[str, Any]] = []
    for key, service in sorted(world.services.items()):
        if service.type is not ServiceType.LOAD_BALANCER:
            continue
        allocation = world.allocations.get(key)
        addresses = allocation.addresses if allocation else ()
        rows.append(
            {
                "namespace": key.namespace,
                "name": key.name,
                "type": service.type.value,
                "addresses": [str(address) for address in addresses],
                "ports": [f"{port.port}/{port.protocol.value}" for port in service.ports],
                "pool": allocation.pool if allocation else None,
                "pools": list(allocation.pools) if allocation else [],
                "owners": [],
                "since_unix": allocation.since_unix if allocation else None,
                "created_unix": service.created_unix,
                "pending": [
                    {"subject": refusal.subject, "reason": refusal.reason.value, "detail": refusal.detail}
                    for refusal in (*published.pending.get(key, ()), *in_quarantine(world, addresses))
                ],
            }
        )
    return {"schema": "lbctl.io/services/v1", "role": "published", "services": rows}


def _read(path: Path) -> Published:
    try:
        return read_published(path)
    except PublishedError as error:
        raise NotPublished(str(error)) from None


def pools(path: Path) -> dict[str, Any]:
    """`/v1/pools`; what cools or is reserved is not known here and null. Raises NotPublished."""
    return {**pools_document(_read(path).world, None, now_unix=time.time()), "role": "published"}
