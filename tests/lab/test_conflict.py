"""Somebody else has the address: with the real controller, speakers and frames.

One cluster of two nodes serves all the tests of this file; the client is the machine that has what it should not have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lbctl.lab.cluster import Cut, Lab
from tests.lab.conftest import lab_name
from tests.lab.test_main_job import agreed, asked, row, service, troubles
from tests.support.netns import eventually

pytestmark = [pytest.mark.lab, pytest.mark.netns]

POOLS = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: first-pool, namespace: metallb-system}
spec:
  addresses: [192.168.3.170-192.168.3.179, "fd00:3::170-fd00:3::179"]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: l2, namespace: metallb-system}
"""
RECHECK = 0.5


@pytest.fixture(scope="module")
def cluster() -> Iterator[Lab]:
    lab = Lab(lab_name(), nodes=2, speaker_args=["--recheck-time", str(RECHECK)])
    lab.up(keep=False)
    try:
        lab.apply_text("pool.yaml", POOLS)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def taken(cluster: Lab) -> Iterator[list[str]]:
    """Addresses that the client gives itself; taken back at the end."""
    texts: list[str] = []
    yield texts
    for text in texts:
        give_back(cluster, text)


def take(lab: Lab, text: str) -> str:
    """Puts an address on the client's interface; the client's MAC."""
    size, more = ("64", ["nodad"]) if ":" in text else ("24", [])
    lab.exec("client", ["ip", "addr", "add", f"{text}/{size}", "dev", "eth0", *more], check=True)
    shown = json.loads(lab.exec("client", ["ip", "-j", "link", "show", "eth0"], check=True).stdout)
    mac: str = shown[0]["address"]
    return mac


def give_back(lab: Lab, text: str) -> None:
    lab.exec("client", ["ip", "addr", "del", f"{text}/{64 if ':' in text else 24}", "dev", "eth0"])


def pinned(name: str, address: str, *, annotations: str = "", nodes: int = 2) -> str:
    """A service that asks for one address."""
    family = "IPv6" if ":" in address else "IPv4"
    text = service(name, family=family, nodes=nodes)
    metadata = f'metadata: {{name: {name}, namespace: default, annotations: {{metallb.io/loadBalancerIPs: "{address}"'
    return text.replace(f"metadata: {{name: {name}, namespace: default}}", metadata + annotations + "}}", 1)


def where(lab: Lab, host: str, address: str) -> dict[str, Any]:
    vips: list[dict[str, Any]] = asked(lab, host, "where-is", address)["vips"]
    return vips[0] if vips else {}


def is_quarantined(lab: Lab, address: str, mac: str) -> bool:
    """Whether every node says so, out of the published World."""
    for host in ("n1", "n2"):
        found = where(lab, host, address)
        if (found.get("quarantine") or {}).get("mac") != mac or found["planned"]["reason"] != "quarantined":
            return False
    return not any(member["conflicts"] for member in asked(lab, "n1", "status")["daemons"][0]["members"])


@pytest.mark.parametrize("address", ["192.168.3.171", "fd00:3::171"])
def test_it_is_not_announced_and_named_until_the_other_machine_is_gone(
    cluster: Lab, taken: list[str], address: str
) -> None:
    name = "six" if ":" in address else "four"
    taken.append(address)
    mac = take(cluster, address)
    cluster.apply_text(f"{name}.yaml", pinned(name, address))
    eventually(lambda: is_quarantined(cluster, address, mac))
    assert row(cluster, name)["addresses"] == [address], "it keeps the address"
    assert where(cluster, "n1", address)["verdict"] == "unowned"
    answer = asked(cluster, "n2", "where-is", address)
    assert answer["status"] == 1
    (vip,) = answer["vips"]
    assert vip["said"] == []
    assert [each["mac"] for each in vip["seen"]["answers"]] == [mac], "nobody else answers"
    sentence = f"Nobody has {address}: quarantined, {mac} answers on eth0 (seen by n"
    eventually(lambda: sentence in " ".join(cluster.exec("n1", ["lbctl", "where-is", address]).stdout.split()))
    assert any(
        f"{address} is in quarantine: another machine, {mac}, answers for it on eth0" in each
        for host in ("n1", "n2")
        for each in troubles(cluster, host)
    )
    # It goes; nobody does anything else.
    give_back(cluster, address)
    agreed(cluster, address)
    assert where(cluster, "n1", address)["quarantine"] is None
    assert not [each for host in ("n1", "n2") for each in troubles(cluster, host) if address in each]
    cluster.delete(f"{name}.yaml")


def test_a_service_that_says_so_is_given_another_address(cluster: Lab, taken: list[str]) -> None:
    address = "192.168.3.170"
    taken.append(address)
    take(cluster, address)
    text = service("movable").replace(
        "metadata: {name: movable, namespace: default}",
        'metadata: {name: movable, namespace: default, annotations: {lbctl.io/on-conflict: "reallocate"}}',
        1,
    )
    cluster.apply_text("movable.yaml", text)
    eventually(lambda: row(cluster, "movable").get("addresses") not in (None, [], [address]))
    (given,) = row(cluster, "movable")["addresses"]
    agreed(cluster, given)
    cluster.delete("movable.yaml")


def probes_at_rest(cluster: Lab, node: str) -> int:
    """How many addresses its wire has probed: what it says once that is the same for longer than a report takes."""

    def probes() -> int:
        return int(asked(cluster, node, "status")["daemons"][0]["counters"]["wire_probes"])

    last, since = probes(), time.monotonic()
    while time.monotonic() < since + 3:
        if (now := probes()) != last:
            last, since = now, time.monotonic()
    return last


def test_a_takeover_is_not_probed_as_a_first_use_is(cluster: Lab) -> None:
    """The survivor of two is no majority (A3): it asks twice and takes it. A first use is three questions."""
    address = "192.168.3.175"
    cluster.apply_text("steady.yaml", pinned("steady", address))
    held = agreed(cluster, address)
    other = "n2" if held == "n1" else "n1"
    before = probes_at_rest(cluster, other)
    cluster.cut(held, Cut.SILENT)
    try:
        eventually(lambda: where(cluster, other, address).get("owner") == other)
        eventually(lambda: asked(cluster, other, "status")["daemons"][0]["counters"]["wire_answering"] > 0)
        assert probes_at_rest(cluster, other) == before + 2
    finally:
        cluster.heal(held)
    agreed(cluster, address)
    cluster.delete("steady.yaml")
