"""Answers to real clients while somebody forges ARP for every address as fast as told: what is lost, what it costs.

    python -m bench.hostile [--flood 100000] [--rate 1000] [--vips 200] [--seconds 5] [--json]

Needs root; makes its own namespaces and removes them.
Exit status: 0 no answer was lost and memory is bounded, 1 not so, 2 it could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import arp_flood
from bench.arp_load import Load, run
from bench.responder import vips
from tests.support.netns import Segment
from tests.support.wire_process import WireProcess

MEMORY_BAR = 4096
"""Kilobytes by which the process may grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    forged: float
    """Frames a second."""
    load: Load
    seen: int
    kernel_drops: int
    defences: int
    told: int
    """Messages about it to the work process."""
    grown: int
    """Kilobytes."""
    cpu: float
    """Share of a core."""


def measure(*, flood: int, rate: int, count: int, seconds: float) -> Hostile:
    addresses = vips(count)
    with (
        Segment({"node": [], "client": [], "attacker": []}) as lan,
        WireProcess(lan["node"].netns) as wire,
    ):
        wire.serve(lan["node"], addresses)
        resident, cpu = _resident(wire.pid), _cpu(wire.pid)
        process = arp_flood.start(lan["attacker"], addresses, rate=flood, seconds=seconds + 0.5)
        try:
            load = run(lan["client"], addresses, rate=rate, seconds=seconds)
            forged = arp_flood.finish(process)
        finally:
            process.kill()
            process.wait()
        used = _cpu(wire.pid) - cpu
        counters = wire.counters(lambda counters: counters["foreign"] + counters["kernel_drops"] >= forged.sent)
        return Hostile(
            forged=forged.rate,
            load=load,
            seen=counters["foreign"],
            kernel_drops=counters["kernel_drops"],
            defences=counters["defences"],
            told=sum(message["op"] in ("foreign", "defended") for message in wire.heard),
            grown=_resident(wire.pid) - resident,
            cpu=used / forged.seconds,
        )


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--flood", type=int, default=100_000, help="forged frames a second (default %(default)s)")
    parser.add_argument("--rate", type=int, default=1000, help="real requests a second (default %(default)s)")
    parser.add_argument("--vips", type=int, default=200, help="addresses served and forged (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench.hostile: must be root, to make network namespaces", file=sys.stderr)
        return 2
    found = measure(flood=options.flood, rate=options.rate, count=options.vips, seconds=options.seconds)
    met = found.load.lost == 0 and found.load.doubled == 0 and found.grown < MEMORY_BAR
    if options.json:
        print(json.dumps(asdict(found), indent=2))
        return 0 if met else 1
    load = found.load
    read = f"{found.seen:,} read, {found.kernel_drops:,} dropped unread"
    print(f"forged ARP          {found.forged:>9,.0f} frames/s, {read}")
    print(
        f"real requests       {load.sent:>9,} of which lost {load.lost}; p50 {load.p50:.3f} ms, p99 {load.p99:.3f} ms"
    )
    print(f"defences            {found.defences:>9,}, messages to work {found.told:,}")
    print(f"wire process        {found.cpu:>9.0%} of a core, grew by {found.grown} kB")
    print(f"\nno answer lost, memory bounded: {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
