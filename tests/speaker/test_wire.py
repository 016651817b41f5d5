"""The wire process against real kernels and real frames; the test plays the work and the pulse process."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbctl.net.packed_address import packed, text_of
from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.ethernet import mac_from_text
from tests.support.asker import Asker
from tests.support.bars import PATIENCE
from tests.support.mld import MldListener
from tests.support.netns import Host, Segment, eventually
from tests.support.wire_process import WireProcess, interface_of

pytestmark = pytest.mark.netns

VIP4 = "192.0.2.100"
VIP6 = "2001:db8::100"
BOTH = pytest.mark.parametrize("vip", [VIP4, VIP6])


@pytest.fixture
def lan() -> Iterator[Segment]:
    hosts = {
        "node": ["192.0.2.1/24", "2001:db8::1/64"],
        "client": ["192.0.2.2/24", "2001:db8::2/64"],
    }
    with Segment(hosts) as segment:
        yield segment


@pytest.fixture
def node(lan: Segment) -> Host:
    return lan["node"]


@pytest.fixture
def client(lan: Segment) -> Host:
    return lan["client"]


@pytest.fixture
def asker(client: Host) -> Iterator[Asker]:
    with Asker(client) as asker:
        yield asker


@pytest.fixture
def wire(node: Host) -> Iterator[WireProcess]:
    with WireProcess(node.netns) as process:
        yield process


def _neighbor(host: Host, address: str) -> str:
    """What the host's kernel knows of a neighbor, for example `... lladdr 02:... REACHABLE`."""
    return host.run(["ip", "neigh", "show", address]).stdout.strip()


def _ping(host: Host, address: str) -> None:
    """Makes the kernel resolve the address; nobody answers the ping itself."""
    host.run(["ping", "-c1", "-W0.2", address], check=False)


# A real client


@BOTH
def test_a_client_resolves_the_vip(wire: WireProcess, node: Host, client: Host, vip: str) -> None:
    wire.serve(node, [vip])
    client.run(["ip", "neigh", "flush", "all"])  # what the announcement may have taught
    _ping(client, vip)
    eventually(lambda: node.mac in _neighbor(client, vip) and "REACHABLE" in _neighbor(client, vip))


@BOTH
def test_the_clients_reachability_check_is_answered(wire: WireProcess, node: Host, client: Host, vip: str) -> None:
    wire.serve(node, [vip])
    client.run(["ip", "neigh", "replace", vip, "lladdr", node.mac, "dev", "eth0", "nud", "probe"])
    eventually(lambda: "REACHABLE" in _neighbor(client, vip))


def test_a_unicast_solicitation_without_link_layer_option_confirms_the_neighbor(
    wire: WireProcess, node: Host, client: Host, asker: Asker
) -> None:
    wire.serve(node, [VIP6])
    client.run(["ip", "neigh", "replace", VIP6, "lladdr", node.mac, "dev", "eth0", "nud", "stale"])
    source, target = (socket.inet_pton(socket.AF_INET6, text) for text in ("2001:db8::2", VIP6))
    asker.send(ndp._frame(mac_from_text(node.mac), asker.mac, source, target, ndp.SOLICITATION, 0, target))
    eventually(lambda: "REACHABLE" in _neighbor(client, VIP6))


def test_no_client_takes_the_vip_for_a_router_also_where_the_node_forwards(
    wire: WireProcess, node: Host, client: Host
) -> None:
    node.sysctl("net/ipv6/conf/all/forwarding", "1")
    entry = ["ip", "neigh", "replace", VIP6, "lladdr", node.mac, "dev", "eth0", "router"]
    client.run([*entry, "nud", "stale"])
    assert "router" in _neighbor(client, VIP6)
    wire.serve(node, [VIP6])
    eventually(lambda: "router" not in _neighbor(client, VIP6))
    # An answer says so too.
    client.run([*entry, "nud", "probe"])
    eventually(lambda: "REACHABLE" in _neighbor(client, VIP6))
    assert "router" not in _neighbor(client, VIP6)


