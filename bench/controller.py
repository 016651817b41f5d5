"""Cold start and one more service of a controller with many Services and their EndpointSlices.

    python -m bench.controller [--services N] [--slices N] [--shape files|file] [--keep DIR]

As a file for each document and as one file: seconds from the start of the process to `ready` (all allocated and
published), how much of that it computed, the most memory it ever had; the same for a restart; and milliseconds from a
new manifest to its address in the published file (median and worst of some, and how much of the median it computed).
Bars: 10,000 Services with two slices each: 10 s, 300 MB, 300 ms. 50,000 Services without slices: 15 s, 600 MB. Exit 1
where one is missed. On a machine that does other things as well only the computing counts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lbctl.model.service import ServiceKey
from lbctl.sources.published import PublishedError, read_published

BARS = {(10_000, 2): (10.0, 300.0, 0.3), (50_000, 0): (15.0, 600.0, 1.0)}
"""Seconds of a start, MB, and seconds of one more, by how many services and how many slices for each."""
_POOL = """apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: metallb-system}
spec:
  addresses: [10.0.0.0/14]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: bench, namespace: metallb-system}
spec:
  ipAddressPools: [bench]
"""


def service(name: str) -> str:
    return f"""apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: bench
  labels:
    app: {name}
spec:
  type: LoadBalancer
  selector:
    app: {name}
  ports:
    - name: http
      port: 80
      targetPort: 8080
"""


def endpoints(name: str, part: int, number: int) -> str:
    return f"""apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-{part}
  namespace: bench
  labels:
    kubernetes.io/service-name: {name}
addressType: IPv4
ports:
  - name: http
    port: 8080
    protocol: TCP
endpoints:
  - addresses: ["172.{16 + part}.{number >> 8 & 255}.{number & 255}"]
    nodeName: node-{number % 3}
    conditions:
      ready: true
"""


def documents(count: int, slices: int) -> Iterator[tuple[str, str]]:
    """File names without suffix, and what goes into them."""
    yield "pool", _POOL
    for number in range(count):
        name = f"service-{number:05}"
        yield name, service(name)
        for part in range(slices):
            yield f"{name}-{part}", endpoints(name, part, number)


@dataclass(frozen=True)
class Took:
    """Seconds by the clock, and seconds of computing."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Measured:
    start: Took
    restart: Took
    memory: float
    again: float
    added: list[Took]


class Controller:
    """A real `lbctl run-controller`, from its start to the end of the block."""

    def __init__(self, config: Path, state: Path) -> None:
        self._log = state.with_suffix(".log").open("ab")
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "lbctl.cli.main", "run-controller", "--no-heartbeat"),
                *("--config", str(config), "--state", str(state), "--socket", str(state / "socket")),
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def wait_ready(self) -> Took:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != b"ready\n":
            raise SystemExit(f"the controller said {line!r}; its log is {self._log.name}")
        return Took(time.monotonic() - self._began, self.cpu())

    def cpu(self) -> float:
        """Seconds it has computed so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """The most it had resident so far, in MB."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1000
        raise AssertionError

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        self._log.close()


def measure(shape: str, count: int, slices: int, folder: Path, rounds: int) -> Measured:
    config, state = folder / "config", folder / "state"
    config.mkdir()
    if shape == "files":
        for name, text in documents(count, slices):
            (config / f"{name}.yaml").write_text(text)
    else:
        (config / "all.yaml").write_text("---\n".join(text for _, text in documents(count, slices)))
    os.sync()
    with Controller(config, state) as controller:
        start, memory = controller.wait_ready(), controller.memory()
    with Controller(config, state) as controller:
        restart = controller.wait_ready()
        added = [_add(controller, config, state, shape, f"more-{number}") for number in range(rounds)]
        again = controller.memory()
    _check(state / "published" / "snapshot.json", count + rounds)
    return Measured(start, restart, memory, again, added)


def _add(controller: Controller, config: Path, state: Path, shape: str, name: str) -> Took:
    """From the new manifest to its address in the published file."""
    published = state / "published" / "snapshot.json"
    if shape == "files":
        path, text = config / f"{name}.yaml", service(name)
    else:
        path = config / "all.yaml"
        text = path.read_text() + "---\n" + service(name)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    wanted = f'"name":"{name}"'.encode()
    before = published.stat().st_ino
    computed, began = controller.cpu(), time.monotonic()
    part.replace(path)
    while True:
        time.sleep(0.002)
        with contextlib.suppress(OSError):
            if published.stat().st_ino != before:
                # Looked at by its bytes first: to parse all of it would be timed along.
                at = time.monotonic()
                before = published.stat().st_ino
                section = published.read_bytes().partition(b'"allocations":')[2].partition(b'"services":')[0]
                if wanted in section:
                    time.sleep(0.5)
                    return Took(at - began, controller.cpu() - computed)
        if time.monotonic() - began > 30:
            raise SystemExit(f"{name} was not allocated within 30 s")


def _check(published: Path, count: int) -> None:
    try:
        world = read_published(published).world
    except PublishedError as error:
        raise SystemExit(str(error)) from None
    addresses = [address for item in world.allocations.values() for address in item.addresses]
    assert len(world.allocations) == len(set(addresses)) == count, (len(world.allocations), len(set(addresses)))
    assert ServiceKey("bench", "more-0") in world.allocations


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--slices", type=int, default=2, help="for each service")
    parser.add_argument("--shape", choices=["files", "file"], action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    options = parser.parse_args()
    titles = ("shape", "start s", "cpu s", "MB", "restart s", "cpu s", "MB", "one ms", "worst ms", "cpu ms")
    print("".join(f"{title:>10}" for title in titles))
    missed = False
    no_bar = (float("inf"), float("inf"), float("inf"))
    bar_start, bar_memory, bar_one = BARS.get((options.services, options.slices), no_bar)
    for shape in options.shape or ["files", "file"]:
        base = options.keep or Path(tempfile.mkdtemp(prefix="lbctl-bench-"))
        folder = base / shape
        folder.mkdir(parents=True)
        try:
            found = measure(shape, options.services, options.slices, folder, options.rounds)
        finally:
            if options.keep is None:
                shutil.rmtree(base)
        walls = [took.wall for took in found.added]
        middle = statistics.median(walls)
        seconds = (found.start.wall, found.start.cpu, found.restart.wall, found.restart.cpu)
        start, start_cpu, restart, restart_cpu = (f"{item:>10.2f}" for item in seconds)
        one = (middle, max(walls), statistics.median(took.cpu for took in found.added))
        print(
            f"{shape:>10}{start}{start_cpu}{found.memory:>10.0f}{restart}{restart_cpu}{found.again:>10.0f}"
            + "".join(f"{item * 1000:>10.0f}" for item in one),
            flush=True,
        )
        missed |= found.start.wall > bar_start or found.memory > bar_memory or middle > bar_one
    verdict = "MISSED" if missed else "kept"
    print(f"bars: {bar_start:.0f} s, {bar_memory:.0f} MB, {bar_one * 1000:.0f} ms: {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
