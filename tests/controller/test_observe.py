"""The controller in the heartbeat group: it knows speakers and owners without a disk shared with them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.running import Home
from tests.support.netns import Segment, eventually

pytestmark = pytest.mark.netns

_ANNOUNCED = """apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 80}]
endpoints: [{addresses: [198.51.100.7], nodeName: n1}]
"""


@pytest.fixture
def home(memory_folder: Path) -> Iterator[Home]:
    made = Home(memory_folder)
    yield made
    made.kill()


def _speaker(home: Home) -> list[str]:
    command = [sys.executable, "-m", "lbctl.cli.main", "run-speaker", "--node", "n1", "--proxy", "none"]
    state, snapshot = home.state.with_name("speaker"), home.snapshot
    return [
        *command,
        *("--state", str(state), "--published", str(snapshot), "--socket", f"{home.socket}.n1", "--interface", "eth0"),
    ]


def test_a_speaker_registers_its_node_and_its_claims_are_owners(home: Home) -> None:
    home.service("web")
    home.put("announced", _ANNOUNCED)
    with (
        Segment({"speaker": ["192.0.2.101/24"], "controller": ["192.0.2.102/24"]}) as lan,
        home.log.open("ab") as log,
    ):
        home.start("--interface", "eth0", prefix=["ip", "netns", "exec", lan["controller"].netns])
        assert home.ask("/v1/services")["services"][0]["owners"] == []
        speaker = lan["speaker"].popen(_speaker(home), stdout=subprocess.DEVNULL, stderr=log)
        try:
            eventually(lambda: home.ask("/v1/services")["services"][0]["owners"] == ["n1"], every=0.1)
            found = home.published()
            assert found is not None
            assert found.world.nodes["n1"].registered
            assert [str(address) for address in found.world.nodes["n1"].addresses][:1] == ["192.0.2.101"]
            (vip,) = home.ask("/v1/where?target=default/web")["vips"]
            assert [claim["node"] for claim in vip["said"]] == ["n1"]
            (member,) = home.ask("/v1/status")["members"]
            assert (member["node"], member["state"], member["two_way"]) == ("n1", "alive", True)
        finally:
            speaker.kill()
            speaker.wait()
        eventually(lambda: home.ask("/v1/services")["services"][0]["owners"] == [], every=0.1)
        assert home.stop() == 0
        registered = home.published()
        assert registered is not None
        assert set(registered.world.nodes) == {"n1"}, "it stays known"
    assert "Traceback" not in home.logged()


def test_without_the_interface_it_was_told_to_use_it_says_so(home: Home) -> None:
    with Segment({"controller": ["192.0.2.102/24"]}) as lan:
        home.start("--interface", "eth9", prefix=["ip", "netns", "exec", lan["controller"].netns])
        eventually(lambda: home.ask("/v1/status")["troubles"])
        assert any("interface eth9 does not exist" in text for text in home.ask("/v1/status")["troubles"])