def test_an_established_neighbor_stays_reachable(wire: WireProcess, node: Host, client: Host) -> None:
    """Its kernel asks again and again, by unicast; were one answer wrong, the flow would break after half a minute."""
    for name, value in (("base_reachable_time_ms", "200"), ("delay_first_probe_time", "0"), ("retrans_time_ms", "100")):
        client.sysctl(f"net/ipv6/neigh/eth0/{name}", value)
    wire.serve(node, [VIP6])
    client.run(["ip", "neigh", "flush", "all"])
    _ping(client, VIP6)
    answered = wire.counters()["ndp_answers"]

    def asked_again() -> bool:
        _ping(client, VIP6)
        assert "FAILED" not in _neighbor(client, VIP6)
        return wire.counters()["ndp_answers"] >= answered + 3

    eventually(asked_again)
    assert node.mac in _neighbor(client, VIP6)


def test_duplicate_address_detection_finds_the_vip(wire: WireProcess, node: Host, client: Host) -> None:
    wire.serve(node, [VIP6])
    client.sysctl("net/ipv6/conf/eth0/accept_dad", "1")
    client.run(["ip", "addr", "add", f"{VIP6}/64", "dev", "eth0"])
    eventually(lambda: "dadfailed" in client.run(["ip", "-6", "addr", "show", "dev", "eth0"]).stdout)


@BOTH
def test_a_takeover_moves_an_entry_resolved_50_ms_before(lan: Segment, vip: str) -> None:
    old, client = lan["node"], lan["client"]
    new = lan.add_host("new")
    with WireProcess(old.netns) as loser, WireProcess(new.netns) as heir:
        loser.serve(old, [vip])
        heir.interfaces(new)
        heir.table({vip: [new.ifindex]})
        heir.settle()
        client.run(["ip", "neigh", "flush", "all"])
        _ping(client, vip)
        eventually(lambda: old.mac in _neighbor(client, vip))
        time.sleep(0.05)
        loser.answer(drop=[vip])
        heir.answer([vip])
        heir.wait_announced([vip])
        heir.lease(0)  # the first frames are out, and no later round may help
        eventually(lambda: new.mac in _neighbor(client, vip))


@pytest.mark.parametrize("form", [arp.gratuitous_request, arp.gratuitous_reply, ndp.unsolicited])
def test_every_form_alone_moves_a_fresh_entry(lan: Segment, form: Callable[..., bytes]) -> None:
    """Linux ignores a reply whose target MAC is not the sender's until the entry is a second old."""
    old, client = lan["node"], lan["client"]
    new = lan.add_host("new")
    vip = VIP6 if form is ndp.unsolicited else VIP4
    with WireProcess(old.netns) as loser, Asker(new) as heir:
        loser.serve(old, [vip])
        client.run(["ip", "neigh", "flush", "all"])
        _ping(client, vip)
        eventually(lambda: old.mac in _neighbor(client, vip))
        loser.answer(drop=[vip])
        loser.settle()
        heir.send(form(mac=heir.mac, address=socket.inet_pton(socket.AF_INET6 if ":" in vip else socket.AF_INET, vip)))
        eventually(lambda: new.mac in _neighbor(client, vip))


def test_the_vip_is_on_no_interface(wire: WireProcess, node: Host) -> None:
    wire.serve(node, [VIP4, VIP6])
    addresses = node.run(["ip", "addr"]).stdout
    assert VIP4 not in addresses
    assert VIP6 not in addresses


# Groups


def test_a_thousand_ipv6_vips_are_reported_by_mld_before_they_are_claimed(
    wire: WireProcess, node: Host, client: Host, asker: Asker
) -> None:
    first = int(ipaddress.IPv6Address("2001:db8::a0:0"))
    vips = [str(ipaddress.IPv6Address(first + n)) for n in range(1000)]
    wire.interfaces(node)
    with MldListener(client) as listener:
        wire.table({vip: [node.ifindex] for vip in vips})
        listener.wait_joined({ndp.solicited_node(socket.inet_pton(socket.AF_INET6, vip)) for vip in vips})
    wire.counters(lambda counters: counters["groups_joined"] == 1000)
    wire.answer(vips)
    wire.wait_announced(vips)
    assert asker.who_has(vips[-1]) == {node.mac}


