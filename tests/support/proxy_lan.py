"""A LAN with a client and three nodes, and behind each node a segment with pods that answer: what a proxy works on.

    10.99.0.1, fd00:99::1 (beyond)
    client 192.168.3.1       n1 .103        n2 .104        n3 .105        fd00:3::1, ::103 ...
        |________________________|______________|______________|
                                 |              |              |
                             10.244.1.0/24  10.244.2.0/24  10.244.3.0/24   fd00:244:1::/64 ...
                             p1 .10         p2 .10         p3 .10
                             q1 .11, c1 .12 (no endpoint)

Every pod answers on TCP and UDP port 80: TCP greets with "name peer-address" and then echoes; UDP answers each datagram
with "name peer-address " and the datagram. Nobody announces the VIPs here: the client has a route to them by a node.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import Any, TypeVar

import pytest

from lbctl.model.address import Family, IPAddress
from lbctl.model.allocation import Allocation
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.node import Node
from lbctl.model.service import Port, Service, ServiceKey, ServiceType, TrafficPolicy, TrafficSpec, Transport
from lbctl.model.snapshot import World
from lbctl.net.netlink import NETFILTER, Netlink
from lbctl.net.proxy import Applied, Proxy
from lbctl.plan.proxy import ruleset
from lbctl.plan.proxy_ruleset import Ruleset
from tests.support.netns import Host, Segment

_T = TypeVar("_T")
NODES = ("n1", "n2", "n3")
WAIT = 30.0
_CONNTRACK_DELETE = (1 << 8) | 2
"""Without saying which entry: all of them."""
FAR = ("10.99.0.1", "fd00:99::1")
"""Addresses of the client that are on nobody's wire, as those of clients beyond a router."""
FAR_NETWORKS = ("10.99.0.0/24", "fd00:99::/64")
V4, V6 = "192.168.3.170", "fd00:3::170"


