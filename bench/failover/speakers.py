"""lbctl's contender: `lbctl run-speaker` on every node, fed by one published file."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from bench.failover.cluster import Cluster, NotSettled, Part
from bench.failover.switch import node_address, vips
from lbctl.model.node import Node
from lbctl.net.status_client import AskError
from lbctl.sources.published_document import DocumentEncoder
from tests.support.speakers import Speaker
from tests.support.worlds import vip_world

_AT_ONCE = 4
"""Speakers that are started together: each is three interpreters, and there may be two cores."""
_PULSE_FIRST = ("pulse", "wire")


class Speakers(Cluster):
    """A node that failed stays away until `revive`, as everybody's does here: without `--restart`.

    `preset`, `mode` and more `options` as `run-speaker` has them. `first`: this node starts
    so much earlier that it has all addresses.

    `disks`: an image with a file system for the state of each of these nodes, mounted where only that node sees it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 3,
        count: int = 100,
        options: tuple[str, ...] = (),
        first: str | None = None,
        disks: bool = False,
    ) -> None:
        super().__init__(tuple(f"n{number}" for number in range(1, nodes + 1)), vips(count))
        self.folder = folder
        self._options = options
        self._first = first
        self._disks = disks
        self._speakers: dict[str, Speaker] = {}

    def start(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        published = self.folder / "published"
        published.mkdir(parents=True)
        self._publish(published / "snapshot.json")
        for name in self.names:
            folder = self.folder / name
            (folder / "state").mkdir(parents=True)
            argv = [
                sys.executable, "-m", "lbctl.cli.main", "run-speaker", "--node", name, "--state", str(folder / "state"),
                "--published", str(published), "--socket", str(folder / "speaker.sock"), "--no-restart", *self._options,
            ]  # fmt: skip
            if self._disks:
                argv = self._on_a_disk(folder, argv)
            self._speakers[name] = Speaker(self.switch.lan[name], folder, argv)
        self.failures = dict.fromkeys(self.names, 0)
        if self._first is not None:
            self._speakers[self._first].start()
            self._await_ready((self._first,))
            self.settle(alive=(self._first,))
        others = tuple(name for name in self.names if name != self._first)
        for at in range(0, len(others), _AT_ONCE):
            for name in others[at : at + _AT_ONCE]:
                self._speakers[name].start()
            self._await_ready(others[at : at + _AT_ONCE])

    def _await_ready(self, names: tuple[str, ...]) -> None:
        for name in names:
            try:
                self._speakers[name].wait_ready()
            except AssertionError as error:
                raise NotSettled(f"{name} did not start: {error}") from None

    def stop(self) -> None:
        for speaker in self._speakers.values():
            self._kill(speaker)
        self._speakers.clear()

    def _kill(self, speaker: Speaker) -> None:
        for pid in self._pids(speaker, Part.ALL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        speaker.end()

    def _publish(self, path: Path) -> None:
        nodes = [
            Node(name=name, addresses=(ip_address(node_address(number)),)) for number, name in enumerate(self.names, 1)
        ]
        world = vip_world(self.vips, nodes=nodes)
        path.write_bytes(b"".join(DocumentEncoder(cluster="default", ledger="bench").encode(world, {})))

    def _on_a_disk(self, folder: Path, argv: list[str]) -> list[str]:
        image = folder / "disk"
        with image.open("wb") as file:
            file.truncate(16 * 1024 * 1024)
        script = 'mkfs.ext4 -q "$0" && mount -o loop "$0" "$1" && shift && exec "$@"'
        return ["sh", "-c", script, str(image), str(folder / "state"), *argv]

    def state(self, node: str) -> Path:
        """The state folder as the node sees it."""
        return Path(f"/proc/{self._speakers[node].pid}/root{self.folder / node / 'state'}")

    def pids(self, node: str, part: Part) -> list[int]:
        return self._pids(self._speakers[node], part)

    def _pids(self, speaker: Speaker, part: Part) -> list[int]:
        if speaker.process is None or speaker.process.poll() is not None:
            return []
        children = speaker.children()
        if part is Part.WORK:
            return [speaker.pid]
        if part is Part.ALL:
            return [*(children[name] for name in _PULSE_FIRST if name in children), speaker.pid]
        return [children[part]]

    def revive(self, node: str) -> None:
        speaker = self._speakers[node]
        # The others of the three end by themselves; one that does not is a finding, and settling would not see it.
        if speaker.wait_ended(20.0) is None:
            raise NotSettled(f"{node} lives on without one of its processes")
        speaker.start()
        self._await_ready((node,))

    def disagreement(self, alive: tuple[str, ...]) -> str:
        for name in alive:
            try:
                status = self._speakers[name].ask("/v1/status")
            except AskError as error:
                return f"{name} does not say its status: {error}"
            heard = {each["node"] for each in status["members"] if each["state"] == "alive" and each["two_way"]}
            if missing := set(alive) - heard - {name}:
                return f"{name} does not hear {' '.join(sorted(missing))}"
            if not status["synced"]:
                return f"{name} is not synced"
        return ""

    def members(self, node: str) -> list[dict[str, Any]]:
        """The others, as this node says."""
        found: list[dict[str, Any]] = self._speakers[node].ask("/v1/status")["members"]
        return found

    def cpu(self, node: str, part: Part) -> float:
        """Seconds of processor time that the processes have used."""
        ticks = 0
        for pid in self.pids(node, part):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def log(self, node: str) -> str:
        return self._speakers[node].log
