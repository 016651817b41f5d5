"""What is measured: the failures of the table, each with the cluster it happens to and the bar it is held against."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.failover.cluster import Cluster, Part
from bench.failover.faults import DiskFull, DiskHangs, Gone, Signalled, Silent, Unplugged, WorkStopped
from bench.failover.report import Bars
from bench.failover.rounds import Plan
from bench.failover.speakers import Speakers
from bench.failover.vrrp import Keepalived

KILL, STOP = signal.SIGKILL, signal.SIGSTOP
_DETECTION, _INTERVAL = 0.150, 0.050
_HEALED = _DETECTION + 2 * _INTERVAL
REFERENCE = ("link cut, carrier down", "keepalived 0.05 s")
"""The row that others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`rounds`: in the short form and in the long one; 0 leaves it out there."""

    name: str
    title: str
    cluster: Callable[[Path], Cluster]
    plan: Plan
    bars: Bars
    contender: str = "lbctl"
    rounds: tuple[int, int] = (5, 20)


def _three(folder: Path) -> Cluster:
    return Speakers(folder)


def _signalled() -> list[Case]:
    words = {KILL: "SIGKILL", STOP: "SIGSTOP"}
    return [
        Case(
            name=f"{'kill' if number == KILL else 'stop'}-{part}",
            title=f"{words[number]} of {'all three processes' if part is Part.ALL else f'the {part} process'}",
            cluster=_three,
            plan=Plan(fault=Signalled(part, number)),
            bars=Bars(worst=0.220),
        )
        for number in (KILL, STOP)
        for part in Part
    ]


def _rival(interval: float) -> list[Case]:
    def cluster(folder: Path) -> Cluster:
        return Keepalived(folder, interval=interval)

    patience = 1.0 + 5 * interval
    long = 20 if interval < 1 else 10
    faults = {
        "link-down": ("link cut, carrier down", Unplugged()),
        "link-silent": ("link cut, carrier kept", Silent()),
        "kill-all": ("SIGKILL of all three processes", Signalled(Part.ALL, KILL)),
    }
    return [
        Case(
            name=name,
            title=title,
            cluster=cluster,
            plan=Plan(fault=fault, patience=patience),
            bars=Bars(),
            contender=f"keepalived {interval:g} s",
            rounds=(5 if interval < 0.1 else 2, long),
        )
        for name, (title, fault) in faults.items()
    ]


CASES: tuple[Case, ...] = (
    Case(
        name="link-down",
        title="link cut, carrier down",
        cluster=_three,
        plan=Plan(fault=Unplugged()),
        bars=Bars(worst=0.220),
    ),
    Case(
        name="link-silent",
        title="link cut, carrier kept",
        cluster=_three,
        plan=Plan(fault=Silent()),
        bars=Bars(worst=0.220, healed=_HEALED),
    ),
    *_signalled(),
    *_rival(0.05),
    *_rival(0.1),
    *_rival(1.0),
    Case(
        name="work-stopped",
        title="link cut, survivors' work stopped for 1 s",
        cluster=_three,
        plan=Plan(fault=Silent(), hindrance=WorkStopped(), hindered=1.0),
        bars=Bars(worst=0.220, healed=_HEALED),
    ),
    Case(
        name="disk-hangs",
        title="link cut, survivors' disks hang for 2 s",
        cluster=lambda folder: Speakers(folder, disks=True),
        plan=Plan(fault=Silent(), hindrance=DiskHangs()),
        bars=Bars(worst=0.220, healed=_HEALED),
    ),
    Case(
        name="disk-full",
        title="link cut, survivors' disks full",
        cluster=lambda folder: Speakers(folder, disks=True),
        plan=Plan(fault=Silent(), hindrance=DiskFull()),
        bars=Bars(worst=0.220, healed=_HEALED),
    ),
    Case(
        name="two-nodes",
        title="link cut, two nodes only",
        cluster=lambda folder: Speakers(folder, nodes=2),
        plan=Plan(fault=Silent(), returns=True),
        bars=Bars(worst=0.450, healed=_HEALED),
    ),
    Case(
        name="last-of-three",
        title="link cut, the second of three",
        cluster=_three,
        plan=Plan(fault=Silent(), before=1, returns=True),
        bars=Bars(worst=0.450, healed=_HEALED),
    ),
    Case(
        name="gone",
        title="node gone, namespace deleted",
        cluster=_three,
        plan=Plan(fault=Gone()),
        bars=Bars(worst=0.220),
    ),
    Case(
        name="thousand",
        title="1,000 VIPs move at once, link cut",
        cluster=lambda folder: Speakers(folder, count=1000, first="n1"),
        plan=Plan(fault=Silent(), fresh=True),
        bars=Bars(worst=0.300, healed=_HEALED),
    ),
    Case(
        name="fast",
        title="link cut, fast preset",
        cluster=lambda folder: Speakers(folder, options=("--preset", "fast")),
        plan=Plan(fault=Silent()),
        bars=Bars(worst=0.120, median=0.090, healed=0.100),
    ),
)
