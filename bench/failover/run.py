"""Runs cases, each on a cluster of its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.failover.cases import Case
from bench.failover.cluster import NotSettled
from bench.failover.report import Row, row
from bench.failover.rounds import Round, rounds


def run_case(case: Case, count: int) -> Row:
    """Measures `count` rounds. What cannot be measured to the end is a missed row that says why."""
    found: list[Round] = []
    note = ""
    good = 0
    while not note and good < count and len(found) < 2 * count:
        # A node that is gone for good takes its segment with it: the next round has a new one.
        more = count if case.plan.fault.mendable else 1
        # A short name, because a unix socket's path may have 107 bytes.
        with tempfile.TemporaryDirectory(prefix="lbt-") as folder, case.cluster(Path(folder) / "c") as cluster:
            try:
                for each in rounds(cluster, case.plan, more):
                    found.append(each)
                    good += not each.too_late
                    print(f"  {len(found):3} {each}", file=sys.stderr, flush=True)
            except NotSettled as error:
                note = str(error)
        if case.plan.fault.mendable:
            break
    judged = row(case.title, case.contender, found, case.bars, note)
    return judged.failing("not at rest") if note else judged
