"""A whole cluster in network namespaces: the hosts, their daemons, and what may befall them.

    with Lab("try") as lab:
        lab.apply(Path("configs/layer2.yaml"), Path("configs/nginx.yaml"))
        lab.exec("client", ["curl", "http://192.168.3.170:8080/"])
        lab.cut("n2")

All that it makes has the lab's name on it or stands in its folder, so that `down` finds it again: from another
process, after a crash, and when `up` was interrupted half-way. topology.py draws the network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any

from lbctl.lab import namespaces, processes, record, topology
from lbctl.lab.daemons import DAEMONS, READY, Which, daemon_argv, kind
from lbctl.lab.launch import environment, launcher
from lbctl.lab.measure import Mode, Probe
from lbctl.lab.namespaces import LabError
from lbctl.lab.processes import Process
from lbctl.lab.record import DaemonRecord, LabRecord
from lbctl.lab.topology import Host, Role, Topology

__all__ = ["Cut", "Lab", "LabError", "Which"]

_READY_TIME = 60.0
_FOLDERS = ("run", "state", "etc", "log", "scratch")
_MANIFESTS = (".yaml", ".yml", ".json")


class Cut(StrEnum):
    """How a host loses the segment."""

    CARRIER = "carrier"
    """The cable is out: the host sees that it has no carrier."""
    SILENT = "silent"
    """Behind a switch that failed: the carrier stays, and no frame passes either way."""


class Lab:
    """A lab by name, there already or to be made with `up`. As a context manager it is made and removed again.

    `controller_args` and `speaker_args` are added to the daemons' command lines.
    """

    def __init__(
        self,
        name: str,
        *,
        nodes: int = 3,
        controller_args: Sequence[str] = (),
        speaker_args: Sequence[str] = (),
        root: Path = record.ROOT,
    ) -> None:
        self.name = record.check_name(name)
        self.root = root
        self.folder = root / name
        self._controller_args = tuple(controller_args)
        self._speaker_args = tuple(speaker_args)
        try:
            self.topology = Topology(nodes=nodes)
        except ValueError as error:
            raise LabError(str(error)) from None
        self._children: list[subprocess.Popen[Any]] = []

    @classmethod
    def find(cls, name: str, *, root: Path = record.ROOT) -> Lab:
        """The lab of this name as it was built. Raises LabError when there is none."""
        found = record.read_lab(root / record.check_name(name))
        if found is None or not found.finished:
            raise LabError(f"there is no lab {name!r}: make it with `lbctl lab up --name {name}`")
        return cls(
            name, nodes=found.nodes, controller_args=found.controller_args, speaker_args=found.speaker_args, root=root
        )

    # -- making and removing ------------------------------------------------------------------------------------------

    def up(self, *, daemons: bool = True, keep: bool = True) -> None:
        """Builds it, and with `daemons` starts the controller and the speakers, and waits until they are ready.

        `keep` false: it is this process's own, and `sweep` may remove it once this process is gone. What was half
        built by an interrupted `up` is removed first. Raises LabError, and leaves nothing, when something fails.
        """
        _need_root()
        with record.locked(self.folder, make=True):
            found = record.read_lab(self.folder)
            if found is not None and found.finished:
                raise LabError(f"lab {self.name!r} is there already: `lbctl lab down --name {self.name}` removes it")
            try:
                self._remove(folder=False)
                self._write(finished=False, keep=keep)
                self._build()
                wanted = (Role.WEB, Role.CONTROLLER, Role.NODE) if daemons else (Role.WEB,)
                self._start_all([host for host in self.topology.hosts if host.role in wanted])
                self._write(finished=True, keep=keep)
            except BaseException:
                self._remove()
                raise

    def down(self) -> bool:
        """Ends its processes and removes its namespaces and files; whether there was anything. May be repeated."""
        _need_root()
        with record.locked(self.folder, make=False) as there:
            if not there and not namespaces.existing(self.name):
                return False
            self._remove()
            return True

    def __enter__(self) -> Lab:
        self.up(keep=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.down()
        except BaseException:
            self.down()  # interrupted while removing: once more, then let it through
            raise

    def _write(self, *, finished: bool, keep: bool) -> None:
        record.write_lab(
            self.folder,
            LabRecord(
                name=self.name,
                nodes=self.topology.nodes,
                finished=finished,
                owner=None if keep else processes.identify(os.getpid()),
                controller_args=self._controller_args,
                speaker_args=self._speaker_args,
            ),
        )

    def _build(self) -> None:
        hosts = self.topology.hosts
        names = {host.name: self.netns(host.name) for host in hosts}
        for host in hosts:
            for part in _FOLDERS:
                (self.folder / host.name / part).mkdir(parents=True)
        self.published.mkdir()
        for node in self.topology.node_hosts:
            (self.folder / node.name / "state" / "published").mkdir()
        namespaces.build(self.topology, names)

    def _remove(self, *, folder: bool = True) -> None:
        # Killed and not asked: all that they would say goodbye to is removed with them.
        for child in self._children:
            if child.poll() is None:
                child.kill()
        names = namespaces.existing(self.name)
        while left := self._processes(names):
            for process in left:
                processes.send_signal(process, signal.SIGKILL)
            if not processes.wait_gone(left, 20.0):
                raise LabError(f"processes {[process.pid for process in left]} do not end, even when killed")
        for child in self._children:
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        self._children.clear()
        for name in names:
            namespaces.delete(name)
        if folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.root.rmdir()  # the last lab
        else:
            for entry in self.folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _processes(self, names: Sequence[str]) -> list[Process]:
        """What is alive and ours: the daemons that were recorded, and whatever runs in the lab's namespaces."""
        found = processes.in_namespaces([namespaces.RUN / name for name in names])
        for path in self.folder.glob("*/daemon.json"):
            daemon = record.read_daemon(path.parent)
            if daemon is not None and daemon.process not in found and processes.is_alive(daemon.process):
                found.append(daemon.process)
        return found

    # -- what there is ------------------------------------------------------------------------------------------------

    def host(self, name: str) -> Host:
        """Raises LabError when the lab has no such host."""
        try:
            return self.topology.host(name)
        except KeyError:
            names = " ".join(host.name for host in self.topology.hosts)
            raise LabError(f"lab {self.name!r} has no host {name!r}; it has: {names}") from None

    def netns(self, host: str) -> str:
        return namespaces.full_name(self.name, host)

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(host.name for host in self.topology.node_hosts)

    @property
    def published(self) -> Path:
        """The controller's published folder, which every node has read-only."""
        return self.folder / topology.CONTROLLER / "state" / "published"

    @property
    def manifests(self) -> Path:
        """The controller's /etc/lbctl."""
        return self.folder / topology.CONTROLLER / "etc"

    def node_of_mac(self, mac: str) -> str | None:
        """The host on the segment that has this Ethernet address."""
        for host in self.topology.hosts:
            if host.on_segment and host.mac == mac.lower():
                return host.name
        return None

    def cut_state(self, host: str) -> Cut | None:
        """How the host is cut off now; None when it is not."""
        shown = namespaces.run_ip("-n", self.netns(topology.SWITCH), "-o", "link", "show", self._port(host))
        if ",UP" not in shown.split(">")[0]:
            return Cut.CARRIER
        return None if f" master {topology.BRIDGE} " in shown else Cut.SILENT

    # -- what can be done ---------------------------------------------------------------------------------------------

    def command(self, host: str, argv: Sequence[str], *, parent: int | None = None) -> list[str]:
        """The command line that runs `argv` on the host; its pid is the command's own."""
        return launcher(self._spec(self.host(host), parent), argv)

    def exec(
        self,
        host: str,
        argv: Sequence[str],
        *,
        check: bool = False,
        timeout: float = 60.0,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, `env` added to its environment. With `check`, LabError when it fails.

        Raises subprocess.TimeoutExpired.
        """
        done = subprocess.run(
            self.command(host, argv, parent=os.getpid()),
            capture_output=True,
            text=True,
            timeout=timeout,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            check=False,
            env={**environment(), **(env or {})},
        )
        if check and done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip()
            raise LabError(f"{host}: {' '.join(argv)}: exit {done.returncode}: {said}")
        return done

    def popen(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Starts a command, which `down` ends if it still runs then."""
        child: subprocess.Popen[Any] = subprocess.Popen(
            self.command(host, argv, parent=os.getpid()), env=environment(), **options
        )
        self._children.append(child)
        return child

    def probe(self, target: str, port: int = 80, *, mode: Mode = Mode.CONNECT, every: float = 0.005) -> Probe:
        """Measures from the client, until stopped, how long `target` does not answer."""
        argv = Probe.command(target, port, mode, every)
        probe = Probe(self.popen(topology.CLIENT, argv, stdout=subprocess.PIPE, start_new_session=True))
        probe.wait("start")
        return probe

    def apply(self, *manifests: Path) -> list[str]:
        """Gives manifests, or all in a folder, to the controller, each file replaced atomically; their names."""
        found: list[Path] = []
        for path in manifests:
            if path.is_dir():
                found += sorted(entry for entry in path.iterdir() if entry.suffix in _MANIFESTS)
            else:
                found.append(path)
        for path in found:
            try:
                self.apply_text(path.name, path.read_text())
            except OSError as error:
                raise LabError(f"cannot read {path}: {error.strerror}") from None
        return [path.name for path in found]

    def apply_text(self, name: str, text: str) -> None:
        """Gives the controller one manifest file of this name."""
        if not name.endswith(_MANIFESTS) or "/" in name:
            raise LabError(f"{name!r} is not a manifest's file name: it should end in .yaml")
        aside = self.manifests.parent / f"applying-{os.getpid()}"
        aside.write_text(text)
        aside.replace(self.manifests / name)

    def delete(self, *names: str) -> None:
        """Takes manifest files away from the controller again."""
        for name in names:
            try:
                (self.manifests / Path(name).name).unlink()
            except FileNotFoundError:
                there = " ".join(sorted(path.name for path in self.manifests.iterdir())) or "none"
                raise LabError(f"no manifest {Path(name).name} was applied; there are: {there}") from None

    def cut(self, host: str, how: Cut = Cut.CARRIER) -> None:
        """Cuts a host off the segment."""
        # A port that is up but belongs to no bridge keeps its carrier, and no frame goes through it.
        words = {Cut.CARRIER: ["down"], Cut.SILENT: ["nomaster"]}[how]
        namespaces.run_ip("-n", self.netns(topology.SWITCH), "link", "set", self._port(host), *words)

    def heal(self, host: str) -> None:
        """Undoes either cut."""
        words = ["master", topology.BRIDGE, "up"]
        namespaces.run_ip("-n", self.netns(topology.SWITCH), "link", "set", self._port(host), *words)

    def kill(
        self, host: str, number: signal.Signals = signal.SIGKILL, which: Which = Which.SPEAKER
    ) -> tuple[Process, ...]:
        """Signals processes of the host's daemon: which ones. After SIGKILL they are gone. Raises LabError."""
        targets = self.daemon_processes(host, which)
        if not targets:
            raise LabError(f"nothing to signal on {host}: no {which if which is not Which.SPEAKER else 'daemon'} runs")
        for process in targets:
            processes.send_signal(process, number)
        if number == signal.SIGKILL:
            processes.wait_gone(targets, 20.0)
            self._reap()
        return targets

    def daemon(self, host: str) -> DaemonRecord | None:
        """The daemon that was last started on the host, alive or not."""
        self.host(host)
        return record.read_daemon(self.folder / host)

    def is_running(self, host: str) -> bool:
        """Whether the daemon of the host is alive."""
        daemon = self.daemon(host)
        return daemon is not None and processes.is_alive(daemon.process)

    def daemon_processes(self, host: str, which: Which = Which.SPEAKER) -> tuple[Process, ...]:
        """The living processes of the host's daemon: pulse first, which must not have the time to say goodbye."""
        daemon = self.daemon(host)
        if daemon is None:
            return ()
        here = processes.in_namespaces([namespaces.RUN / self.netns(host)])
        kinds = {process: kind(process, daemon.process) for process in processes.in_session(daemon.process.pid)}
        order = (Which.PULSE, Which.WIRE, Which.SPEAKER, Which.WORK)
        chosen = [process for process, kind in kinds.items() if process in here and which in (kind, Which.SPEAKER)]
        return tuple(sorted(chosen, key=lambda process: order.index(kinds[process])))

    # -- daemons ------------------------------------------------------------------------------------------------------

    def start_controller(self) -> None:
        self._start_all([self.host(topology.CONTROLLER)])

    def start_speakers(self) -> None:
        """All of them at once."""
        self._start_all(list(self.topology.node_hosts))

    def start(self, host: str) -> None:
        """Starts the daemon of this host and waits until it is ready."""
        if self.host(host).role not in DAEMONS:
            raise LabError(f"{host} runs no daemon")
        self._start_all([self.host(host)])

    def stop(self, host: str, *, within: float = 10.0) -> None:
        """Ends the daemon of this host with SIGTERM. Raises LabError when it does not end in time."""
        targets = self.daemon_processes(host)
        daemon = self.daemon(host)
        if daemon is None or not processes.send_signal(daemon.process, signal.SIGTERM):
            raise LabError(f"no daemon runs on {host}")
        if not processes.wait_gone(targets, within):
            raise LabError(f"{daemon.name} on {host} did not end within {within:g} s of SIGTERM")
        self._reap()

    def log(self, host: str) -> str:
        """What the daemon of this host printed and logged so far."""
        self.host(host)
        folder = self.folder / host / "log"
        return "".join(path.read_text(errors="replace") for path in sorted(folder.iterdir(), reverse=True))

    def _start_all(self, hosts: Sequence[Host]) -> None:
        started = [(host, self._spawn(host)) for host in hosts]
        for host, process in started:
            out = self.folder / host.name / "log" / f"{DAEMONS[host.role]}.out"
            if not processes.wait_for_line(out, READY, process, _READY_TIME):
                why = "did not become ready" if processes.is_alive(process) else "ended"
                said = "\n".join(self.log(host.name).splitlines()[-15:])
                raise LabError(f"{DAEMONS[host.role]} on {host.name} {why}:\n{said}")

    def _spawn(self, host: Host) -> Process:
        daemon = self.daemon(host.name)
        if daemon is not None and self.daemon_processes(host.name):
            raise LabError(f"{daemon.name} runs on {host.name} already")
        name = DAEMONS[host.role]
        logs = self.folder / host.name / "log"
        # What an earlier run printed must not count as this one's `ready`.
        with (logs / f"{name}.out").open("wb") as out, (logs / f"{name}.log").open("ab") as log:
            child = self.popen(
                host.name,
                daemon_argv(host, self._controller_args, self._speaker_args),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        process = processes.identify(child.pid)
        if process is None:
            raise LabError(f"{name} on {host.name} ended at once:\n{self.log(host.name)}")
        record.write_daemon(self.folder / host.name, DaemonRecord(name=name, process=process))
        return process

    def _spec(self, host: Host, parent: int | None) -> dict[str, Any]:
        folder = self.folder / host.name
        binds = [
            [str(folder / "run"), "/run/lbctl", False],
            [str(folder / "state"), "/var/lib/lbctl", False],
            [str(folder / "etc"), "/etc/lbctl", False],
        ]
        if host.role is Role.NODE:
            binds.append([str(self.published), "/var/lib/lbctl/published", True])
        return {
            "netns": self.netns(host.name),
            "hostname": host.name,
            "binds": binds,
            "scratch": str(folder / "scratch"),
            "parent": parent,
            "env": {"LBCTL_LAB_HOST": host.name},
        }

    def _port(self, host: str) -> str:
        if not self.host(host).on_segment:
            raise LabError(f"{host} is not on the segment: there is no link to cut")
        return host

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]


def sweep(root: Path = record.ROOT) -> list[str]:
    """Removes labs whose maker is gone without having removed them; their names."""
    swept = []
    for folder in _labs(root):
        with contextlib.suppress(LabError):
            found = record.read_lab(folder)
            abandoned = found is not None and found.owner is not None and not processes.is_alive(found.owner)
            if abandoned and Lab(folder.name, root=root).down():
                swept.append(folder.name)
    return swept


def names(root: Path = record.ROOT) -> list[str]:
    """The labs that are there."""
    return [folder.name for folder in _labs(root)]


def _labs(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from sorted(path for path in root.iterdir() if path.is_dir())


def _need_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces: run it as root")
