"""The ledger's history for people: a line for each event, what followed from it, and how it stands now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from lbctl.cli.render import WIDTH, Style, age, paint, table, terminal_width

_WORDS = {
    "released": "released",
    "allocated": "allocated",
    "amended": "changed",
    "reserved": "reserved",
    "unreserved": "unreserved",
    "quarantined": "quarantined",
    "quarantine_cleared": "cleared",
}
_STYLES = {
    "allocated": Style.GOOD,
    "reserved": Style.GOOD,
    "released": Style.DOUBT,
    "unreserved": Style.DOUBT,
    "quarantined": Style.BAD,
    "quarantine_cleared": Style.GOOD,
}
_EVENT = 1


def text(document: Mapping[str, Any], *, now: float, wide: bool) -> str:
    """A column that would say the same in each line is left out, and said above."""
    events: Sequence[Mapping[str, Any]] = document["events"]
    target = document["target"]
    if not events:
        return f"Nothing is known of {target}." if target else "Nothing has happened yet."
    columns = {
        f"TIME ({_zone(events)})": [_time(event["at_unix"]) for event in events],
        "EVENT": [_WORDS.get(event["event"], event["event"]) for event in events],
        "SERVICE": [event["service"] or "-" for event in events],
        "ADDRESSES": [",".join(event["addresses"]) for event in events],
        "POOL": [",".join(event["pools"]) or "-" for event in events],
        "WHY": [_why(event) for event in events],
        "THEN": [_then(event, now) for event in events],
    }
    for name in ("SERVICE", "ADDRESSES"):
        if {value for value in columns[name] if value != "-"} == {target} and not wide:
            del columns[name]
    header = list(columns)
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    styles = [
        [_STYLES.get(event["event"]) if column == _EVENT else None for column in range(len(header))] for event in events
    ]
    width = terminal_width()
    numbers = {name: column for column, name in enumerate(header)}
    shrink = [[numbers[name]] for name in ("WHY", "POOL", "SERVICE", "ADDRESSES") if name in numbers]
    lines = [
        table(
            header,
            rows,
            shrink=shrink,
            styles=styles,
            width=None if wide else width or WIDTH,
            cut=width is not None and not wide,
        )
    ]
    if document["older"]:
        lines.insert(0, paint(f"{document['older']} older events are not shown; --limit N shows more.", Style.FAINT))
    return "\n".join(lines)


def _time(unix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))


def _zone(events: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys(time.strftime("%Z", time.localtime(event["at_unix"])) for event in events)
    return "/".join(names) or "local"


def _why(event: Mapping[str, Any]) -> str:
    """The cause, with what explains it; of what a person did, who."""
    cause, detail, by = event["cause"], event["detail"], event["by"]
    match event["event"]:
        case "quarantined":
            return f"{detail}, seen by {by}"
        case "quarantine_cleared":
            return f"nobody answers any more, says {by}" if cause == "clean" else f"by {by}, {detail}"
        case "reserved" | "unreserved":
            return f"by {by}" if by else "-"
        case _:
            return f"{cause} ({detail})" if detail else cause or "-"


def _then(event: Mapping[str, Any], now: float) -> str:
    """How long what began here lasted, and what ended it."""
    if "until_unix" not in event:
        return ""
    until = event["until_unix"]
    if until is None:
        return f"for {age(now - event['at_unix'])}, still"
    return f"for {age(until - event['at_unix'])}"
