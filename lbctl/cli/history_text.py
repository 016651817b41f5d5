"""The ledger's history for people: what happened when, why, and how long it lasted.

On a terminal a heading a day and a sentence an event, wrapped to its width. In a pipe a line an event, in columns.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lbctl.cli.render import ELLIPSIS, Style, age, paint, table, terminal_width, wrap

_Event = Mapping[str, Any]
_WORDS = {
    "released": ("released", Style.DOUBT),
    "allocated": ("allocated", Style.GOOD),
    "amended": ("changed", None),
    "reserved": ("reserved", Style.GOOD),
    "unreserved": ("unreserved", Style.DOUBT),
    "quarantined": ("quarantined", Style.BAD),
    "quarantine_cleared": ("cleared", Style.GOOD),
    "owner": ("owner", None),
    "no_owner": ("no owner", Style.BAD),
}
_WIDEST_WORD = max(len(word) for word, _ in _WORDS.values())
_LEAST_ROOM = 24
_SENTENCE_ROOM = 32
"""Columns that the names of services leave to what is told of them."""


def text(document: Mapping[str, Any], *, now: float, wide: bool) -> str:
    """The whole answer; `wide` is the form of a pipe also on a terminal."""
    events = _events(document)
    target = document["target"]
    if not events:
        return f"Nothing is known of {target}." if target else "Nothing has happened yet."
    width = terminal_width()
    lines = list(_days(events, target, now, width)) if width and not wide else [_table(events, target, now, wide=wide)]
    if older := document["older"] + document.get("older_owners", 0):
        lines.insert(0, paint(f"{older} older events are not shown; --limit N shows more.", Style.FAINT))
    return "\n".join(lines)


def _events(document: Mapping[str, Any]) -> list[_Event]:
    """Those of the ledger and those of the speakers in one list."""
    events: list[_Event] = list(document["events"])
    changes: Sequence[_Event] = document.get("owners", ())
    if not changes:
        return events
    from lbctl.cli.owner_history import told_twice

    twice = {id(row) for row in told_twice(changes)}
    events += [
        {
            **row,
            "event": "owner" if row["to"] else "no_owner",
            "service": None,
            "addresses": [row["address"]],
            "pools": [],
        }
        for row in changes
        if id(row) not in twice
    ]
    events.sort(key=lambda event: event["at_unix"])
    return events


# On a terminal --------------------------------------------------------------------------------------------------------


def _days(events: Sequence[_Event], target: str | None, now: float, width: int) -> Iterator[str]:
    services = max((len(event["service"] or "") for event in events if event["service"] != target), default=0)
    before = 2 + len("00:00:00") + 2 + _WIDEST_WORD + 2
    services = min(services, max(12, width - before - 2 - _SENTENCE_ROOM))
    indent = before + (services + 2 if services else 0)
    day = ""
    for event in events:
        then = time.localtime(event["at_unix"])
        today = time.strftime("%Y-%m-%d %A, %Z", then)
        if today != day:
            yield paint(today, Style.FAINT)
            day = today
        word, style = _word(event)
        name = _cut(event["service"] or "", services).ljust(services) + "  " if services else ""
        head = f"  {time.strftime('%H:%M:%S', then)}  {paint(word, style) if style else word}"
        head += " " * (_WIDEST_WORD - len(word)) + "  " + name
        said = wrap(_sentence(event, target, now), indent=0, width=max(_LEAST_ROOM, width - indent))
        yield (head + said[0]).rstrip()
        yield from (" " * indent + line for line in said[1:])


def _sentence(event: _Event, target: str | None, now: float) -> str:
    """Which addresses, from where, why; how long."""
    if event["event"] in ("owner", "no_owner"):
        of = "" if event["address"] == target else f"{event['address']}: "
        return f"{of}{_owner(event)}" + (f"; {lasted}" if (lasted := _lasted(event, now)) else "")
    others = [address for address in event["addresses"] if address != target]
    addresses = " and ".join(others)
    if addresses and len(others) < len(event["addresses"]):
        addresses = f"with {addresses}"
    pools = " and ".join(event["pools"])
    where = "now from" if event["event"] == "amended" else "from"
    words = " ".join(filter(None, (addresses, f"{where} {pools}" if pools else "")))
    said = f"{words}: {_why(event)}" if words else _why(event)
    lasted = _lasted(event, now)
    return f"{said}; {lasted}" if lasted else said


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + ELLIPSIS


# In a pipe ------------------------------------------------------------------------------------------------------------


def _table(events: Sequence[_Event], target: str | None, now: float, *, wide: bool) -> str:
    """A column that would say the same in each line is left out, but for `wide`."""
    zones = dict.fromkeys(time.strftime("%Z", time.localtime(event["at_unix"])) for event in events)
    columns = {
        f"TIME ({'/'.join(zones) or 'local'})": [_moment(event["at_unix"]) for event in events],
        "EVENT": [_word(event)[0] for event in events],
        "SERVICE": [event["service"] or "-" for event in events],
        "ADDRESSES": [",".join(event["addresses"]) for event in events],
        "POOL": [",".join(event["pools"]) or "-" for event in events],
        "WHY": [_why(event) for event in events],
        "LASTED": [_lasted(event, now) for event in events],
    }
    for name in ("SERVICE", "ADDRESSES", "POOL"):
        if {value for value in columns[name] if value != "-"} <= {target} and not wide:
            del columns[name]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    styles = [[_word(event)[1] if column == 1 else None for column in range(len(columns))] for event in events]
    return table(list(columns), rows, styles=styles, width=None)


def _moment(unix: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))


# In both --------------------------------------------------------------------------------------------------------------


def _word(event: _Event) -> tuple[str, Style | None]:
    return _WORDS.get(event["event"], (event["event"], None))


def _why(event: _Event) -> str:
    """The cause, with what explains it; of what a person did, who."""
    cause, detail, by = event["cause"], event.get("detail"), event.get("by")
    match event["event"]:
        case "quarantined":
            return f"{detail}, seen by {by}"
        case "quarantine_cleared":
            return f"nobody answers any more, says {by}" if cause == "clean" else f"by {by}, {detail}"
        case "reserved" | "unreserved":
            return f"by {by}" if by else "-"
        case "owner" | "no_owner":
            return _owner(event)
        case _:
            return f"{cause} ({detail})" if detail else cause or "-"


def _owner(event: _Event) -> str:
    """Which node announced it from then on, after whom, why, and for how long nobody did."""
    owner, before, gap = event["to"], event["from"], event.get("gap")
    if owner is None:
        words = f"{before} no longer has it: {event['cause']}"
    else:
        after = "" if before is None else " again" if before == owner else f" after {before}"
        words = f"{owner}{after}: {event['cause']}"
        words += f", gap {_span(gap)}" if gap is not None else ""
    return f"{words} (seen by {', '.join(event['seen_by'])})"


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 60 else age(seconds)


def _lasted(event: _Event, now: float) -> str:
    """How long what began here lasted, or that it still does."""
    if "until_unix" not in event:
        return ""
    until = event["until_unix"]
    return f"for {age(now - event['at_unix'])}, still" if until is None else f"for {age(until - event['at_unix'])}"
