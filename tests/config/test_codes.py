"""The registry of codes: complete, used, explained, and documented as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lbctl.config.codes import CODES, Code, as_markdown

ROOT = Path(__file__).parents[2]
SOURCE = "\n".join(
    path.read_text() for path in sorted([*(ROOT / "lbctl/config").glob("*.py"), ROOT / "lbctl/cli/validate.py"])
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
