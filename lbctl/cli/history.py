"""`lbctl history`: which service had an address and which node announced it, from when to when, and why."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.ledger_access import CannotReach, read, where
from lbctl.cli.options import DEFAULT_STATE, Output, OutputOption, Socket, StateDir
from lbctl.cli.render import as_json, as_yaml
from lbctl.net.status_client import DaemonAddress, parse_address

if TYPE_CHECKING:
    import sqlite3

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MOST = 10000
_EVER = float("inf")
_AFTER = 60.0
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
    via: Annotated[
        list[str] | None,
        typer.Option(
            "--via",
            metavar="HOST[:PORT]|unix:PATH",
            help="Ask this speaker who announced it; may be given more than once.",
            show_default=False,
        ),
    ] = None,
    state: StateDir = DEFAULT_STATE,
    socket: Socket = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Who had an address: allocations, releases, reservations, quarantines, and every change of the node that had it.

    Reads the controller's ledger, while it runs or not. Of an address or a
    service it asks the speakers too: the one on this host and those that it
    hears, where they listen (--listen); or those named by --via. Not where
    --state or --socket names another ledger. Events are shown oldest first,
    times are local; what could not be asked is said.

    \b
    Exit status: 0 told; 1 nothing is known of it; 2 neither a ledger nor a
    speaker could be asked.

    \b
    Examples:
      lbctl history 192.168.3.170
      lbctl history default/nginx-svc
      lbctl history --since 2h
      lbctl history 192.168.3.170 -o json
      lbctl history 192.168.3.170 --via 192.168.3.101 --via 192.168.3.102
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
    try:
        speakers = [parse_address(each) for each in via or ()]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--via") from None
    if speakers and wanted is None:
        raise typer.BadParameter("speakers are asked of one address or service; name it", param_hint="--via")

    def from_ledger(connection: sqlite3.Connection) -> dict[str, Any]:
        from lbctl.controller.history_document import history_document
        from lbctl.controller.ledger_history import history as entries_of

        entries, older = entries_of(connection, target=wanted, since_unix=since_unix, limit=limit)
        return history_document(entries, target=wanted, older=older)

    path = f"/v1/history?limit={limit}"
    path += "" if wanted is None else f"&target={wanted}"
    path += "" if since_unix is None else f"&since_unix={since_unix!r}"
    at = where(context, state, socket)
    lacking: list[str] = []
    try:
        document = read(at, path, from_ledger)
    except CannotReach as error:
        lacking.append(str(error))
        document = {"schema": "lbctl.io/history/v1", "target": str(wanted), "older": 0, "events": []}
    asked = wanted is not None and (speakers or not (at.named or at.socket is not None))
    if asked:
        lacking = [f"allocations are not shown: {each}" for each in lacking]
        found, reached = _of_owners(document, speakers, since_unix, limit)
        document |= found
    if lacking and not (asked and reached):
        print(f"lbctl history: {'; '.join([*lacking, *document.get('missing', ())])}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
    if asked:
        document["missing"] = lacking = [*lacking, *document["missing"]]
    show(document, output)
    for each in lacking:
        print(f"lbctl history: {each}", file=sys.stderr)
    return ExitStatus.OK if document["events"] or document.get("owners") else ExitStatus.FOUND


def _of_owners(
    document: Mapping[str, Any], speakers: Sequence[DaemonAddress], since_unix: float | None, limit: int
) -> tuple[dict[str, Any], bool]:
    """What the speakers say, as parts of the document; and whether any could be asked."""
    from lbctl.cli.owner_history import hear, merged, missing
    from lbctl.controller.history_document import moment

    had = _periods(document["events"]) if "/" in document["target"] else {}
    heard = hear(speakers, document["target"], sorted(had), since_unix=since_unix, limit=limit)
    changes = [row for row in merged(heard) if row["address"] not in had or _within(row, had[row["address"]])]
    for row in changes:
        row["at"] = moment(row["at_unix"])
    events = document["events"]
    newest = sorted([each["at_unix"] for each in (*events, *changes)])[-limit:]
    shown = [[each for each in rows if each["at_unix"] >= newest[0]] for rows in (events, changes)]
    found = {
        "events": shown[0],
        "older": document["older"] + len(events) - len(shown[0]),
        "owners": shown[1],
        "older_owners": len(changes) - len(shown[1]) + max((each.document or {}).get("older", 0) for each in heard),
        "speakers": [
            {"node": each.node, "address": each.address, "oldest_unix": each.oldest_unix}
            for each in heard
            if each.document is not None
        ],
        "missing": missing(heard),
    }
    return found, bool(found["speakers"])


def _periods(events: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """When a service had which addresses. Owners end a moment after the allocation does."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        if event["event"] in ("allocated", "amended"):
            until = event.get("until_unix")
            for address in event["addresses"]:
                found.setdefault(address, []).append((event["at_unix"], _EVER if until is None else until + _AFTER))
    return found


def _within(row: Mapping[str, Any], periods: Sequence[tuple[float, float]]) -> bool:
    return any(begin <= row["at_unix"] <= end for begin, end in periods)


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
