"""Columns, colours and durations."""

from __future__ import annotations

import json

import pytest
import yaml

from lbctl.cli.render import Style, age, as_json, as_yaml, clock, paint, table, wrap


def test_columns_align_and_the_last_is_not_padded() -> None:
    assert table(("A", "LONG", "C"), [("xyz", "1", "end"), ("x", "22222", "e")]) == (
        "A    LONG   C\nxyz  1      end\nx    22222  e"
    )


def test_what_does_not_fit_is_cut_where_it_may_be_and_only_there() -> None:
    header, rows = ("NAME", "ADDRESS", "POOL"), [("n" * 30, "192.168.3.170", "x" * 30)]
    cut = table(header, rows, shrink=((0, 2),), width=50, cut=True)
    assert [len(line) for line in cut.splitlines()][1] == 50
    assert "192.168.3.170" in cut
    assert cut.count("…") == 2
    last_resort = table(header, rows, shrink=((0, 2), (1,)), width=28, cut=True)
    assert "192.168.3.170" not in last_resort
    assert "…" not in table(header, rows, shrink=((0, 2),), width=50), "a pipe gets all of it"


def test_columns_move_closer_before_anything_is_cut() -> None:
    header, rows = ("A", "B", "C"), [("x" * 5, "y" * 5, "z" * 5)]
    assert table(header, rows, width=19, cut=True).splitlines()[1] == "xxxxx  yyyyy  zzzzz"
    assert table(header, rows, width=18, cut=True).splitlines()[1] == "xxxxx yyyyy zzzzz"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (125, "2m5s"),
        (600, "10m"),
        (3600, "1h"),
        (12000, "3h20m"),
        (86400, "1d"),
        (5 * 86400 + 4 * 3600, "5d4h"),
        (120 * 86400, "120d"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_the_clock_shows_the_date_of_another_day() -> None:
    now = 1795456892.0
    assert len(clock(now - 1, now=now)) in (8, 19)
    assert len(clock(now - 2 * 86400, now=now)) == 19


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert paint("x", Style.BAD) == "x", "a pipe gets plain text"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert paint("x", Style.BAD) == "\033[1;31mx\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", Style.BAD) == "x"


def test_long_sentences_are_wrapped_and_long_words_are_not() -> None:
    assert wrap("one two three", indent=2, width=8) == ["one two", "  three"]
    assert wrap("x" * 20 + " y", indent=0, width=8) == ["x" * 20, "y"]
    assert wrap("", indent=0, width=8) == [""]


def test_json_and_yaml_carry_the_same() -> None:
    value = {"schema": "lbctl.io/x/v1", "a": [1, None, "é"], "b": {"on": True}}
    assert json.loads(as_json(value)) == value
    assert yaml.safe_load(as_yaml(value)) == value
    assert "é" in as_json(value)
    assert "é" in as_yaml(value)
