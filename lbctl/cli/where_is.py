"""`lbctl where-is`: which node answers for a VIP, from three sides at once.

The question goes to the wire first and to the daemon while the answers come in, so that the whole costs little more
than the window. What looks like a conflict is looked at a second time, because an address that moves at this very
moment is none.
"""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbctl.cli.exit_status import WhereIsStatus
from lbctl.cli.options import (
    DEFAULT_STATE,
    Output,
    OutputOption,
    PublishedPath,
    StateDir,
    Via,
    published_file,
)
from lbctl.model.address import IPAddress
from lbctl.net.probe import DEFAULT_WINDOW, Probes
from lbctl.net.rtnetlink import Neighbor, neighbors
from lbctl.net.status_client import DaemonAddress, parse_address

if TYPE_CHECKING:
    from lbctl.cli.where_report import Report

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def where_is(
    target: Annotated[str, typer.Argument(metavar="VIP|NAMESPACE/NAME", help="An address, or a service.")],
    via: Via = None,
    interface: Annotated[
        str | None,
        typer.Option(
            "--interface", "-i", metavar="NAME", help="Look on this interface, not on the one the routes name."
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0.001, max=60.0, metavar="SECONDS", help="How long to wait for answers.")
    ] = DEFAULT_WINDOW,
    why: Annotated[bool, typer.Option("--why", help="Each node, and every reason why it does not have it.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on: one line each time it moves.")] = False,
    output: OutputOption = Output.TABLE,
    state: StateDir = DEFAULT_STATE,
    published: PublishedPath = None,
) -> int:
    """Which node answers for a VIP: what is planned, what is said, what is seen, and whether they agree.

    planned: what the plan's functions decide. said: which node claims it in
    its heartbeats, by the speaker on this host (else the controller, else the
    published file, which knows the plan only). seen: every station that
    answers an ARP or NDP question asked from this host now.

    \b
    Exit status: 0 owned, said and seen agree; 1 owned by nobody; 2 conflict;
    3 could not be asked; 64 wrong command line.

    \b
    Examples:
      lbctl where-is 192.168.3.170
      lbctl where-is default/nginx-svc --why
      lbctl where-is 192.168.3.170 --via 192.168.3.103 --wait 0.5
      lbctl where-is 192.168.3.170 --watch
    """
    if math.isnan(wait):
        raise typer.BadParameter("'nan' is not a time", param_hint="--wait")
    address = _checked(target)
    daemon = _daemon(via)
    path = published_file(published, state)
    if interface is not None and interface not in (name for _, name in socket.if_nameindex()):
        raise typer.BadParameter(f"there is no interface {interface!r} here", param_hint="--interface")

    def looked() -> Report:
        report = look(target, address, daemon, path, interface, wait)
        if report.verdict.status is WhereIsStatus.CONFLICT:
            report = look(target, address, daemon, path, interface, wait)
        return report

    if watch:
        if output is Output.YAML:
            raise typer.BadParameter("--watch prints lines: table or json", param_hint="--output")
        from lbctl.cli.where_watch import follow

        follow(looked, daemon, output)
    report = looked()
    print(_shown(report, output, why=why))
    return report.verdict.status


def _shown(report: Report, output: Output, *, why: bool) -> str:
    from lbctl.cli.render import as_json, as_yaml
    from lbctl.cli.where_report import document
    from lbctl.cli.where_text import text

    match output:
        case Output.JSON:
            return as_json(document(report))
        case Output.YAML:
            return as_yaml(document(report))
        case _:
            return text(report, wide=output is Output.WIDE, why=why)


_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def _checked(target: str) -> IPAddress | None:
    """The address, or None for a service's name. Raises BadParameter."""
    try:
        return ipaddress.ip_address(target)
    except ValueError:
        pass
    if not _NAME.fullmatch(target) or not target.strip("0123456789./"):
        raise typer.BadParameter(f"{target!r} is neither an address nor namespace/name", param_hint="target")
    return None


def _daemon(via: str | None) -> DaemonAddress | None:
    try:
        return parse_address(via) if via is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--via") from None


def look(
    target: str,
    address: IPAddress | None,
    daemon: DaemonAddress | None,
    published: Path,
    interface: str | None,
    window: float,
) -> Report:
    """Asks wire and daemon once, and judges."""
    cache = _neighbors()
    with Probes([] if address is None else [address], interface=interface) as probes:
        probes.ask()
        # Behind the question: what is imported here costs none of the answers' time.
        from lbctl.cli import where_report, where_text  # noqa: F401

        told = where_report.be_told(target, daemon, published)
        if address is not None:
            return where_report.make_report(target, told, probes.collect(window), window, cache)
    addresses = [ipaddress.ip_address(vip["address"]) for vip in told.document.get("vips", ())]
    with Probes(addresses, interface=interface) as probes:
        probes.ask()
        evidence = probes.collect(window) if addresses else ()
        return where_report.make_report(target, told, evidence, window, cache)


def _neighbors() -> tuple[Neighbor, ...]:
    """Before anything is asked, because the answers correct what the kernel remembers."""
    try:
        return neighbors()
    except OSError:
        return ()
