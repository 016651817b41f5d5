"""The forms of findings that programs read: one a line, GitHub's workflow commands, SARIF 2.1.0."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.finding_lines import concise, github
from lbctl.cli.main import run
from lbctl.cli.sarif import document, uri
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Label, Severity, Span
from lbctl.config.reader import Reader, whole_file

EXAMPLES = {f"{code.code}.yaml": code.example.encode("utf-8", "surrogateescape") for code in CODES.values()}
ALL = [finding for name, raw in EXAMPLES.items() for finding in Reader().read({name: raw}).diagnostics]


def finding(message: str = "wrong", *, file: str = "a.yaml", **more: Any) -> Diagnostic:
    fields = {"code": "LB0205", "severity": Severity.ERROR, "span": Span(file, 4, 3, 4, 8), **more}
    return Diagnostic(message=message, **fields)


def test_concise() -> None:
    assert concise(finding()) == "a.yaml:4:3: error[LB0205]: wrong"
    labels = (Label(Span("b.yaml", 2, 1, 2, 3), "overlaps this"),)
    assert concise(finding(labels=labels)) == "a.yaml:4:3: error[LB0205]: wrong (overlaps this: b.yaml:2:1)"


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.code)
def test_each_is_one_line(each: Diagnostic) -> None:
    assert re.fullmatch(r"LB\d{4}\.yaml:\d+:\d+: (?:error|warning|note)\[LB\d{4}\]: \S.*", concise(each))
    assert re.fullmatch(
        r"::(?:error|warning|notice) file=LB\d{4}\.yaml,line=\d+,.*title=LB\d{4}%3A .*::\S.*", github(each)
    )


def test_nothing_breaks_the_line_or_reaches_the_terminal() -> None:
    nasty = finding('"a\n\x1b[31m\u2028b"', file="a\nb.yaml")
    assert len(concise(nasty).splitlines()) == 1
    assert "\x1b" not in concise(nasty)
    assert len(github(nasty).split("\n")) == 1


def test_github() -> None:
    labels = (Label(Span("b.yaml", 2, 1, 2, 3), "overlaps this"),)
    shown = github(finding("50% of\r\nall", file="a,b:c%.yaml", help="mend it", labels=labels))
    # A line end within a message would be a line of its own; nothing that a terminal obeys goes into a log.
    assert shown == (
        "::error file=a%2Cb%3Ac%25.yaml,line=4,col=3,endColumn=7,endLine=4,title=LB0205%3A pools overlap"
        "::50%25 of\ufffd\ufffdall%0Ab.yaml:2:1: overlaps this%0Ahelp: mend it"
    )
    # Columns may only be sent where the line is one.
    assert "col=" not in github(finding(span=Span("a.yaml", 4, 3, 5, 8)))
    assert github(whole_file("a.yaml", "LB0009", "empty")).startswith("::notice file=a.yaml,line=1,endLine=1,title=")


# The parts of the schema of SARIF 2.1.0 (OASIS, section 3 of the standard) that are used here, as strict as it is.
TEXT = {"type": "string"}
MESSAGE = {
    "type": "object",
    "properties": {"text": TEXT, "markdown": TEXT},
    "required": ["text"],
    "additionalProperties": False,
}
POSITIVE = {"type": "integer", "minimum": 1}
REGION = {
    "type": "object",
    "properties": dict.fromkeys(("startLine", "startColumn", "endLine", "endColumn"), POSITIVE),
    "required": ["startLine"],
    "additionalProperties": False,
}
LOCATION = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": -1},
        "physicalLocation": {
            "type": "object",
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "properties": {"uri": {"type": "string", "pattern": "^[-A-Za-z0-9._~/%:]+$"}},
                    "additionalProperties": False,
                },
                "region": REGION,
            },
            "required": ["artifactLocation"],
            "additionalProperties": False,
        },
        "message": MESSAGE,
    },
    "additionalProperties": False,
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
LOCATIONS = {"type": "array", "items": LOCATION, "uniqueItems": True}
RULE = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "shortDescription": MESSAGE,
        "fullDescription": MESSAGE,
        "help": MESSAGE,
        "defaultConfiguration": {"type": "object", "properties": {"level": LEVEL}, "additionalProperties": False},
    },
    "required": ["id"],
    "additionalProperties": False,
}
RESULT = {
    "type": "object",
    "properties": {
        "ruleId": TEXT,
        "ruleIndex": {"type": "integer", "minimum": -1},
        "level": LEVEL,
        "message": MESSAGE,
        "locations": LOCATIONS,
        "relatedLocations": LOCATIONS,
        "suppressions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"kind": {"enum": ["inSource", "external"]}},
                "required": ["kind"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["message"],
    "additionalProperties": False,
}
DRIVER = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "semanticVersion": TEXT,
        "rules": {"type": "array", "items": RULE, "uniqueItems": True},
    },
    "required": ["name"],
    "additionalProperties": False,
}
RUN = {
    "type": "object",
    "properties": {
        "tool": {
            "type": "object",
            "properties": {"driver": DRIVER},
            "required": ["driver"],
            "additionalProperties": False,
        },
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "invocations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"executionSuccessful": {"type": "boolean"}},
                "required": ["executionSuccessful"],
                "additionalProperties": False,
            },
        },
        "results": {"type": "array", "items": RESULT},
    },
    "required": ["tool"],
    "additionalProperties": False,
}
SARIF = {
    "type": "object",
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"enum": ["2.1.0"]},
        "runs": {"type": "array", "items": RUN},
    },
    "required": ["version", "runs"],
    "additionalProperties": False,
}


def check_sarif(sarif: Any) -> dict[str, Any]:
    Draft7Validator(SARIF).validate(sarif)
    (only,) = sarif["runs"]
    run_: dict[str, Any] = only
    rules = [rule["id"] for rule in run_["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run_["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        if "endLine" in region:
            assert (region["startLine"], region["startColumn"]) < (region["endLine"], region["endColumn"])
    return run_


def test_sarif_of_every_code() -> None:
    found = check_sarif(json.loads(json.dumps(document(ALL))))
    assert [result["ruleId"] for result in found["results"]] == [each.code for each in ALL]
    assert [rule["id"] for rule in found["tool"]["driver"]["rules"]] == sorted({each.code for each in ALL})
    for rule in found["tool"]["driver"]["rules"]:
        assert rule["help"]["markdown"].count("```") % 2 == 0
        assert "Fix" in rule["help"]["text"]
    Draft7Validator.check_schema(SARIF)


def test_sarif_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one 1.yaml").write_bytes(EXAMPLES["LB0205.yaml"])
    (tmp_path / "two.yaml").write_bytes(b"# lbctl: allow LB0508\n" + EXAMPLES["LB0508.yaml"])
    (tmp_path / "three.yaml").write_bytes(b"")
    assert run(["validate", ".", "-o", "sarif"]) == ExitStatus.FOUND
    found = check_sarif(json.loads(capsys.readouterr().out))
    overlap, empty, old = found["results"]
    assert overlap["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "one%201.yaml"
    (related,) = overlap["relatedLocations"]
    assert (related["message"]["text"], related["physicalLocation"]["region"]["startLine"]) == ("overlaps this", 5)
    assert empty["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    assert old["suppressions"] == [{"kind": "inSource"}]
    assert "suppressions" not in overlap
    assert found["invocations"] == [{"executionSuccessful": True}]
    assert run(["validate", "nowhere", "-o", "sarif"]) == ExitStatus.UNAVAILABLE
    found = check_sarif(json.loads(capsys.readouterr().out))
    assert found["invocations"] == [{"executionSuccessful": False}]


@pytest.mark.parametrize(
    ("file", "as_uri"),
    [
        ("a/b.yaml", "a/b.yaml"),
        ("/etc/lbctl/ä b.yaml", "file:///etc/lbctl/%C3%A4%20b.yaml"),
        ("x:y.yaml", "x%3Ay.yaml"),
        ("<stdin>", "%3Cstdin%3E"),
        ("a\udcff.yaml", "a%FF.yaml"),
    ],
)
def test_names_as_uris(file: str, as_uri: str) -> None:
    assert uri(file) == as_uri


def test_what_is_allowed_is_counted_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "a.yaml").write_bytes(b"# lbctl: allow LB0207\n" + EXAMPLES["LB0207.yaml"])
    assert run(["validate", "--strict", "a.yaml"]) == ExitStatus.OK
    assert capsys.readouterr().out == "ok: 1 file, 1 object, nothing found; 1 allowed by comments\n"
    assert run(["validate", "--show-allowed", "a.yaml"]) == ExitStatus.OK
    shown = capsys.readouterr().out
    assert shown.startswith("allowed warning[LB0207]: no advertisement covers")
    assert "4 | metadata: {name: first}\n  |                  ^^^^^\n" in shown
    assert run(["validate", "a.yaml", "-o", "concise", "--show-allowed"]) == ExitStatus.OK
    streams = capsys.readouterr()
    assert streams.out.startswith("a.yaml:4:18: warning[LB0207]: ")
    assert streams.out.endswith(" (allowed)\n")
    assert streams.err == "ok: 1 file, 1 object, nothing found; 1 allowed by comments\n"
    assert run(["validate", "a.yaml", "-o", "json"]) == ExitStatus.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["warnings"], found["diagnostics"], [each["code"] for each in found["allowed"]]) == (0, [], ["LB0207"])


@pytest.mark.parametrize("form", ["human", "concise", "json", "sarif", "github"])
def test_places_in_other_files_are_in_every_form(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_bytes(EXAMPLES["LB0207.yaml"])
    assert run(["validate", ".", "-o", form]) == ExitStatus.FOUND
    shown = capsys.readouterr().out
    assert "a.yaml" in shown
    assert "first defined here" in shown
    assert run(["validate", "b.yaml", "a.yaml", "-o", form]) == ExitStatus.FOUND
    assert capsys.readouterr().out == shown, "the order of paths does not matter"


def test_nothing_that_a_terminal_obeys_goes_into_a_log() -> None:
    shown = github(finding("a \x1b[31mred\x9b \u202e name\n::error::forged", file="x\x1b.yaml"))
    assert shown.isprintable()
    assert shown.count("::error") == 2  # the command itself, and text behind it on the same line


def test_what_is_left_out_is_counted_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1,000 of a code in a document are told, and SARIF tells 5,000 in all."""
    head = (
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: p, namespace: m}\nspec:\n  addresses:\n"
    )
    for number in range(6):
        (tmp_path / f"{number}.yaml").write_text(head + "  - x\n" * 1020)
    told = {}
    for form in ("human", "concise", "json", "sarif", "github"):
        assert run(["validate", str(tmp_path), "-o", form]) == ExitStatus.FOUND
        told[form] = capsys.readouterr()
    summary = "6,000 errors, 6 notes in 6 files, 0 usable objects; 120 more left out"
    assert told["human"].out.splitlines()[-1] == summary
    assert told["concise"].err.splitlines() == told["github"].err.splitlines() == [summary]
    assert len(told["concise"].out.splitlines()) == len(told["github"].out.splitlines()) == 6006
    found = json.loads(told["json"].out)
    assert (found["errors"], found["notes"], found["left_out"]) == (6000, 6, 120)
    (of_first,) = [each for each in found["diagnostics"] if each["left_out"] and each["file"].endswith("0.yaml")]
    assert (of_first["code"], of_first["left_out"]) == ("LB0016", 20)
    (sarif,) = json.loads(told["sarif"].out)["runs"]
    assert len(sarif["results"]) == 5000
    (note,) = sarif["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("1,126 more findings are left out")
