"""Hosts that share nothing but a file that something copies now and then."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.lab.cluster import Lab
from tests.lab.conftest import lab_name
from tests.lab.test_main_job import POOL, service
from tests.support.netns import eventually

pytestmark = [pytest.mark.lab, pytest.mark.netns]


class Copier:
    """What rsync in a timer does: the controller's file, whole, to where each host looks for it, twice a second."""

    def __init__(self, source: Path, targets: list[Path]) -> None:
        self._source, self._targets = source, targets
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.5):
            if not self._source.exists():
                continue
            for target in self._targets:
                target.parent.mkdir(parents=True, exist_ok=True)
                aside = target.with_suffix(".part")
                aside.write_bytes(self._source.read_bytes())
                aside.replace(target)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab(lab_name(), nodes=2)
    lab.up(daemons=False, keep=False)
    try:
        yield lab
    finally:
        lab.down()


def started(lab: Lab, host: str, argv: list[str]) -> subprocess.Popen[bytes]:
    child = lab.popen(host, argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.stdout.close()
    return child


def test_a_copied_published_file_is_enough(lab: Lab, tmp_path: Path) -> None:
    config, state = tmp_path / "manifests", tmp_path / "state"
    copies = {node: tmp_path / node / "published" for node in lab.nodes}
    config.mkdir()
    (config / "pool.yaml").write_text(POOL)
    (config / "web.yaml").write_text(service("web", nodes=2))
    copier = Copier(state / "published" / "snapshot.json", [copy / "snapshot.json" for copy in copies.values()])
    try:
        controller = ["lbctl", "run-controller", "--config", str(config), "--state", str(state)]
        started(lab, "controller", controller)
        for node, copy in copies.items():
            own = ["--state", str(tmp_path / node / "state"), "--published", str(copy)]
            started(lab, node, ["lbctl", "run-speaker", "--node", node, *own])

        def verdicts() -> list[tuple[str, str | None]]:
            answers = []
            for node in lab.nodes:
                answer = json.loads(lab.exec(node, ["lbctl", "where-is", "default/web", "-o", "json"]).stdout)
                answers.append((answer["verdict"], answer["vips"][0]["owner"] if answer["vips"] else None))
            return answers

        eventually(lambda: {verdict for verdict, _ in verdicts()} == {"owned"})
        first, second = verdicts()
        assert first == second
        body = lab.exec("client", ["curl", "-s", "--max-time", "30", "http://192.168.3.170:8080/"], check=True).stdout
        assert body.split()[0] in lab.nodes
        # The way back is the heartbeat group: the controller knows the owner, without a file from the nodes.
        rows = json.loads(lab.exec("controller", ["lbctl", "services", "-o", "json"]).stdout)["services"]
        assert rows[0]["owners"] == [first[1]]
        # A change takes the same way.
        (config / "more.yaml").write_text(service("more", port=81, nodes=2))
        eventually(
            lambda: (
                json.loads(lab.exec(lab.nodes[0], ["lbctl", "where-is", "default/more", "-o", "json"]).stdout)[
                    "verdict"
                ]
                == "owned"
            ),
        )
    finally:
        copier.stop()
