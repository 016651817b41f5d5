"""Planned moves: datagrams lost, the longest gap between answers, and what open TCP connections notice.

    python -m bench.moves [--runs N] [--only move,drain,rebalance,sigterm] [--json FILE]

In a lab of three nodes (network namespaces of this machine, default preset, every rule on) a client sends 1,000
datagrams a second through one VIP and keeps four TCP connections busy through another, while both are moved. Of each
kind of move the worst of the runs: 20 of them, or as many as --runs says. Bar: nothing lost and no connection broken in
any run. Exit 1 where that is missed. (tests/lab/test_moves.py has the same bar for one run of each.)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lbctl.lab.cluster import Lab
from lbctl.lab.measure import Mode
from tests.lab.test_main_job import POOL, agreed, asked
from tests.lab.test_moves import (
    ECHO_SERVER,
    NODES,
    by_drain,
    by_move,
    by_rebalance,
    by_sigterm,
    connections,
    echo_service,
    order,
    restored,
    udp_service,
)

RUNS = 20
CASES: dict[str, Callable[[Lab, str, str, tuple[str, ...]], None]] = {
    "move": by_move,
    "drain": by_drain,
    "rebalance": by_rebalance,
    # The last: who comes and goes often is held down, and given nothing for the sake of balance.
    "sigterm": by_sigterm,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of one move. Times in milliseconds; `late` is how far the sender itself fell behind its pace."""

    sent: int
    lost: int
    gap: float
    late: float
    trips: int
    slowest: float
    broken: int


@contextmanager
def cluster() -> Iterator[Lab]:
    lab = Lab(f"bench-{os.getpid()}-moves")
    servers: list[subprocess.Popen[Any]] = []
    lab.up(keep=False)
    try:
        lab.apply_text("pool.yaml", POOL)
        for number in (1, 2, 3):
            argv = [sys.executable, "-c", ECHO_SERVER]
            servers.append(lab.popen(f"web{number}", argv, stdout=subprocess.PIPE))
        for server in servers:
            assert server.stdout is not None
            server.stdout.readline()
        yield lab
    finally:
        for server in servers:
            server.kill()
            server.communicate()
        lab.down()


def measure(lab: Lab, how: Callable[[Lab, str, str, tuple[str, ...]], None], addresses: tuple[str, str]) -> Run:
    udp, tcp = addresses
    owner = agreed(lab, udp)
    other = next(node for node in NODES if node != owner)
    for address in addresses:
        asked(lab, owner, "move", address, "--to", owner)
    broken, ends = 0, []
    try:
        with connections(lab, tcp) as made, lab.probe(udp, 53, mode=Mode.UDP, every=0.001) as probe:
            probe.wait("ready")
            if how in (by_drain, by_sigterm):
                for address in addresses:
                    order(lab, owner, "move", address, "--release")
            how(lab, owner, other, addresses)
            for connection in made:
                try:
                    connection.say("moved")
                    connection.wait("enough")
                    ends.append(connection.end())
                except (AssertionError, BrokenPipeError):
                    broken += 1
            result = probe.stop()
    finally:
        restored(lab, owner, other, addresses)
    return Run(
        sent=result.sent,
        lost=result.lost,
        gap=result.gap_ms or 0.0,
        late=result.late_ms,
        trips=sum(end["after"] for end in ends),
        slowest=max((end["worst"] * 1000 for end in ends), default=0.0),
        broken=broken,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", default=",".join(CASES), help="cases, separated by commas")
    parser.add_argument("--json", type=Path, help="every run, into this file")
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name]
    if unknown := [name for name in wanted if name not in CASES]:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(CASES)}")
    found: dict[str, list[Run]] = {}
    print(f"worst of {options.runs} runs each; times in ms")
    print(
        f"{'case':<10} {'sent':>7} {'lost':>5} {'gap':>7} {'late':>7} {'TCP slowest':>12} {'TCP broken':>11}",
        flush=True,
    )
    with cluster() as lab:
        addresses = udp_service(lab), echo_service(lab)
        for name in wanted:
            runs = found[name] = [measure(lab, CASES[name], addresses) for _ in range(options.runs)]
            print(
                f"{name:<10} {sum(run.sent for run in runs):>7} {sum(run.lost for run in runs):>5} "
                f"{max(run.gap for run in runs):>7.1f} {max(run.late for run in runs):>7.1f} "
                f"{max(run.slowest for run in runs):>12.1f} {sum(run.broken for run in runs):>11}",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps({name: [asdict(run) for run in runs] for name, runs in found.items()}))
    return 1 if any(run.lost or run.broken for runs in found.values() for run in runs) else 0


if __name__ == "__main__":
    raise SystemExit(main())
