"""Labs for these tests: named after the test process, so that runs beside each other do not meet."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbctl.lab import processes, record
from lbctl.lab.cluster import Lab, sweep
from lbctl.lab.daemons import DAEMONS
from lbctl.lab.topology import Role
from tests.support import evidence

_numbers = itertools.count(1)


def lab_name() -> str:
    """A name for a lab, of which a failed test then tells what its daemons were doing."""
    name = f"lbt-{os.getpid()}-{next(_numbers)}"
    evidence.register(name, lambda: daemons_of(name))
    return name


def daemons_of(name: str) -> list[evidence.Witness]:
    """The daemons of a lab that are or were there, without the web servers."""
    found = []
    for folder in sorted((record.ROOT / name).glob("*/")):
        daemon = record.read_daemon(folder)
        if daemon is not None and daemon.name != DAEMONS[Role.WEB]:
            log = folder / "log" / f"{daemon.name}.log"
            ended = not processes.is_alive(daemon.process)
            found.append(evidence.Witness(name=folder.name, ended=ended, log=log))
    return found


FOLDERS = ("/run/lbctl", "/var/lib/lbctl", "/etc/lbctl")
"""Folders that each host has of its own."""
MACHINE_HAD = tuple(folder for folder in FOLDERS if Path(folder).exists())
"""Those that the machine itself had before any lab was built."""


@pytest.fixture(scope="session", autouse=True)
def _swept() -> None:
    """What a killed test run left behind is gone before ours begins: the pid in the name tells that it was killed."""
    sweep()
    left = {path.name for path in Path("/run/lbctl-lab").glob("lbt-*")}
    left |= {path.name.removeprefix("lbctl-").rpartition("-")[0] for path in Path("/run/netns").glob("lbctl-lbt-*")}
    for name in left:
        pid = name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            Lab(name).down()


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    """A lab without daemons: hosts, links and web servers. Tests leave it as they found it."""
    lab = Lab(lab_name())
    lab.up(daemons=False, keep=False)
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture
def make_lab() -> Iterator[Callable[..., Lab]]:
    """Lab objects of a fresh name, not built yet; what was built of them is removed at the end."""
    labs: list[Lab] = []

    def make(**options: object) -> Lab:
        labs.append(Lab(lab_name(), **options))  # type: ignore[arg-type]
        return labs[-1]

    yield make
    for lab in labs:
        lab.down()


def remains(lab: Lab) -> list[str]:
    """Everything on this machine that bears the lab's name: namespaces, files, mounts, processes."""
    left = [path.name for path in Path("/run/netns").glob(f"*{lab.name}-*")]
    left += [str(lab.folder)] if lab.folder.exists() else []
    left += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{lab.name}/" in line]
    left += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{lab.name}-" in line]
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            argv = (entry / "cmdline").read_bytes()
            mounts = (entry / "mountinfo").read_text()
        except OSError:
            continue
        if lab.name.encode() in argv or f"{lab.name}/" in mounts:
            left.append(f"process {entry.name}: {argv!r}")
    return left
