"""Plain scalars by the core schema of YAML 1.2 (section 10.3.2)."""

from __future__ import annotations

import math

import pytest

from lbctl.config.scalar import resolve


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_null(text: str) -> None:
    assert resolve(text) is None


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("FALSE", False), ("false", False)])
def test_boolean(text: str, value: bool) -> None:
    assert resolve(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("0777", 777),
        ("-5", -5),
        ("+5", 5),
        ("0o17", 15),
        ("0x1F", 31),
        ("64512", 64512),
        ("9" * 400, 10**400 - 1),
    ],
)
def test_integer(text: str, value: int) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is int


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-1E-2", -0.01),
        (".inf", math.inf),
        ("-.INF", -math.inf),
    ],
)
def test_float(text: str, value: float) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is float
    assert math.isnan(float(resolve(".nan") or 0))


@pytest.mark.parametrize(
    "text",
    [
        "on",
        "off",
        "yes",
        "no",
        "y",
        "n",
        "On",
        "64512:10",
        "190:20:30",
        "0b1",
        "1_000",
        "0o8",
        "0xg",
        "+.inf.",
        "nUll",
        "tRue",
        "1.2.3.4",
        "10.0.0.0/8",
        "2026-01-01",
        "2026-01-31T12:00:00Z",
        "=",
        "<<",
        "-",
        "+",
        ".",
        "..",
        "1e",
        "e1",
        "-.nan",
        "+.nan",
        "inf",
        "0x",
        "0o",
        "--1",
        "1-",
        "１",
    ],
)
def test_text_stays_text(text: str) -> None:
    assert resolve(text) == text
    assert type(resolve(text)) is str


def test_a_number_of_very_many_digits_stays_text() -> None:
    assert resolve("9" * 401) == "9" * 401
