"""The last line of `lbctl diff`: how many of each change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lbctl.cli.page import count
from lbctl.plan.diff import Diff
from lbctl.plan.diff_objects import ObjectEvent
from lbctl.plan.diff_owners import VIPEvent
from lbctl.plan.diff_routes import RouteEvent
from lbctl.plan.diff_services import ServiceEvent
from lbctl.plan.diff_sessions import SessionEvent


def summary(told: Diff, *, errors: int = 0) -> str:
    """One line: how many of each. With errors in NEW it is never said that nothing would change."""
    parts = [
        *_numbers(told.services, ("service", "services"), _WORDS_SERVICE),
        *_numbers(told.vips, ("VIP", "VIPs"), _WORDS_VIP),
        *_numbers(told.sessions, ("session", "sessions"), _WORDS_SESSION, lambda change: max(1, len(change.nodes))),
        *_numbers(told.routes, ("prefix", "prefixes"), _WORDS_ROUTE),
    ]
    if told.refused:
        parts.insert(0, f"{count(len(told.refused), 'edit')} of pools would be held back")
    parts += _numbers(told.objects, ("config object", "config objects"), _WORDS_OBJECT)
    if errors:
        parts.insert(0, f"{count(errors, 'error')} in NEW")
    if told:
        return "; ".join(parts)
    return f"Cannot tell: {parts[0]}, and beside it nothing would change." if errors else "Nothing would change."


_WORDS_SERVICE = {
    ServiceEvent.LOSES: ("loses its address", "lose their addresses"),
    ServiceEvent.CHANGES: ("changes address", "change addresses"),
    ServiceEvent.POOL: ("changes pool", "change pools"),
    ServiceEvent.WAITS: ("would wait", "would wait"),
    ServiceEvent.GETS: ("gets an address", "get addresses"),
}
_WORDS_VIP = {
    VIPEvent.STOPS: ("announced no more", "announced no more"),
    VIPEvent.SILENT: ("not announced", "not announced"),
    VIPEvent.MOVES: ("moves", "move"),
    VIPEvent.STARTS: ("announced anew", "announced anew"),
}
_WORDS_SESSION = {
    SessionEvent.CLOSES: ("closes", "close"),
    SessionEvent.RESETS: ("resets", "reset"),
    SessionEvent.OPENS: ("opens", "open"),
}
_WORDS_ROUTE = {
    RouteEvent.WITHDRAWN: ("withdrawn", "withdrawn"),
    RouteEvent.CHANGED: ("changed", "changed"),
    RouteEvent.ANNOUNCED: ("announced", "announced"),
}

_WORDS_OBJECT = {
    ObjectEvent.REMOVED: ("removed", "removed"),
    ObjectEvent.CHANGED: ("changed", "changed"),
    ObjectEvent.ADDED: ("added", "added"),
}


def _numbers(
    changes: Sequence[Any],
    noun: tuple[str, str],
    words: dict[Any, tuple[str, str]],
    weight: Callable[[Any], int] = lambda change: 1,
) -> list[str]:
    """ "2 sessions close, 3 reset": one part, or none."""
    found: list[str] = []
    for event, (one, many) in words.items():
        number = sum(weight(change) for change in changes if change.event is event)
        if number:
            counted = f"{number:,}" if found else count(number, *noun)
            found.append(f"{counted} {one if number == 1 else many}")
    return [", ".join(found)] if found else []
