"""`lbctl lab`: a cluster in network namespaces on this machine, to try lbctl out without touching any network."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbctl.cli.exit_status import ExitStatus

if TYPE_CHECKING:
    from lbctl.lab.cluster import Lab

_SCHEMA = "lbctl.io/lab/v1"

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


class Form(StrEnum):
    TABLE = "table"
    JSON = "json"


class CutKind(StrEnum):
    CARRIER = "carrier"
    SILENT = "silent"


class Part(StrEnum):
    SPEAKER = "speaker"
    WORK = "work"
    PULSE = "pulse"
    WIRE = "wire"


Name = Annotated[str, typer.Option("--name", metavar="NAME", envvar="LBCTL_LAB", help="Which lab.")]
Output = Annotated[Form, typer.Option("--output", "-o", help="Form of the answer.")]
HostName = Annotated[str, typer.Argument(metavar="HOST", help="n1, n2, ..., controller, client, web1, web2, ...")]
_DEFAULT = "lab"


@app.callback(
    epilog="The segment is 192.168.3.0/24 and fd00:3::/64: client .50, controller .102, nodes n1, n2, ... from .103, "
    "and behind each node a web server at 10.244.x.10:80."
)
def _root() -> None:
    """Build a cluster in network namespaces of this machine, and break it.

    \b
    Examples:
      lbctl lab demo
      lbctl lab up
      lbctl lab apply configs/layer2.yaml configs/nginx.yaml
      lbctl lab exec client -- curl http://192.168.3.170:8080/
      lbctl lab cut n2
      lbctl lab down
    """


@app.command()
def up(
    name: Name = _DEFAULT,
    nodes: Annotated[int, typer.Option("--nodes", metavar="N", help="How many nodes, up to 60.")] = 3,
    daemons: Annotated[
        bool, typer.Option("--daemons/--no-daemons", help="Start the controller and the speakers.")
    ] = True,
    output: Output = Form.TABLE,
) -> None:
    """Build a lab and start its daemons; it stays until `lab down`.

    \b
    Examples:
      lbctl lab up
      lbctl lab up --name big --nodes 10
    """
    from lbctl.lab.cluster import Lab, sweep

    with _said_plainly(), stopped_by_signals():
        sweep()
        lab = Lab(name, nodes=nodes)
        lab.up(daemons=daemons)
        _print_status(lab, output)


@app.command()
def down(name: Name = _DEFAULT) -> None:
    """End all processes of a lab and remove it. May be repeated.

    \b
    Example:
      lbctl lab down
    """
    from lbctl.lab.cluster import Lab

    with _said_plainly():
        print(f"lab {name} is removed" if Lab(name).down() else f"there is no lab {name}")


@app.command()
def status(name: Name = _DEFAULT, output: Output = Form.TABLE) -> None:
    """The hosts of a lab, their addresses, links and daemons.

    \b
    Examples:
      lbctl lab status
      lbctl lab status -o json
    """
    with _said_plainly():
        _print_status(_lab(name), output)


@app.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def exec_(
    host: HostName,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command and its arguments.")],
    name: Name = _DEFAULT,
) -> None:
    """Run a command on a host; its exit status is the command's.

    \b
    Examples:
      lbctl lab exec client -- curl http://192.168.3.170:8080/
      lbctl lab exec n1 -- lbctl status
      lbctl lab exec n1 -- bash
    """
    from lbctl.lab.launch import environment

    with _said_plainly():
        argv = _lab(name).command(host, command[1:] if command[0] == "--" else command)
    sys.stdout.flush()
    os.execve(argv[0], argv, environment())


@app.command()
def apply(
    manifests: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Manifest files, or folders of them.")],
    name: Name = _DEFAULT,
) -> int:
    """Give manifests to the lab's controller.

    They become files of its /etc/lbctl, each replaced atomically. Exit status 1
    if something in them is wrong.

    \b
    Example:
      lbctl lab apply configs/layer2.yaml configs/nginx.yaml
    """
    with _said_plainly():
        from lbctl.cli.lab_findings import tell

        lab = _lab(name)
        applied = lab.apply(*manifests)
        for file in applied:
            print(f"applied {file}")
        return tell(lab.manifests, applied)


@app.command()
def delete(
    manifests: Annotated[list[str], typer.Argument(metavar="FILE...", help="Names of files that were applied.")],
    name: Name = _DEFAULT,
) -> None:
    """Take applied manifests away from the controller.

    \b
    Example:
      lbctl lab delete nginx.yaml
    """
    with _said_plainly():
        lab = _lab(name)
        for manifest in manifests:
            lab.delete(manifest)
            print(f"deleted {Path(manifest).name}")


@app.command()
def kill(
    host: HostName,
    which: Annotated[Part, typer.Option("--which", help="Which of the speaker's processes; speaker = all.")] = (
        Part.SPEAKER
    ),
    number: Annotated[str, typer.Option("--signal", "-s", metavar="NAME", help="Which signal.")] = "KILL",
    name: Name = _DEFAULT,
) -> None:
    """Kill the daemon of a host, or one process of a speaker. `lab start` starts it
    again; a speaker that lost only pulse or wire does that itself.

    \b
    Examples:
      lbctl lab kill n1
      lbctl lab kill n1 --which pulse --signal STOP
    """
    from lbctl.lab.cluster import Which

    with _said_plainly():
        lab = _lab(name)
        killed = lab.kill(host, _signal(number), Which(which))
        print(f"{host}: sent {_signal(number).name} to {', '.join(str(process.pid) for process in killed)}")


@app.command()
def cut(
    host: HostName,
    how: Annotated[
        CutKind, typer.Option("--how", help="carrier: the cable is out; silent: the carrier stays, frames vanish.")
    ] = CutKind.CARRIER,
    name: Name = _DEFAULT,
) -> None:
    """Cut a host off the segment.

    \b
    Examples:
      lbctl lab cut n1
      lbctl lab cut n1 --how silent
    """
    from lbctl.lab.cluster import Cut

    with _said_plainly():
        _lab(name).cut(host, Cut(how))
        print(f"{host} is cut off ({how})")


@app.command()
def heal(host: HostName, name: Name = _DEFAULT) -> None:
    """Connect a host that was cut off.

    \b
    Example:
      lbctl lab heal n1
    """
    with _said_plainly():
        _lab(name).heal(host)
        print(f"{host} is connected")


@app.command()
def start(host: HostName, name: Name = _DEFAULT) -> None:
    """Start the daemon of a host again, and wait until it is ready.

    \b
    Example:
      lbctl lab start n1
    """
    with _said_plainly(), stopped_by_signals():
        _lab(name).start(host)
        print(f"{host} is ready")


@app.command()
def stop(host: HostName, name: Name = _DEFAULT) -> None:
    """Stop the daemon of a host in good order (SIGTERM).

    \b
    Example:
      lbctl lab stop n1
    """
    with _said_plainly():
        _lab(name).stop(host)
        print(f"{host} has stopped")


@app.command()
def logs(host: HostName, name: Name = _DEFAULT) -> None:
    """What the daemon of a host printed and logged.

    \b
    Example:
      lbctl lab logs n1
    """
    with _said_plainly():
        print(_lab(name).log(host), end="")


@app.command()
def demo(
    output: Output = Form.TABLE,
    configs: Annotated[
        Path | None,
        typer.Option("--configs", metavar="DIR", help="Where layer2.yaml, nginx.yaml and nodes.yaml are."),
    ] = None,
) -> None:
    """The main job, shown and verified; cleans up.

    A service gets its address, clients reach it, its owner's link is cut,
    another node takes over: exit status 0 only when all of it was so.

    \b
    Examples:
      lbctl lab demo
      lbctl lab demo -o json
    """
    from lbctl.cli.lab_demo import run

    with _said_plainly(), stopped_by_signals():
        passed = run(as_json=output is Form.JSON, configs=configs)
    raise typer.Exit(ExitStatus.OK if passed else ExitStatus.FOUND)


class Stopped(BaseException):
    """A signal that ends us came. Not an Exception, so that nothing on the way treats it as a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise Stopped inside the block; only the first, so that none disturbs cleaning up."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        numbers.append(signal.SIGHUP)

    def stop(number: int, _: object) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    except Stopped as stopped:
        # They stay ignored: all is removed, and what is left is to say so and to exit.
        print(f"\nlbctl lab: {stopped}", file=sys.stderr)
        raise typer.Exit(128 + stopped.number) from None
    except BaseException:
        _restore(before)
        raise
    _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def _said_plainly() -> Iterator[None]:
    """What the lab cannot do is one line on stderr and exit status 2."""
    from lbctl.lab.namespaces import LabError

    if os.environ.get("LBCTL_LAB_HOST"):
        print(f"lbctl lab: this is the lab host {os.environ['LBCTL_LAB_HOST']}: leave it first", file=sys.stderr)
        raise typer.Exit(ExitStatus.UNAVAILABLE)
    try:
        yield
    except LabError as error:
        print(f"lbctl lab: {error}", file=sys.stderr)
        raise typer.Exit(ExitStatus.UNAVAILABLE) from None


