"""A status socket for tests: the product's own server and the plan's own answers over a World and a View made here."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from lbctl.model.address import AddressRange, Family, IPAddress
from lbctl.model.advertisement import L2Advertisement
from lbctl.model.allocation import Allocation
from lbctl.model.claim import Claim
from lbctl.model.endpoint import Endpoint, EndpointSlice, SliceKey
from lbctl.model.member import Liveness, Member
from lbctl.model.node import Node
from lbctl.model.pool import Pool
from lbctl.model.service import Port, Service, ServiceKey, ServiceType
from lbctl.model.snapshot import Snapshot, View, World, evolve
from lbctl.net.status_server import Answer, Query, StatusServer
from lbctl.plan.locate import locate, where_document

NGINX = ServiceKey("default", "nginx-svc")
VIP = "192.168.3.170"


def world(addresses: Sequence[str] = (VIP,), nodes: Mapping[str, Sequence[str]] | None = None) -> World:
    """The pool and the service of the examples, allocated, with one endpoint on each node (n1, n2 if not said)."""
    nodes = nodes or {"n1": ["192.168.3.103"], "n2": ["192.168.3.104"]}
    service = Service(
        key=NGINX,
        type=ServiceType.LOAD_BALANCER,
        ports=(Port(port=8080, target_port=80),),
        created_unix=time.time() - 250,
    )
    slices = EndpointSlice(
        key=SliceKey("default", "nginx-svc-1"),
        service=NGINX,
        family=Family.IPV4,
        endpoints=tuple(Endpoint(addresses=(ip_address(f"10.244.{n}.10"),), node=node) for n, node in enumerate(nodes)),
    )
    vips = tuple(map(ip_address, addresses))
    pool = Pool(
        name="first-pool",
        ranges=(
            _range("192.168.3.170", "192.168.3.179"),
            _range("fd00:3::170", "fd00:3::179"),
        ),
    )
    allocation = Allocation(service=NGINX, addresses=vips, pool="first-pool", id=1, since_unix=time.time() - 240)
    return evolve(
        World(),
        made_unix=time.time() - 3,
        services={NGINX: service},
        slices={slices.key: slices},
        pools={"first-pool": pool},
        l2_advertisements={"example": L2Advertisement(name="example")},
        nodes={name: Node(name=name, addresses=tuple(map(ip_address, each))) for name, each in nodes.items()},
        allocations={NGINX: allocation},
    )


def _range(first: str, last: str) -> AddressRange:
    return AddressRange(first=ip_address(first), last=ip_address(last), text=f"{first}-{last}")


def claim(node: str, address: str = VIP, *, epoch: int = 3, cause: str = "owner_gone") -> Claim:
    return Claim(
        address=ip_address(address),
        node=node,
        incarnation=7,
        epoch=epoch,
        quorate=True,
        since_unix=time.time() - 130,
        cause=cause,
        allocation_id=1,
    )


def view(claims: Sequence[Claim], macs: Mapping[str, str], *, gone: Sequence[str] = ()) -> View:
    """Members with one MAC each, and who claims what."""
    by_node: dict[str, dict[IPAddress, Claim]] = {}
    for each in claims:
        by_node.setdefault(each.node, {})[each.address] = each
    return View(
        source="n1",
        seen_unix=time.time(),
        members={
            node: Member(
                node=node,
                incarnation=7,
                state=Liveness.GONE if node in gone else Liveness.ALIVE,
                two_way=True,
                macs=((mac, "eth0"),),
                since_unix=time.time() - 900,
            )
            for node, mac in macs.items()
        },
        claims=by_node,
    )


@dataclass
class Daemon:
    """What the socket answers; change it between questions. `moves` are given out once each, newest last."""

    snapshot: Snapshot
    node: str = "n1"
    role: str = "speaker"
    stale: str | None = None
    previous: Mapping[str, str] = field(default_factory=dict)
    moves: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)

    def see(self, new: View) -> None:
        self.snapshot = replace(self.snapshot, view=new)

    async def where(self, query: Query) -> Answer:
        located, _ = locate(self.snapshot, query["target"])
        document = where_document(
            located,
            self.snapshot,
            node=self.node,
            role=self.role,
            at_unix=time.time(),
            stale=self.stale,
            previous={ip_address(address): node for address, node in self.previous.items()},
        )
        return Answer(document, 200 if located.error is None else 404)

    async def list_services(self, query: Query) -> Answer:
        return Answer({"schema": "lbctl.io/services/v1", "services": self.services})

    async def tell_status(self, query: Query) -> Answer:
        return Answer({"schema": "lbctl.io/status/v1", **self.status})


@contextlib.contextmanager
def serving(daemon: Daemon, path: Path) -> Iterator[str]:
    """The daemon on a unix socket, in a thread of its own; yields what `--via` takes."""
    ready, stop = threading.Event(), threading.Event()
    routes = {"/v1/where": daemon.where, "/v1/services": daemon.list_services, "/v1/status": daemon.tell_status}

    async def serve() -> None:
        async with StatusServer(routes, path):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield f"unix:{path}"
    finally:
        stop.set()
        thread.join()
