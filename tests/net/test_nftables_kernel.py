"""The kernel's side: that it takes every delta, forwards, drops what must not pass, and forgets the right flows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lbctl.model.address import Family, IPAddress
from lbctl.model.service import Transport
from lbctl.net import conntrack, forwarding
from lbctl.net.forwarding import SysctlChange
from lbctl.net.netlink import NETFILTER, Netlink
from lbctl.net.nftables import standing
from lbctl.net.proxy import Proxy, Verified, Way
from lbctl.plan.proxy import ruleset
from lbctl.plan.proxy_ruleset import Frontend, Ruleset
from tests.support.netns import Segment, call_in, entered, eventually, netns, run_in
from tests.support.proxy_lan import V4, V6, ProxyLan, ask_tcp, connected, exchange, greeting, proxy_lan, service, world
from tests.support.proxy_worlds import a_world, next_world

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


@pytest.fixture(scope="module")
def alone() -> Iterator[str]:
    with netns("alone") as name:
        yield name


@pytest.mark.parametrize("seed", range(4))
def test_the_kernel_takes_every_delta_and_has_what_was_meant(alone: str, seed: int) -> None:
    async def go() -> None:
        rng = random.Random(seed)
        proxy, drawn = Proxy(spacing=0), a_world(rng)
        await proxy.apply(ruleset(drawn, "n1")[0])
        for _ in range(20):
            drawn = next_world(rng, drawn)
            applied = await proxy.apply(ruleset(drawn, "n1")[0])
            assert applied.way is not Way.WHOLE
            assert await proxy.verify() == Verified()

    with entered(alone):
        asyncio.run(go())


def test_forwarding_is_turned_on_where_it_is_needed_and_router_advertisements_go_on() -> None:
    with Segment({"n": ["192.0.2.1/24"]}) as segment:
        host = segment["n"]
        host.sysctl("net/ipv6/conf/eth0/accept_ra", "1")
        host.sysctl("net/ipv6/conf/default/accept_ra", "0")
        with host.entered():
            four = forwarding.enable({Family.IPV4})
            assert four.changes == (SysctlChange(name="net.ipv4.ip_forward", before="0", after="1"),)
            assert Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text() == "0\n"
            six = forwarding.enable({Family.IPV4, Family.IPV6})
            assert [str(change) for change in six.changes] == [
                "net.ipv6.conf.eth0.accept_ra: 1 -> 2",
                "net.ipv6.conf.all.forwarding: 0 -> 1",
            ]
            assert forwarding.enable(set(Family)) == forwarding.Forwarding()
            assert Path("/proc/sys/net/ipv6/conf/eth0/accept_ra").read_text() == "2\n"
            assert Path("/proc/sys/net/ipv6/conf/default/accept_ra").read_text() == "0\n"


def test_apply_turns_on_forwarding_for_the_families_of_the_vips_only() -> None:
    with netns("alone") as name, entered(name):
        rules = ruleset(world(service(["p2"], vips=[V4])), "n1")[0]
        applied = asyncio.run(Proxy().apply(rules))
        assert [change.name for change in applied.changes] == ["net.ipv4.ip_forward"]
        assert applied.warnings == ()


def test_forwarding_that_cannot_be_turned_on_is_a_warning_that_says_what_to_do(tmp_path: Path) -> None:
    switch = tmp_path / "sys/net/ipv4/ip_forward"
    switch.parent.mkdir(parents=True)
    switch.mkdir()  # Root may write to anything but this.
    found = forwarding.enable(set(Family), tmp_path)
    assert not found.changes
    assert len(found.warnings) == 2
    assert "sysctl -w net.ipv4.ip_forward=1" in found.warnings[0]
    assert "no IPv6" in found.warnings[1]


def test_a_strict_reverse_path_filter_is_named_where_it_drops_clients() -> None:
    with Segment({"n": ["192.0.2.1/24"]}) as first, Segment() as second:
        host = first["n"]
        second.add_host("n", ["198.51.100.1/24"], also=host)
        with host.entered():
            Path("/proc/sys/net/ipv4/conf/eth1/rp_filter").write_text("1")
            assert forwarding.reverse_path_warnings(["eth0", "eth1"]) == ()
        host.run(["ip", "route", "add", "default", "via", "192.0.2.254"])
        with host.entered():
            (warning,) = forwarding.reverse_path_warnings(["eth0", "eth1"])
            assert "strict on eth1" in warning
            assert "net.ipv4.conf.eth1.rp_filter=2" in warning
            proxy = Proxy(spacing=0)
            proxy.interfaces = ["eth1"]
            assert asyncio.run(proxy.apply(Ruleset())).warnings == (warning,)
            # Said once, not each minute.
            assert asyncio.run(proxy.verify()).warnings == ()
            Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("2")
            assert forwarding.reverse_path_warnings(["eth0", "eth1"]) == ()


def test_the_subnets_of_the_interfaces_are_known() -> None:
    with Segment({"n": ["192.0.2.1/24", "192.0.2.9/32", "2001:db8::1/64"]}) as segment, segment["n"].entered():
        expected = {("eth0", "192.0.2.0/24"), ("eth0", "2001:db8::/64")}
        assert forwarding.connected() == {(name, ip_network(text)) for name, text in expected}


def test_flows_are_found_and_forgotten_one_by_one_or_all_in_one_walk(lan: ProxyLan) -> None:
    lan.apply("n1", world(service(["p1", "p2"])))
    node = lan["n1"]
    with contextlib.ExitStack() as stack:
        for vip in (V4, V6) * 3:
            exchange(stack.enter_context(connected(lan["client"], vip, kind=socket.SOCK_DGRAM)))
        greeting(stack.enter_context(connected(lan["client"], V4)))
        one = Frontend(ip_address(V4), Transport.UDP, 8080)
        with node.entered(), Netlink(NETFILTER) as netlink:
            asked = list(conntrack.flows(netlink, 4, Transport.UDP, one))
            assert len(asked) == 3
            assert {str(flow.client[0]) for flow in asked} == {"192.168.3.1"}
            assert {str(flow.backend[0]) for flow in asked} <= {"10.244.1.10", "10.244.2.10"}
            assert len(list(conntrack.flows(netlink, 6, Transport.UDP))) == 3
            assert conntrack.forget(netlink, asked[0])
            assert not conntrack.forget(netlink, asked[0])
        many: dict[Frontend, list[tuple[IPAddress, int]]] = {
            Frontend(ip_address("10.0.0.0") + number, Transport.UDP, 53): [] for number in range(20)
        }
        assert node.call(lambda: conntrack.forget_stale(many)) == 0
        everything = {**many, one: [], Frontend(ip_address(V6), Transport.UDP, 8080): []}
        assert node.call(lambda: conntrack.forget_stale(everything)) == 5
        assert node.call(lambda: conntrack.count({ip_address(V4), ip_address(V6)})) == 1


def test_an_answer_out_of_its_window_does_not_kill_the_connection(lan: ProxyLan) -> None:
    """The kernel does not translate such a segment back; delivered to the node it would draw a reset."""
    lan.apply("n1", world(service(["p2"], vips=[V4])))
    with _sniffer(lan, "p2") as seen, connected(lan["client"], V4) as sock:
        greeting(sock)
        sock.send(b"one")
        assert sock.recv(9) == b"one"
        seen.settimeout(60)
        while True:
            frame = seen.recv(2048)
            if frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[26:30] == socket.inet_aton("10.244.2.10"):
                sequence, acknowledged = struct.unpack_from("!II", frame, 38)
                if frame[-3:] == b"one":
                    break
        forged = _segment(frame, (sequence + 0x4000_0000) & 0xFFFFFFFF, acknowledged)
        for _ in range(3):
            seen.send(forged)
        assert ask_tcp(lan["client"], V4)[0] == "p2"
        for turn in (b"two", b"three"):
            sock.send(turn)
            assert sock.recv(9) == turn


@contextlib.contextmanager
def _sniffer(lan: ProxyLan, host: str) -> Iterator[socket.socket]:
    with lan[host].entered():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with sock:
        lan[host].call(lambda: sock.bind((lan[host].interface, 0)))
        yield sock


def _segment(frame: bytes, sequence: int, acknowledged: int) -> bytes:
    """The same TCP segment without payload and options, with these numbers and ACK only."""
    header = bytearray(frame[34:54])
    struct.pack_into("!II", header, 4, sequence, acknowledged)
    header[12], header[13] = 5 << 4, 0x10
    header[16:18] = b"\0\0"
    pseudo = frame[26:34] + struct.pack("!BBH", 0, 6, len(header))
    header[16:18] = _checksum(pseudo + bytes(header))
    ip = bytearray(frame[14:34])
    struct.pack_into("!H", ip, 2, 40)
    ip[10:12] = b"\0\0"
    ip[10:12] = _checksum(bytes(ip))
    return frame[:14] + bytes(ip) + bytes(header)


def _checksum(content: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def test_neighbor_discovery_to_a_vip_is_not_routed_back_into_the_network(lan: ProxyLan) -> None:
    """A client that checks its neighbour sends the solicitation to the VIP itself; only whoever answers takes it."""
    lan.apply("n1", world(service(["p1"])))
    client, mine = lan["client"], bytes.fromhex(lan["n1"].mac.replace(":", ""))
    client.run(["ip", "-6", "route", "replace", V6, "dev", "eth0"])
    try:
        with _sniffer(lan, "n1") as seen:
            client.run(["ip", "-6", "neigh", "replace", V6, "lladdr", lan["n1"].mac, "dev", "eth0", "nud", "probe"])
            seen.settimeout(60)
            while not (frame := _solicitation(seen.recv(2048), V6)):
                pass
            assert frame[:6] == mine
            # Now n1 has had it; what it makes of it would follow at once, and again each second.
            seen.settimeout(1.2)
            with contextlib.suppress(TimeoutError):
                while True:
                    assert _solicitation(seen.recv(2048), V6)[6:12] != mine
    finally:
        client.run(["ip", "-6", "route", "del", V6, "dev", "eth0"])


def _solicitation(frame: bytes, target: str) -> bytes:
    """The frame, if it is a neighbor solicitation for this address; else nothing."""
    if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 135:
        return frame if frame[62:78] == socket.inet_pton(socket.AF_INET6, target) else b""
    return b""


def test_rules_do_not_count_as_missing_in_another_namespace(alone: str) -> None:
    with netns("other") as other:
        run_in(other, ["nft", "add table inet lbctl"])
        listed = json.loads(run_in(other, ["nft", "-j", "list", "tables"]).stdout)["nftables"]
        handle = next(entry["table"]["handle"] for entry in listed if "table" in entry)
        assert call_in(other, standing) == handle
        run_in(other, ["nft", "delete table inet lbctl"])
        assert eventually(lambda: call_in(other, standing) is None)
