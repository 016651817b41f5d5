"""The first rounds of the fuzz run (bench/fuzz.py; docs/measurements has a long one), and that it notices faults."""

from __future__ import annotations

import pytest

from bench.fuzz import check, files_of, report, run
from lbctl.config.reader import Reader

GOOD = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"


def test_the_first_rounds() -> None:
    record = run(1, lambda number: number < 60, 0, None)
    assert record.failures == []
    assert record.rounds == 60
    assert len(record.codes) > 15
    assert "exceptions and broken promises  0\n" in report(record, 1, 0.1)


def test_a_round_depends_on_its_number_alone() -> None:
    assert files_of(1, 7, [GOOD]) == files_of(1, 7, [GOOD])
    assert len({str(files_of(1, number, [GOOD])) for number in range(20)}) > 15


def test_what_is_raised_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def raises(*_: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("lbctl.config.parse.allows_in", raises)
    assert run(1, lambda number: number < 3, 0, None).failures
    assert "RecursionError: too deep" in capsys.readouterr().err


def test_a_reader_that_forgets_is_noticed() -> None:
    reader = Reader()
    check({"a.yaml": GOOD}, reader)
    reader._parsed.clear()
    reader._parsed[GOOD + b"x: 1\n"] = reader.read_file("a.yaml", GOOD).documents[0][1]
    with pytest.raises(AssertionError, match="memory changes what is said"):
        check({"a.yaml": GOOD + b"x: 1\n"}, reader)
