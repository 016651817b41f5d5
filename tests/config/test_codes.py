"""The registry of codes: complete, used, explained, and documented as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lbctl.config.codes import CODES, Code, as_markdown
from lbctl.config.diagnostic import Diagnostic
from lbctl.config.reader import Reader

ROOT = Path(__file__).parents[2]
SOURCE = "\n".join(
    path.read_text()
    for folder in ("config", "config/checks", "cli")
    for path in sorted((ROOT / "lbctl" / folder).glob("validate.py" if folder == "cli" else "*.py"))
)
TESTS = "\n".join(
    path.read_text() for folder in ("config", "cli", "sources") for path in (ROOT / "tests" / folder).glob("*.py")
)


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_code(code: Code) -> None:
    assert re.fullmatch(r"LB\d{4}", code.code)
    assert 5 <= len(code.title) <= 60
    assert len(code.explanation) > 40
    assert code.explanation.endswith(".")
    assert code.code in SOURCE, "nothing finds it"
    assert code.code in TESTS, "no test shows it"


def test_every_code_that_is_said_is_registered() -> None:
    assert set(re.findall(r"\bLB\d{4}\b", SOURCE)) <= CODES.keys()


def test_the_page_of_codes_is_up_to_date() -> None:
    """Write it anew: python -c 'from lbctl.config.codes import as_markdown as m; print(m(), end="")'"""
    assert (ROOT / "docs/diagnostics.md").read_text() == as_markdown()


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_the_example_shows_the_code_and_the_fix_mends_it(code: Code) -> None:
    assert code.fix, "nobody says what to do"
    if code.code in SHOWN_BY_NO_TEXT:
        assert not code.example
        return
    assert code.example.endswith("\n")
    assert len(code.example.splitlines()) <= 30
    assert {found.code for found in _read(code.example)} == {code.code}
    if code.mended:
        assert {found.code for found in _read(code.mended)} <= {"LB0207"} - {code.code}, (
            "an advertisement may be missing"
        )
    else:
        assert len(code.advice) > 20
        assert code.advice.endswith(".")


SHOWN_BY_NO_TEXT = {"LB0010", "LB0016", "LB0701", "LB0702", "LB0703", "LB0704", "LB0705"}
"""What is wrong with a path, not with a text; what takes a thousand; and what `lbctl convert` alone says."""


def _read(text: str) -> tuple[Diagnostic, ...]:
    return Reader().read({"example.yaml": text.encode("utf-8", "surrogateescape")}).diagnostics
