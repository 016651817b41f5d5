"""How commands give a speaker an order: over its unix socket, on this host or where `--via` says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.options import DEFAULT_SPEAKER_SOCKET, Output
from lbctl.cli.render import WIDTH, as_json, as_yaml, terminal_width, wrap
from lbctl.net.status_client import AskError, AskFailure, DaemonAddress, TcpAddress, UnixAddress, parse_address, post

PATIENCE = 15.0
"""Seconds for an answer, which waits up to 5 for what was ordered."""
_DONE = (200, 409)


class NotGiven(Exception):
    """No speaker took the order; one line that says why and what to do."""


def speaker(via: str | None, socket: Path | None) -> DaemonAddress:
    """The speaker that `--via` or `--socket` names, else the one of this host."""
    if via is None:
        return UnixAddress(socket or DEFAULT_SPEAKER_SOCKET)
    try:
        return parse_address(via)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--via") from None


def order(daemon: DaemonAddress, path: str, arguments: dict[str, str]) -> dict[str, Any]:
    """Gives an order and returns what became of it. Raises NotGiven."""
    if isinstance(daemon, TcpAddress):
        raise NotGiven(
            f"{daemon} is asked over the network, where nothing can be changed; run this on a node of the cluster, "
            "by ssh for example, or name a socket with --via unix:PATH"
        )
    try:
        status, answer = post(daemon, path, arguments, patience=PATIENCE)
    except AskError as error:
        hint = "; run this on a node where a speaker runs" if error.failure is AskFailure.NOT_RUNNING else ""
        raise NotGiven(f"{error}{hint}") from None
    if status not in _DONE or "result" not in answer:
        raise NotGiven(str(answer.get("error", f"{daemon} takes no orders; is it a speaker of this version?")))
    return answer


def say(command: str, answer: dict[str, Any], output: Output) -> int:
    """What became of an order; its exit status. In the end an order that is not carried out yet is a finding."""
    result = answer["result"]
    if output is Output.JSON:
        print(as_json(answer))
    elif output is Output.YAML:
        print(as_yaml(answer))
    elif result in ("refused", "unfinished"):
        print(f"lbctl {command}: {answer['message']}", file=sys.stderr)
        for each in answer["refusals"]:
            detail = f" ({each['detail']})" if each["detail"] else ""
            for line in wrap(f"{each['subject']}: {each['reason']}{detail}", indent=2, width=WIDTH - 2):
                print(f"  {line}", file=sys.stderr)
    else:
        for line in wrap(answer["message"], indent=0, width=terminal_width()):
            print(line)
    return ExitStatus.FOUND if result in ("refused", "unfinished") else ExitStatus.OK


def give(command: str, daemon: DaemonAddress, path: str, arguments: dict[str, str], output: Output) -> int:
    """One order and its answer, as a whole command."""
    try:
        return say(command, order(daemon, path, arguments), output)
    except NotGiven as error:
        print(f"lbctl {command}: {error}", file=sys.stderr)
        return ExitStatus.UNAVAILABLE
