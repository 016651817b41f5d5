"""What a client sees of a VIP: real connections, the real kernel, and endpoints on other nodes than the owner."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from lbctl.model.service import Port, TrafficPolicy
from tests.support.proxy_lan import (
    FAR,
    V4,
    V6,
    ProxyLan,
    ask_tcp,
    ask_udp,
    connected,
    endpoint,
    exchange,
    greeting,
    proxy_lan,
    refused,
    service,
    spread,
    world,
)

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def built() -> Iterator[ProxyLan]:
    with proxy_lan() as lan:
        yield lan


@pytest.fixture
def lan(built: ProxyLan) -> Iterator[ProxyLan]:
    built.route("n1")
    yield built
    built.reset()


@pytest.mark.parametrize("vip", [V4, V6])
def test_connections_spread_over_endpoints_on_three_nodes(lan: ProxyLan, vip: str) -> None:
    lan.apply("n1", world(service(["p1", "p2", "p3"])))
    reached = spread(lan["client"], vip, 300)
    assert set(reached) == {"p1", "p2", "p3"}
    assert min(reached.values()) > 45, reached


@pytest.mark.parametrize("vip", [V4, V6])
def test_datagrams_spread_too(lan: ProxyLan, vip: str) -> None:
    lan.apply("n1", world(service(["p1", "p2", "p3"])))
    reached = spread(lan["client"], vip, 150, udp=True)
    assert set(reached) == {"p1", "p2", "p3"}
    assert min(reached.values()) > 15, reached


@pytest.mark.parametrize(
    ("vip", "client", "node"),
    [
        (V4, "192.168.3.1", "192.168.3.103"),
        (V4, FAR[0], "192.168.3.103"),
        (V6, "fd00:3::1", "fd00:3::103"),
        (V6, FAR[1], "fd00:3::103"),
    ],
)
def test_only_what_goes_to_another_node_is_masqueraded(lan: ProxyLan, vip: str, client: str, node: str) -> None:
    lan.apply("n1", world(service(["p1", "p2", "p3"])))
    for ask in (ask_tcp, ask_udp):
        seen = {ask(lan["client"], vip, source=client) for _ in range(60)}
        assert seen == {("p1", client), ("p2", node), ("p3", node)}


@pytest.mark.parametrize("vip", [V4, V6])
def test_an_owner_without_endpoints_of_its_own_serves_all_the_same(lan: ProxyLan, vip: str) -> None:
    lan.route("n2")
    lan.apply("n2", world(service(["p1", "p3"])))
    assert set(spread(lan["client"], vip, 40)) == {"p1", "p3"}


@pytest.mark.parametrize(("vip", "client"), [(V4, "192.168.3.1"), (V6, "fd00:3::1")])
def test_policy_local_keeps_the_client_and_stays_on_the_node(lan: ProxyLan, vip: str, client: str) -> None:
    lan.apply("n1", world(service(["p1", "p2", "p3"], policy=TrafficPolicy.LOCAL)))
    assert {ask_tcp(lan["client"], vip) for _ in range(20)} == {("p1", client)}
    assert {ask_udp(lan["client"], vip) for _ in range(20)} == {("p1", client)}


@pytest.mark.parametrize("vip", [V4, V6])
def test_policy_local_without_an_endpoint_here_refuses_others_and_serves_the_node_itself(
    lan: ProxyLan, vip: str
) -> None:
    lan.apply("n1", world(service(["p2", "p3"], policy=TrafficPolicy.LOCAL), service(["p1"], name="other", vips=())))
    refused(lan["client"], vip)
    assert ask_tcp(lan["n1"], vip)[0] in ("p2", "p3")
    assert ask_udp(lan["n1"], vip)[0] in ("p2", "p3")


def test_policy_local_without_an_endpoint_here_serves_this_nodes_other_endpoints(lan: ProxyLan) -> None:
    both = (service(["p2", "p3"], policy=TrafficPolicy.LOCAL), service(["p1"], name="mine", vips=("192.168.3.171",)))
    lan.apply("n1", world(*both))
    assert ask_tcp(lan["p1"], V4)[0] in ("p2", "p3")


@pytest.mark.parametrize("vip", [V4, V6])
@pytest.mark.parametrize("pods", [["p1"], ["p2"], ["p1", "p2", "p3"]], ids=["local", "remote", "all"])
def test_a_client_on_the_node_itself(lan: ProxyLan, vip: str, pods: list[str]) -> None:
    lan.apply("n1", world(service(pods)))
    assert set(spread(lan["n1"], vip, 20 * len(pods))) == set(pods)
    assert set(spread(lan["n1"], vip, 20 * len(pods), udp=True)) == set(pods)


@pytest.mark.parametrize("vip", [V4, V6])
def test_an_endpoint_reaches_its_own_vip(lan: ProxyLan, vip: str) -> None:
    """Hairpin: without masquerade the pod would see itself, or its neighbour would answer past the node."""
    lan.apply("n1", world(service(["p1"])))
    for ask in (ask_tcp, ask_udp):
        assert ask(lan["p1"], vip)[0] == "p1"
        assert ask(lan["c1"], vip)[0] == "p1"
    lan.apply("n1", world(service(["p1", "q1"])))
    for ask in (ask_tcp, ask_udp):
        assert {ask(lan["p1"], vip)[0] for _ in range(24)} == {"p1", "q1"}


def test_an_endpoint_on_a_link_of_its_own_reaches_its_own_vip(lan: ProxyLan) -> None:
    """Without a subnet between node and pod, as routed pod networks have it: the same wire is not seen as one."""
    pod_side, node = lan.segments["n1"]["n1"], lan["n1"]
    assert pod_side.interface == "eth1"
    node.run(["ip", "addr", "del", "10.244.1.1/24", "dev", "eth1"])
    node.run(["ip", "addr", "add", "10.244.1.1/32", "dev", "eth1"])
    node.run(["ip", "route", "add", "10.244.1.10/32", "dev", "eth1"])
    try:
        lan.apply("n1", world(service(["p1"], vips=[V4])))
        for ask in (ask_tcp, ask_udp):
            assert ask(lan["p1"], V4)[0] == "p1"
    finally:
        node.run(["ip", "addr", "del", "10.244.1.1/32", "dev", "eth1"])
        node.run(["ip", "addr", "add", "10.244.1.1/24", "dev", "eth1"])


@pytest.mark.parametrize("vip", [V4, V6])
def test_source_ranges_let_in_only_whom_they_name(lan: ProxyLan, vip: str) -> None:
    lan.apply("n1", world(service(["p1", "p2"], ranges=["192.168.3.2/32", "10.9.0.0/16", "fd00:3::1/128"])))
    if vip == V4:
        with pytest.raises(TimeoutError), connected(lan["client"], vip, source="192.168.3.1", wait=0.4):
            pass
        assert ask_tcp(lan["client"], vip, source="192.168.3.2")[0] in ("p1", "p2")
        assert ask_udp(lan["client"], vip, source="192.168.3.2")[0] in ("p1", "p2")
    else:
        assert ask_tcp(lan["client"], vip)[0] in ("p1", "p2")
    lan.apply("n1", world(service(["p1", "p2"], ranges=["192.168.3.0/24"])))
    if vip == V4:
        assert ask_tcp(lan["client"], vip, source="192.168.3.1")[0] in ("p1", "p2")
    else:
        with pytest.raises(TimeoutError), connected(lan["client"], vip, wait=0.4):
            pass


@pytest.mark.parametrize("vip", [V4, V6])
@pytest.mark.parametrize("pods", [["p1"], []], ids=["another port is open", "no endpoints"])
def test_closed_ports_are_refused_at_once(lan: ProxyLan, vip: str, pods: list[str]) -> None:
    lan.apply("n1", world(service(pods)))
    closed = 8080 if not pods else 9
    for host in ("client", "n1", "p1"):
        refused(lan[host], vip, closed)
    # By a reset, and not by an ICMP error, of which there is one a second.
    started = time.monotonic()
    for port in range(20, 60):
        with pytest.raises(ConnectionRefusedError):
            ask_tcp(lan["client"], vip, port)
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("vip", [V4, V6])
def test_ping_to_a_vip_is_answered_by_the_vip(lan: ProxyLan, vip: str) -> None:
    lan.apply("n1", world(service([])))
    for host in ("client", "n1", "p1"):
        assert f"bytes from {vip}" in lan[host].run(["ping", "-n", "-c1", "-W2", vip]).stdout
    big = lan["client"].run(["ping", "-n", "-c1", "-W2", "-s", "4000", vip]).stdout
    assert f"4008 bytes from {vip}" in big


@pytest.mark.parametrize("vip", [V4, V6])
def test_fragmented_datagrams_arrive_whole(lan: ProxyLan, vip: str) -> None:
    lan.apply("n1", world(service(["p2"])))
    assert ask_udp(lan["client"], vip, payload=bytes(9000))[0] == "p2"


@pytest.mark.parametrize("vip", [V4, V6])
def test_path_mtu_errors_find_their_way_back(lan: ProxyLan, vip: str) -> None:
    lan.apply("n1", world(service(["p2"])))
    link = lan.segments["n2"]["n2"]
    link.run(["ip", "link", "set", link.interface, "mtu", "1300"])
    try:
        with connected(lan["client"], vip, kind=socket.SOCK_DGRAM) as sock:
            if vip == V4:
                sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, 23, 2)  # IPV6_MTU_DISCOVER
            exchange(sock, b"small")
            with pytest.raises(OSError, match="Message too long"):
                _send_until_told(sock, bytes(1400))
    finally:
        link.run(["ip", "link", "set", link.interface, "mtu", "1500"])


def _send_until_told(sock: socket.socket, payload: bytes) -> None:
    sock.settimeout(0.02)
    for _ in range(200):
        try:
            sock.send(payload)
            sock.recv(1)
        except TimeoutError:
            continue


def test_an_address_the_node_has_itself_is_not_refused(lan: ProxyLan) -> None:
    """A pool that overlaps with the nodes: the service is served, and the operator is not locked out."""
    own = "192.168.3.103"
    lan.apply("n1", world(service(["p1"], vips=[own], ports=[Port(name="tcp", port=8080, target_port=80)])))
    assert ask_tcp(lan["client"], own)[0] == "p1"
    with lan["n1"].entered(), socket.create_server((own, 22)) as listening, connected(lan["client"], own, 22):
        listening.accept()[0].close()


def test_an_open_connection_outlives_its_endpoints_termination(lan: ProxyLan) -> None:
    lan.apply("n1", world(service(["p2"], vips=[V4])))
    with connected(lan["client"], V4) as old:
        assert greeting(old)[0] == "p2"
        ending = endpoint("p2", ready=False, serving=True, terminating=True)
        lan.apply("n1", world(service([ending, endpoint("p3")], vips=[V4])))
        assert set(spread(lan["client"], V4, 20)) == {"p3"}
        old.send(b"still here")
        assert old.recv(64) == b"still here"
        lan.apply("n1", world(service([endpoint("p3")], vips=[V4])))
        old.send(b"and here")
        assert old.recv(64) == b"and here"
    lan.apply("n1", world(service([ending], vips=[V4])))
    assert ask_tcp(lan["client"], V4)[0] == "p2"