def test_through_a_bridge_that_forwards_only_reported_groups() -> None:
    with Segment({"node": [], "client": [], "querier": []}, snooping=True) as lan:
        bridge = ["link", "set", lan.bridge, "type", "bridge"]
        lan.bridge_ip(*bridge, "mcast_startup_query_interval", "20", "mcast_query_response_interval", "20")
        lan.bridge_ip(*bridge, "mcast_querier", "1")
        node, client = lan["node"], lan["client"]
        with WireProcess(node.netns) as wire, Asker(client) as asker, Asker(lan["querier"]) as other:
            wire.serve(node, [VIP6])
            group = "ff02::1:ff00:100"
            listing = ["bridge", "mdb", "show", "dev", lan.bridge]
            eventually(lambda: f"port {node.port} grp {group}" in _run_in(lan.netns, listing))
            assert asker.who_has(VIP6) == {node.mac}
            assert other.who_has(VIP6) == {node.mac}


def _run_in(netns: str, argv: list[str]) -> str:
    return subprocess.run(["ip", "netns", "exec", netns, *argv], capture_output=True, text=True, check=True).stdout


def test_without_ipv6_on_the_interface_solicitations_are_still_answered(
    lan: Segment, wire: WireProcess, node: Host, asker: Asker
) -> None:
    """On a macvlan, which passes on only the groups that were asked for, as a network card does."""
    node.run(
        ["ip", "link", "add", "link", "eth0", "name", "upper0", "mtu", "1000", "type", "macvlan", "mode", "bridge"]
    )
    node.run(["ip", "link", "set", "upper0", "up"])  # below 1280 the kernel has no IPv6 on an interface
    upper = Host(lan, "upper", node.netns, "upper0", "")
    interface = {"ifindex": upper.ifindex, "name": "upper0", "mac": upper.mac, "link_local": None, "usable": True}
    wire.work.send({"op": "interfaces", "interfaces": [interface]})
    wire.table({VIP6: [upper.ifindex]})
    wire.answer([VIP6])
    note = wire.wait_for(lambda message: message.get("name") == "groups_refused")
    assert note["fields"]["ifindex"] == upper.ifindex
    assert asker.who_has(VIP6) == {upper.mac}


# Who may speak


@BOTH
def test_answers_need_table_claim_and_interface(wire: WireProcess, node: Host, asker: Asker, vip: str) -> None:
    wire.answer([vip])
    wire.interfaces(node)
    wire.settle()
    assert asker.silent(vip)
    wire.table({vip: [node.ifindex]})
    wire.wait_announced([vip])
    assert asker.who_has(vip) == {node.mac}
    wire.answer(drop=[vip])
    eventually(lambda: asker.silent(vip))
    wire.answer([vip])
    wire.wait_announced([vip])
    assert asker.who_has(vip) == {node.mac}
    wire.table({}, drop=[vip])
    eventually(lambda: asker.silent(vip))
    wire.table({vip: [node.ifindex + 1]})
    wire.settle()
    assert asker.silent(vip)
    counters = wire.counters()
    assert counters["dropped_not_owner"]
    assert counters["dropped_unknown_address"]


def test_a_complete_table_forgets_the_rest(wire: WireProcess, node: Host, asker: Asker) -> None:
    wire.serve(node, [VIP4, VIP6, "192.0.2.101"])
    wire.table({"192.0.2.101": [node.ifindex]}, complete=True)
    eventually(lambda: asker.silent(VIP4))
    assert asker.silent(VIP6)
    assert asker.who_has("192.0.2.101") == {node.mac}


