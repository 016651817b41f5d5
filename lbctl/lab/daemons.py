"""The daemon of each kind of host: its command line, its sign of being ready, and the processes it consists of."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum

from lbctl.lab import processes
from lbctl.lab.processes import Process
from lbctl.lab.topology import Host, Role

READY = "ready"
"""The line on stdout by which each says that it is."""
DAEMONS = {Role.CONTROLLER: "run-controller", Role.NODE: "run-speaker", Role.WEB: "web"}


class Which(StrEnum):
    """Which processes of a node's speaker."""

    SPEAKER = "speaker"
    WORK = "work"
    PULSE = "pulse"
    WIRE = "wire"


def daemon_argv(host: Host, controller_args: Sequence[str], speaker_args: Sequence[str]) -> list[str]:
    """The command line of the daemon of `host`, which has one."""
    lbctl = [sys.executable, "-m", "lbctl.cli.main"]
    match host.role:
        case Role.CONTROLLER:
            options = ["--source", "files", "--config", "/etc/lbctl", "--state", "/var/lib/lbctl"]
            return [*lbctl, "run-controller", *options, *controller_args]
        case Role.NODE:
            # `where-is --via` asks speakers from other hosts: the status API listens on the segment.
            options = ["--node", host.name, "--state", "/var/lib/lbctl", "--listen", host.ipv4]
            return [*lbctl, "run-speaker", *options, *speaker_args]
        case _:
            return [sys.executable, "-m", "lbctl.lab.web", "--name", f"n{host.number}"]


def kind(process: Process, leader: Process) -> Which:
    """What a process of a daemon's session is; SPEAKER when it is none of the three we know."""
    if process == leader:
        return Which.WORK
    argv = processes.arguments(process)
    for which in (Which.PULSE, Which.WIRE):
        if f"lbctl.speaker.{which}" in argv:
            return which
    return Which.SPEAKER
