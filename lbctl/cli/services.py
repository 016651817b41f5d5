"""`lbctl services`: which services have which addresses, from which pool, and who announces them."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.options import (
    DEFAULT_CONTROLLER_SOCKET,
    DEFAULT_SPEAKER_SOCKET,
    DEFAULT_STATE,
    NONE_HERE,
    OutputWithName,
    OutputWithNameOption,
    PublishedPath,
    Socket,
    StateDir,
    Via,
    published_file,
)
from lbctl.cli.render import WIDTH, Style, age, as_json, as_yaml, table, terminal_width, wrap
from lbctl.net.status_client import AskError, AskFailure, UnixAddress, ask, parse_address
from lbctl.plan.reason import Reason

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_PENDING = "<pending>"
_OTHER_CLASS = "(other class)"


@app.command()
def services(
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NAME", help="Only this namespace.", show_default=False)
    ] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Only those that wait: for an address, or for a node to announce it.")
    ] = False,
    via: Via = None,
    socket: Socket = None,
    output: OutputWithNameOption = OutputWithName.TABLE,
    state: StateDir = DEFAULT_STATE,
    published: PublishedPath = None,
) -> int:
    """Services of type LoadBalancer: their addresses, pool and owner; for those that wait, why.

    A service of another loadBalancerClass is somebody else's: it is shown as
    (other class) and does not count as waiting.

    Asks the controller on this host, else the speaker; where neither runs, the
    published file, which does not know owners.

    \b
    Examples:
      lbctl services
      lbctl services --pending
      lbctl services -o wide --via 192.168.3.103
    """
    answer = _answer(via, socket, published_file(published, state))
    if answer is None:
        return ExitStatus.UNAVAILABLE
    rows: list[dict[str, Any]] = [
        row
        for row in answer["services"]
        if (namespace is None or row["namespace"] == namespace) and (not pending or _waits(row))
    ]
    match output:
        case OutputWithName.JSON:
            print(as_json({**answer, "services": rows}))
        case OutputWithName.YAML:
            print(as_yaml({**answer, "services": rows}))
        case OutputWithName.NAME:
            for row in rows:
                print(f"{row['namespace']}/{row['name']}")
        case _:
            if not rows:
                print(_none(answer["services"], namespace, pending=pending))
                return ExitStatus.OK
            print(text(rows, now=time.time(), wide=output is OutputWithName.WIDE, knows_owners="role" not in answer))
    return ExitStatus.OK


def _none(services: Sequence[Mapping[str, Any]], namespace: str | None, *, pending: bool) -> str:
    """What there is none of: a filter that leaves nothing over is another thing than having no services."""
    where = f" in namespace {namespace}" if namespace is not None else ""
    if pending and any(namespace in (None, row["namespace"]) for row in services):
        return f"No service of type LoadBalancer waits{where}."
    return f"No services of type LoadBalancer{where}."


def _waits(row: Mapping[str, Any]) -> bool:
    return bool(row["pending"]) and not _of_other_class(row)


def _of_other_class(row: Mapping[str, Any]) -> bool:
    """Whether it is none of ours: never given an address, and not waiting for one."""
    return not row["addresses"] and [each["reason"] for each in row["pending"]] == [Reason.OTHER_CLASS.value]


def _answer(via: str | None, socket: Path | None, published: Path) -> dict[str, Any] | None:
    if via is not None:
        try:
            daemons = [parse_address(via)]
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--via") from None
    else:
        daemons = [UnixAddress(each) for each in ([socket] if socket else _HERE)]
    failures: list[str] = []
    for daemon in daemons:
        try:
            _, answer = ask(daemon, "/v1/services", patience=10.0)
            return answer
        except AskError as error:
            if via or socket or error.failure is not AskFailure.NOT_RUNNING:
                failures.append(str(error))
    if via is None and socket is None and published.exists():
        from lbctl.cli.published_answers import NotPublished
        from lbctl.cli.published_answers import services as published_services

        try:
            return published_services(published)
        except NotPublished as error:
            failures.append(str(error))
    print(f"lbctl services: {'; '.join(failures) or NONE_HERE}", file=sys.stderr)
    return None


_HERE = (DEFAULT_CONTROLLER_SOCKET, DEFAULT_SPEAKER_SOCKET)


def text(rows: Sequence[Mapping[str, Any]], *, now: float, wide: bool, knows_owners: bool = True) -> str:
    """The table, and below it why each waiting service waits.

    A pipe gets a line a service; a terminal gets one more for a second address or port, so that none is cut off.
    """
    header = ["NAMESPACE", "NAME", "TYPE", "EXTERNAL-IP", "PORTS", "POOL", "OWNER", "AGE"]
    if wide:
        header += ["ADDRESS-AGE"]
    width = terminal_width()
    cells: list[list[str]] = []
    for row in rows:
        line = _cells(row, now, knows_owners=knows_owners)
        if wide:
            line += [_age(row.get("since_unix"), now)]
        cells += [line] if wide or width is None else _stacked(line)
    styles = [[_style(column, cell) for column, cell in enumerate(line)] for line in cells]
    fitted = table(
        header,
        cells,
        shrink=((2,), (0, 1, 5, 6), (4,), (3,)),
        styles=styles,
        width=None if wide else width or WIDTH,
        cut=width is not None and not wide,
    )
    lines = [fitted]
    unwell = [row for row in rows if _waits(row)]
    if unwell:
        room = 2 * WIDTH if wide and width is not None else width
        lines += ["", "Why:"]
        lines += [line for row in unwell for line in _why(row, room, knows_owners=knows_owners)]
    return "\n".join(lines)


def _stacked(line: list[str]) -> list[list[str]]:
    """One line for each address and port of a service."""
    return [list(parts) for parts in zip_longest(*(cell.split(",") for cell in line), fillvalue="")]


def _cells(row: Mapping[str, Any], now: float, *, knows_owners: bool) -> list[str]:
    owners = ",".join(row["owners"]) or ("-" if knows_owners or not row["addresses"] else "?")
    return [
        row["namespace"],
        row["name"],
        row["type"],
        ",".join(row["addresses"]) or (_OTHER_CLASS if _of_other_class(row) else _PENDING),
        ",".join(row["ports"]) or "-",
        ",".join(row.get("pools") or ()) or row["pool"] or "-",
        owners,
        _age(row.get("created_unix") or row.get("since_unix"), now),
    ]


def _style(column: int, cell: str) -> Style | None:
    return Style.DOUBT if cell == _PENDING or (column == 6 and cell in ("-", "?")) else None


def _age(since: float | None, now: float) -> str:
    return "-" if since is None else age(now - since)


def _why(row: Mapping[str, Any], width: int | None, *, knows_owners: bool) -> list[str]:
    """A pipe gets all of it in one line."""
    name = f"{row['namespace']}/{row['name']}"
    alike: dict[tuple[str, str], list[str]] = {}
    for each in row["pending"]:
        alike.setdefault((each["reason"], each.get("detail") or ""), []).append(each["subject"])
    reasons = []
    for (reason, detail), subjects in alike.items():
        whom = ", ".join(dict.fromkeys(subject for subject in subjects if subject != name))
        reasons.append((f"{whom}: " if whom else "") + reason + (f" ({detail})" if detail else ""))
    words = "; ".join(reasons)
    if row["addresses"] and not row["owners"] and knows_owners:
        words = f"announced by nobody: {words}"
    head = f"  {name}  "
    first, *rest = wrap(words, indent=0, width=None if width is None else max(30, width - len(head)))
    return [head + first, *(" " * len(head) + line for line in rest)]
