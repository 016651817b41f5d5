"""What pulse learns from wire: that it lives, what it heard last, who answers for an address, and who is asked to."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.net.packet_socket import Kind, PacketSocket
from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.ethernet import mac_from_text
from lbctl.speaker.shared_page import (
    HEARD,
    LEASE,
    SIZE,
    SLOT_COUNT,
    SLOTS,
    TURN,
    WireStamps,
    heard_by_interface,
    read_pid,
    read_time,
    write_pid,
)
from lbctl.speaker.wire import MOST_ASLEEP
from tests.support.asker import Asker
from tests.support.bars import met_once
from tests.support.netns import Segment, eventually
from tests.support.wire_process import WireProcess

VIP4 = "192.0.2.100"
VIP6 = "2001:db8::100"
BOTH = pytest.mark.parametrize("vip", [VIP4, VIP6])


# The page itself


def test_the_layout_is_the_documented_one() -> None:
    with mmap.mmap(-1, SIZE) as page:
        stamps = WireStamps(page)
        stamps.turned(1.5)
        stamps.use([7, 3])
        stamps.heard(7, 2.5)
        write_pid(page, 0x01020304)
        assert (page[24:32], read_pid(page)) == (b"\x04\x03\x02\x01" + bytes(4), 0x01020304)
        page[0:8] = b"\x00\x00\x00\x00\x00\x00\x0c\x40"
        assert stamps.lease_at() == 3.5
        assert (read_time(page, LEASE), read_time(page, TURN), read_time(page, HEARD)) == (3.5, 1.5, 2.5)
        assert page[64:96] == b"\x03" + bytes(15) + b"\x07" + bytes(7) + b"\x00\x00\x00\x00\x00\x00\x04\x40"
        assert heard_by_interface(page) == {3: 0.0, 7: 2.5}


def test_slots_are_used_again_and_more_interfaces_than_slots_do_no_harm() -> None:
    with mmap.mmap(-1, SIZE) as page:
        stamps = WireStamps(page)
        stamps.use([3, 7])
        stamps.heard(3, 1.0)
        stamps.heard(7, 2.0)
        stamps.use([7, 9])
        assert heard_by_interface(page) == {7: 2.0, 9: 0.0}, "9 has the slot of 3, and nothing of what 3 heard"
        stamps.use(range(1, 1000))
        assert len(heard_by_interface(page)) == SLOT_COUNT
        stamps.heard(999, 5.0)
        assert read_time(page, HEARD) == 5.0
        assert SLOTS + 16 * SLOT_COUNT <= SIZE
        stamps.use([])
        assert heard_by_interface(page) == {}


# Stamps


@pytest.fixture
def lan() -> Iterator[Segment]:
    hosts = {
        "node": ["192.0.2.1/24", "2001:db8::1/64"],
        "other": ["192.0.2.2/24", "2001:db8::2/64"],
    }
    with Segment(hosts) as segment:
        # Nothing is said on the segment but by the tests.
        for host in segment.hosts.values():
            host.run(["ip", "link", "set", "eth0", "multicast", "off"])
        yield segment


@pytest.fixture
def wire(lan: Segment) -> Iterator[WireProcess]:
    with WireProcess(lan["node"].netns) as process:
        process.interfaces(lan["node"], gateways=[], addresses=["192.0.2.1", "2001:db8::1"])
        process.settle()
        yield process


@pytest.mark.netns
def test_each_turn_is_stamped_also_while_nothing_happens(lan: Segment, wire: WireProcess) -> None:
    wire.serve(lan["node"], [VIP4])
    ages: list[float] = []

    def worst_age() -> float:
        ages.clear()
        until = time.monotonic() + 0.5
        while (now := time.monotonic()) < until:
            ages.append(now - wire.turned_at)
            time.sleep(0.002)
        return max(ages)

    met_once(worst_age, lambda age: age < MOST_ASLEEP + 0.03)
    os.kill(wire.pid, signal.SIGSTOP)
    try:
        eventually(lambda: " T " in Path(f"/proc/{wire.pid}/stat").read_text())
        stopped_at = wire.turned_at
        time.sleep(3 * MOST_ASLEEP)
        assert wire.turned_at == stopped_at
    finally:
        os.kill(wire.pid, signal.SIGCONT)
    eventually(lambda: wire.turned_at > stopped_at)


@pytest.mark.netns
@BOTH
def test_a_frame_of_another_host_is_stamped_and_our_own_are_not(lan: Segment, wire: WireProcess, vip: str) -> None:
    node = lan["node"]
    wire.serve(node, [vip])
    wire.settle()
    before = wire.heard_at
    wire.repeat(vip)
    wire.counters(lambda counters: counters["announcements"] >= 2)
    assert wire.heard_at == before, "it said something, and heard nothing"
    with Asker(lan["other"]) as asker:
        began = time.monotonic()
        assert asker.who_has(vip) == {node.mac}
    assert wire.heard_at >= began - MOST_ASLEEP
    assert wire.heard_at > before
    assert wire.heard_by_interface == {node.ifindex: wire.heard_at}


@pytest.mark.netns
def test_what_waited_while_it_was_stopped_says_nothing_of_now(lan: Segment, wire: WireProcess) -> None:
    """A node that was frozen must not take the frames of before for a sign that it hears."""
    with Asker(lan["other"]) as asker:
        wire.serve(lan["node"], [VIP4])
        assert asker.who_has(VIP4)
        heard = wire.heard_at
        os.kill(wire.pid, signal.SIGSTOP)
        try:
            eventually(lambda: " T " in Path(f"/proc/{wire.pid}/stat").read_text())
            assert asker.silent(VIP4)
            time.sleep(4 * MOST_ASLEEP)
        finally:
            os.kill(wire.pid, signal.SIGCONT)
        wire.counters(lambda counters: counters["arp_answers"] >= 4)
        assert wire.heard_at == heard
        assert asker.who_has(VIP4)
        assert wire.heard_at > heard


# Asking who has it


@pytest.mark.netns
@BOTH
@pytest.mark.parametrize("friend", [False, True])
def test_whoever_answers_is_named_a_speaker_too(lan: Segment, wire: WireProcess, vip: str, friend: bool) -> None:
    node, other = lan["node"], lan["other"]
    free = "192.0.2.101" if vip == VIP4 else "2001:db8::101"
    wire.lease(0)
    wire.table({vip: [node.ifindex], free: [node.ifindex]})
    wire.settle()
    wire.friends(*([other.mac] if friend else []))
    other.add_address(f"{vip}/{24 if vip == VIP4 else 64}")
    wire.ask([vip, free])
    assert wire.found([vip, free]) == {vip: other.mac, free: None}


@pytest.mark.netns
def test_another_speaker_that_answers_out_of_its_table_is_named(lan: Segment, wire: WireProcess) -> None:
    node, other = lan["node"], lan["other"]
    vips = [f"10.0.0.{n}" for n in range(1, 101)] + [f"2001:db8::1:{n:x}" for n in range(1, 101)]
    with WireProcess(other.netns) as owner:
        owner.serve(other, vips[::2])
        wire.table({vip: [node.ifindex] for vip in vips})
        wire.settle()
        wire.ask(vips)
        assert wire.found(vips) == {vip: None if n % 2 else other.mac for n, vip in enumerate(vips)}


@pytest.mark.netns
def test_a_hundred_addresses_are_asked_for_in_time(lan: Segment, wire: WireProcess) -> None:
    node = lan["node"]
    vips = [f"10.0.0.{n}" for n in range(1, 101)]
    wire.table({vip: [node.ifindex] for vip in vips})
    wire.settle()

    def took() -> float:
        began = time.monotonic()
        wire.ask(vips)
        assert set(wire.found(vips).values()) == {None}
        return time.monotonic() - began

    assert met_once(took, lambda seconds: seconds < 0.12) >= 0.04


@pytest.mark.netns
def test_an_address_is_asked_for_once_it_is_known_where(lan: Segment, wire: WireProcess) -> None:
    """The table may come behind the question, and an interface behind both; what is dropped is not answered."""
    node = lan["node"]
    wire.interfaces(node, usable=False)
    wire.ask([VIP4, VIP6])
    wire.ask(drop=[VIP6])
    wire.table({VIP4: [node.ifindex], VIP6: [node.ifindex]})
    wire.settle()
    assert wire.counters()["probes"] == 0
    wire.interfaces(node)
    assert wire.found([VIP4]) == {VIP4: None}
    assert wire.counters()["probes"] == 2
    # What work asks before a first use is another matter: three probes, and told to work.
    wire.probe({VIP4: [node.ifindex]})
    wire.wait_for(lambda message: message["op"] == "probed" and message["results"] == [[VIP4, None, None]])


# Asking them to say something


@pytest.mark.netns
def test_routers_and_stations_that_were_heard_are_asked_and_answer(lan: Segment, wire: WireProcess) -> None:
    node, other = lan["node"], lan["other"]
    router = lan.add_host("router", ["192.0.2.254/24", "fe80::fe/64"])
    wire.interfaces(node, gateways=["192.0.2.254", "fe80::fe"], addresses=["192.0.2.1", "2001:db8::1"])
    with Asker(other) as asker:
        wire.serve(node, [VIP4])
        wire.interfaces(node, gateways=["192.0.2.254", "fe80::fe"], addresses=["192.0.2.1", "2001:db8::1"])
        assert asker.who_has(VIP4)
    with other.entered():
        heard = PacketSocket(other.ifindex, Kind.ARP)
    with router.entered():
        heard4, heard6 = PacketSocket(router.ifindex, Kind.ARP), PacketSocket(router.ifindex, Kind.NDP)
        heard6.all_multicast()
    try:
        wire.settle()
        before = wire.heard_at
        for _ in range(20):
            wire.solicit()
        wire.counters(lambda counters: counters["solicitations"] >= 3)
        assert wire.counters()["solicitations"] == 3, "twenty questions at once are one round"
        assert wire.heard_at > before
        packed = socket.inet_aton
        mac = mac_from_text(node.mac)
        # The station alone, the routers through the whole segment.
        assert _first(heard, other.mac) == arp.request(
            mac=mac, sender_ip=packed("192.0.2.1"), target_ip=packed("192.0.2.2"), to=mac_from_text(other.mac)
        )
        assert _first(heard4, "ff:ff:ff:ff:ff:ff") == arp.request(
            mac=mac, sender_ip=packed("192.0.2.1"), target_ip=packed("192.0.2.254")
        )
        frame = eventually(heard6.receive)
        assert frame is not None
        message = ndp.parse(frame)
        assert isinstance(message, ndp.NdpMessage)
        assert message.source_ip == socket.inet_pton(socket.AF_INET6, node.link_local)
        assert message.target == socket.inet_pton(socket.AF_INET6, "fe80::fe")
    finally:
        for sock in (heard, heard4, heard6):
            sock.close()


def _first(sock: PacketSocket, to: str) -> bytes:
    def found() -> bytes | None:
        while (frame := sock.receive()) is not None:
            if frame[:6] == mac_from_text(to):
                return frame
        return None

    frame = eventually(found)
    assert frame is not None
    return frame


@pytest.mark.netns
def test_a_deaf_node_hears_nothing_however_much_it_asks(lan: Segment, wire: WireProcess) -> None:
    node = lan["node"]
    wire.interfaces(node, gateways=["192.0.2.2"], addresses=["192.0.2.1"])
    wire.settle()
    wire.solicit()
    eventually(lambda: wire.heard_at > 0)
    # Frames leave and none arrives: a one-way VLAN, a hung receive queue.
    chain = "{ type filter hook ingress device eth0 priority 0; policy drop; }"
    node.run(["nft", f"add table netdev deaf; add chain netdev deaf in {chain}"])
    wire.settle()
    before = wire.heard_at
    for _ in range(3):
        wire.solicit()
        time.sleep(0.21)
    assert wire.counters()["solicitations"] >= 3
    assert wire.heard_at == before
