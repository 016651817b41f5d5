"""Logs on stderr: a constant event name and its fields, for people (console) or machines (json).

`event(logger, "allocated", service=..., address=...)` is the only way daemons log, so that names can be searched for
and fields never end up inside sentences. Secrets are never fields.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from enum import StrEnum
from typing import Any, TextIO


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


_FIELDS = "lbctl_fields"


def event(logger: logging.Logger, name: str, /, *, level: int = logging.INFO, **fields: Any) -> None:
    """Logs one event. Values are made text with `str` unless JSON has them."""
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={_FIELDS: fields})


def mistake(logger: logging.Logger, name: str, error: BaseException, /, **fields: Any) -> None:
    """Logs, as an error and with its traceback, an exception that is our own fault and was survived."""
    logger.error(name, exc_info=error, extra={_FIELDS: fields})


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, _FIELDS, {})
    return fields


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        head = f"{clock}.{int(record.msecs):03d} {record.levelname.lower():7} {record.name.removeprefix('lbctl.'):10} "
        body = " ".join([record.getMessage(), *(f"{key}={_plain(value)}" for key, value in _fields(record).items())])
        if record.exc_info:
            body += "\n" + self.formatException(record.exc_info)
        return head + body


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple, set, frozenset)) else str(value)
    if text and text.isprintable() and not any(c.isspace() or c == '"' for c in text):
        return text
    # JSON leaves some control characters and lone surrogates as they are.
    return "".join(map(_shown, json.dumps(text, ensure_ascii=False)))


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def configure(log_format: LogFormat, *, level: str = "info", stream: TextIO | None = None) -> None:
    """Sends everything below `lbctl` to stderr (or `stream`), at `level` and above, once."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if log_format is LogFormat.JSON else _Console())
    root = logging.getLogger("lbctl")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