def _lab(name: str) -> Lab:
    from lbctl.lab.cluster import Lab

    return Lab.find(name)


def _signal(name: str) -> signal.Signals:
    try:
        return signal.Signals["SIG" + name.upper().removeprefix("SIG")]
    except KeyError:
        raise typer.BadParameter(f"there is no signal {name!r}; try KILL, TERM, STOP or CONT") from None


def _print_status(lab: Lab, output: Form) -> None:
    hosts = [_host_status(lab, host.name) for host in lab.topology.hosts if host.ipv4]
    if output is Form.JSON:
        print(json.dumps({"schema": _SCHEMA, "name": lab.name, "hosts": hosts}, indent=2))
        return
    print(f"{'HOST':<11}{'ROLE':<11}{'IPV4':<16}{'IPV6':<20}{'LINK':<11}DAEMON")
    for host in hosts:
        daemon = host["daemon"]
        runs = "-" if daemon is None else f"pid {daemon['pid']}" if daemon["alive"] else "dead"
        link = _LINK.get(host["link"], host["link"])
        print(f"{host['name']:<11}{host['role']:<11}{host['ipv4']:<16}{host['ipv6']:<20}{link:<11}{runs}")


_LINK = {"carrier": "no carrier", "silent": "no frames"}
"""What a cut leaves, in words; in JSON it is the name that `lab cut --how` takes."""


def _host_status(lab: Lab, name: str) -> dict[str, Any]:
    host = lab.host(name)
    cut = lab.cut_state(name) if host.on_segment else None
    daemon = lab.daemon(name)
    return {
        "name": name,
        "role": host.role,
        "ipv4": host.ipv4,
        "ipv6": host.ipv6,
        "mac": host.mac,
        "netns": lab.netns(name),
        "link": "up" if cut is None else cut,
        "daemon": daemon and {"name": daemon.name, "pid": daemon.process.pid, "alive": lab.is_running(name)},
    }


if __name__ == "__main__":
    app()
