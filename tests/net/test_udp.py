"""Heartbeat sockets in the real kernel: what leaves, what arrives, and what must not."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from lbctl.net.udp import HOP_LIMIT, Datagram, SegmentSocket
from tests.support.bars import PATIENCE
from tests.support.netns import Host, Segment, eventually, netns, run_in

pytestmark = pytest.mark.netns
PORT, GROUP4, GROUP6 = 7966, "239.255.76.66", "ff02::4c42"


@pytest.fixture(scope="module")
def lan() -> Iterator[Segment]:
    with Segment({"a": ["192.0.2.1/24", "192.0.2.11/24"], "b": ["192.0.2.2/24"]}) as segment:
        yield segment


def open_on(host: Host, address: str, *, own_port: int | None = None) -> SegmentSocket:
    ifindex = host.ifindex
    return host.call(
        lambda: SegmentSocket(
            ifindex=ifindex, name="eth0", address=address, port=PORT, group4=GROUP4, group6=GROUP6, own_port=own_port
        )
    )


def receive(opened: SegmentSocket, timeout: float = PATIENCE) -> Datagram | None:
    """The next datagram of either socket."""
    poll = select.poll()
    for sock in opened.sockets:
        poll.register(sock, select.POLLIN)
    by_fd = {sock.fileno(): sock for sock in opened.sockets}
    for fd, _ in poll.poll(timeout * 1000):
        return opened.receive(by_fd[fd])
    return None


def test_unicast_and_group_arrive_with_source_hop_limit_and_time(lan: Segment) -> None:
    a, b = open_on(lan["a"], "192.0.2.11"), open_on(lan["b"], "192.0.2.2")
    try:
        for to in ("192.0.2.2", GROUP4):
            before = time.time()
            assert a.send(to.encode(), (to, PORT)) is None
            found = receive(b)
            assert found is not None
            # The source is the address it was bound to, although it is not the first of the interface.
            assert (found.payload, found.source, found.hop_limit) == (to.encode(), ("192.0.2.11", PORT), HOP_LIMIT)
            assert before - 0.05 <= found.at_unix <= time.time()
        assert receive(a, 0.05) is None  # nobody hears himself
    finally:
        a.close()
        b.close()


def test_link_local_addresses_of_ipv6_do_as_well(lan: Segment) -> None:
    mine, yours = lan["a"].link_local, lan["b"].link_local
    a, b = open_on(lan["a"], mine), open_on(lan["b"], yours)
    try:
        for to in (yours, GROUP6):
            assert a.send(b"six", (to, PORT)) is None
            found = receive(b)
            assert found is not None
            assert (found.payload, found.source, found.hop_limit) == (b"six", (mine, PORT), HOP_LIMIT)
    finally:
        a.close()
        b.close()


def test_a_lower_hop_limit_is_seen(lan: Segment) -> None:
    b = open_on(lan["b"], "192.0.2.2")
    with lan["a"].entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"from far away", ("192.0.2.2", PORT))
        found = receive(b)
    b.close()
    assert found is not None
    assert found.hop_limit == 64


def test_an_observer_beside_a_speaker_takes_none_of_its_packets(lan: Segment) -> None:
    speaker, a = open_on(lan["b"], "192.0.2.2"), open_on(lan["a"], "192.0.2.1")
    observer = open_on(lan["b"], "192.0.2.2", own_port=0)
    try:
        for n in range(20):
            a.send(b"%d" % n, ("192.0.2.2", PORT))
        assert [found.payload for _ in range(20) if (found := receive(speaker))] == [b"%d" % n for n in range(20)]
        assert receive(observer, 0.05) is None
        a.send(b"all", (GROUP4, PORT))
        both = [receive(opened) for opened in (speaker, observer)]
        assert [found.payload for found in both if found] == [b"all"] * 2
        assert observer.send(b"hello", ("192.0.2.1", PORT)) is None
        found = receive(a)
        assert found is not None
        assert found.source[1] not in (0, PORT)
        a.send(b"you too", found.source)
        answer = receive(observer)
        assert answer is not None
        assert answer.payload == b"you too"
    finally:
        for opened in (speaker, a, observer):
            opened.close()


def test_nothing_leaves_by_another_link_or_by_a_gateway(lan: Segment) -> None:
    """The peer's address is reached by a gateway on the same link, and by another interface."""
    with Segment({"c": ["198.51.100.2/24"]}) as other:
        host = other.add_host("a", ["198.51.100.1/24"], also=lan["a"])
        host.run(["ip", "route", "add", "default", "via", "192.0.2.2", "dev", "eth0"])
        a, b = open_on(lan["a"], "192.0.2.1"), open_on(lan["b"], "192.0.2.2")
        ifindex = other["c"].ifindex
        c = other["c"].call(
            lambda: SegmentSocket(
                ifindex=ifindex, name="eth0", address="198.51.100.2", port=PORT, group4=GROUP4, group6=GROUP6
            )
        )
        try:
            # The kernel takes both for neighbours on this link, asks for them there, and gets no answer.
            a.send(b"x", ("198.51.100.2", PORT))
            a.send(b"x", ("203.0.113.9", PORT))
            a.send(b"here", (GROUP4, PORT))
            found = receive(b)
            assert found is not None
            assert found.payload == b"here"
            assert receive(c, 0.05) is None
            assert receive(b, 0.05) is None
        finally:
            for opened in (a, b, c):
                opened.close()
            host.run(["ip", "route", "del", "default"])


def test_a_link_that_goes_is_no_exception(lan: Segment) -> None:
    with netns("solo") as name:
        run_in(name, ["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "p"])
        run_in(name, ["ip", "addr", "add", "192.0.2.1/24", "dev", "eth0"])
        run_in(name, ["ip", "link", "set", "eth0", "up"])
        run_in(name, ["ip", "link", "set", "p", "up"])
        index = int(run_in(name, ["cat", "/sys/class/net/eth0/ifindex"]).stdout)
        from tests.support.netns import call_in

        opened = call_in(
            name,
            lambda: SegmentSocket(
                ifindex=index, name="eth0", address="192.0.2.1", port=PORT, group4=GROUP4, group6=GROUP6
            ),
        )
        assert opened.send(b"x", (GROUP4, PORT)) is None
        run_in(name, ["ip", "link", "del", "eth0"])
        assert eventually(lambda: opened.send(b"x", (GROUP4, PORT))) == "tx_failed"
        assert [opened.receive(sock) for sock in opened.sockets] == [None, None]
        opened.close()


def test_what_the_kernel_refuses_is_an_oserror_and_leaves_nothing_open(lan: Segment) -> None:
    with pytest.raises(OSError, match="assign"):
        open_on(lan["a"], "192.0.2.77")
    with pytest.raises(OSError, match="device"):
        SegmentSocket(ifindex=99, name="lbt-none", address="192.0.2.1", port=PORT, group4=GROUP4, group6=GROUP6)
