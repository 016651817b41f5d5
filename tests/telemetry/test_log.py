"""Logs: constant names, fields, and one JSON object a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from lbctl.telemetry.log import LogFormat, configure, event


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger("lbctl")
    before = (root.handlers[:], root.level, root.propagate)
    yield
    root.handlers[:], root.level, root.propagate = before


def test_json_lines_carry_the_fields() -> None:
    out = io.StringIO()
    configure(LogFormat.JSON, stream=out)
    event(logging.getLogger("lbctl.controller"), "allocated", service="default/web", addresses=["10.0.0.1"], gap=0.25)
    line = json.loads(out.getvalue())
    assert line["event"] == "allocated"
    assert line["service"] == "default/web"
    assert line["addresses"] == ["10.0.0.1"]
    assert line["gap"] == 0.25
    assert line["level"] == "info"
    assert line["ts"].endswith("Z")


def test_console_lines_are_for_people() -> None:
    out = io.StringIO()
    configure(LogFormat.CONSOLE, stream=out)
    event(logging.getLogger("lbctl.speaker"), "trouble", level=logging.WARNING, why="no carrier", addresses=("a", "b"))
    text = out.getvalue()
    assert 'trouble why="no carrier" addresses=a,b' in text
    assert "warning" in text
    assert "speaker" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [("\x1b[31mx", '"\\u001b[31mx"'), ("\x9bx", '"\\x9bx"'), ("\udcff.yaml", '"\\udcff.yaml"'), ("Zoë", "Zoë")],
)
def test_what_is_not_printable_never_reaches_a_terminal(value: str, shown: str) -> None:
    out = io.StringIO()
    configure(LogFormat.CONSOLE, stream=out)
    event(logging.getLogger("lbctl.x"), "found", path=value)
    assert out.getvalue().endswith(f"found path={shown}\n")


def test_below_the_level_nothing_is_said() -> None:
    out = io.StringIO()
    configure(LogFormat.CONSOLE, level="warning", stream=out)
    event(logging.getLogger("lbctl.x"), "quiet")
    assert out.getvalue() == ""


def test_exceptions_are_one_json_line() -> None:
    out = io.StringIO()
    configure(LogFormat.JSON, stream=out)
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("lbctl.x").exception("failed")
    (line,) = out.getvalue().splitlines()
    assert "boom" in json.loads(line)["exception"]
