"""`where-is --watch`: one line each time an address moves, with the gap as the speaker that is asked saw it."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer

from lbctl.cli.exit_status import WhereIsStatus
from lbctl.cli.options import DEFAULT_SPEAKER_SOCKET, Output
from lbctl.cli.render import Style, paint
from lbctl.cli.where_report import Report, be_told, document
from lbctl.cli.whereabouts import Whereabouts, judge, said_from
from lbctl.net.status_client import AskError, AskFailure, DaemonAddress, UnixAddress, ask

SCHEMA = "lbctl.io/move/v1"
_LONG_POLL = 45.0
"""Seconds of patience with a poll that ends after 30 s by itself."""
_RETRY_TIME = 1.0
_HOLD_TIME = 1.0
"""A failover is one move and one line: that the old owner is gone is kept back while the new one may still come."""
_NOT_HEARD = "not_heard"
"""Cause of a move that happened while the speaker could not be asked; its gap is not known."""


def follow(look: Callable[[], Report], daemon: DaemonAddress | None, output: Output) -> NoReturn:
    """Prints what is now, then every move, until interrupted. Exits 3 where no speaker can be asked at first."""
    speaker = daemon or UnixAddress(DEFAULT_SPEAKER_SOCKET)
    gc.enable()  # unlike other short commands this one may run for days
    # Before the first look, so that no move falls between the two.
    cursor: int | None = _first_cursor(speaker)
    report = look()
    say = _say_json if output is Output.JSON else _say_text
    owners = {known.address: judgement.owner for known, judgement in report.vips}
    if output is Output.JSON:
        print(json.dumps(document(report), ensure_ascii=False), flush=True)
    else:
        for known, judgement in report.vips:
            _print(report.at_unix, known.address, judgement.owner or "nobody", f"now ({judgement.verdict.value})")
    held: dict[str, Mapping[str, Any]] = {}
    complained = False
    while True:
        try:
            if cursor is None:
                cursor = int(_moves(speaker, None)["cursor"])
                _catch_up(report.target, speaker, owners, say)
            answer = _moves(speaker, cursor, patience=_HOLD_TIME if held else _LONG_POLL)
            complained = False
        except AskError as error:
            for move in held.values():
                say(move)
            if not held or error.failure is not AskFailure.TIMED_OUT:
                if not complained:
                    print(f"lbctl where-is: {error}; trying again", file=sys.stderr, flush=True)
                complained, cursor = True, None
                time.sleep(_RETRY_TIME)
            held.clear()
            continue
        cursor = int(answer["cursor"])
        moves = list(answer["moves"])
        if any(move["address"] not in owners for move in moves):
            # A service asked for by name may have been given another address since.
            for address in _owners_now(report.target, speaker):
                owners.setdefault(address, None)
        for move in moves:
            address = move["address"]
            if address not in owners or owners[address] == move["to"]:
                continue
            owners[address] = move["to"]
            if move["to"] is None:
                held[address] = move
            else:
                held.pop(address, None)
                say(move)


def _first_cursor(speaker: DaemonAddress) -> int:
    try:
        return int(_moves(speaker, None)["cursor"])
    except AskError as error:
        hint = "" if error.failure is AskFailure.NOT_UNDERSTOOD else "; --watch needs a speaker, here or --via HOST"
        print(f"lbctl where-is: {error}{hint}", file=sys.stderr)
        raise typer.Exit(WhereIsStatus.NOT_ASKED) from None


def _moves(speaker: DaemonAddress, since: int | None, *, patience: float = _LONG_POLL) -> dict[str, Any]:
    path = "/v1/moves" if since is None else f"/v1/moves?since={since}"
    status, answer = ask(speaker, path, patience=patience)
    if status != 200 or "cursor" not in answer:
        raise AskError(AskFailure.NOT_UNDERSTOOD, f"{speaker} keeps no list of moves; ask a speaker with --via HOST")
    return answer


def _owners_now(target: str, speaker: DaemonAddress) -> dict[str, str | None]:
    told = be_told(target, speaker, published=Path("/dev/null/nothing"))
    vips = told.document.get("vips", ())
    return {str(vip["address"]): _best(vip["said"]) for vip in vips}


def _best(said: list[Mapping[str, Any]]) -> str | None:
    return judge(Whereabouts(address="", said=tuple(map(said_from, said)))).owner


def _catch_up(
    target: str, speaker: DaemonAddress, owners: dict[str, str | None], say: Callable[[Mapping[str, Any]], None]
) -> None:
    for address, owner in _owners_now(target, speaker).items():
        if owners.get(address) != owner:
            move = {"address": address, "from": owners.get(address), "to": owner, "cause": _NOT_HEARD}
            say({**move, "at_unix": time.time(), "gap": None})
        owners[address] = owner


def _say_json(move: Mapping[str, Any]) -> None:
    print(json.dumps({"schema": SCHEMA, **move}, ensure_ascii=False), flush=True)


def _say_text(move: Mapping[str, Any]) -> None:
    gap = "" if move["gap"] is None else f"  gap {move['gap'] * 1000:.0f} ms"
    way = f"{move['from'] or 'nobody'} -> {move['to'] or 'nobody'}"
    _print(move["at_unix"], move["address"], way, f"{move['cause']}{gap}")


def _print(at_unix: float, address: str, what: str, more: str) -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(at_unix)) + f".{int(at_unix % 1 * 1000):03d}"
    print(f"{paint(clock, Style.FAINT)}  {address}  {paint(what, Style.STRONG)}  {more}", flush=True)
