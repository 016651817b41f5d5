"""`lbctl run-controller`: gives services their addresses and publishes what speakers need (daemon, one a cluster)."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.options import (
    DEFAULT_CLUSTER,
    DEFAULT_CONTROLLER_SOCKET,
    DEFAULT_STATE,
    STATUS_PORT,
    Cluster,
    ConfigPaths,
    KeyFile,
    LogFormatOption,
    StateDir,
)
from lbctl.telemetry.log import LogFormat, configure

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class SourceName(StrEnum):
    FILES = "files"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@app.command()
def run_controller(
    config: ConfigPaths,
    source: Annotated[
        SourceName, typer.Option("--source", help="Where services, pools and advertisements come from.")
    ] = SourceName.FILES,
    state: StateDir = DEFAULT_STATE,
    cluster: Cluster = DEFAULT_CLUSTER,
    key_file: KeyFile = None,
    interface: Annotated[
        list[str] | None,
        typer.Option(
            "--interface",
            metavar="NAME",
            help="Hear the speakers' heartbeats on this interface only; may be given more than once. Else on all that "
            "can, but those of containers and tunnels.",
            show_default=False,
        ),
    ] = None,
    no_heartbeat: Annotated[
        bool,
        typer.Option(
            "--no-heartbeat", help="Do not join the speakers' group: owners are not known, nodes do not register."
        ),
    ] = False,
    socket: Annotated[
        Path, typer.Option("--socket", metavar="PATH", help="Status socket.")
    ] = DEFAULT_CONTROLLER_SOCKET,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST[:PORT]",
            help=f"Serve the status by TCP too (port {STATUS_PORT}); everybody who reaches it may read it.",
            show_default=False,
        ),
    ] = None,
    lb_class: Annotated[
        str | None,
        typer.Option(
            "--lb-class",
            metavar="CLASS",
            help="Look after services with this loadBalancerClass only; else after those that have none.",
            show_default=False,
        ),
    ] = None,
    log_format: LogFormatOption = LogFormat.CONSOLE,
    log_level: Annotated[LogLevel, typer.Option("--log-level", help="What is logged at least.")] = LogLevel.INFO,
) -> int:
    """Give services their addresses, remember them for good, and publish what
    speakers need.

    Stays in the foreground, prints `ready` when all that is known is allocated
    and published, ends on SIGTERM and Ctrl-C. One for each state folder.

    \b
    Exit status: 0 stopped by a signal; 2 could not start.

    \b
    Examples:
      lbctl run-controller
      lbctl run-controller --config configs/ --state /tmp/lbctl
      lbctl run-controller --interface eth1 --key-file /etc/lbctl/key
    """
    where = _listen(listen) if listen is not None else None
    # Everything below costs half a second to import; --help and typing errors need none of it.
    import asyncio

    from lbctl.controller.daemon import Settings, StartError
    from lbctl.controller.launch import Heartbeats, serve
    from lbctl.net.key_file import KeyFileError, read_keys
    from lbctl.sources.base import SourceError
    from lbctl.telemetry.loop import settled

    assert source is SourceName.FILES
    configure(log_format, level=log_level.value)
    settings = Settings(state=state, socket=socket, cluster=cluster, listen=where, load_balancer_class=lb_class or None)
    try:
        keys = read_keys(key_file) if key_file is not None else ()
        heartbeats = None if no_heartbeat else Heartbeats(interfaces=tuple(interface or ()), keys=keys)
        asyncio.run(settled(serve(settings, tuple(config), heartbeats, on_ready=_say_ready)))
    except (StartError, SourceError, KeyFileError) as error:
        print(f"lbctl run-controller: {error}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
    return ExitStatus.OK


def _say_ready() -> None:
    print("ready", flush=True)


def _listen(text: str) -> tuple[str, int]:
    from lbctl.net.status_client import TcpAddress, parse_address

    try:
        address = parse_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--listen") from None
    if not isinstance(address, TcpAddress):
        raise typer.BadParameter(f"{text!r} is not HOST or HOST:PORT", param_hint="--listen")
    return (address.host, address.port)