@BOTH
def test_answers_and_announcements_stop_when_the_lease_lapses(
    wire: WireProcess, node: Host, asker: Asker, vip: str
) -> None:
    wire.serve(node, [vip])
    assert asker.who_has(vip) == {node.mac}
    wire.lease(0.3)
    time.sleep(0.3)
    asker.announcements(0.0)
    assert asker.silent(vip)
    wire.repeat(vip)
    assert asker.announcements(0.3) == []
    wire.counters(lambda counters: counters["dropped_no_lease"] >= 3)
    wire.lease(3600)
    assert asker.who_has(vip) == {node.mac}


@pytest.mark.parametrize("channel", ["pulse", "work"])
def test_it_ends_when_either_channel_closes(node: Host, asker: Asker, channel: str) -> None:
    with WireProcess(node.netns) as wire:
        wire.serve(node, [VIP4, VIP6])
        assert asker.who_has(VIP4) == {node.mac}
        getattr(wire, channel).close()
        assert wire.ended() == 0
    assert asker.silent(VIP4)
    assert asker.silent(VIP6)


def test_a_killed_process_answers_nothing_more(node: Host, asker: Asker) -> None:
    with WireProcess(node.netns) as wire:
        wire.serve(node, [VIP4, VIP6])
        assert asker.who_has(VIP6) == {node.mac}
        os.kill(wire.pid, signal.SIGKILL)
        assert wire.ended() == -signal.SIGKILL
        assert asker.silent(VIP4)
        assert asker.silent(VIP6)


def test_a_stopped_process_does_not_answer_late_for_what_it_lost_meanwhile(
    wire: WireProcess, node: Host, asker: Asker
) -> None:
    wire.serve(node, [VIP4])
    os.kill(wire.pid, signal.SIGSTOP)
    eventually(lambda: " T " in Path(f"/proc/{wire.pid}/stat").read_text())
    assert asker.silent(VIP4)
    wire.answer([f"10.0.{n >> 8}.{n & 255}" for n in range(3000)])
    wire.answer(drop=[VIP4])
    os.kill(wire.pid, signal.SIGCONT)
    wire.settle()
    counters = wire.counters(lambda counters: counters["dropped_not_owner"] + counters["arp_answers"] >= 3)
    assert counters["arp_answers"] == 0
    assert counters["dropped_not_owner"] == 3


def test_signals_of_the_terminal_do_not_end_it(wire: WireProcess, node: Host, asker: Asker) -> None:
    wire.serve(node, [VIP4])
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(wire.pid, number)
    wire.settle()
    assert asker.who_has(VIP4) == {node.mac}


# Announcing


def test_both_arp_forms_and_the_advertisement_leave_at_once_and_again(
    wire: WireProcess, node: Host, asker: Asker
) -> None:
    wire.interfaces(node)
    wire.table({VIP4: [node.ifindex], VIP6: [node.ifindex]})
    wire.settle()
    asker.announcements(0.0)
    wire.answer([VIP4, VIP6])
    # At 0, 0.3 and 1.2 s; the next round is at 5 s.
    rounds = asker.announcements(4.0, count=9)
    assert [sorted(rounds[at : at + 3]) for at in (0, 3, 6)] == 3 * [
        [(VIP4, node.mac), (VIP4, node.mac), (VIP6, node.mac)]
    ]
    wire.repeat(VIP4)
    assert asker.announcements(PATIENCE, count=2) == 2 * [(VIP4, node.mac)]
    said = [message for message in wire.listen() if message["op"] == "announced"]
    assert sorted(address for message in said for address in message["addresses"]) == [VIP4, VIP6]
    assert abs(said[0]["at_unix"] - time.time()) < 10


def test_no_announcement_before_the_table_answers(lan: Segment, node: Host, asker: Asker) -> None:
    """Whoever asks on seeing the first announcement is answered."""
    vips = [f"192.0.2.{n}" for n in range(101, 251)]
    with WireProcess(node.netns) as wire:
        wire.interfaces(node)
        wire.table({vip: [node.ifindex] for vip in vips})
        wire.settle()
        wire.answer(vips)
        assert asker.announcements(PATIENCE, count=1)
        assert all(asker.who_has(vip) == {node.mac} for vip in vips)


