"""Which frames of a real segment reach a packet socket, and which must not."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Iterator

import pytest

from lbctl.net.packet_socket import Kind, PacketSocket, PacketSockets, Part
from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.ethernet import mac_from_text
from tests.support.bars import PATIENCE, met_once
from tests.support.netns import Host, Segment, eventually

pytestmark = pytest.mark.netns

VIP4 = socket.inet_aton("192.0.2.100")
VIP6 = socket.inet_pton(socket.AF_INET6, "2001:db8::100")


@pytest.fixture
def lan() -> Iterator[Segment]:
    with Segment({"node": ["192.0.2.1/24"], "client": ["192.0.2.2/24", "2001:db8::2/64"]}) as segment:
        yield segment


def _open(host: Host, kind: Kind) -> PacketSocket:
    return host.call(lambda: PacketSocket(host.ifindex, kind))


def _raw(host: Host) -> socket.socket:
    """A socket that sends what it is given and receives nothing."""
    with host.entered():
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind((host.interface, 0))
    return sock


def _drain(sock: PacketSocket, seconds: float = 0.05, *, count: int = 0) -> list[bytes]:
    """What arrives until nothing came for `seconds`; `count` frames are waited for as long as it takes."""
    frames: list[bytes] = []
    while select.select([sock], [], [], seconds if len(frames) >= count else PATIENCE)[0]:
        while (frame := sock.receive()) is not None:
            frames.append(frame)
    return frames


def test_only_arp_or_only_neighbor_discovery_arrives(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    arps, ndps = _open(node, Kind.ARP), _open(node, Kind.NDP)
    sender, mac = _raw(client), mac_from_text(client.mac)
    source = socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    question = arp.request(mac=mac, sender_ip=socket.inet_aton("192.0.2.2"), target_ip=VIP4)
    solicitation = ndp.solicitation(mac=mac, source_ip=source, target=VIP6, to_mac=mac_from_text(node.mac))
    announcement = ndp.unsolicited(mac=mac, address=VIP6)
    echo = solicitation[:54] + b"\x80" + solicitation[55:]
    udp = solicitation[:20] + b"\x11" + solicitation[21:]
    rarp = question[:20] + b"\x00\x03" + question[22:]
    other_hardware = question[:14] + b"\x00\x06" + question[16:]
    ipv4 = question[:12] + b"\x08\x00" + question[14:]
    for frame in (echo, udp, rarp, other_hardware, ipv4, question, solicitation, announcement):
        sender.send(frame)
    with arps.sock, ndps.sock, sender:
        assert [frame for frame in _drain(arps, count=1) if frame[28:32] == question[28:32]] == [question]
        assert [frame for frame in _drain(ndps, count=2) if frame[ndp.TARGET] == VIP6] == [solicitation, announcement]


def test_questions_and_claims_arrive_apart(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    sender, mac, ours = _raw(client), mac_from_text(client.mac), mac_from_text(node.mac)
    other4, other6 = socket.inet_aton("192.0.2.77"), socket.inet_pton(socket.AF_INET6, "2001:db8::77")
    frames = {
        (Kind.ARP, Part.QUESTIONS): [
            arp.request(mac=mac, sender_ip=other4, target_ip=VIP4),
            arp.probe(mac=mac, target_ip=VIP4),
            arp.request(mac=mac, sender_ip=VIP4, target_ip=other4),
        ],
        (Kind.ARP, Part.CLAIMS): [
            arp.gratuitous_request(mac=mac, address=VIP4),
            arp.gratuitous_reply(mac=mac, address=VIP4),
            arp.reply(mac=mac, sender_ip=VIP4, target_mac=ours, target_ip=other4),
        ],
        (Kind.NDP, Part.QUESTIONS): [
            ndp.solicitation(mac=mac, source_ip=other6, target=VIP6, to_mac=ours),
            ndp.solicitation(mac=mac, source_ip=VIP6, target=other6, to_mac=ours),
        ],
        (Kind.NDP, Part.CLAIMS): [
            ndp.unsolicited(mac=mac, address=VIP6),
            ndp.advertisement(mac=mac, target=VIP6, to_mac=ours, to_ip=other6, solicited=True),
        ],
    }
    known = [frame for wanted in frames.values() for frame in wanted]
    with contextlib.ExitStack() as open_sockets:
        sockets = {}
        for kind, part in frames:
            with node.entered():
                sockets[kind, part] = PacketSocket(node.ifindex, kind, part)
            open_sockets.callback(sockets[kind, part].close)
        open_sockets.enter_context(sender)
        for wanted in frames.values():
            for frame in wanted:
                sender.send(frame)
        for which, wanted in frames.items():
            named = [frame for frame in _drain(sockets[which], count=len(wanted)) if mac in frame and frame in known]
            assert named == wanted, which


def test_own_frames_do_not_come_back_and_others_get_them(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    ours, theirs = _open(node, Kind.ARP), _open(client, Kind.ARP)
    frame = arp.gratuitous_request(mac=mac_from_text(node.mac), address=VIP4)
    with ours.sock, theirs.sock:
        assert ours.send(frame)
        assert frame in _drain(theirs, count=1)
        assert _drain(ours) == []


def test_a_frame_for_another_station_is_not_ours_even_when_promiscuous(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    node.run(["ip", "link", "set", "eth0", "promisc", "on"])
    sender, ours = _raw(client), _open(node, Kind.ARP)
    mac = mac_from_text(client.mac)
    to_us, to_other = (
        arp.request(mac=mac, sender_ip=bytes(4), target_ip=VIP4, to=to)
        for to in (mac_from_text(node.mac), bytes.fromhex("020000000099"))
    )
    with sender, ours.sock:
        sender.send(to_other)
        sender.send(to_us)
        assert _drain(ours, count=1) == [to_us]


def test_a_frame_of_a_vlan_is_not_the_interfaces_own(lan: Segment) -> None:
    """The kernel takes the tag off before any socket sees the frame: without the filter it would look untagged."""
    node, client = lan["node"], lan["client"]
    ours, sender = _open(node, Kind.ARP), _raw(client)
    untagged = arp.probe(mac=mac_from_text(client.mac), target_ip=VIP4)
    tagged = untagged[:12] + bytes.fromhex("8100000a") + untagged[12:]
    priority = untagged[:12] + bytes.fromhex("8100e000") + untagged[12:]  # VLAN 0 is no VLAN, only a priority
    with ours.sock, sender:
        sender.send(tagged)
        sender.send(untagged)
        sender.send(priority)
        assert _drain(ours, count=2) == [untagged, untagged]


def test_a_frame_for_an_interface_on_top_is_not_the_lower_interfaces(lan: Segment) -> None:
    """The kernel shows the lower interface's socket also what it hands on to a macvlan (or VLAN) on top of it."""
    node, client = lan["node"], lan["client"]
    node.run(["ip", "link", "add", "link", "eth0", "name", "upper0", "type", "macvlan", "mode", "bridge"])
    node.run(["ip", "link", "set", "upper0", "up"])
    with node.entered():
        lower = PacketSocket(node.ifindex, Kind.ARP)
        upper = PacketSocket(socket.if_nametoindex("upper0"), Kind.ARP)
    mac = mac_from_text(upper_mac := Host(lan, "upper", node.netns, "upper0", "").mac)
    frame = arp.request(mac=mac_from_text(client.mac), sender_ip=bytes(4), target_ip=VIP4, to=mac)
    assert upper_mac != node.mac
    with lower.sock, upper.sock, _raw(client) as sender:
        sender.send(frame)
        assert _drain(upper, count=1) == [frame]
        assert _drain(lower) == []


