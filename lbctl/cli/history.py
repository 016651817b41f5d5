"""`lbctl history`: who had an address, from when to when, and why."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.ledger_access import CannotReach, read, where
from lbctl.cli.options import DEFAULT_STATE, Output, OutputOption, Socket, StateDir
from lbctl.cli.render import as_json, as_yaml

if TYPE_CHECKING:
    import sqlite3

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MOST = 10000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(?:\d{1,9}[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+)([smhdw])", re.ASCII)


@app.command()
def history(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="[NAMESPACE/NAME | ADDRESS]", help="A service or an address.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Only from then on: 30m, 2h, 3d, or 2026-01-31T12:00.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=_MOST, help="The newest so many events.")
    ] = 200,
    state: StateDir = DEFAULT_STATE,
    socket: Socket = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Who had an address: every allocation, release, reservation and quarantine, with its time and cause.

    Reads the controller's ledger, while it runs or not; events are shown oldest
    first, times are local.

    \b
    Exit status: 0 told; 1 nothing is known of it; 2 no ledger could be read.

    \b
    Examples:
      lbctl history 192.168.3.170
      lbctl history default/nginx-svc
      lbctl history --since 2h
      lbctl history 192.168.3.170 -o json
    """
    from lbctl.controller.ledger_history import Target
    from lbctl.controller.targets import target_of

    wanted: Target = None
    if target is not None:
        try:
            wanted = target_of(target)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="NAMESPACE/NAME | ADDRESS") from None
    since_unix = None if since is None else _since(since, time.time())

    def from_ledger(connection: sqlite3.Connection) -> dict[str, Any]:
        from lbctl.controller.history_document import history_document
        from lbctl.controller.ledger_history import history as entries_of

        entries, older = entries_of(connection, target=wanted, since_unix=since_unix, limit=limit)
        return history_document(entries, target=wanted, older=older)

    path = f"/v1/history?limit={limit}"
    path += "" if wanted is None else f"&target={wanted}"
    path += "" if since_unix is None else f"&since_unix={since_unix!r}"
    try:
        document = read(where(context, state, socket), path, from_ledger)
    except CannotReach as error:
        print(f"lbctl history: {error}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
    show(document, output)
    return ExitStatus.OK if document["events"] else ExitStatus.FOUND


def show(document: Mapping[str, Any], output: Output) -> None:
    """The document in the form that is wanted."""
    from lbctl.cli.history_text import text

    match output:
        case Output.JSON:
            print(as_json(document))
        case Output.YAML:
            print(as_yaml(document))
        case _:
            print(text(_printable(document), now=time.time(), wide=output is Output.WIDE))


def _printable(value: Any) -> Any:
    """A row of a ledger that somebody tampered with is to look like nothing but itself: its line ends are spelled."""
    match value:
        case str() if not value.isprintable():
            return value.encode("unicode_escape").decode()
        case dict():
            return {key: _printable(each) for key, each in value.items()}
        case list():
            return [_printable(each) for each in value]
        case _:
            return value


def _since(text: str, now: float) -> float:
    """A time that long ago, or that moment; local time where it names no zone."""
    if _AGO.fullmatch(text):
        return now - sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"{text!r} is neither an age like 30m, 2h or 3d nor a time like 2026-01-31T12:00", param_hint="--since"
        ) from None
