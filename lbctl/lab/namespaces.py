"""Making and removing the network namespaces of a lab, through `ip`, which every Debian can install."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

from lbctl.lab import topology
from lbctl.lab.topology import Topology

RUN = Path("/run/netns")
_PREFIX = "lbctl"


class LabError(Exception):
    """The lab cannot do it; the text says why and what to do."""


def full_name(lab: str, host: str) -> str:
    """The namespace of a host. Host names hold no dash, so that labs `a` and `a-b` cannot be mixed up."""
    return f"{_PREFIX}-{lab}-{host}"


def existing(lab: str) -> list[str]:
    """The namespaces there are of this lab, whether or not it was ever finished."""
    if not RUN.is_dir():
        return []
    return sorted(entry.name for entry in RUN.iterdir() if entry.name.rpartition("-")[0] == f"{_PREFIX}-{lab}")


def run_ip(*words: str) -> str:
    """Raises LabError with what `ip` said."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError("the command `ip` is missing: apt-get install iproute2") from None
    if done.returncode != 0:
        raise LabError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def add(name: str) -> None:
    run_ip("netns", "add", name)


def delete(name: str) -> None:
    """Removes the name and what is mounted there; the kernel keeps the namespace until its last process has ended."""
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def configure(name: str, sysctls: Iterable[tuple[str, str]], lines: Iterable[str]) -> None:
    """Inside the namespace: kernel settings (path below /proc/sys and value, where there is such), then `ip` lines."""
    script = [
        f"if [ -e /proc/sys/{path} ]; then echo {shlex.quote(value)} > /proc/sys/{path}; fi" for path, value in sysctls
    ]
    batch = "\n".join(lines)
    if batch:
        script += ["ip -batch - <<'END'", batch, "END"]
    done = subprocess.run(
        ["ip", "netns", "exec", name, "sh", "-e"], input="\n".join(script), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LabError(f"cannot set up {name}: {done.stderr.strip() or done.returncode}")


def build(plan: Topology, names: dict[str, str]) -> None:
    """Makes the namespaces of a lab with their links, addresses and routes. `names`: host to namespace."""
    for host in plan.hosts:
        add(names[host.name])
        configure(names[host.name], topology.sysctls(host), ["link set lo up"])
    for lines_of in (topology.links, topology.addresses):
        for host in plan.hosts:
            if lines := lines_of(plan, host, names):
                configure(names[host.name], (), lines)
