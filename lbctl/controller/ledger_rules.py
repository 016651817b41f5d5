"""What each column of the ledger may hold, and what of it a controller cannot go on from.

`faults` says everything that is wrong with the rows, for `lbctl ledger check` and before text is taken over; it allows
whatever a controller of any version wrote. `RowError` is for whoever reads rows to use them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lbctl.controller.ledger_schema import Connection
from lbctl.controller.ledger_text import COLUMNS, LARGEST, LATEST
from lbctl.controller.targets import is_name, shown
from lbctl.model.address import IPAddress, family_of
from lbctl.plan.sharing import terms_from
from lbctl.sources.published_schema import address_of

Rule = Callable[[Any], bool]

LARGEST_USABLE = 1 << 62
"""Numbers count up from what is in the ledger, and neither SQLite nor the wire go beyond 64 bits. Far above what is
taken over as text, so that a controller never makes a ledger that it does not open again."""
_LONGEST_TEXT = 4096
_LONGEST_NODE = 253
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")


class RowError(ValueError):
    """A row that makes no sense; one line."""


def addresses_of(text: str) -> tuple[IPAddress, ...]:
    """Raises RowError."""
    try:
        return tuple(map(address_of, text.split()))
    except (ValueError, AttributeError):
        raise RowError(f"{shown(str(text))} is no list of addresses") from None


def addresses_fault(addresses: Iterable[IPAddress]) -> str | None:
    """Why no service can hold these addresses: it has one, or one of each family, and no zone.

    Addresses that no host has (multicast, 0.0.0.0) pass, because a pool may hold them: manifests with such a pool are
    warned of, and what was given out of it has to survive a copy.
    """
    addresses = tuple(addresses)
    if not addresses:
        return "it has no address"
    if len({family_of(address) for address in addresses}) < len(addresses):
        return "it has more than one address of a family"
    return next((f"{address} has a zone" for address in addresses if _is_scoped(address)), None)


def _is_scoped(address: IPAddress) -> bool:
    return getattr(address, "scope_id", None) is not None


def terms_fault(text: str) -> str | None:
    """Why the text is not what was agreed on when an address was shared."""
    try:
        good = terms_from(text).text == text
    except ValueError:
        good = False
    return None if good else f"{shown(text)} are no terms of sharing"


def is_time(value: float) -> bool:
    """Whether it is a moment that a calendar has, in seconds since 1970."""
    return math.isfinite(value) and 0 <= value <= LATEST


def _is_list(text: str, *, of_service: bool) -> bool:
    try:
        found = addresses_of(text)
    except RowError:
        return False
    written = " ".join(map(str, found)) == text
    return written and (addresses_fault(found) is None if of_service else not any(map(_is_scoped, found)))


def _is_address(text: str) -> bool:
    return " " not in text and _is_list(text, of_service=True)


def _is_node(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NODE and text.isprintable()


def _is_line(text: str) -> bool:
    return len(text) <= _LONGEST_TEXT and text.isprintable()


def _is_identity(value: int) -> bool:
    return 0 < value <= LARGEST


_OF_COLUMN: Mapping[str, Rule] = {
    "id": _is_identity,
    "grant_id": _is_identity,
    "reservation_id": _is_identity,
    "quarantine_id": _is_identity,
    "namespace": is_name,
    "name": is_name,
    "addresses": lambda text: _is_list(text, of_service=True),
    "address": _is_address,
    "pool": is_name,
    "second_pool": lambda text: not text or is_name(text),
    "terms": lambda text: terms_fault(text) is None,
    "mac": lambda text: bool(_MAC.match(text)),
    "node": _is_node,
    "interface": _is_line,
    "cause": _is_line,
    "detail": _is_line,
    "by_whom": _is_line,
    "at_unix": is_time,
}
_OF_NODES: Mapping[str, Rule] = {"name": _is_node, "addresses": lambda text: _is_list(text, of_service=False)}


def faults(connection: Connection) -> Iterator[str]:
    """Everything in the rows that cannot be, a line each."""
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    newest = LARGEST
    for name in ("generation", "batch"):
        value = meta.get(name)
        if type(value) is not int or not 0 <= value <= LARGEST:
            yield f"{shown(str(value))} is no {name}"
        elif name == "batch":
            newest = value
    if type(meta.get("ledger")) is not str or not _is_node(meta["ledger"]):
        yield f"{shown(str(meta.get('ledger')))} is no name of a ledger"

    def is_batch(value: int) -> bool:
        return 0 <= value <= newest

    for table, columns in COLUMNS.items():
        rules = {**_OF_COLUMN, "batch": is_batch, **(_OF_NODES if table == "nodes" else {})}
        checks = [(name, kind, rules[name]) for name, kind in columns]
        named = "rowid" if columns[0][1] is int else "name"
        names = ", ".join(name for name, _ in columns)
        for identity, *row in connection.execute(f"SELECT {named}, {names} FROM {table}"):
            for (name, kind, rule), value in zip(checks, row, strict=True):
                if type(value) is not kind or not rule(value):
                    told = shown(value) if isinstance(value, str) else shown(str(value))[1:-1]
                    where = identity if isinstance(identity, int) else shown(str(identity))
                    yield f"row {where} of {table} has {told} for {name}"
    yield from _second_pools_of_nothing(connection)


_SECOND_POOLS = """
    SELECT 'grants', id, second_pool, addresses, pool FROM grants
    UNION ALL SELECT 'reservations', id, second_pool, addresses, pool FROM reservations
    UNION ALL SELECT 'amendments', a.id, a.second_pool, g.addresses, a.pool
        FROM amendments AS a JOIN grants AS g ON g.id = a.grant_id
"""


def _second_pools_of_nothing(connection: Connection) -> Iterator[str]:
    """A second pool is written where there is a second address, and it came from another pool than the first."""
    rows = (
        f"SELECT * FROM ({_SECOND_POOLS}) WHERE second_pool != '' AND (addresses NOT LIKE '% %' OR pool = second_pool)"
    )
    for table, identity, second_pool, addresses, pool in connection.execute(rows):
        why = "which is its pool already" if second_pool == pool else f"and only one address, {shown(str(addresses))}"
        yield f"row {identity} of {table} has {shown(str(second_pool))} for second_pool, {why}"
