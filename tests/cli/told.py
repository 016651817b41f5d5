"""A speaker's status socket for tests: the real server and handlers over a World and a View made here."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

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
from lbctl.net.status_server import Answer, Handler, Query, StatusServer
from lbctl.plan.eligible import OwnInterfaces
from lbctl.speaker.owners import Move
from lbctl.speaker.status import Facts, Moves, routes

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


class Daemon:
    """The status socket without the rest of the speaker: facts that a test changes between questions."""

    def __init__(self, snapshot: Snapshot, *, node: str = "n1", previous: Mapping[str, str] | None = None) -> None:
        self.facts = Facts(
            node=node,
            snapshot=snapshot,
            own=OwnInterfaces(node=node, usable={"eth0": True}),
            ready=True,
            since_unix=time.time() - 600,
            remembered_owners={each: (node,) for each, node in (previous or {}).items()},
        )
        self.polls = 0
        """How often moves were asked for."""
        self.after_where: Callable[[], None] = lambda: None
        """Called after each answer to where."""
        self._moves: Moves | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def see(self, new: View) -> None:
        self.facts.snapshot = replace(self.facts.snapshot, view=new)

    def move(self, *moves: Move) -> None:
        assert self._loop is not None
        assert self._moves is not None
        self._loop.call_soon_threadsafe(self._moves.add, moves)

    @contextlib.contextmanager
    def on(self, path: Path) -> Iterator[str]:
        """Listens on a unix socket; yields what `--via` takes."""

        def start() -> dict[str, Handler]:
            self._loop, self._moves = asyncio.get_running_loop(), Moves()
            handlers = routes(self.facts, self._moves)
            follow = handlers["/v1/moves"]

            async def counted(query: Query) -> Answer:
                self.polls += 1
                return await follow(query)

            async def where(query: Query) -> Answer:
                answer = await handlers["/v1/where"](query)
                self.after_where()
                return answer

            return {**handlers, "/v1/moves": counted, "/v1/where": where}

        with serving(start, path) as via:
            yield via


@contextlib.contextmanager
def serving(start: Callable[[], dict[str, Handler]], path: Path) -> Iterator[str]:
    """Handlers (made in the loop that serves them) on a unix socket, in a thread of its own; yields the `--via`."""
    ready = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        ends.append((asyncio.get_running_loop(), stop))
        async with StatusServer(start(), path):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield f"unix:{path}"
    finally:
        for loop, stop in ends:
            loop.call_soon_threadsafe(stop.set)
        thread.join()
