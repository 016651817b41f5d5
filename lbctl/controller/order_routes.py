"""What the controller's socket answers about the ledger: its history, reservations, quarantines, and orders to change
them (docs/commands.md).

What changes something is a POST and comes over the unix socket only, which its owner alone may open. Text from there is
checked as if anybody could.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from lbctl.controller.errors import StateError
from lbctl.controller.history_document import history_document
from lbctl.controller.ledger_history import Target, history
from lbctl.controller.ledger_reader import reading
from lbctl.controller.orders import Decide, Outcome, Result, clear, quarantines, reservations, reserve, unreserve
from lbctl.controller.records import LedgerState
from lbctl.controller.targets import service_of, shown, target_of
from lbctl.model.address import Family, IPAddress
from lbctl.model.service import ServiceKey
from lbctl.net.status_server import ERROR_SCHEMA, Answer, Handler, Query
from lbctl.sources.published_schema import address_of

LONGEST = 256
"""Characters of a name, of an address, of who asks."""
LONGEST_PATH = 4096
MOST_ENTRIES = 10000
_STATUS = {Result.REFUSED: 409}


class WrongOrder(Exception):
    """Arguments that make no sense; one line."""


def order_routes(
    order: Callable[[Decide], Awaitable[Outcome]],
    state: Callable[[], LedgerState],
    folder: Path,
    state_folder: Path,
) -> dict[str, Handler]:
    """The handlers by method and path. `folder` is that of the ledger, `state_folder` what --state said."""

    async def carried_out(query: Query, path: str) -> Answer:
        try:
            expected = query.get("state")
            if expected is not None and _folder(expected) != state_folder.resolve():
                return _error(f"this controller uses the state folder {state_folder}, not {_cut(expected)}", 421)
            outcome = await order(ORDERS[path](query))
        except WrongOrder as error:
            return _error(str(error), 400)
        except StateError as error:
            return _error(str(error), 503)
        return Answer(outcome.document, _STATUS.get(outcome.result, 200))

    def taking(path: str) -> Handler:
        return lambda query: carried_out(query, path)

    async def past(query: Query) -> Answer:
        try:
            target, since, limit = _history_arguments(query)
            return Answer(await asyncio.to_thread(_history, folder, target, since, limit))
        except WrongOrder as error:
            return _error(str(error), 400)
        except StateError as error:
            return _error(str(error), 503)

    async def list_reservations(_query: Query) -> Answer:
        return Answer(reservations(state()))

    async def list_quarantines(_query: Query) -> Answer:
        return Answer(quarantines(state()))

    return {
        "/v1/history": past,
        "/v1/reservations": list_reservations,
        "/v1/quarantines": list_quarantines,
        **{f"POST {path}": taking(path) for path in ORDERS},
    }


def _error(message: str, status: int) -> Answer:
    return Answer({"schema": ERROR_SCHEMA, "error": message}, status)


def _folder(text: str) -> Path:
    """Where a path that somebody wrote leads. Raises WrongOrder for one that no file system has."""
    try:
        if len(text) <= LONGEST_PATH:
            return Path(text).resolve()
    except (ValueError, OSError, RuntimeError):
        pass
    raise WrongOrder(f"state: {_cut(text)} is no path of a folder")


def _cut(text: str) -> str:
    """A path for a message: as it is, where that is a line that can be read."""
    return text if len(text) <= LONGEST and text.isprintable() else shown(text)


def _history(folder: Path, target: Target, since_unix: float | None, limit: int) -> dict[str, object]:
    with reading(folder) as connection:
        entries, older = history(connection, target=target, since_unix=since_unix, limit=limit)
    return history_document(entries, target=target, older=older)


def _history_arguments(query: Query) -> tuple[Target, float | None, int]:
    text = query.get("target", "")
    try:
        target = target_of(text) if text else None
        since = float(query["since_unix"]) if "since_unix" in query else None
        limit = int(query.get("limit", "0"))
    except ValueError as error:
        raise WrongOrder(str(error)) from None
    if since is not None and since != since:
        raise WrongOrder("since_unix is no number")
    return target, since, min(limit, MOST_ENTRIES) if limit > 0 else MOST_ENTRIES


def _reserve(query: Query) -> Decide:
    service = _service(query)
    texts = [text.strip() for text in _text(query, "ip").split(",") if text.strip()]
    addresses = tuple(map(_address, texts))
    pool = _text(query, "pool") or None
    families = tuple(map(_family, filter(None, _text(query, "family").split(","))))
    by = _by(query)
    return lambda world, state, now: reserve(
        world, state, service, addresses=addresses, pool=pool, families=families, by=by, now_unix=now
    )


def _unreserve(query: Query) -> Decide:
    service, by = _service(query), _by(query)
    return lambda _world, state, _now: unreserve(state, service, by=by)


def _clear(query: Query) -> Decide:
    address, by = _address(_text(query, "address")), _by(query)
    return lambda _world, state, _now: clear(state, address, by=by)


def _text(query: Query, name: str) -> str:
    text = query.get(name, "")
    if len(text) > LONGEST or not text.isprintable():
        raise WrongOrder(f"{name} is too long, or no text")
    return text


def _by(query: Query) -> str:
    return _text(query, "by") or "somebody"


def _service(query: Query) -> ServiceKey:
    try:
        return service_of(_text(query, "service"))
    except ValueError as error:
        raise WrongOrder(str(error)) from None


def _address(text: str) -> IPAddress:
    try:
        return address_of(text)
    except ValueError:
        raise WrongOrder(f"{shown(text)} is no address") from None


def _family(text: str) -> Family:
    found = {"ipv4": Family.IPV4, "4": Family.IPV4, "ipv6": Family.IPV6, "6": Family.IPV6}.get(text.strip().lower())
    if found is None:
        raise WrongOrder(f"{shown(text)} is no address family; ipv4, ipv6 or ipv4,ipv6")
    return found


ORDERS: Mapping[str, Callable[[Query], Decide]] = {
    "/v1/reserve": _reserve,
    "/v1/unreserve": _unreserve,
    "/v1/clear": _clear,
}
"""By path, what makes an order of its arguments, which are text. Raises WrongOrder."""
