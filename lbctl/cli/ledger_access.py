"""How commands reach the ledger: through the controller's socket where one runs, else the file itself.

What is only read is taken from the socket, or from the file of a ledger that may be read. What is written goes through
the socket; only where no controller runs, and its lock is free, into the file.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lbctl.cli.options import DEFAULT_CONTROLLER_SOCKET
from lbctl.net.status_client import AskError, AskFailure, UnixAddress, ask, post

if TYPE_CHECKING:
    import sqlite3

_OTHER_STATE = 421
_NOBODY = (AskFailure.NOT_RUNNING,)


class CannotReach(Exception):
    """Neither way leads to the ledger; one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What the command line says of where the ledger is. `named`: whether the state folder was named there."""

    state: Path
    named: bool
    socket: Path | None

    @property
    def folder(self) -> Path:
        return self.state / "controller"

    @property
    def daemon(self) -> UnixAddress:
        return UnixAddress(self.socket or DEFAULT_CONTROLLER_SOCKET)


def where(context: typer.Context, state: Path, socket: Path | None) -> Where:
    """`--state` counts as named when it was given, on the command line or by LBCTL_STATE."""
    source = context.get_parameter_source("state")
    return Where(state=state, named=source is not None and source.name != "DEFAULT", socket=socket)


def whoami() -> str:
    """For the history: who asks. Under sudo, who called it."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return "".join(letter for letter in name if letter.isprintable())[:64]


def read(at: Where, path: str, from_ledger: Callable[[sqlite3.Connection], dict[str, Any]]) -> dict[str, Any]:
    """The document at `path` of the controller's socket, or the same made from the ledger. Raises CannotReach."""
    failure = ""
    if at.socket is not None or not at.named:
        try:
            status, answer = ask(at.daemon, path, patience=30.0)
        except AskError as error:
            failure = str(error)
            if at.socket is not None:
                raise CannotReach(failure) from None
            failure = "" if error.failure in _NOBODY else failure
        else:
            if status == 200:
                return answer
            raise CannotReach(str(answer.get("error", f"{at.daemon} answers with status {status}")))
    from lbctl.controller.errors import StateError
    from lbctl.controller.ledger_reader import reading

    try:
        with reading(at.folder) as connection:
            return from_ledger(connection)
    except StateError as error:
        raise CannotReach("; ".join(filter(None, (failure, str(error))))) from None


def order(at: Where, path: str, arguments: Mapping[str, str]) -> tuple[dict[str, Any], bool]:
    """Has it written; returns the answer, and whether a controller gave it. Raises CannotReach."""
    asked = dict(arguments, by=whoami())
    if at.named:
        asked["state"] = str(at.state.absolute())
    try:
        status, answer = post(at.daemon, path, asked, patience=30.0)
    except AskError as error:
        if at.socket is not None or error.failure not in _NOBODY:
            raise CannotReach(str(error)) from None
    else:
        if status in (200, 409):
            return answer, True
        if status != _OTHER_STATE or at.socket is not None:
            raise CannotReach(str(answer.get("error", f"{at.daemon} answers with status {status}")))
    return _directly(at, path, asked), False


def _directly(at: Where, path: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """Into the ledger itself, with the lock held for which a controller would have to wait."""
    from lbctl.controller.errors import StateError, StateTrouble
    from lbctl.controller.ledger import FILE_NAME, Ledger
    from lbctl.controller.lock import StateLock
    from lbctl.controller.order_routes import ORDERS, WrongOrder
    from lbctl.controller.records import Batch
    from lbctl.model.snapshot import World
    from lbctl.sources.published_document import PublishedError
    from lbctl.sources.published_file import read_published

    ledger = Ledger(at.folder, new_name=lambda: "")
    if not (at.folder / FILE_NAME).exists():
        raise CannotReach(
            f"no controller runs on this host, and there is no ledger in {at.folder}; run this where the controller "
            "runs, or name its folder with --state DIR"
        )
    try:
        decide = ORDERS[path](asked)
        with StateLock(at.folder):
            state = ledger.open()
            world = World()
            if path == "/v1/reserve":
                world = read_published(at.state / "published" / "snapshot.json").world
            now = time.time()
            outcome = decide(world, state, now)
            if outcome.changes:
                ledger.commit(Batch(at_unix=now, first_grant=state.next_grant, kept=outcome.changes))
    except WrongOrder as error:
        raise CannotReach(str(error)) from None
    except PublishedError as error:
        raise CannotReach(f"{error}; no controller runs that would know the pools") from None
    except StateError as error:
        if error.trouble is StateTrouble.IN_USE:
            raise CannotReach(
                f"a controller uses {at.state} and does not listen on {at.daemon.path}; name its socket with --socket"
            ) from None
        raise CannotReach(str(error)) from None
    finally:
        ledger.close()
    return dict(outcome.document)