def test_an_interface_that_went_down_says_so_once_and_works_again_after_up(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    ours, sender = _open(node, Kind.ARP), _raw(client)
    frame = arp.probe(mac=mac_from_text(client.mac), target_ip=VIP4)
    with ours.sock, sender:
        node.run(["ip", "link", "set", "eth0", "down"])
        with pytest.raises(OSError, match=os.strerror(errno.ENETDOWN)):
            ours.receive()
        assert ours.receive() is None
        with pytest.raises(OSError, match=os.strerror(errno.ENETDOWN)):
            ours.send(frame)
        node.run(["ip", "link", "set", "eth0", "up"])

        def heard() -> bool:
            sender.send(frame)
            return frame in _drain(ours, 0.02)

        eventually(heard)


def test_frames_lost_to_a_full_buffer_are_counted(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    ours, sender = _open(node, Kind.ARP), _raw(client)
    ours.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    frame = arp.probe(mac=mac_from_text(client.mac), target_ip=VIP4)
    with ours.sock, sender:
        for _ in range(200):
            sender.send(frame)
        arrived: list[bytes] = []

        def all_are_accounted_for() -> bool:
            arrived.extend(_drain(ours, 0.01))
            return ours.count_drops() + len(arrived) >= 200

        eventually(all_are_accounted_for)
        assert ours.count_drops() > 0
        assert ours.count_drops() + len(arrived) == 200


def test_the_buffer_holds_what_arrives_while_we_are_away_for_a_moment(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    ours, sender = _open(node, Kind.ARP), _raw(client)
    frame = arp.probe(mac=mac_from_text(client.mac), target_ip=VIP4)
    with ours.sock, sender:
        for _ in range(5000):
            sender.send(frame)
        assert len(_drain(ours, count=5000)) == 5000
        assert ours.count_drops() == 0


def test_a_set_follows_the_wanted_interfaces_and_names_the_refused(lan: Segment) -> None:
    node = lan["node"]
    poll = select.poll()
    sockets = PacketSockets(poll)
    with node.entered():
        node.run(["ip", "link", "add", "extra0", "type", "veth", "peer", "name", "extra1"])
        second = socket.if_nametoindex("extra0")
        assert sockets.use([node.ifindex, second, 4711]) == {4711: "No such device or address"}
        assert sockets.interfaces == {node.ifindex, second}
        assert len(sockets.by_fd) == 8
        kept = dict(sockets.by_fd)
        node.run(["ip", "link", "del", "extra0"])
        assert sockets.send(bytes(12) + b"\x08\x06" + bytes(28), second)
        assert sockets.send_failed == 1
        assert sockets.use([node.ifindex]) == {}
        assert sockets.by_fd.items() < kept.items()
        assert sockets.send(bytes(42), second)
        assert sockets.send_failed == 1
    sockets.close()
    assert sockets.by_fd == {}
    assert poll.poll(0) == []


def test_all_multicast_takes_groups_that_nobody_joined(lan: Segment) -> None:
    node, client = lan["node"], lan["client"]
    sockets = PacketSockets(select.poll())
    with node.entered():
        sockets.use([node.ifindex])
    sockets.all_multicast(node.ifindex)
    details = eventually(lambda: node.run(["ip", "-d", "link", "show", "eth0"]).stdout)
    assert "allmulti 1" in details
    sockets.close()
    eventually(lambda: "allmulti 0" in node.run(["ip", "-d", "link", "show", "eth0"]).stdout)
    del client


def test_a_thousand_sends_do_not_block(lan: Segment) -> None:
    node = lan["node"]
    ours = _open(node, Kind.ARP)
    frame = arp.gratuitous_request(mac=mac_from_text(node.mac), address=VIP4)
    with ours.sock:

        def sent() -> float:
            started_at = time.monotonic()
            assert all(ours.send(frame) for _ in range(1000))
            return time.monotonic() - started_at

        met_once(sent, lambda took: took < 2)