def test_a_full_transmit_queue_delays_the_burst_and_loses_nothing(wire: WireProcess, node: Host, asker: Asker) -> None:
    vips = [f"192.0.2.{n}" for n in range(101, 161)]
    wire.interfaces(node)
    wire.table({vip: [node.ifindex] for vip in vips})
    wire.settle()
    # 42 bytes each: room for ten at once, then one each 2 ms.
    node.run(["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "168kbit", "burst", "1600", "limit", "420"])
    wire.answer(vips)
    first_round = asker.announcements(PATIENCE, count=60)
    assert [vip for vip, _ in first_round[:60]] == vips
    wire.wait_announced(vips)


def test_what_waits_in_a_full_queue_is_not_sent_once_the_address_or_the_lease_is_lost(
    wire: WireProcess, node: Host, asker: Asker
) -> None:
    vips = [f"192.0.2.{n}" for n in range(101, 161)]
    wire.interfaces(node)
    wire.table({vip: [node.ifindex] for vip in vips})
    wire.settle()
    # Room for a few frames, then next to nothing passes.
    tbf = ["dev", "eth0", "root", "tbf", "rate", "8bit", "burst", "1600", "limit", "420"]
    node.run(["tc", "qdisc", "add", *tbf])
    asker.announcements(0.0)
    wire.answer(vips)
    assert asker.announcements(PATIENCE, count=1)
    wire.answer(drop=vips[:50])
    wire.settle()
    wire.lease(0)
    wire.settle()
    asker.announcements(0.0)
    node.run(["tc", "qdisc", "del", "dev", "eth0", "root"])
    assert asker.announcements(0.1) == []
    wire.lease(3600)
    later = {vip for vip, _ in asker.announcements(PATIENCE, count=1) + asker.announcements(0.5)}
    assert later
    assert later <= set(vips[50:])


# Strangers


@BOTH
def test_a_stranger_is_reported_and_the_address_defended(
    lan: Segment, wire: WireProcess, node: Host, client: Host, asker: Asker, vip: str
) -> None:
    stranger = lan.add_host("stranger", [])
    wire.serve(node, [vip])
    packed = socket.inet_pton(socket.AF_INET6 if ":" in vip else socket.AF_INET, vip)
    with Asker(stranger) as attacker:
        claim = (
            ndp.unsolicited(mac=attacker.mac, address=packed)
            if ":" in vip
            else arp.gratuitous_request(mac=attacker.mac, address=packed)
        )
        wire.friends(stranger.mac)
        wire.settle()
        attacker.send(claim)
        assert attacker.who_has(vip) == {node.mac}  # so wire has seen the claim too
        wire.friends()
        wire.settle()
        asker.announcements(0.0)
        for _ in range(5):
            attacker.send(claim)
        assert attacker.who_has(vip) == {node.mac}
    report = wire.wait_for(lambda message: message["op"] == "foreign")
    counters = wire.counters(lambda counters: counters["foreign"] >= 5)
    assert counters["foreign"] == 5
    assert {key: report[key] for key in ("address", "mac", "ifindex")} == {
        "address": vip,
        "mac": stranger.mac,
        "ifindex": node.ifindex,
    }
    assert abs(report["at_unix"] - time.time()) < 10
    assert counters["defences"] == 1
    assert counters["foreign_suppressed"] == 4
    assert len([message for message in wire.listen() if message["op"] == "foreign"]) == 1
    assert (vip, node.mac) in asker.announcements(0.0)


# Interfaces that change


def test_a_new_mac_is_followed_and_announced(wire: WireProcess, node: Host, client: Host, asker: Asker) -> None:
    wire.serve(node, [VIP4, VIP6])
    for vip in (VIP4, VIP6):
        _ping(client, vip)
    node.run(["ip", "link", "set", "eth0", "address", "02:00:00:00:00:77"])
    wire.interfaces(node)
    for vip in (VIP4, VIP6):
        eventually(lambda vip=vip: "02:00:00:00:00:77" in _neighbor(client, vip))  # type: ignore[misc]
        assert asker.who_has(vip) == {"02:00:00:00:00:77"}


def test_a_new_interface_takes_up_the_table_and_joins_the_groups(lan: Segment, wire: WireProcess, node: Host) -> None:
    wire.serve(node, [VIP4, VIP6])
    with Segment({"other": []}) as second:
        future = node.ifindex + 1  # the index the next interface of this namespace gets
        wire.table({VIP4: [node.ifindex, future], VIP6: [node.ifindex, future]})
        eth1 = second.add_host("node", [], also=node)
        assert eth1.ifindex == future
        with Asker(second["other"]) as asker, MldListener(second["other"]) as listener:
            assert asker.silent(VIP4)
            wire.interfaces(node, eth1)
            listener.wait_joined({ndp.solicited_node(socket.inet_pton(socket.AF_INET6, VIP6))})
            eventually(lambda: asker.who_has(VIP4) == {eth1.mac})
            assert asker.who_has(VIP6) == {eth1.mac}


def test_an_unusable_interface_is_silent_and_comes_back_with_its_groups(
    wire: WireProcess, node: Host, client: Host, asker: Asker
) -> None:
    wire.serve(node, [VIP4, VIP6])
    group = ndp.solicited_node(socket.inet_pton(socket.AF_INET6, VIP6))
    with MldListener(client) as listener:
        wire.interfaces(node, usable=False)
        listener.wait_left({group})
        assert asker.silent(VIP4)
        assert asker.silent(VIP6)
        wire.interfaces(node)
        listener.wait_joined({group})
    eventually(lambda: (VIP4, node.mac) in asker.announcements(0.1))
    assert asker.who_has(VIP4) == {node.mac}
    assert asker.who_has(VIP6) == {node.mac}


def test_a_link_that_flaps_unseen_by_work_answers_again(wire: WireProcess, node: Host, asker: Asker) -> None:
    wire.serve(node, [VIP4, VIP6])
    node.run(["ip", "link", "set", "eth0", "down"])
    wire.repeat(VIP4)
    wire.settle()
    node.run(["ip", "link", "set", "eth0", "up"])
    eventually(lambda: asker.who_has(VIP4) == {node.mac})
    eventually(lambda: asker.who_has(VIP6) == {node.mac})


def test_an_interface_that_is_gone_is_refused_and_the_others_go_on(wire: WireProcess, node: Host, asker: Asker) -> None:
    gone = {"ifindex": 4711, "name": "eth9", "mac": "02:00:00:00:00:01", "link_local": None, "usable": True}
    tunnel = {"ifindex": 4712, "name": "tun0", "mac": "", "link_local": None, "usable": True}
    wire.work.send({"op": "interfaces", "interfaces": [gone, tunnel, interface_of(node)]})
    wire.table({VIP4: [node.ifindex, 4711, 4712]})
    wire.answer([VIP4])
    for name in ("eth9", "tun0"):
        note = wire.wait_for(lambda said, name=name: said["op"] == "note" and said["fields"]["interface"] == name)  # type: ignore[misc]
        assert note["name"] == "interface_refused"
    assert asker.who_has(VIP4) == {node.mac}


# What it lacks, what it refuses, what it costs


@pytest.mark.parametrize(
    ("capability", "name", "words"),
    [
        ("net_raw", "interface_refused", "CAP_NET_RAW is missing"),
        ("sys_nice", "no_realtime", "CAP_SYS_NICE is missing"),
        ("ipc_lock", "memory_not_locked", "CAP_IPC_LOCK is missing"),
    ],
)
def test_a_missing_capability_is_said(node: Host, capability: str, name: str, words: str) -> None:
    # A finite limit makes CAP_IPC_LOCK matter; CAP_SYS_RESOURCE is not what is tested here.
    prefix = ["prlimit", "--memlock=1000000", "setpriv", f"--bounding-set=-{capability}"]
    with WireProcess(node.netns, prefix=prefix) as wire:
        wire.interfaces(node)
        note = wire.wait_for(lambda message: message.get("name") == name)
        assert words in note["fields"]["reason"]
        assert [message["name"] for message in wire.listen() if message["op"] == "note"] == [name]


def test_with_all_capabilities_it_is_realtime_and_locked_and_says_nothing(wire: WireProcess) -> None:
    wire.counters()
    assert os.sched_getscheduler(wire.pid) == os.SCHED_FIFO
    status = dict(line.split(":", 1) for line in _status(wire.pid))
    assert int(status["VmLck"].split()[0]) > 0
    assert int(status["VmRSS"].split()[0]) < 40_000
    assert [message for message in wire.listen() if message["op"] == "note"] == []


def _status(pid: int) -> list[str]:
    with open(f"/proc/{pid}/status") as file:  # noqa: PTH123
        return file.read().splitlines()


def test_a_bad_message_costs_itself_only(wire: WireProcess, node: Host, asker: Asker) -> None:
    wire.work.send({"op": "table", "set": [["no address", [1]]], "drop": [], "complete": False})
    wire.work.send({"op": "friends"})
    wire.work.send({"op": "something of a later version"})
    for op in ("table", "friends"):
        wire.wait_for(lambda message, op=op: message["op"] == "note" and message["fields"]["op"] == op)  # type: ignore[misc]
    wire.serve(node, [VIP4])
    assert asker.who_has(VIP4) == {node.mac}
    assert wire.counters()["bad_messages"] == 2


def test_started_by_hand_it_says_what_it_is() -> None:
    for argument in ([], ["{}"], ["no json"], ['{"work": 98, "pulse": 99, "lease": 97}']):
        done = subprocess.run(
            [sys.executable, "-m", "lbctl.speaker.wire", *argument],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 2
        assert "lbctl run-speaker" in done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_it_imports_next_to_nothing() -> None:
    code = "import sys, lbctl.speaker.wire, json; print(json.dumps(sorted(sys.modules)))"
    modules = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))
    heavy = {
        "asyncio", "logging", "ipaddress", "pathlib", "random", "hashlib", "ssl", "subprocess", "threading",
        "concurrent", "yaml", "msgspec", "pyroute2", "aiohttp", "rich", "typer", "scapy", "ctypes",
    }  # fmt: skip
    assert modules & heavy == set()
    assert {name for name in modules if name.startswith("lbctl.")} == {
        "lbctl.net", "lbctl.net.channel", "lbctl.net.icmpv6", "lbctl.net.packed_address", "lbctl.net.packet_socket",
        "lbctl.net.realtime",
        "lbctl.protocol", "lbctl.protocol.l2", "lbctl.protocol.l2.arp", "lbctl.protocol.l2.conflict",
        "lbctl.protocol.l2.drop", "lbctl.protocol.l2.ethernet", "lbctl.protocol.l2.gratuitous", "lbctl.protocol.l2.ndp",
        "lbctl.protocol.l2.prober", "lbctl.protocol.l2.responder", "lbctl.protocol.l2.solicitor",
        "lbctl.protocol.l2.table", "lbctl.protocol.machine",
        "lbctl.speaker", "lbctl.speaker.shared_page", "lbctl.speaker.wire", "lbctl.speaker.wire_ports",
        "lbctl.speaker.wire_reports", "lbctl.speaker.wire_rights",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["192.0.2.1", "::", "::1", "2001:db8::1", "::ffff:192.0.2.1", "::ffff:0:1", "::192.0.2.1", "fe80::1:0:0:1"],
)
def test_addresses_are_reported_in_canonical_form(text: str) -> None:
    canonical = str(ipaddress.ip_address(text))
    assert text_of(packed(text)) == canonical
    assert packed(canonical) == ipaddress.ip_address(text).packed
