"""Nobody is declared dead who lives: speakers beside processes that leave no core idle."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.failover.cluster import Part
from bench.failover.report import Bars, Row
from bench.failover.speakers import Speakers

NODES = 8
_LOOK = 2.0


def false_deaths(seconds: int) -> Row:
    """Watches for so long. Every change of a member's state or of an address's owner counts."""
    with tempfile.TemporaryDirectory(prefix="lbt-") as folder, Speakers(Path(folder) / "c", nodes=NODES) as cluster:
        cluster.start()
        held = cluster.settle()
        with _busy_cores():
            time.sleep(1.0)
            before = _members(cluster)
            cpu = {name: cluster.cpu(name, Part.PULSE) for name in cluster.names}
            cluster.forget()
            cluster.observer.ask(cluster.vips, rate=500)
            began = time.monotonic()
            moved = 0
            while (passed := time.monotonic() - began) < seconds:
                cluster.watch(min(_LOOK, seconds - passed))
                moved += sum(cluster.switch.macs[frame.mac] != held[frame.vip] for frame in cluster.frames)
                cluster.frames.clear()
            share = max(cluster.cpu(name, Part.PULSE) - cpu[name] for name in cluster.names) / (
                time.monotonic() - began
            )
            after = _members(cluster)
    changed = sum(after.get(pair) != since for pair, since in before.items())
    note = (
        f"{changed} changes of a member, {moved} frames of another owner; "
        f"pulse at most {share:.1%} of a core, the observer late by {cluster.late * 1000:.0f} ms"
    )
    return Row(
        case=f"{NODES} speakers for {seconds} s, no core idle: false deaths",
        contender="lbctl",
        rounds=1,
        late=0,
        worst=None,
        median=None,
        bars=Bars(),
        doubled=moved,
        healed=0.0,
        doubled_after=0,
        moved_after=0,
        missed=("a death",) if changed or moved else (),
        note=note,
    )


def _members(cluster: Speakers) -> dict[tuple[str, str], tuple[str, float]]:
    """What each node says of each other: its state, and since when."""
    return {
        (name, each["node"]): (each["state"], each["since_unix"])
        for name in cluster.names
        for each in cluster.members(name)
    }


@contextlib.contextmanager
def _busy_cores() -> Iterator[None]:
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
