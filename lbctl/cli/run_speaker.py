"""`lbctl run-speaker`: announces addresses from this node (daemon, one a node)."""

from __future__ import annotations

import contextlib
import math
import sys
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.options import (
    DEFAULT_CLUSTER,
    DEFAULT_SPEAKER_SOCKET,
    DEFAULT_STATE,
    STATUS_PORT,
    Cluster,
    KeyFile,
    LogFormatOption,
    PublishedPath,
    StateDir,
    is_node_name,
)
from lbctl.model.address import IPAddress
from lbctl.telemetry.log import LogFormat, configure

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_SNAPSHOT = "snapshot.json"


class PresetName(StrEnum):
    FAST = "fast"
    DEFAULT = "default"
    RELAXED = "relaxed"


class Proxy(StrEnum):
    NFTABLES = "nftables"
    NONE = "none"


class OwnershipModeName(StrEnum):
    AVAILABILITY = "availability"
    SAFETY = "safety"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@app.command()
def run_speaker(
    node: Annotated[
        str,
        typer.Option("--node", metavar="NAME", help="This node's name; the host's if not given.", show_default=False),
    ] = "",
    published: PublishedPath = None,
    state: StateDir = DEFAULT_STATE,
    interface: Annotated[
        list[str] | None,
        typer.Option(
            "--interface",
            metavar="NAME",
            help="Announce on this interface only; may be given more than once. Else all that can, but those of "
            "containers and tunnels.",
            show_default=False,
        ),
    ] = None,
    proxy: Annotated[
        Proxy, typer.Option("--proxy", help="Forward VIP traffic to the endpoints by nftables, or leave that alone.")
    ] = Proxy.NFTABLES,
    cluster: Cluster = DEFAULT_CLUSTER,
    key_file: KeyFile = None,
    preset: Annotated[
        PresetName | None,
        typer.Option(
            "--preset",
            help="Heartbeats: fast 20 ms x 3, default 50 ms x 3, relaxed 300 ms x 3. Not given: default, or relaxed "
            "where real-time scheduling is not allowed.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=1, max=65535, help="UDP port of heartbeats.")
    ] = 7966,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            "--peer",
            metavar="ADDRESS",
            help="Another speaker, where multicast does not find it; may be given more than once.",
            show_default=False,
        ),
    ] = None,
    ownership_mode: Annotated[
        OwnershipModeName,
        typer.Option(
            "--ownership-mode",
            help="When the network splits: each side has an owner (availability), or only the majority of the "
            "configured speakers (safety). The same on all nodes.",
        ),
    ] = OwnershipModeName.AVAILABILITY,
    start_wait: Annotated[
        float,
        typer.Option(
            "--start-wait",
            metavar="SECONDS",
            min=0.0,
            max=3600.0,
            help="How long a start waits for all configured speakers before it takes what nobody had.",
        ),
    ] = 10.0,
    recheck_time: Annotated[
        float,
        typer.Option(
            "--recheck-time",
            metavar="SECONDS",
            min=0.1,
            max=86400.0,
            help="How often to look whether a quarantined address is free again.",
        ),
    ] = 60.0,
    handover_time: Annotated[
        float,
        typer.Option(
            "--handover-time",
            metavar="SECONDS",
            min=0.0,
            max=86400.0,
            help="For how long connections that were open when a VIP moved here by plan go on through the node before. "
            "0: they break.",
        ),
    ] = 600.0,
    socket: Annotated[Path, typer.Option("--socket", metavar="PATH", help="Status socket.")] = DEFAULT_SPEAKER_SOCKET,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST[:PORT]",
            help=f"Serve the status by TCP too (port {STATUS_PORT}); everybody who reaches it may read it.",
            show_default=False,
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart/--no-restart",
            help="When one of its processes dies or hangs, start anew in place, up to 5 times in a minute; or end.",
        ),
    ] = True,
    log_format: LogFormatOption = LogFormat.CONSOLE,
    log_level: Annotated[LogLevel, typer.Option("--log-level", help="What is logged at least.")] = LogLevel.INFO,
) -> int:
    """Announce addresses from this node: answer ARP and NDP for the VIPs it owns,
    watch the other speakers, take over from those that die.

    Stays in the foreground, prints `ready` when it is, hands everything over on
    SIGTERM and Ctrl-C.

    \b
    Exit status: 0 stopped by a signal; 1 one of its processes died, again and
    again or with --no-restart; 2 could not start.

    \b
    Examples:
      lbctl run-speaker
      lbctl run-speaker --node node1 --interface eth1
      lbctl run-speaker --published /mnt/lbctl --peer 192.168.3.104
    """
    peers = tuple(_address(text, "--peer") for text in peer or ())
    if node and not is_node_name(node):
        shown = node if len(node) <= 40 else node[:40] + "..."
        raise typer.BadParameter(
            f"{shown!r} is not a node's name: a-z, 0-9, - and ., at most 63 between dots, 253 in all",
            param_hint="--node",
        )
    for option, seconds in (
        ("--start-wait", start_wait),
        ("--recheck-time", recheck_time),
        ("--handover-time", handover_time),
    ):
        if math.isnan(seconds):
            raise typer.BadParameter("'nan' is not a time", param_hint=option)
    where = _listen(listen) if listen is not None else None
    # Everything below costs half a second to import; --help and typing errors need none of it.
    import asyncio
    import gc
    import os
    import time

    from lbctl.net.key_file import KeyFileError, read_keys
    from lbctl.speaker.capabilities import how_to_give, read_capabilities
    from lbctl.speaker.daemon import run
    from lbctl.speaker.restarts import Restarts, start_anew
    from lbctl.speaker.settings import OwnershipMode, Preset, Settings, StartError, default_node
    from lbctl.telemetry.loop import settled

    configure(log_format, level=log_level.value)
    restarts = Restarts.taken_from(os.environ)
    capabilities = read_capabilities()
    if capabilities.missing:
        return _cannot_start(how_to_give(capabilities.missing))
    name = node or default_node().lower()
    if not is_node_name(name):
        return _cannot_start(f"the host's name {name!r} is not fit for a node; give one with --node")
    try:
        settings = Settings(
            node=name,
            state=state,
            published=_snapshot(published, state),
            socket=socket,
            listen=where,
            interfaces=tuple(dict.fromkeys(interface or ())),
            peers=peers,
            cluster=cluster,
            keys=read_keys(key_file) if key_file is not None else (),
            preset=Preset[preset.name] if preset is not None else None,
            ownership=OwnershipMode[ownership_mode.name],
            start_wait=start_wait,
            port=port,
            proxy=proxy is Proxy.NFTABLES,
            recheck_time=recheck_time,
            handover_time=handover_time,
        )
        why = asyncio.run(settled(run(settings, capabilities, restarts=restarts, on_ready=_say_ready)))
        status: int = ExitStatus.OK if why is None else ExitStatus.FOUND
        # The interpreter would look for garbage among all modules once more, which can take half of our 2 s.
        gc.freeze()
    except (StartError, KeyFileError) as error:
        why, status = str(error), _cannot_start(str(error))
        # What was there for the program before us in this process may be there again soon.
        restart = restart and bool(restarts.at)
    if why is not None and restart and start_anew(restarts, why, now=time.monotonic()):
        return ExitStatus.OK
    return status


def _say_ready() -> None:
    # Whoever started us need not be there to read it.
    with contextlib.suppress(OSError):
        print("ready", flush=True)


def _cannot_start(why: str) -> int:
    print(f"lbctl run-speaker: {why}", file=sys.stderr)
    return ExitStatus.UNAVAILABLE


def _snapshot(published: Path | None, state: Path) -> Path:
    """The file itself, or the one in the folder that was named."""
    if published is None:
        return state / "published" / _SNAPSHOT
    folder = published.is_dir() or (not published.exists() and published.suffix != ".json")
    return published / _SNAPSHOT if folder else published


def _address(text: str, option: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an address", param_hint=option) from None


def _listen(text: str) -> tuple[str, int]:
    from lbctl.net.status_client import TcpAddress, parse_address

    try:
        address = parse_address(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--listen") from None
    if not isinstance(address, TcpAddress):
        raise typer.BadParameter(f"{text!r} is not HOST or HOST:PORT", param_hint="--listen")
    return (address.host, address.port)
