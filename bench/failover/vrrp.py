"""The rival: keepalived (VRRP version 3) from Debian on every node, as well as it can be set up.

Each node is master of a third of the addresses, so that the same number moves; the processes run in real time, as
lbctl's do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bench.failover.cluster import Cluster, Part
from bench.failover.switch import vips
from tests.support.speakers import is_gone

PROGRAM = "keepalived"
_PRIORITIES = (254, 200, 150)
"""Master, first and second backup. Nearer ones let both backups become master at once, which costs more."""
_IN_PACKET = 20
"""Addresses in each advertisement; the others are named as not said in it, which keepalived asks for above this."""


class Keepalived(Cluster):
    """`interval`: advert_int in seconds."""

    def __init__(self, folder: Path, *, interval: float, nodes: int = 3, count: int = 100) -> None:
        super().__init__(tuple(f"n{number}" for number in range(1, nodes + 1)), vips(count))
        self.folder = folder
        self.interval = interval
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for number, name in enumerate(self.names):
            (self.folder / f"{name}.conf").write_text(self._config(number))
        self.failures = dict.fromkeys(self.names, 0)
        for name in self.names:
            self._spawn(name)

    def stop(self) -> None:
        for name in self._processes:
            self._kill(name)
        self._processes.clear()

    def _kill(self, name: str) -> None:
        pids = self.pids(name, Part.ALL)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._processes[name].wait()
        while not all(map(is_gone, pids)):
            time.sleep(0.005)
        # From these a new one would conclude that the old one runs.
        for path in self.folder.glob(f"{name}*.pid"):
            path.unlink()
        # It leaves what it had on the interface; a new one would take it for somebody else's.
        lines = "".join(f"addr del {vip}/32 dev eth0\n" for vip in self.vips)
        self.switch.lan[name].run(["ip", "-force", "-batch", "-"], stdin=lines, check=False)

    def _spawn(self, name: str) -> None:
        folder = self.folder
        with (folder / f"{name}.log").open("ab") as log:
            self._processes[name] = self.switch.lan[name].popen(
                [
                    PROGRAM, "--dont-fork", "--log-console", "--no-syslog", "--vrrp",
                    "--use-file", str(folder / f"{name}.conf"),
                    "--pid", str(folder / f"{name}.pid"), "--vrrp_pid", str(folder / f"{name}-vrrp.pid"),
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def _config(self, number: int) -> str:
        lines = ["global_defs {", "  vrrp_version 3", "  vrrp_rt_priority 10", "}"]
        count = len(self.names)
        for group in range(count):
            mine = self.vips[group::count]
            lines += [
                f"vrrp_instance G{group} {{",
                "  state BACKUP",
                "  interface eth0",
                f"  virtual_router_id {group + 1}",
                f"  priority {_PRIORITIES[(number - group) % count]}",
                f"  advert_int {self.interval:g}",
                "  virtual_ipaddress {",
                *(f"    {vip}/32 dev eth0" for vip in mine[:_IN_PACKET]),
                "  }",
            ]
            if rest := mine[_IN_PACKET:]:
                lines += ["  virtual_ipaddress_excluded {", *(f"    {vip}/32 dev eth0" for vip in rest), "  }"]
            lines.append("}")
        return "\n".join(lines) + "\n"

    def pids(self, node: str, part: Part) -> list[int]:
        process = self._processes.get(node)
        if process is None or process.poll() is not None:
            return []
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [*map(int, children), process.pid]

    def revive(self, node: str) -> None:
        self._kill(node)
        self._spawn(node)

    def disagreement(self, alive: tuple[str, ...]) -> str:
        time.sleep(3 * self.interval)  # a backup that is about to become master says nothing before
        return ""
