"""A segment of many speakers that falls into two halves at random, and heals, again and again."""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.failover.cluster import NotSettled
from bench.failover.observer import Observer
from bench.failover.report import Bars, Row
from bench.failover.speakers import Speakers
from bench.failover.switch import OTHER_SIDE
from bench.failover.timeline import owners, settled_after

NODES = 24
_PRESET = "relaxed"
"""24 speakers at the default preset take more than the two cores that they would share here: 552 beats in 50 ms."""
_DETECTION = 0.9
_VIPS = 48
_SEED = 4
_PATIENCE = 30.0


def partitions(count: int) -> Row:
    """So many partitions; after each, every address has just one owner. Times are until that was so.

    While a cut lasts, each side has one for every address too, who answers an observer of its own.
    """
    rng = random.Random(_SEED)
    healed: list[float] = []
    silent = doubled = 0
    late = 0
    with (
        tempfile.TemporaryDirectory(prefix="lbt-") as folder,
        Speakers(Path(folder) / "c", nodes=NODES, count=_VIPS, options=("--preset", _PRESET)) as cluster,
        contextlib.ExitStack() as stack,
    ):
        bridge = cluster.switch.second_bridge()
        other = stack.enter_context(Observer(cluster.switch.lan[OTHER_SIDE]))
        cluster.switch.attach(OTHER_SIDE, bridge)
        other.ask(cluster.vips)
        note = ""
        try:
            cluster.start()
            cluster.settle(patience=2 * _PATIENCE)
            for number in range(count):
                away = rng.sample(cluster.names, rng.randrange(1, NODES))
                for name in away:
                    cluster.switch.attach(name, bridge)
                cluster.watch(2 * _DETECTION + 1.0 + rng.random())
                since = time.time_ns()
                other.take()
                cluster.watch(0.3)
                for frames in (cluster.frames, other.take().frames):
                    found = owners(frames, since)
                    silent += sum(vip not in found for vip in cluster.vips)
                    doubled += sum(len(macs) > 1 for macs in found.values())
                cluster.forget()
                for name in away:
                    cluster.switch.attach(name)
                mended = time.time_ns()
                final = {vip: cluster.switch.mac(node) for vip, node in cluster.settle(patience=_PATIENCE).items()}
                healed.append(settled_after(cluster.frames, final, since=mended))
                late += cluster.late > 0.02
                print(
                    f"  {number + 1:3} {len(away):2} away, healed {healed[-1] * 1000:.0f} ms",
                    file=sys.stderr,
                    flush=True,
                )
        except NotSettled as error:
            note = f"after partition {len(healed) + 1} of {count}: {error}"
    split = f"on one side of a cut {silent} addresses silent, {doubled} answered by two" if silent or doubled else ""
    return Row(
        case=f"{NODES} speakers ({_PRESET}), {count} partitions healed: until one owner",
        contender="lbctl",
        rounds=len(healed),
        late=late,
        worst=max(healed, default=None),
        median=statistics.median(healed) if healed else None,
        bars=Bars(),
        doubled=0,
        healed=max(healed, default=0.0),
        doubled_after=0,
        moved_after=0,
        missed=("not one owner",) if note or silent or doubled else (),
        note=" ".join(filter(None, [note, split])),
    )
