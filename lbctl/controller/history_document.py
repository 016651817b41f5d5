"""`lbctl.io/history/v1`: entries of the ledger's history for programs, and for the command that shows them."""

from __future__ import annotations

import time
from collections.abc import Iterable

from lbctl.controller.ledger_history import Entry, Target


def history_document(entries: Iterable[Entry], *, target: Target, older: int) -> dict[str, object]:
    """`older`: how many entries before these were left out."""
    return {
        "schema": "lbctl.io/history/v1",
        "target": None if target is None else str(target),
        "older": older,
        "events": [_entry_document(entry) for entry in entries],
    }


def _entry_document(entry: Entry) -> dict[str, object]:
    document: dict[str, object] = {
        "event": entry.happening.value,
        "at_unix": entry.at_unix,
        "at": moment(entry.at_unix),
        "service": None if entry.service is None else str(entry.service),
        "addresses": [str(address) for address in entry.addresses],
        "pools": list(entry.pools),
        "cause": entry.cause,
        "detail": entry.detail,
        "by": entry.by,
        "id": entry.id,
    }
    if entry.begins:
        until = entry.until_unix
        document |= {
            "until_unix": until,
            "until": None if until is None else moment(until),
            "ended_by": entry.ended_by or None,
        }
    return document


def moment(unix: float) -> str:
    """RFC 3339, local time with its offset, to the millisecond."""
    try:
        then = time.localtime(unix)
    except (OverflowError, ValueError, OSError):
        return ""
    offset = time.strftime("%z", then)
    millis = int(unix % 1 * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', then)}.{millis:03d}{offset[:3]}:{offset[3:5]}"
