"""Planned moves, end to end: a thousand datagrams a second of which none is lost, and TCP connections that live on.

The client is a kernel as any: it honours gratuitous ARP. The echo servers stand behind each node.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lbctl.lab.cluster import Lab
from lbctl.lab.measure import Mode
from tests.lab.conftest import lab_name
from tests.lab.test_main_job import POOL, agreed, asked, bring, living, service
from tests.support.bars import PATIENCE
from tests.support.netns import eventually

pytestmark = [pytest.mark.lab, pytest.mark.netns]

NODES = ("n1", "n2", "n3")
TRIPS = 100
"""Round trips that a connection makes after the move, at the least."""
ECHO_SERVER = """
import contextlib, socket, threading
def serve(connection):
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(65536):
            connection.sendall(data)
server = socket.create_server(("", 7777), backlog=100)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
ECHO_CLIENT = """
import json, os, select, socket, sys, time
connection = socket.create_connection((sys.argv[1], 9000), timeout=60)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print("open", flush=True)
trips = since = 0
worst = 0.0
words = ""
while words != "end":
    if select.select([sys.stdin], [], [], 0.003)[0]:
        words = sys.stdin.readline().strip()
        since = trips if words == "moved" else since
    sent, got = os.urandom(100 + trips % 3000), b""
    began = time.monotonic()
    connection.sendall(sent)
    while len(got) < len(sent):
        part = connection.recv(65536)
        if not part:
            raise SystemExit("the other end closed")
        got += part
    assert got == sent, "other bytes than were sent"
    worst, trips = max(worst, time.monotonic() - began), trips + 1
    if words == "moved" and trips - since == 110:
        print("enough", flush=True)
print(json.dumps({"trips": trips, "after": trips - since, "worst": worst}), flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Lab]:
    lab = Lab(lab_name())
    lab.up(keep=False)
    servers: list[subprocess.Popen[Any]] = []
    try:
        lab.apply_text("pool.yaml", POOL)
        for number in (1, 2, 3):
            server = lab.popen(f"web{number}", [sys.executable, "-c", ECHO_SERVER], stdout=subprocess.PIPE)
            servers.append(server)
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
        yield lab
    finally:
        for server in servers:
            server.kill()
            server.communicate()
        lab.down()


def udp_service(lab: Lab) -> str:
    return bring(lab, "dns", service("dns", port=53, protocol="UDP"))


def echo_service(lab: Lab) -> str:
    text = service("echo", port=9000).replace("targetPort: 80", "targetPort: 7777")
    return bring(lab, "echo", text.replace("port: 80, protocol", "port: 7777, protocol"))


def order(lab: Lab, host: str, *words: str) -> dict[str, Any]:
    answer = asked(lab, host, *words)
    assert answer["result"] == "done", answer
    return answer


class Connection:
    """A client in the lab that sends and checks what comes back, until told to end."""

    def __init__(self, lab: Lab, address: str) -> None:
        self.process = lab.popen(
            "client",
            [sys.executable, "-c", ECHO_CLIENT, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.wait("open")

    def wait(self, word: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == word:
                return
        raise AssertionError(self.process.communicate()[1])

    def say(self, word: str) -> None:
        assert self.process.poll() is None, self.process.communicate()
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def end(self) -> dict[str, Any]:
        out, err = self.process.communicate("end\n", timeout=PATIENCE)
        assert self.process.returncode == 0, err
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


@contextlib.contextmanager
def connections(lab: Lab, address: str, count: int = 4) -> Iterator[list[Connection]]:
    made: list[Connection] = []
    try:
        made += [Connection(lab, address) for _ in range(count)]
        yield made
    finally:
        for connection in made:
            connection.process.kill()
            connection.process.communicate()


def by_move(lab: Lab, owner: str, other: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        order(lab, "n1", "move", address, "--to", other)


def by_drain(lab: Lab, owner: str, other: str, addresses: tuple[str, ...]) -> None:
    order(lab, other, "drain", owner)


def by_sigterm(lab: Lab, owner: str, other: str, addresses: tuple[str, ...]) -> None:
    lab.stop(owner)


def by_rebalance(lab: Lab, owner: str, other: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        order(lab, owner, "move", address, "--release")
    order(lab, owner, "rebalance")
    eventually(lambda: {agreed(lab, address) for address in addresses} != {owner})


@pytest.mark.parametrize("how", [by_move, by_drain, by_sigterm, by_rebalance])
def test_no_datagram_is_lost_and_every_connection_lives_on(
    cluster: Lab, how: Callable[[Lab, str, str, tuple[str, ...]], None]
) -> None:
    addresses = udp_service(cluster), echo_service(cluster)
    udp, tcp = addresses
    owner = agreed(cluster, udp)
    other = next(node for node in NODES if node != owner)
    for address in addresses:
        order(cluster, owner, "move", address, "--to", owner)
    try:
        with connections(cluster, tcp) as made, cluster.probe(udp, 53, mode=Mode.UDP, every=0.001) as probe:
            probe.wait("ready")
            if how is by_drain or how is by_sigterm:
                for address in addresses:
                    asked(cluster, owner, "move", address, "--release")
            how(cluster, owner, other, addresses)
            for connection in made:
                connection.say("moved")
            for connection in made:
                connection.wait("enough")
            result = probe.stop()
            ends = [connection.end() for connection in made]
        assert result.sent > 500
        assert result.lost == 0
        assert all(end["after"] >= TRIPS for end in ends), ends
        still = [node for node in NODES if node != owner]
        moved = [agreed(cluster, address, via=still[0]) for address in addresses]
        assert moved != [owner, owner]
    finally:
        restored(cluster, owner, other, addresses)


def restored(lab: Lab, owner: str, other: str, addresses: tuple[str, ...]) -> None:
    """Nothing drained, nothing pinned, everybody there."""
    for address in addresses:
        asked(lab, other, "move", address, "--release")
    asked(lab, other, "undrain", owner)
    if not lab.is_running(owner):
        lab.start(owner)
    # Who has just come back is heard by all before the next test needs somebody to take over.
    for node in NODES:
        eventually(lambda node=node: {*NODES} - {node} <= {*living(lab, node)})  # type: ignore[misc]


def test_a_connection_follows_from_node_to_node_and_back_and_needs_no_controller(cluster: Lab) -> None:
    tcp = echo_service(cluster)
    first = agreed(cluster, tcp)
    second, third = (node for node in NODES if node != first)
    cluster.stop("controller")
    try:
        with connections(cluster, tcp) as made:
            for to in (second, third, first, third):
                order(cluster, "n1", "move", tcp, "--to", to)
                for connection in made:
                    connection.say("moved")
                for connection in made:
                    connection.wait("enough")
            assert all(connection.end()["trips"] > 4 * TRIPS for connection in made)
    finally:
        cluster.start("controller")
        restored(cluster, first, second, (tcp,))


def test_connections_through_a_dead_node_are_told_that_they_are_broken(cluster: Lab) -> None:
    tcp = echo_service(cluster)
    owner = agreed(cluster, tcp)
    other = next(node for node in NODES if node != owner)
    try:
        with connections(cluster, tcp) as made:
            cluster.kill(owner)
            for connection in made:
                _, errors = connection.process.communicate(timeout=PATIENCE)
                assert "ConnectionResetError" in errors
    finally:
        restored(cluster, owner, other, (tcp,))


def test_a_node_is_taken_out_of_service_once_its_last_connection_has_ended(cluster: Lab) -> None:
    tcp = echo_service(cluster)
    owner = agreed(cluster, tcp)
    other = next(node for node in NODES if node != owner)
    try:
        with connections(cluster, tcp, 1) as (connection,):
            command = cluster.popen(
                owner, ["lbctl", "drain", "--self", "--stop"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            eventually(lambda: agreed(cluster, tcp, via=other) != owner)
            connection.say("moved")
            connection.wait("enough")
            assert command.poll() is None, "there is still a connection"
            assert cluster.is_running(owner)
            connection.end()
            out, errors = command.communicate(timeout=PATIENCE)
        assert command.returncode == 0, errors
        assert f"{owner} is drained: " in out
        assert f"the speaker of {owner} has stopped" in out
        assert f"waiting for 1 open connection through {owner}" in errors
        eventually(lambda: not cluster.is_running(owner))
        tables = cluster.exec(owner, ["nft", "list", "tables"], check=True).stdout
        assert "inet lbctl" not in tables, "what forwarded is gone with the last connection"
        cluster.start(owner)
        drains = asked(cluster, owner, "status")["daemons"][0]["orders"]["drains"]
        assert [drain["node"] for drain in drains] == [owner], "it is drained still"
    finally:
        restored(cluster, owner, other, (tcp,))
