"""`lbctl status`: how the daemons of this host are, whom they hear, and what troubles them."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.options import (
    DEFAULT_CONTROLLER_SOCKET,
    DEFAULT_SPEAKER_SOCKET,
    NONE_HERE,
    Output,
    OutputOption,
    Socket,
    Via,
)
from lbctl.cli.render import WIDTH, Style, age, as_json, as_yaml, paint, table, terminal_width, wrap
from lbctl.net.status_client import AskError, AskFailure, DaemonAddress, UnixAddress, ask, parse_address

SCHEMA = "lbctl.io/daemons/v1"
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def status(via: Via = None, socket: Socket = None, output: OutputOption = Output.TABLE) -> int:
    """How the controller and the speaker on this host are: ready or not, their members, their troubles.

    \b
    Exit status: 0 ready without troubles; 1 not ready, or troubled; 2 no
    daemon could be asked.

    \b
    Examples:
      lbctl status
      lbctl status --via 192.168.3.103
      lbctl status -o json
    """
    answers, failures = _answers(via, socket)
    if failures or not answers:
        print(f"lbctl status: {'; '.join(failures) or NONE_HERE}", file=sys.stderr)
    if not answers:
        return ExitStatus.UNAVAILABLE
    match output:
        case Output.JSON:
            print(as_json({"schema": SCHEMA, "daemons": answers}))
        case Output.YAML:
            print(as_yaml({"schema": SCHEMA, "daemons": answers}))
        case _:
            wide = output is Output.WIDE
            print("\n\n".join(text(answer, now=time.time(), wide=wide) for answer in _troubled_once(answers)))
    well = all(answer["ready"] and not answer["troubles"] for answer in answers)
    return ExitStatus.OK if well else ExitStatus.FOUND


def _answers(via: str | None, socket: Path | None) -> tuple[list[dict[str, Any]], list[str]]:
    daemons: list[DaemonAddress]
    if via is not None:
        try:
            daemons = [parse_address(via)]
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--via") from None
    else:
        here = [socket] if socket else [DEFAULT_CONTROLLER_SOCKET, DEFAULT_SPEAKER_SOCKET]
        daemons = [UnixAddress(each) for each in here]
    answers: list[dict[str, Any]] = []
    failures: list[str] = []
    for daemon in daemons:
        try:
            _, answer = ask(daemon, "/v1/status")
            answers.append({**answer, "address": str(daemon)})
        except AskError as error:
            if via or socket or error.failure is not AskFailure.NOT_RUNNING:
                failures.append(str(error))
    return answers, failures


def _troubled_once(answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same trouble of the controller and of the speaker is one, told where it comes first."""
    told: set[str] = set()
    shown: list[dict[str, Any]] = []
    for answer in answers:
        news = [trouble for trouble in dict.fromkeys(answer["troubles"]) if trouble not in told]
        told.update(news)
        shown.append({**answer, "troubles": news})
    return shown


def text(answer: Mapping[str, Any], *, now: float, wide: bool) -> str:
    """One daemon: a line about itself, its troubles, its members."""
    ready = paint("ready", Style.GOOD) if answer["ready"] else paint("not ready", Style.BAD)
    name = " ".join(filter(None, (answer["role"], answer.get("node"))))
    generation = answer.get("generation")
    world = f"world {generation}, {age(answer.get('age') or 0)} old" if generation is not None else "no world yet"
    width = terminal_width()
    mode = (answer.get("capabilities") or {}).get("ownership_mode")
    safety = ["safety mode"] if mode == "safety" else []
    head = [name, "ready" if answer["ready"] else "not ready", f"up {age(now - answer['since_unix'])}", world, *safety]
    first, *rest = _filled([*head, f"lbctl {answer['version']}"], width)
    first = first.replace(f"{name}  {head[1]}", f"{paint(name, Style.STRONG)}  {ready}", 1)
    lines = [first, *rest]
    for trouble in answer["troubles"]:
        wrapped = wrap(f"trouble: {trouble}", indent=2, width=None if width is None else width - 2)
        lines += [paint(f"  {line}", Style.BAD) for line in wrapped]
    if answer["role"] == "controller" and (counted := _counted(answer.get("counters") or {})):
        lines.append(f"  {counted}")
    if members := answer.get("members"):
        drained = {each["node"] for each in (answer.get("orders") or {}).get("drains", ())}
        lines += ["", *("  " + line for line in _members(members, drained, now, wide=wide).splitlines())]
    if orders := _orders(answer.get("orders") or {}, now):
        lines += ["", *(paint(f"  {line}", Style.DOUBT) for line in orders)]
    for title in ("capabilities", "counters") if wide else ():
        values = answer.get(title) or {}
        if values:
            lines += ["", f"  {title}"]
            lines += [f"    {key:<32} {_plain(value)}" for key, value in sorted(values.items())]
    return "\n".join(lines)


