"""`lbctl pools`: how full each pool is, and what is kept back in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.options import (
    DEFAULT_CONTROLLER_SOCKET,
    DEFAULT_STATE,
    OutputWithName,
    OutputWithNameOption,
    PublishedPath,
    Socket,
    StateDir,
    Via,
    published_file,
)
from lbctl.cli.render import WIDTH, Style, as_json, as_yaml, paint, table, terminal_width, wrap
from lbctl.net.status_client import AskError, AskFailure, UnixAddress, ask, parse_address

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MANY = 10**10
_NOT_KNOWN = "?"


@app.command()
def pools(
    pool: Annotated[str | None, typer.Argument(help="Only this pool.", metavar="[POOL]", show_default=False)] = None,
    via: Via = None,
    socket: Socket = None,
    output: OutputWithNameOption = OutputWithName.TABLE,
    state: StateDir = DEFAULT_STATE,
    published: PublishedPath = None,
) -> int:
    """Pools and their addresses by family: how many there are, used and free; cooling, reserved, in quarantine.

    USED counts addresses, a shared one once. FREE are those that may be given
    now; COOLING ones of them were freed a moment ago and are the last choice.
    Addresses that are excluded but in use are told below the table.
    Asks the controller on this host; where none runs, the published file, which
    does not know what cools or is reserved.

    \b
    Exit status: 0 shown; 1 there is no such pool, or an edit of one is held
    back; 2 nobody could be asked.

    \b
    Examples:
      lbctl pools
      lbctl pools production
      lbctl pools -o json --via 192.168.3.103
    """
    answer = _answer(via, socket, published_file(published, state))
    if answer is None:
        return ExitStatus.UNAVAILABLE
    rows: list[dict[str, Any]] = [row for row in answer["pools"] if pool in (None, row["name"])]
    if pool is not None and not rows:
        print(f"lbctl pools: there is no pool {pool}", file=sys.stderr)
        return ExitStatus.FOUND
    kept = [item for item in answer["kept"] if pool in (None, item["pool"])]
    left_out = [item for item in answer["left_out"] if pool in (None, item["pool"])]
    chosen = {**answer, "pools": rows, "kept": kept, "left_out": left_out}
    match output:
        case OutputWithName.JSON:
            print(as_json(chosen))
        case OutputWithName.YAML:
            print(as_yaml(chosen))
        case OutputWithName.NAME:
            for row in rows:
                print(row["name"])
        case _:
            print(text(chosen, wide=output is OutputWithName.WIDE))
    held_back = left_out or any(row["held_back"] for row in rows)
    return ExitStatus.FOUND if held_back else ExitStatus.OK


def _answer(via: str | None, socket: Path | None, published: Path) -> dict[str, Any] | None:
    if via is not None:
        try:
            daemon = parse_address(via)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--via") from None
    else:
        daemon = UnixAddress(socket or DEFAULT_CONTROLLER_SOCKET)
    failure = ""
    try:
        status, answer = ask(daemon, "/v1/pools", patience=10.0)
        if status == 200:
            return answer
        failure = f"{daemon} is no controller, and only a controller counts; ask it with --via"
    except AskError as error:
        if via or socket or error.failure is not AskFailure.NOT_RUNNING:
            failure = str(error)
    if via is None and socket is None and published.exists():
        from lbctl.cli.published_answers import NotPublished
        from lbctl.cli.published_answers import pools as published_pools

        try:
            return published_pools(published)
        except NotPublished as error:
            failure = failure or str(error)
    nobody = f"no controller runs on this host, and nothing is published at {published}; ask one with --via HOST"
    print(f"lbctl pools: {failure or nobody}", file=sys.stderr)
    return None


def text(answer: Mapping[str, Any], *, wide: bool) -> str:
    """The table, a line a pool and family, and below it what is not as the configuration would have it."""
    rows: Sequence[Mapping[str, Any]] = answer["pools"]
    if not rows and not answer["left_out"]:
        return "No pools."
    header = ["POOL", "FAMILY", "TOTAL", "USED", "FREE", "COOLING", "RESERVED", "QUARANTINED"]
    if wide:
        header += ["SERVICES", "AUTO", "CHOICE", "PROTECTED", "ADDRESSES"]
    cells: list[list[str]] = []
    styles: list[list[Style | None]] = []
    for row in rows:
        for item in row["families"]:
            line = [row["name"], item["family"]]
            names = ("available", "cooling", "reserved", "quarantined")
            line += [_number(item["size"]), _number(item["assigned"] - item.get("outside", 0))]
            line += [_number(item[name]) for name in names]
            if wide:
                line += [
                    str(item["services"]),
                    "yes" if row["auto_assign"] else "no",
                    row["choice"],
                    "yes" if row["protected"] else "no",
                    ",".join(row["addresses"]),
                ]
            cells.append(line)
            styles.append([_style(header[column], item) for column in range(len(line))])
    width = terminal_width()
    fitted = table(
        header,
        cells,
        shrink=((0,),),
        styles=styles,
        width=None if wide else width or WIDTH,
        cut=width is not None and not wide,
    )
    lines = [fitted, *_notes(answer, 2 * WIDTH if wide and width is not None else width)]
    return "\n".join(lines)


def _style(column: str, item: Mapping[str, Any]) -> Style | None:
    if column == "FREE" and not item["available"]:
        return Style.BAD
    return Style.DOUBT if column == "QUARANTINED" and item["quarantined"] else None


def _number(value: int | None) -> str:
    if value is None:
        return _NOT_KNOWN
    return str(value) if value < _MANY else f"{value:.1e}".replace("e+", "e")


def _notes(answer: Mapping[str, Any], width: int | None) -> list[str]:
    notes = [f"{row['name']}: an edit is held back: {row['held_back']}" for row in answer["pools"] if row["held_back"]]
    notes += [f"{item['pool']}: an edit is held back: {item['detail']}" for item in answer["left_out"]]
    lines = [paint(part, Style.BAD) for note in notes for part in wrap(note, indent=2, width=width)]
    for row in answer["pools"]:
        for item in row["families"]:
            if outside := item.get("outside"):
                addresses = f"{outside} {item['family']} address{'es' if outside > 1 else ''}"
                words = f"{row['name']}: {addresses} excluded in use, counted neither in TOTAL nor in USED"
                lines += wrap(words, indent=2, width=width)
    for item in answer["kept"]:
        why = "excluded" if item["reason"] == "excluded" else f"reserved {item['detail']}"
        lines += wrap(f"{item['address']} is {why}, and {item['service']} keeps it", indent=2, width=width)
    return ["", *lines] if lines else []
