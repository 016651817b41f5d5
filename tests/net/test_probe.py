"""The probe against real hosts on a real segment: one answers, two answer, nobody does, and where it cannot look."""

from __future__ import annotations

import ipaddress
import socket
import time

import pytest

from lbctl.model.address import IPAddress
from lbctl.net.packet_socket import Kind, PacketSocket
from lbctl.net.probe import Evidence, Probes, Unseen
from lbctl.net.rtnetlink import RouteKind, interface_addresses, neighbors, route_to
from lbctl.protocol.l2 import arp, ndp
from tests.support.netns import Host, Segment, eventually

pytestmark = pytest.mark.netns

HOSTS = {
    "looker": ["192.0.2.1/24", "fd00::1/64"],
    "a": ["192.0.2.2/24", "fd00::2/64"],
    "b": ["192.0.2.3/24", "fd00::3/64"],
}


def look(host: Host, *addresses: str, interface: str | None = None, window: float = 0.3) -> tuple[Evidence, ...]:
    wanted: list[IPAddress] = [ipaddress.ip_address(each) for each in addresses]
    with host.entered(), Probes(wanted, interface=interface) as probes:
        probes.ask()
        return probes.collect(window)


def test_one_host_answers_in_both_families() -> None:
    with Segment(HOSTS) as lan:
        v4, v6 = look(lan["looker"], "192.0.2.2", "fd00::2")
        for evidence in (v4, v6):
            assert evidence.unseen is None
            assert [sighting.mac for sighting in evidence.sightings] == [lan["a"].mac]
            assert evidence.sightings[0].asked
            assert 0 <= evidence.sightings[0].after < 0.3
            assert evidence.interface == "eth0"
            assert evidence.own_mac == lan["looker"].mac


def test_two_hosts_answer_and_both_are_seen() -> None:
    with Segment(HOSTS) as lan:
        for name in ("a", "b"):
            lan[name].add_address("192.0.2.9/24")
            lan[name].add_address("fd00::9/64")
        for evidence in look(lan["looker"], "192.0.2.9", "fd00::9"):
            assert {sighting.mac for sighting in evidence.sightings} == {lan["a"].mac, lan["b"].mac}


def test_nobody_answers_and_the_window_is_waited_for() -> None:
    with Segment(HOSTS) as lan:
        started = time.monotonic()
        v4, v6 = look(lan["looker"], "192.0.2.77", "fd00::77", window=0.2)
        assert time.monotonic() - started >= 0.2
        assert v4.sightings == v6.sightings == ()
        assert v4.unseen is v6.unseen is None


def test_a_question_that_was_lost_is_asked_again() -> None:
    with Segment(HOSTS) as lan:
        lan["a"].cut()
        with lan["looker"].entered(), Probes([ipaddress.ip_address("192.0.2.2")]) as probes:
            probes.ask()
            time.sleep(0.02)  # the first question has gone nowhere by now
            lan["a"].heal()
            (evidence,) = probes.collect(0.4)
        assert [sighting.mac for sighting in evidence.sightings] == [lan["a"].mac]
        assert evidence.sightings[0].after < 0.2, "counted from the second question"


def test_an_announcement_inside_the_window_counts_as_said_not_asked() -> None:
    with Segment(HOSTS) as lan:
        stranger = lan["b"]
        mac = bytes.fromhex("02aabbccddee")
        with stranger.entered():
            sender = PacketSocket(stranger.ifindex, Kind.ARP)
        try:
            with lan["looker"].entered(), Probes(map(ipaddress.ip_address, ("192.0.2.50", "fd00::50"))) as probes:
                probes.ask()
                sender.send(arp.gratuitous_request(mac=mac, address=socket.inet_aton("192.0.2.50")))
                sender.send(ndp.unsolicited(mac=mac, address=ipaddress.IPv6Address("fd00::50").packed))
                v4, v6 = probes.collect(0.2)
        finally:
            sender.close()
        for evidence in (v4, v6):
            assert [(sighting.mac, sighting.asked) for sighting in evidence.sightings] == [("02:aa:bb:cc:dd:ee", False)]


def test_where_it_cannot_look_it_says_why() -> None:
    with Segment(HOSTS) as lan:
        looker = lan["looker"]
        looker.run(["ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.2"])
        looker.run(["ip", "route", "add", "blackhole", "203.0.113.0/24"])
        looker.run(["ip", "-6", "route", "add", "fd01::/64", "via", "fd00::2"])
        routed, nowhere, blackhole, own, routed6 = look(
            looker, "198.51.100.9", "10.9.9.9", "203.0.113.1", "192.0.2.1", "fd01::9", window=0.01
        )
        assert routed.unseen is Unseen.ROUTED
        assert "192.0.2.2" in routed.detail
        assert nowhere.unseen is Unseen.NO_ROUTE
        assert blackhole.unseen is Unseen.NO_ROUTE
        assert own.unseen is Unseen.OWN_ADDRESS
        assert routed6.unseen is Unseen.ROUTED
        (missing,) = look(looker, "192.0.2.2", interface="eth7", window=0.01)
        assert missing.unseen is Unseen.NO_INTERFACE
        (loopback,) = look(looker, "192.0.2.2", interface="lo", window=0.01)
        assert loopback.unseen is Unseen.NOT_ETHERNET
        looker.pull()
        eventually(lambda: look(looker, "192.0.2.2", window=0.01)[0].unseen is Unseen.NO_CARRIER)


def test_a_named_interface_is_asked_whatever_the_routes_say() -> None:
    with Segment({"looker": ["192.0.2.1/24"], "a": ["192.0.2.2/24", "198.51.100.9/32"]}) as lan:
        lan["looker"].run(["ip", "route", "add", "default", "via", "192.0.2.77"])
        (evidence,) = look(lan["looker"], "198.51.100.9", interface="eth0")
        assert [sighting.mac for sighting in evidence.sightings] == [lan["a"].mac]


def test_an_interface_without_ipv6_says_so() -> None:
    with Segment({"looker": ["192.0.2.1/24"]}) as lan:
        lan["looker"].sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
        (evidence,) = look(lan["looker"], "fd00::5", interface="eth0", window=0.01)
        assert evidence.unseen is Unseen.NO_SOURCE


def test_the_kernel_is_asked_for_routes_addresses_and_neighbors() -> None:
    with Segment(HOSTS) as lan:
        looker = lan["looker"]
        looker.run(["ping", "-c1", "-W30", "192.0.2.2"])
        looker.run(["ping", "-c1", "-W30", "fd00::2"])
        with looker.entered():
            route = route_to(ipaddress.ip_address("192.0.2.2"))
            assert route is not None
            assert (route.kind, route.ifindex, route.gateway) == (RouteKind.UNICAST, looker.ifindex, None)
            assert route.source == ipaddress.ip_address("192.0.2.1")
            local = route_to(ipaddress.ip_address("fd00::1"))
            assert local is not None
            assert local.kind is RouteKind.LOCAL
            assert route_to(ipaddress.ip_address("8.8.8.8")) is None
            assert interface_addresses(looker.ifindex, socket.AF_INET) == (ipaddress.ip_address("192.0.2.1"),)
            assert ipaddress.ip_address(looker.link_local) in interface_addresses(looker.ifindex, socket.AF_INET6)
            known = {(str(each.address), each.mac) for each in neighbors()}
        assert {("192.0.2.2", lan["a"].mac), ("fd00::2", lan["a"].mac)} <= known
