"""`python -m bench.failover`: how long addresses are silent when something fails, lbctl beside keepalived.

Needs root, and keepalived for the cases that compare with it; makes its own namespaces and removes them.
Exit status: 0 every bar is met, 1 one is missed, 2 it could not run.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import time
from pathlib import Path

from bench.failover import report
from bench.failover.calm import false_deaths
from bench.failover.cases import CASES, REFERENCE
from bench.failover.partitions import partitions
from bench.failover.report import Row
from bench.failover.run import run_case
from bench.failover.vrrp import PROGRAM

_SOAKS = {"calm": (false_deaths, (30, 600)), "partitions": (partitions, (5, 100))}
_EXPLAINED = """\
3 nodes and 100 VIPs unless said otherwise, in network namespaces on one bridge. Times are from just before the fault
to the last address's first frame from a new owner, by kernel timestamps of an observer on the segment, which also asks
for the addresses in turn to see who answers. *Late*: rounds in which the observer itself, a real-time process, was late
by more than 20 ms; they are repeated, and count only for what must never be. *Two answering*: answers by another node
than the new owner after its first frame. *Healed*: from mending to the last answer of anybody but the final owner, and
how many such answers.
keepalived has three instances, each node master of one, priorities 254, 200 and 150, real-time priority 10."""


def main() -> int:
    names = [*dict.fromkeys(case.name for case in CASES), *_SOAKS]
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--long", action="store_true", help="20 rounds of each, 10 minutes of calm, 100 partitions")
    parser.add_argument("--case", action="append", choices=names, metavar="NAME", help=f"only these: {' '.join(names)}")
    parser.add_argument("--rounds", type=int, help="so many of each instead")
    parser.add_argument("--no-rival", action="store_true", help="without keepalived")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the table as a page, too")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench.failover: must be root, to make network namespaces", file=sys.stderr)
        return 2
    if not options.no_rival and shutil.which(PROGRAM) is None:
        print(f"bench.failover: {PROGRAM} is missing: apt-get install {PROGRAM}, or --no-rival", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as on Ctrl-C: everything is removed
    began = time.time()
    loads = [os.getloadavg()[0]]
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        print(report.line(row), flush=True)
        loads.append(os.getloadavg()[0])
        if options.output is not None:
            options.output.write_text(_page(rows, began, loads))  # an interrupted run leaves what it has

    for case in CASES:
        count = options.rounds or case.rounds[options.long]
        wanted = not options.case or case.name in options.case
        if wanted and count and not (options.no_rival and case.contender != "lbctl"):
            add(run_case(case, count))
    for name, (soak, counts) in _SOAKS.items():
        if not options.case or name in options.case:
            add(soak(options.rounds or counts[options.long]))
    print("\n" + _page(rows, began, loads))
    return 0 if all(row.met for row in rows) else 1


def _page(rows: list[Row], began: float, loads: list[float]) -> str:
    reference = next((row.worst for row in rows if (row.case, row.contender) == REFERENCE), None)
    missed = [f"{row.case} ({', '.join(row.missed)})" for row in rows if not row.met]
    words = " ".join(["python -m bench.failover", *sys.argv[1:]])
    took = (time.time() - began) / 60
    return "\n".join(
        [
            f"# Measured on {time.strftime('%Y-%m-%d', time.gmtime(began))}: failover",
            "",
            f"`{words}`, {took:.0f} minutes. {platform.system()} {platform.release()}, {os.cpu_count()} cores, "
            f"Python {platform.python_version()}; load average {min(loads):.1f} to {max(loads):.1f}.",
            "",
            _EXPLAINED,
            "",
            report.table(rows, reference),
            "",
            f"Missed: {'; '.join(missed)}." if missed else "Every bar is met.",
            "",
        ]
    )


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