def _filled(words: Sequence[str], width: int | None) -> list[str]:
    """Two blanks apart, in as many lines as the width needs."""
    lines = [words[0]]
    for word in words[1:]:
        if width is not None and len(lines[-1]) + 2 + len(word) > width:
            lines.append(f"  {word}")
        else:
            lines[-1] += f"  {word}"
    return lines


def _counted(counters: Mapping[str, Any]) -> str:
    """What a controller looks after, in a line; of what there is none, nothing but the services."""
    words = {
        "services": ("service", "services"),
        "allocations": ("allocation", "allocations"),
        "pending": ("waiting", "waiting"),
        "reserved": ("reservation", "reservations"),
        "quarantined": ("address in quarantine", "addresses in quarantine"),
    }
    return ", ".join(
        f"{int(counters[name])} {one if counters[name] == 1 else many}"
        for name, (one, many) in words.items()
        if counters.get(name) or (name == "services" and name in counters)
    )


def _orders(orders: Mapping[str, Any], now: float) -> list[str]:
    """The drains and pins that are in force, a line each."""

    def when(each: Mapping[str, Any]) -> str:
        return f"by {each['by']}, {age(now - each['since_unix'])} ago"

    lines = [f"{each['node']} is drained ({when(each)})" for each in orders.get("drains", ())]
    lines += [f"{each['address']} is pinned to {each['node']} ({when(each)})" for each in orders.get("pins", ())]
    return lines


def _state(member: Mapping[str, Any], drained: Collection[str], now: float) -> str:
    """The state that the heartbeats show, and what keeps the node from being given anything."""
    words = [str(member["state"])]
    words += ["drained"] if member["node"] in drained else []
    left = (member.get("held_until_unix") or 0.0) - now
    words += [f"held down {age(left)}"] if left > 0 else []
    return ", ".join(words)


def _members(members: list[Mapping[str, Any]], drained: Collection[str], now: float, *, wide: bool) -> str:
    header = ["MEMBER", "STATE", "HEARS-US", "ROLE", "SINCE", "ADDRESSES"]
    rows: list[list[str]] = []
    for member in members:
        row = [
            member["node"],
            _state(member, drained, now),
            "yes" if member.get("two_way") else "no",
            member.get("role", "speaker"),
            age(now - member["since_unix"]) if member.get("since_unix") else "-",
            ",".join(member.get("addresses", ())) or "-",
        ]
        if wide:
            row.append(",".join(f"{mac}@{interface}" for mac, interface in member.get("macs", ())) or "-")
        rows.append(row)
    styles = [[_style(column, cell) for column, cell in enumerate(row)] for row in rows]
    width = terminal_width()
    return table(
        [*header, "MACS"] if wide else header,
        rows,
        shrink=((5,), (0,)),
        styles=styles,
        width=None if wide else (width or WIDTH) - 2,
        cut=width is not None and not wide,
    )


def _style(column: int, cell: str) -> Style | None:
    if column == 1:
        styles = {"alive": Style.GOOD, "draining": Style.DOUBT, "suspect": Style.DOUBT, "gone": Style.BAD}
        return styles.get(cell, Style.DOUBT if ", " in cell else None)
    return Style.DOUBT if column == 2 and cell == "no" else None


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(f"{k}={_plain(v)}" for k, v in value.items()) if isinstance(value, dict) else str(value)
