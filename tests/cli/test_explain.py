"""`lbctl explain`: every code in full, however it is written, and the list of all."""

from __future__ import annotations

import json

import pytest

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.explain import text
from lbctl.cli.main import run
from lbctl.config.codes import CODES, Code


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


def test_the_whole_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "LB0105"]) == ExitStatus.OK
    assert (
        capsys.readouterr().out
        == """\
LB0105  unknown field
error · keeps what it is about from being used

  An object in metallb.io has a field that its kind does not have. A misspelt
  field would otherwise leave its default in force without a word.

Example
  1 | apiVersion: metallb.io/v1beta1
  2 | kind: IPAddressPool
  3 | metadata: {name: first}
  4 | spec:
  5 |   adresses: [192.0.2.0/24]

  error[LB0105]: the spec of an IPAddressPool has no field "adresses"
    --> example.yaml:5:3
    |
  5 |   adresses: [192.0.2.0/24]
    |   ^^^^^^^^
    = help: did you mean "addresses"?

Fix
  apiVersion: metallb.io/v1beta1
  kind: IPAddressPool
  metadata: {name: first}
  spec:
    addresses: [192.0.2.0/24]
"""
    )


@pytest.mark.parametrize("written", ["LB0207", "lb0207", "LB207", "207", "0207", " lb207 "])
def test_however_it_is_written(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", written]) == ExitStatus.OK
    assert capsys.readouterr().out.startswith("LB0207  pool that nothing announces\nwarning · ")


def test_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "201", "205"]) == ExitStatus.OK
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("LB")]
    assert [head[:6] for head in heads] == ["LB0201", "LB0205"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("LB2070", "did you mean LB"),
        ("LBO207", "did you mean LB0207 (pool that nothing announces)?"),
        ("community", "LB0304 (invalid BGP community)"),
        ("9999x", "`lbctl explain` lists them all"),
        ("", "`lbctl explain` lists them all"),
    ],
)
def test_what_is_no_code(written: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", written]) == ExitStatus.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err


def test_all_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == ExitStatus.OK
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["CODE", "SEVERITY", "TITLE"]
    assert [row.split()[0] for row in rows] == list(CODES)
    assert any("error     pools overlap" in row for row in rows)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "-o", "json"]) == ExitStatus.OK
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "lbctl.io/codes/v1"
    assert [each["code"] for each in document["codes"]] == list(CODES)
    by_code = {each["code"]: each for each in document["codes"]}
    assert by_code["LB0207"]["allowable"]
    assert not by_code["LB0205"]["allowable"]
    assert by_code["LB0205"]["findings"][0]["related"][0]["message"] == "overlaps this"
    assert by_code["LB0010"]["example"] is None
    assert by_code["LB0010"]["advice"]


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_every_code_reads_well(code: Code) -> None:
    shown = text(code, width=80)
    assert shown.startswith(f"{code.code}  {code.title}\n")
    assert "\nFix\n" in shown
    assert all(len(line) <= 160 and line == line.rstrip() for line in shown.split("\n")), shown
    assert ("lbctl: allow" in shown) == (code.severity.value != "error")
    if code.example:
        assert f"  {code.severity}[{code.code}]: " in shown