class Pods:
    """The servers of all pods, in one thread."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._stop, self._wake = socket.socketpair()
        self._selector.register(self._stop, selectors.EVENT_READ, None)
        for host in hosts:
            with host.entered():
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    sock = socket.socket(socket.AF_INET6, kind)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind(("::", 80))
                    if kind is socket.SOCK_STREAM:
                        sock.listen(512)
                    sock.setblocking(False)
                    self._add(sock, f"{host.name}/{'listen' if kind is socket.SOCK_STREAM else 'udp'}")
        self._thread = threading.Thread(target=self._serve, name="pods")
        self._thread.start()

    def _add(self, sock: socket.socket, what: str) -> None:
        self._sockets.append(sock)
        self._selector.register(sock, selectors.EVENT_READ, what)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                name, what = key.data.split("/")
                with contextlib.suppress(OSError):
                    if what == "udp":
                        payload, peer = sock.recvfrom(65535)
                        sock.sendto(f"{name} {_plain(peer[0])} ".encode() + payload, peer)
                    elif what == "listen":
                        connection, peer = sock.accept()
                        connection.setblocking(False)
                        self._add(connection, f"{name}/echo")
                        connection.send(f"{name} {_plain(peer[0])}\n".encode())
                    else:
                        self._echo(sock)

    def _echo(self, sock: socket.socket) -> None:
        try:
            payload = sock.recv(65535)
        except OSError:
            payload = b""
        if payload:
            sock.send(payload)
        else:
            self._selector.unregister(sock)
            self._sockets.remove(sock)
            sock.close()

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for sock in (*self._sockets, self._stop, self._wake):
            sock.close()
        self._selector.close()


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")


@contextlib.contextmanager
def proxy_lan() -> Iterator[ProxyLan]:
    lan = ProxyLan()
    try:
        yield lan
    finally:
        lan.close()


class ProxyLan:
    """The whole; `close` takes it down. Every pod is reachable by its name, every node's proxy by the node's."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.hosts: dict[str, Host] = {}
        self.proxies: dict[str, Proxy] = {}
        self.segments: dict[str, Segment] = {}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        addresses = {"client": ["192.168.3.1/24", "192.168.3.2/24", "fd00:3::1/64"]}
        addresses |= {node: [f"192.168.3.{103 + at}/24", f"fd00:3::{103 + at}/64"] for at, node in enumerate(NODES)}
        lan = self._stack.enter_context(Segment(addresses))
        self.segments["lan"] = lan
        self.hosts |= lan.hosts
        for address in FAR:
            lan["client"].run(["ip", "addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else [])])
        # The client answers for all addresses of these, and so can be as many clients as a test needs.
        lan["client"].sysctl("net/ipv6/ip_nonlocal_bind", "1")
        for network in FAR_NETWORKS:
            lan["client"].run(["ip", "route", "add", "local", network, "dev", "lo"])
        pods: list[Host] = []
        for number, node in enumerate(NODES, 1):
            behind = self._stack.enter_context(Segment())
            self.segments[node] = behind
            behind.add_host(node, [f"10.244.{number}.1/24", f"fd00:244:{number}::1/64"], also=lan[node])
            names = [("p", 10)] + ([("q", 11), ("c", 12)] if number == 1 else [])
            for letter, last in names:
                pod = behind.add_host(
                    f"{letter}{number}", [f"10.244.{number}.{last}/24", f"fd00:244:{number}::{last}/64"]
                )
                pod.run(["ip", "route", "add", "default", "via", f"10.244.{number}.1"])
                pod.run(["ip", "-6", "route", "add", "default", "via", f"fd00:244:{number}::1"])
                self.hosts[pod.name] = pod
                if letter != "c":
                    pods.append(pod)
        for node in NODES:
            # What makes a node forward for its own pods, whoever runs them; what the proxy turns on has its own test.
            self[node].sysctl("net/ipv4/ip_forward", "1")
            self[node].sysctl("net/ipv6/conf/all/forwarding", "1")
            self[node].run(["ip", "route", "add", "10.99.0.0/24", "via", "192.168.3.1"])
            self[node].run(["ip", "-6", "route", "add", "fd00:99::/64", "via", "fd00:3::1"])
            for number, other in enumerate(NODES, 1):
                if other != node:
                    gateway = 102 + number
                    self[node].run(["ip", "route", "add", f"10.244.{number}.0/24", "via", f"192.168.3.{gateway}"])
                    self[node].run(["ip", "-6", "route", "add", f"fd00:244:{number}::/64", "via", f"fd00:3::{gateway}"])
        self._stack.callback(Pods(pods).close)

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def close(self) -> None:
        self._stack.close()

    def do(self, node: str, job: Coroutine[Any, Any, _T]) -> _T:
        """Runs a coroutine to its end, in the node's network namespace."""
        with self[node].entered():
            return asyncio.run(job)

    def proxy(self, node: str) -> Proxy:
        if node not in self.proxies:
            self.proxies[node] = Proxy(spacing=0.0)
        return self.proxies[node]

    def apply(self, node: str, world: World) -> Applied:
        return self.do(node, self.proxy(node).apply(self.rules(node, world)))

    def rules(self, node: str, world: World) -> Ruleset:
        return ruleset(world, node)[0]

    def route(self, node: str, *vips: str) -> None:
        """From now on the client sends what is for these VIPs to this node."""
        last = 103 + NODES.index(node)
        for vip in vips or (V4, V6):
            gateway = f"fd00:3::{last}" if ":" in vip else f"192.168.3.{last}"
            self["client"].run(["ip", *(["-6"] if ":" in vip else []), "route", "replace", vip, "via", gateway])

    def reset(self) -> None:
        """No rules, no tracked flows, forwarding as the kernel starts with: for the next test."""
        for node in NODES:
            self.proxies.pop(node, None)
            self[node].run(["nft", "flush", "ruleset"])
            with self[node].entered(), Netlink(NETFILTER) as netlink:
                list(netlink.request(_CONNTRACK_DELETE, bytes(4)))


@contextlib.contextmanager
def connected(
    host: Host,
    vip: str,
    port: int = 8080,
    *,
    source: str = "",
    kind: socket.SocketKind = socket.SOCK_STREAM,
    wait: float = WAIT,
) -> Iterator[socket.socket]:
    """A socket of `host`, connected to a VIP."""
    with host.entered():
        sock = socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, kind)
    with sock:
        sock.settimeout(wait)
        if source:
            sock.bind((source, 0))
        sock.connect((vip, port))
        yield sock


def greeting(sock: socket.socket) -> tuple[str, str]:
    """The pod that a TCP connection reached, and the address it saw."""
    line = b""
    while not line.endswith(b"\n"):
        chunk = sock.recv(256)
        if not chunk:
            raise ConnectionError("closed before the greeting")
        line += chunk
    name, peer = line.decode().split()
    return name, peer


def ask_tcp(host: Host, vip: str, port: int = 8080, *, source: str = "") -> tuple[str, str]:
    with connected(host, vip, port, source=source) as sock:
        return greeting(sock)


def ask_udp(host: Host, vip: str, port: int = 8080, *, source: str = "", payload: bytes = b"x") -> tuple[str, str]:
    with connected(host, vip, port, source=source, kind=socket.SOCK_DGRAM) as sock:
        return exchange(sock, payload)


def exchange(sock: socket.socket, payload: bytes = b"x") -> tuple[str, str]:
    """One datagram there and back: the pod that answered, and the address it saw."""
    sock.send(payload)
    name, peer, echoed = sock.recv(65535).split(b" ", 2)
    if echoed != payload:
        raise ConnectionError(f"{len(echoed)} bytes came back of {len(payload)}")
    return name.decode(), peer.decode()


def refused(host: Host, vip: str, port: int = 8080) -> None:
    """Asserts that TCP and UDP are refused, not lost.

    The kernel sends a client no more than about one ICMP error a second, and counts redirects that it held back among
    them, so that UDP may need a second datagram. On the node itself the refusal is EPERM, as with any firewall.
    """
    with pytest.raises(ConnectionRefusedError):
        ask_tcp(host, vip, port)
    with connected(host, vip, port, kind=socket.SOCK_DGRAM, wait=0.2) as sock:
        for _ in range(25):
            try:
                sock.send(b"x")
                sock.recv(1)
            except TimeoutError:
                continue
            except (ConnectionRefusedError, PermissionError):
                return
            raise AssertionError("answered")
    raise AssertionError("lost")


def spread(host: Host, vip: str, tries: int, *, udp: bool = False) -> Counter[str]:
    ask = ask_udp if udp else ask_tcp
    return Counter(ask(host, vip)[0] for _ in range(tries))


def pod_address(pod: str, family: Family = Family.IPV4) -> IPAddress:
    last, number = {"p": 10, "q": 11, "c": 12}[pod[0]], pod[1]
    return ip_address(f"10.244.{number}.{last}" if family is Family.IPV4 else f"fd00:244:{number}::{last}")


def endpoint(pod: str, family: Family = Family.IPV4, **conditions: bool) -> Endpoint:
    return Endpoint(addresses=(pod_address(pod, family),), node=f"n{pod[1]}", **conditions)


def world(*parts: tuple[Service, Allocation, tuple[EndpointSlice, ...]]) -> World:
    nodes = {name: Node(name=name, addresses=(ip_address(f"192.168.3.{103 + at}"),)) for at, name in enumerate(NODES)}
    return World(
        services=MappingProxyType({service.key: service for service, _, _ in parts}),
        allocations=MappingProxyType({service.key: allocation for service, allocation, _ in parts}),
        slices=MappingProxyType({one.key: one for _, _, slices in parts for one in slices}),
        nodes=MappingProxyType(nodes),
    )


def service(
    pods: Sequence[str | Endpoint],
    *,
    name: str = "web",
    vips: Sequence[str] = (V4, V6),
    ports: Sequence[Port] | None = None,
    policy: TrafficPolicy = TrafficPolicy.CLUSTER,
    affinity: int | None = None,
    ranges: Sequence[str] = (),
) -> tuple[Service, Allocation, tuple[EndpointSlice, ...]]:
    """A service on port 8080, TCP and UDP, to port 80 of these pods (by name, in each family, or as IPv4 endpoints)."""
    key = ServiceKey("default", name)
    wanted = ports or (
        Port(name="tcp", port=8080, target_port=80),
        Port(name="udp", port=8080, target_port=80, protocol=Transport.UDP),
    )
    slices = tuple(
        EndpointSlice(
            key=SliceKey("default", f"{name}-{family.lower()}"),
            service=key,
            family=family,
            ports=tuple(
                EndpointPort(name=p.name, protocol=p.protocol, port=80)
                for p in wanted
                if p.protocol is not Transport.SCTP
            ),
            endpoints=tuple(endpoint(pod, family) if isinstance(pod, str) else pod for pod in pods),
        )
        for family in Family
    )
    spec = Service(
        key=key,
        type=ServiceType.LOAD_BALANCER,
        ports=tuple(wanted),
        traffic=TrafficSpec(
            external_policy=policy,
            client_ip_affinity=affinity is not None,
            affinity_time=affinity or 10800,
            source_ranges=tuple(ip_network(one) for one in ranges),
        ),
    )
    addresses = tuple(ip_address(vip) for vip in vips)
    return spec, Allocation(service=key, addresses=addresses, pool="main", id=1, since_unix=0.0), slices
