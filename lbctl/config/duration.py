"""Go durations, as Kubernetes writes them."""

from __future__ import annotations

import re

from lbctl.config.block import Value
from lbctl.config.schema import JsonSchema, Refer, Walk, Wrong, kind_of

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|ms|s|m|h)", re.ASCII)
HELP = "write it like 90s, 1m30s or 500ms"


class Duration:
    """A Go duration such as 90s or 1m30s, in seconds. `whole`: whole seconds from 1 to 65535."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def read(self, value: Value, walk: Walk) -> float:
        if type(value) is not str:
            number = isinstance(value, int) and not isinstance(value, bool)
            raise Wrong(
                "LB0107", f"a duration is wanted here, not {kind_of(value)}", f"write {value}s" if number else ""
            )
        seconds = parse_duration(value)
        if seconds is None:
            raise Wrong("LB0118", f'"{value}" is not a duration', HELP)
        if self._whole and (seconds != int(seconds) or not 1 <= seconds <= 65535):
            raise Wrong("LB0108", f"{value} is out of range", "it must be whole seconds from 1s to 65535s")
        if seconds < 0:
            raise Wrong("LB0108", f"{value} is out of range", "it must not be negative")
        return seconds

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "string", "pattern": "^(0|-?(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$"}


def parse_duration(text: str) -> float | None:
    """Seconds, or None when `text` is no duration."""
    if text == "0":
        return 0.0
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    total, at = 0.0, 0
    while found := _DURATION.match(rest, at):
        total += float(found[1]) * _UNITS[found[2]]
        at = found.end()
    return sign * total if at and at == len(rest) else None
