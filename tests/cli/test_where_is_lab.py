"""`where-is`, `services` and `status` against real speakers and a real controller, in a lab."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lbctl.lab.cluster import Lab
from tests.support.netns import eventually

pytestmark = [pytest.mark.lab, pytest.mark.netns]

LBCTL = [sys.executable, "-m", "lbctl.cli.main"]
VIP, VIP6 = "192.168.3.170", "fd00:3::170"
SERVICE = "default/web"
_numbers = itertools.count(1)

MANIFESTS = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: both, namespace: metallb-system}
spec:
  addresses: [192.168.3.170/32, "fd00:3::170/128"]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: both, namespace: metallb-system}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  ports: [{port: 8080, targetPort: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: web-late}
spec:
  type: LoadBalancer
  ports: [{port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80}]
endpoints:
- {addresses: [10.244.1.10], nodeName: n1}
- {addresses: [10.244.2.10], nodeName: n2}
- {addresses: [10.244.3.10], nodeName: n3}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{port: 80}]
endpoints:
- {addresses: ["fd00:10:244:1::10"], nodeName: n1}
- {addresses: ["fd00:10:244:2::10"], nodeName: n2}
- {addresses: ["fd00:10:244:3::10"], nodeName: n3}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    manifests = tmp_path_factory.mktemp("manifests") / "all.yaml"
    manifests.write_text(MANIFESTS)
    # Relaxed heartbeats: what is asked here does not depend on speed, and a busy machine must not look like a death.
    with Lab(f"lbt-{os.getpid()}-{next(_numbers)}w", speaker_args=["--preset", "relaxed"]) as built:
        built.apply(manifests)
        eventually(lambda: settled(built), every=0.1, what="owned, said and seen alike on every node")
        yield built


def run(lab: Lab, host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return lab.exec(host, [*LBCTL, *arguments])


def asked(lab: Lab, host: str, target: str = SERVICE, *options: str) -> tuple[int, dict[str, Any]]:
    done = run(lab, host, "where-is", target, "-o", "json", "--wait", "0.25", *options)
    document: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, document


def owners(lab: Lab, host: str = "n1") -> list[str | None]:
    _, document = asked(lab, host)
    return [vip["owner"] for vip in document["vips"]] or [None, None]


def settled(lab: Lab) -> bool:
    """Whether both addresses have their owner, by every node's word and eyes."""
    answers = [asked(lab, host) for host in lab.nodes]
    return all(status == 0 and len(document["vips"]) == 2 for status, document in answers)


def via(lab: Lab, node: str) -> list[str]:
    return ["--via", lab.host(node).ipv4]


def test_every_host_says_the_same_and_sees_it(lab: Lab) -> None:
    _, told = asked(lab, "n1")
    first, second = told["vips"]
    owner = first["owner"]
    assert second["owner"] == owner, "a group has one owner"
    for host in (*lab.nodes, "controller", "client"):
        options = via(lab, "n3") if host == "client" else []
        status, document = asked(lab, host, SERVICE, *options)
        assert (host, status, document["verdict"]) == (host, 0, "owned")
        for vip in document["vips"]:
            assert vip["planned"]["owner"] == vip["owner"] == owner
            seen = vip["seen"]
            assert seen["own"] is (host == owner)
            assert [answer["node"] for answer in seen["answers"]] == ([] if host == owner else [owner])


def test_services_and_status_of_the_real_daemons(lab: Lab) -> None:
    owner = owners(lab)[0]
    for host in ("controller", "n2"):
        done = run(lab, host, "services", "-o", "json")
        assert done.returncode == 0
        rows = {row["name"]: row for row in json.loads(done.stdout)["services"]}
        assert rows["web"]["addresses"] == [VIP, VIP6]
        assert rows["web"]["owners"] == [owner]
        assert rows["web-late"]["pending"][0]["reason"] == "pool_exhausted"
        status = run(lab, host, "status", "-o", "json")
        assert status.returncode == 0, status.stdout
        (daemon,) = json.loads(status.stdout)["daemons"]
        assert {member["node"] for member in daemon["members"] if member["role"] == "speaker"} == set(lab.nodes)
    assert run(lab, "client", "services").returncode == 2


def test_a_stranger_with_the_address_is_found_and_named(lab: Lab) -> None:
    mac = lab.host("client").mac
    lab.exec("client", ["ip", "addr", "add", f"{VIP}/32", "dev", "eth0"], check=True)
    try:
        status, document = asked(lab, "n1", VIP)
        findings = [finding["finding"] for finding in document["vips"][0]["findings"]]
        assert status == 2
        assert "foreign_answers" in findings
        assert mac in [answer["mac"] for answer in document["vips"][0]["seen"]["answers"]]
    finally:
        lab.exec("client", ["ip", "addr", "del", f"{VIP}/32", "dev", "eth0"], check=True)
    eventually(lambda: asked(lab, "n1", VIP)[0] == 0, every=0.1)


def test_watch_measures_a_failover(lab: Lab) -> None:
    owner = owners(lab)[0]
    assert owner is not None
    witness = next(node for node in lab.nodes if node != owner)
    command = [*LBCTL, "where-is", VIP, "--watch", "-o", "json", *via(lab, witness)]
    with contextlib.ExitStack() as stack:
        watching = lab.popen("client", command, stdout=subprocess.PIPE, text=True)
        stack.callback(watching.wait)
        stack.callback(watching.kill)
        assert watching.stdout is not None
        stack.callback(watching.stdout.close)
        assert json.loads(watching.stdout.readline())["vips"][0]["owner"] == owner
        lab.cut(owner)
        stack.callback(lab.heal, owner)
        move = json.loads(watching.stdout.readline())
        assert (move["from"], move["cause"]) == (owner, "owner_gone")
        assert move["to"] not in (owner, None)
        assert 0.05 < move["gap"] < 20
        status, document = asked(lab, witness, VIP)
        assert (status, document["vips"][0]["owner"]) == (0, move["to"])
        assert document["vips"][0]["said"][0]["previous"] == owner
    eventually(lambda: settled(lab), every=0.1)


def test_with_the_controller_down_it_goes_on(lab: Lab) -> None:
    lab.kill("controller")
    try:
        assert asked(lab, "n2")[0] == 0
        status, document = asked(lab, "controller")
        assert (status, document["asked"]["role"]) == (3, "published")
    finally:
        lab.start("controller")


def test_with_every_speaker_stopped_nobody_has_it(lab: Lab) -> None:
    for node in lab.nodes:
        lab.stop(node)
    try:
        done = run(lab, "controller", "where-is", VIP, "--wait", "0.25")
        assert (done.returncode, "Nobody has" in done.stdout) == (1, True)
        assert "node_not_alive" in done.stdout
    finally:
        for node in lab.nodes:
            lab.start(node)
    eventually(lambda: settled(lab), every=0.1)


def test_the_manifests_are_valid(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(MANIFESTS)
    done = subprocess.run([*LBCTL, "validate", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
