"""`lbctl reserve`: addresses kept for a service by its name, before it exists and after it is gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.ledger_access import CannotReach, order, read, where
from lbctl.cli.options import DEFAULT_STATE, Output, OutputOption, Socket, StateDir
from lbctl.cli.render import WIDTH, Style, age, as_json, as_yaml, paint, table, terminal_width, wrap

if TYPE_CHECKING:
    import sqlite3

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def reserve(
    context: typer.Context,
    service: Annotated[
        str | None,
        typer.Argument(metavar="[NAMESPACE/NAME]", help="The service, which need not exist yet.", show_default=False),
    ] = None,
    ip: Annotated[
        str | None,
        typer.Option(
            "--ip", metavar="A[,B]", help="This address, or one of each family. Else a free one.", show_default=False
        ),
    ] = None,
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="NAME", help="From this pool.", show_default=False)
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            "--family", metavar="ipv4|ipv6|ipv4,ipv6", help="For a service that does not exist yet.", show_default=False
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="No longer keep addresses for it.")] = False,
    state: StateDir = DEFAULT_STATE,
    socket: Socket = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Keep addresses for a service by its name, before it exists and after it is gone; without a name, list them.

    Nobody else is given them. A service that holds addresses keeps those; a
    reservation that is made again with other options takes the place of the
    first.

    \b
    Exit status: 0 done, or as it was asked for already; 1 refused, and why;
    2 neither the controller nor its ledger could be reached.

    \b
    Examples:
      lbctl reserve default/shop
      lbctl reserve default/shop --ip 192.168.3.175
      lbctl reserve default/shop --pool first-pool --family ipv4,ipv6
      lbctl reserve --remove default/shop
      lbctl reserve
    """
    from lbctl.controller.targets import service_of

    at = where(context, state, socket)
    wanted = {"ip": ip, "pool": pool, "family": family}
    if service is None:
        if remove or any(wanted.values()):
            raise typer.BadParameter("name the service", param_hint="NAMESPACE/NAME")
    else:
        try:
            service_of(service)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="NAMESPACE/NAME") from None
        if remove and any(wanted.values()):
            raise typer.BadParameter("a reservation is removed as a whole", param_hint="--remove")
    try:
        if service is None:
            return _list(read(at, "/v1/reservations", _reservations), output)
        path = "/v1/unreserve" if remove else "/v1/reserve"
        asked = {"service": service, **{name: text for name, text in wanted.items() if text is not None}}
        answer, running = order(at, path, asked)
    except CannotReach as error:
        print(f"lbctl reserve: {error}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
    return say("reserve", answer, output, running=running)


def _reservations(connection: sqlite3.Connection) -> dict[str, Any]:
    from lbctl.controller.ledger_rows import read as read_ledger
    from lbctl.controller.orders import reservations

    return reservations(read_ledger(connection))


def _list(document: Mapping[str, Any], output: Output) -> int:
    if output in (Output.JSON, Output.YAML):
        print(as_json(document) if output is Output.JSON else as_yaml(document))
        return ExitStatus.OK
    rows = document["reservations"]
    if not rows:
        print("Nothing is reserved.")
        return ExitStatus.OK
    now, width = time.time(), terminal_width()
    cells = [
        [
            f"{row['namespace']}/{row['name']}",
            ",".join(row["addresses"]),
            " ".join(filter(None, (row["pool"], row["second_pool"]))),
            _use(row),
            row["by"] or "-",
            age(now - row["since_unix"]),
        ]
        for row in rows
    ]
    wide = output is Output.WIDE
    print(
        table(
            ["SERVICE", "ADDRESSES", "POOL", "IN USE", "BY", "AGE"],
            cells,
            shrink=((0, 2), (1, 3)),
            styles=[[None, None, None, Style.GOOD if row["held"] else None, None, None] for row in rows],
            width=None if wide else width or WIDTH,
            cut=width is not None and not wide,
        )
    )
    return ExitStatus.OK


def _use(row: Mapping[str, Any]) -> str:
    """Whether the service has what is kept for it; or who still has it."""
    name = f"{row['namespace']}/{row['name']}"
    others = sorted({user for users in row["holders"].values() for user in users} - {name})
    return "by it" if row["held"] else f"by {', '.join(others)}" if others else "waiting"


def say(command: str, answer: Mapping[str, Any], output: Output, *, running: bool) -> int:
    """What became of an order."""
    refused = answer["result"] == "refused"
    if output is Output.JSON:
        print(as_json(answer))
    elif output is Output.YAML:
        print(as_yaml(answer))
    elif refused:
        print(f"lbctl {command}: {answer['message']}", file=sys.stderr)
        for each in answer["refusals"]:
            detail = f" ({each['detail']})" if each["detail"] else ""
            for line in wrap(f"{each['subject']}: {each['reason']}{detail}", indent=2, width=WIDTH - 2):
                print(f"  {line}", file=sys.stderr)
    else:
        print(answer["message"])
        if not running and answer["result"] != "unchanged":
            print(paint("No controller runs; it takes effect when one starts.", Style.FAINT))
    return ExitStatus.FOUND if refused else ExitStatus.OK
