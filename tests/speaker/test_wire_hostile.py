"""A segment that means no good: forged ARP as fast as a core makes it, addresses taken again and again.

A flood takes a core of this machine, so these are short; `python -m bench.hostile` is the long form.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import arp_flood, arp_load
from bench.responder import vips
from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.conflict import MACS_REPORTED
from lbctl.speaker.wire_reports import SEEN_A_SECOND
from tests.support.asker import Asker
from tests.support.netns import Segment, eventually
from tests.support.wire_process import WireProcess

pytestmark = pytest.mark.netns

VIP4 = "192.0.2.100"
VIP6 = "2001:db8::100"
BOTH = pytest.mark.parametrize("vip", [VIP4, VIP6])
SECONDS = 2.0
ADDRESSES = vips(200)


@pytest.fixture
def lan() -> Iterator[Segment]:
    with Segment({"node": ["192.0.2.1/24", "2001:db8::1/64"], "client": [], "attacker": []}) as segment:
        yield segment


def _resident(pid: int) -> int:
    """Kilobytes of memory that a process really has."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


def _forge(lan: Segment, vip: str) -> None:
    with Asker(lan["attacker"]) as attacker:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in vip else socket.AF_INET, vip)
        claim = ndp.unsolicited if ":" in vip else arp.gratuitous_request
        attacker.send(claim(mac=attacker.mac, address=packed))


def test_a_flood_of_forged_arp_costs_real_clients_nothing_and_no_memory(lan: Segment) -> None:
    with WireProcess(lan["node"].netns) as wire:
        wire.serve(lan["node"], ADDRESSES)
        before = _resident(wire.pid)
        flood = arp_flood.start(lan["attacker"], ADDRESSES, rate=100_000, seconds=SECONDS + 0.5)
        try:
            load = arp_load.run(lan["client"], ADDRESSES, rate=1000, seconds=SECONDS)
            forged = arp_flood.finish(flood)
        finally:
            flood.kill()
            flood.wait()
        print(f"\n  {forged.rate:,.0f} forged frames a second, {load}")
        # What the kernel could not hand over meanwhile is counted, and none of it was a question.
        counters = wire.counters(lambda counters: counters["foreign"] + counters["kernel_drops"] >= forged.sent)
        assert (load.lost, load.doubled) == (0, 0), load
        assert counters["foreign"] > len(ADDRESSES) * MACS_REPORTED
        assert _resident(wire.pid) < before + 4096
        # The addresses are defended, each once, and what work is told of it is bounded.
        assert counters["defences"] == len(ADDRESSES)
        seconds = forged.seconds + 2
        told = [message for message in wire.heard if message["op"] in ("foreign", "defended")]
        assert 0 < len(told) <= SEEN_A_SECOND * seconds
        of_one = [message for message in told if message["op"] == "foreign" and message["address"] == ADDRESSES[0]]
        assert len(of_one) <= MACS_REPORTED * seconds


@BOTH
def test_a_client_that_was_led_away_is_brought_back(lan: Segment, vip: str) -> None:
    """At once by the defence; and where the stranger repeats itself within ten seconds, when those are over."""
    client, node, attacker = lan["client"], lan["node"], lan["attacker"]
    client.add_address("192.0.2.2/24")
    client.add_address("2001:db8::2/64")

    def knows() -> str:
        return client.run(["ip", "neigh", "show", vip]).stdout

    with WireProcess(node.netns) as wire:
        wire.serve(node, [vip])
        client.run(["ping", "-c1", "-W0.2", vip], check=False)
        eventually(lambda: node.mac in knows())
        time.sleep(1.5)  # rounds of the takeover that would help
        _forge(lan, vip)
        defended = wire.wait_for(lambda message: message["op"] == "defended")
        assert (defended["address"], defended["mac"]) == (vip, attacker.mac)
        assert defended["ifindex"] == node.ifindex
        assert abs(defended["at_unix"] - time.time()) < 60
        eventually(lambda: node.mac in knows())
        assert [message["op"] for message in wire.heard if message["op"] in ("foreign", "defended")] == [
            "foreign",
            "defended",
        ]
        # It goes on answering whatever is said, and gives nothing up.
        with Asker(lan["attacker"]) as asker:
            for _ in range(3):
                _forge(lan, vip)
                assert asker.who_has(vip) == {node.mac}


@BOTH
def test_what_another_speaker_takes_is_yielded_without_a_defence(lan: Segment, vip: str) -> None:
    node, attacker = lan["node"], lan["attacker"]
    with WireProcess(node.netns) as wire:
        wire.serve(node, [vip])
        wire.friends(attacker.mac)
        wire.settle()
        wire.answer(drop=[vip])
        wire.settle()
        _forge(lan, vip)
        yielded = wire.wait_for(lambda message: message["op"] == "yielded")
        assert (yielded["address"], yielded["mac"], yielded["ifindex"]) == (vip, attacker.mac, node.ifindex)
        assert wire.counters()["defences"] == 0
        assert not [message for message in wire.heard if message["op"] in ("foreign", "defended")]


def test_a_takeover_keeps_to_the_pace(lan: Segment) -> None:
    """Dynamic ARP inspection shuts a port down that says too much; whatever has no pace does not wait."""
    node = lan["node"]
    slow = [f"192.0.2.{n}" for n in range(101, 131)]
    fast = [f"10.0.0.{n}" for n in range(1, 51)]
    with WireProcess(node.netns) as wire, Asker(lan["client"]) as asker:
        wire.interfaces(node)
        wire.pace(10, slow)
        wire.table({vip: [node.ifindex] for vip in (*slow, *fast)})
        wire.settle()
        asker.announcements(0.0)
        wire.answer([*slow, *fast])
        wire.wait_announced(fast)
        seen = [vip for vip, _ in asker.announcements(2.05)]
        paced = [vip for vip in seen if vip in slow]
        # Both forms together, the oldest first, ten addresses a second.
        assert paced == [vip for vip in slow for _ in range(2)][: len(paced)]
        assert len(paced) <= 2 * 23
        assert len(paced) >= 2
        wire.pace(None, slow)
        wire.wait_announced(slow)


def test_another_link_behind_the_same_mac_is_announced_to(lan: Segment) -> None:
    """A bond failed over: nothing of the interface changed, but the switch sends its frames elsewhere."""
    node = lan["node"]
    with WireProcess(node.netns) as wire, Asker(lan["client"]) as asker:
        wire.interfaces(node, link="eth0:1")
        wire.table({VIP4: [node.ifindex]})
        wire.answer([VIP4])
        wire.wait_announced([VIP4])
        asker.announcements(1.5)
        wire.interfaces(node, link="eth0:1", gateways=["192.0.2.254"])
        wire.settle()
        assert asker.announcements(0.1) == []
        wire.interfaces(node, link="eth1:1", gateways=["192.0.2.254"])
        assert asker.announcements(10.0, count=4) == [(VIP4, node.mac)] * 4
