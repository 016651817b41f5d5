"""`lbctl quarantine`: addresses that are not announced, because some foreign machine answers for them."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.ledger_access import CannotReach, order, read, where
from lbctl.cli.options import DEFAULT_STATE, Output, OutputOption, Socket, StateDir
from lbctl.cli.render import WIDTH, Style, age, as_json, as_yaml, table, terminal_width
from lbctl.cli.reserve import say

if TYPE_CHECKING:
    import sqlite3

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def quarantine(
    context: typer.Context,
    clear: Annotated[
        str | None,
        typer.Option("--clear", metavar="ADDRESS", help="Announce it again.", show_default=False),
    ] = None,
    state: StateDir = DEFAULT_STATE,
    socket: Socket = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Addresses that nobody announces because a foreign machine answers for them, and which machine that is.

    A quarantine ends by itself once nobody answers any more. One that is
    cleared by hand while the other machine still answers begins again.

    \b
    Exit status: 0 none, or cleared; 1 there are some; 2 neither the controller
    nor its ledger could be reached.

    \b
    Examples:
      lbctl quarantine
      lbctl quarantine --clear 192.168.3.171
    """
    at = where(context, state, socket)
    if clear is not None:
        from ipaddress import ip_address

        try:
            ip_address(clear)
        except ValueError:
            raise typer.BadParameter(f"{clear!r} is no address", param_hint="--clear") from None
    try:
        if clear is None:
            return _list(read(at, "/v1/quarantines", _quarantines), output)
        answer, running = order(at, "/v1/clear", {"address": clear})
    except CannotReach as error:
        print(f"lbctl quarantine: {error}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
    return say("quarantine", answer, output, running=running)


def _quarantines(connection: sqlite3.Connection) -> dict[str, Any]:
    from lbctl.controller.ledger_rows import read as read_ledger
    from lbctl.controller.orders import quarantines

    return quarantines(read_ledger(connection))


def _list(document: Mapping[str, Any], output: Output) -> int:
    rows = document["quarantines"]
    if output in (Output.JSON, Output.YAML):
        print(as_json(document) if output is Output.JSON else as_yaml(document))
    elif not rows:
        print("No address is in quarantine.")
    else:
        now, width = time.time(), terminal_width()
        wide = output is Output.WIDE
        cells = [
            [
                row["address"],
                row["mac"],
                f"{row['node']}@{row['interface']}",
                ",".join(row["services"]) or "-",
                age(now - row["since_unix"]),
            ]
            for row in rows
        ]
        print(
            table(
                ["ADDRESS", "ANSWERED BY", "SEEN BY", "SERVICES", "AGE"],
                cells,
                shrink=((3,), (2,)),
                styles=[[None, Style.BAD, None, None, None] for _ in rows],
                width=None if wide else width or WIDTH,
                cut=width is not None and not wide,
            )
        )
    return ExitStatus.FOUND if rows else ExitStatus.OK
