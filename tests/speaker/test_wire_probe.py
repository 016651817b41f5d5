"""The wire process asks before a first use; real kernels that have the address answer, or nobody does."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lbctl.net.channel import Channel
from lbctl.net.packet_socket import Kind, PacketSocket
from lbctl.protocol.l2 import arp, ndp
from lbctl.protocol.l2.ethernet import mac_from_text
from lbctl.speaker.shared_page import SIZE
from lbctl.speaker.wire import Wire
from tests.support.bars import met_once
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
        "other": ["192.0.2.2/24", "2001:db8::2/64"],
    }
    with Segment(hosts) as segment:
        yield segment


@pytest.fixture
def wire(lan: Segment) -> Iterator[WireProcess]:
    with WireProcess(lan["node"].netns, lease=0) as process:
        process.interfaces(lan["node"])
        process.settle()
        yield process


class Overheard:
    """The probes for one address, as another host of the segment sees them."""

    def __init__(self, host: Host, vip: str) -> None:
        self._v6 = ":" in vip
        self._vip = arp_or_ndp(vip)
        with host.entered():
            self._sock = PacketSocket(host.ifindex, Kind.NDP if self._v6 else Kind.ARP)
            if self._v6:
                self._sock.all_multicast()
        self.seen: list[bytes] = []

    def more(self) -> list[bytes]:
        while (frame := self._sock.receive()) is not None:
            self.seen += [frame] if self._is_probe(frame) else []
        return self.seen

    def close(self) -> None:
        self._sock.close()

    def _is_probe(self, frame: bytes) -> bool:
        if not self._v6:
            packet = arp.parse(frame)
            return packet is not None and packet.is_probe and packet.target_ip == self._vip
        message = ndp.parse(frame)
        return (
            isinstance(message, ndp.NdpMessage)
            and message.type == ndp.SOLICITATION
            and (message.target, message.source_ip) == (self._vip, ndp.NO_ADDRESS)
        )


def arp_or_ndp(vip: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in vip else socket.AF_INET, vip)


def result(wire: WireProcess, vip: str) -> list[Any]:
    """What wire says of an address it was to probe."""

    def found(message: dict[str, Any]) -> list[Any] | None:
        if message["op"] != "probed":
            return None
        return next((row for row in message["results"] if row[0] == vip), None)

    row = found(wire.wait_for(found))
    assert row is not None
    return row


@BOTH
def test_three_probes_without_any_right_to_answer_and_silence_is_clean(
    lan: Segment, wire: WireProcess, vip: str
) -> None:
    overheard = Overheard(lan["other"], vip)
    began = time.monotonic()
    wire.probe({vip: [lan["node"].ifindex]})
    assert result(wire, vip) == [vip, None, None]
    assert time.monotonic() - began >= 0.14
    eventually(lambda: len(overheard.more()) >= 3)
    overheard.close()
    assert len(overheard.seen) == 3
    assert {frame[6:12] for frame in overheard.seen} == {mac_from_text(lan["node"].mac)}
    assert wire.counters(lambda counters: counters["probes"])["announcements"] == 0


@BOTH
def test_the_host_that_has_it_is_named(lan: Segment, wire: WireProcess, vip: str) -> None:
    other = lan["other"]
    other.add_address(f"{vip}/{64 if ':' in vip else 24}")
    wire.probe({vip: [lan["node"].ifindex]})
    assert result(wire, vip) == [vip, other.mac, lan["node"].ifindex]
    # Whoever had it leaves: asked again, nobody answers.
    other.run(["ip", "addr", "del", f"{vip}/{64 if ':' in vip else 24}", "dev", other.interface])
    wire.heard.clear()
    wire.probe({vip: [lan["node"].ifindex]})
    assert result(wire, vip) == [vip, None, None]


@BOTH
def test_one_of_us_that_has_it_is_not_in_conflict(lan: Segment, wire: WireProcess, vip: str) -> None:
    lan["other"].add_address(f"{vip}/{64 if ':' in vip else 24}")
    wire.friends(lan["other"].mac)
    wire.probe({vip: [lan["node"].ifindex]})
    assert result(wire, vip) == [vip, None, None]


@BOTH
def test_a_process_that_was_stopped_reads_the_answer_before_it_takes_silence_for_one(
    lan: Segment, wire: WireProcess, vip: str
) -> None:
    """The answer waits in its socket while the time for listening runs out."""
    other = lan["other"]
    mac, address = mac_from_text(other.mac), arp_or_ndp(vip)
    v6 = ":" in vip
    claim = ndp.unsolicited(mac=mac, address=address) if v6 else arp.gratuitous_reply(mac=mac, address=address)

    def stopped() -> list[Any]:
        wire.heard.clear()
        overheard = Overheard(other, vip)
        wire.probe({vip: [lan["node"].ifindex]})
        eventually(overheard.more, every=0.0005)
        os.kill(wire.pid, signal.SIGSTOP)
        try:
            eventually(lambda: " T " in Path(f"/proc/{wire.pid}/stat").read_text())
            with other.entered():
                said = PacketSocket(other.ifindex, Kind.NDP if v6 else Kind.ARP)
            said.send(claim)
            said.close()
            until = time.monotonic() + 0.2
            eventually(lambda: time.monotonic() > until)
        finally:
            os.kill(wire.pid, signal.SIGCONT)
            overheard.close()
        return result(wire, vip)

    # Whoever stops it after all its time for listening has missed it.
    met_once(stopped, lambda found: found == [vip, other.mac, lan["node"].ifindex])


def test_what_was_not_looked_for_was_not_silence(lan: Segment) -> None:
    """A process that is held up between looking at its sockets and taking its time for over knows nothing yet."""
    work, its_work = socket.socketpair()
    pulse, its_pulse = socket.socketpair()
    with lan["node"].entered(), mmap.mmap(-1, SIZE) as page, work, pulse:
        wire = Wire(Channel(its_work), Channel(its_pulse), page)
        try:
            looked_at = time.monotonic()
            wire._take_from_work("interfaces", {"interfaces": [interface_of(lan["node"])]})
            wire._take_from_work("probe", {"set": [[VIP4, [lan["node"].ifindex]]], "drop": []})
            told = Channel(work)

            def said(began: float) -> list[dict[str, Any]]:
                wire._turn({}, began)
                return [message for message in told.receive() if message["op"] == "probed"]

            asked_at: float | None = None
            while asked_at is None or time.monotonic() < asked_at + 0.5:
                assert said(looked_at) == []
                if asked_at is None and wire._prober.sent == 3:
                    asked_at = time.monotonic()
            assert wire._prober.sent == 3
            assert said(time.monotonic()) == [{"op": "probed", "results": [[VIP4, None, None]]}]
        finally:
            wire._close()


def test_a_thousand_addresses_are_asked_for_within_seconds_and_answers_are_given_meanwhile(
    lan: Segment, wire: WireProcess
) -> None:
    vips = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    taken = vips[500]
    lan["other"].add_address(f"{taken}/32")
    began = time.monotonic()
    wire.probe({vip: [lan["node"].ifindex] for vip in vips})
    rows = {vip: result(wire, vip) for vip in vips}
    took = time.monotonic() - began
    print(f"\n  1,000 addresses probed in {took:.2f} s")
    assert len(rows) == len(vips)
    assert {vip for vip, (_, mac, _) in rows.items() if mac is not None} == {taken}
    assert took > 2.5, "faster than the rate"
    assert took < 20, "it takes 3 s"


def test_an_address_waits_for_its_interface(lan: Segment, wire: WireProcess) -> None:
    node = lan["node"]
    wire.interfaces(node, usable=False)
    wire.probe({VIP4: [node.ifindex], VIP6: [node.ifindex]})
    wire.probe({}, drop=[VIP6])
    wire.settle()
    assert not [message for message in wire.listen(0.2) if message["op"] == "probed"]
    wire.interfaces(node)
    assert result(wire, VIP4) == [VIP4, None, None]
    wire.settle()
    rows = [row for message in wire.heard if message["op"] == "probed" for row in message["results"]]
    assert rows == [[VIP4, None, None]]
