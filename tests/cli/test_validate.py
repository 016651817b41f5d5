"""`lbctl validate`: what a person sees, what a program gets, and the exit status of each."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.cli.diagnostics import human, summary
from lbctl.cli.exit_status import ExitStatus
from lbctl.config.diagnostic import Diagnostic, Label, Severity, Span
from lbctl.config.reader import Reader
from lbctl.config.secret_lines import ShownLines
from tests.support.bars import least

CONFIGS = Path(__file__).parents[2] / "configs"
GOOD = (CONFIGS / "layer2.yaml").read_text()
UNKNOWN_FIELD = """apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: first-pool
spec:
  adresses:
  - 192.168.3.170-192.168.3.179
"""


Done = subprocess.CompletedProcess[str]


def validate(*arguments: str | Path, stdin: str = "", env: dict[str, str] | None = None) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "lbctl.cli.main", "validate", *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=60,
        check=False,
        env={**{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}, **(env or {})},
    )


def test_clean() -> None:
    done = validate(CONFIGS)
    assert (done.returncode, done.stderr) == (ExitStatus.OK, "")
    assert done.stdout.startswith("ok: ")


def test_unknown_field(tmp_path: Path) -> None:
    """The whole of what is printed, so that nobody changes it unawares."""
    (tmp_path / "pool.yaml").write_text(UNKNOWN_FIELD)
    done = subprocess.run(
        [sys.executable, "-m", "lbctl.cli.main", "validate", "pool.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == ExitStatus.FOUND
    assert done.stdout == (
        'error[LB0105]: the spec of an IPAddressPool has no field "adresses"\n'
        "  --> pool.yaml:6:3\n"
        "  |\n"
        "6 |   adresses:\n"
        "  |   ^^^^^^^^\n"
        '  = help: did you mean "addresses"?\n'
        "\n"
        "1 error in 1 file, 0 usable objects\n"
    )


@pytest.mark.parametrize(
    ("text", "code", "place", "word"),
    [
        ("a: b: c\n", "LB0004", ":1:5", "':'"),
        ("spec:\n\taddresses: []\n", "LB0003", ":2:1", "tab"),
        (UNKNOWN_FIELD, "LB0105", ":6:3", "addresses"),
        (UNKNOWN_FIELD.replace("adr", "addr").replace("-192.168.3.179", "-fd00::1"), "LB0204", ":7:5", "IPv6"),
        (UNKNOWN_FIELD.replace("adr", "addr").replace("192.168.3.170-", "192.168.3.180-"), "LB0203", ":7:5", "above"),
        (UNKNOWN_FIELD.replace("adr", "addr").replace("192.168.3.170-", ""), "LB0202", ":7:5", "/32"),
    ],
    ids=["broken", "tab", "unknown-field", "two-families", "backwards", "single-address"],
)
def test_bad_input(tmp_path: Path, text: str, code: str, place: str, word: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    done = validate(path)
    assert done.returncode == ExitStatus.FOUND
    assert f"error[{code}]: " in done.stdout
    assert f"bad.yaml{place}\n" in done.stdout
    assert word in done.stdout
    assert "= help: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("text", ["", "\n\n", "---\n"])
def test_an_empty_file_is_noted(tmp_path: Path, text: str) -> None:
    (tmp_path / "empty.yaml").write_text(text)
    done = validate(tmp_path / "empty.yaml")
    assert done.returncode == ExitStatus.OK
    assert "note[LB0009]: " in done.stdout
    assert "1 note in 1 file" in done.stdout


def test_a_folder_without_manifests_is_noted(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("x")
    done = validate(tmp_path)
    assert done.returncode == ExitStatus.OK
    assert "note[LB0009]: " in done.stdout


def test_what_is_missing(tmp_path: Path) -> None:
    done = validate(tmp_path / "nowhere", CONFIGS / "layer2.yaml")
    assert done.returncode == ExitStatus.UNAVAILABLE
    assert "error[LB0010]: cannot be read: No such file or directory" in done.stdout
    assert f"--> {tmp_path}/nowhere\n" in done.stdout
    assert "1 error in 1 file, 2 usable objects" in done.stdout


def test_what_may_not_be_read(tmp_path: Path) -> None:
    """Root may read everything, so the command runs without the capabilities that let it.

    Not as somebody else: the checkout may lie in a folder that only root may enter.
    """
    path = tmp_path / "secret.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*bound, sys.executable, "-m", "lbctl.cli.main", "validate", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitStatus.UNAVAILABLE, done.stderr
    assert "error[LB0010]: cannot be read: Permission denied" in done.stdout


def test_neither_file_nor_folder() -> None:
    done = validate("/dev/null")
    assert done.returncode == ExitStatus.UNAVAILABLE
    assert "neither a file nor a folder" in done.stdout


def test_strict_makes_warnings_findings(tmp_path: Path) -> None:
    (tmp_path / "pool.yaml").write_text(UNKNOWN_FIELD.replace("adr", "addr"))
    assert validate(tmp_path).returncode == ExitStatus.OK
    done = validate(tmp_path, "--strict")
    assert done.returncode == ExitStatus.FOUND
    assert "warning[LB0207]" in done.stdout
    assert validate(CONFIGS, "--strict").returncode == ExitStatus.OK


def test_standard_input() -> None:
    done = validate("-", stdin=GOOD + "---\nx: y\n")
    assert done.returncode == ExitStatus.FOUND
    assert "--> <stdin>:" in done.stdout


def test_no_path_is_a_wrong_command_line() -> None:
    done = validate()
    assert done.returncode == ExitStatus.USAGE
    assert "PATH" in done.stderr


def test_json(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("first-pool", "second-pool", 1).replace("name: layer2", "name: two"))
    done = validate(tmp_path, "-o", "json")
    assert done.returncode == ExitStatus.FOUND
    document = json.loads(done.stdout)
    assert document["schema"] == "lbctl.io/diagnostics/v1"
    assert (document["files"], document["objects"], document["errors"]) == (2, 3, 1)
    (error,) = [found for found in document["diagnostics"] if found["severity"] == "error"]
    assert {key: error[key] for key in ("code", "line", "column", "end_line")} == {
        "code": "LB0205",
        "line": 12,
        "column": 5,
        "end_line": 12,
    }
    assert error["file"].endswith("b.yaml")
    assert error["related"][0]["file"].endswith("a.yaml")
    assert document["warnings"] + document["notes"] + 1 == len(document["diagnostics"])


def test_colour_only_where_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: b: c\n")
    assert "\033[" not in validate(tmp_path).stdout
    assert "\033[" in validate(tmp_path, env={"FORCE_COLOR": "1"}).stdout
    assert "\033[" not in validate(tmp_path, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout


def test_a_terminal_of_few_characters_gets_escapes(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("日本: x: y\n")
    done = validate(tmp_path, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert done.returncode == ExitStatus.FOUND
    assert "\\u65e5" in done.stdout


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  password: geheim: 4711\n"
    )
    done = validate(tmp_path)
    assert done.returncode == ExitStatus.FOUND
    assert "s.yaml:5:" in done.stdout
    assert "geheim" not in done.stdout


def test_one_small_file_is_checked_quickly_and_imports_little() -> None:
    code = (
        "import sys\nfrom lbctl.cli.main import run\nstatus = run(sys.argv[1:])\n"
        "heavy = {'asyncio', 'aiohttp', 'pyroute2', 'rich', 'asyncinotify', 'yaml'} & sys.modules.keys()\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "validate", str(CONFIGS / "layer2.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"
    # The bar is 0.25 s on an idle machine; on a busy one only the ratio to a command that does nothing says anything.
    least(
        lambda: cpu_time("validate", str(CONFIGS / "layer2.yaml")),
        lambda: cpu_time("version"),
        enough=lambda checked, nothing: checked < 3.5 * nothing,
    )


def cpu_time(*arguments: str) -> float:
    """Seconds of processor time that one run of lbctl takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "lbctl.cli.main", *arguments], capture_output=True, timeout=60, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def shown(diagnostic: Diagnostic, text: str, *, width: int | None = None) -> list[str]:
    return human(diagnostic, lambda _: ShownLines(text.encode()), width=width).split("\n")


def finding(line: int, column: int, end: int, **more: object) -> Diagnostic:
    fields = {"code": "LB0004", "severity": Severity.ERROR, "message": "wrong", **more}
    return Diagnostic(span=Span("f", line, column, line, end), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "column", "end", "source", "caret"),
    [
        ("a: bcd", 4, 7, "a: bcd", "   ^^^"),
        ("日本: x", 5, 6, "日本: x", "      ^"),
        ("a: 日本", 4, 6, "a: 日本", "   ^^^^"),
        ("\ta: b", 2, 3, "    a: b", "    ^"),
        ("\ta: b", 1, 2, "    a: b", "^^^^"),
        ("a: b", 5, 6, "a: b", "    ^"),
        ("a: \x1b[31m", 4, 5, "a: \N{REPLACEMENT CHARACTER}[31m", "   ^"),
        ("a: \u202eb", 5, 6, "a: \N{REPLACEMENT CHARACTER}b", "    ^"),
    ],
)
def test_the_caret_stands_under_what_is_meant(text: str, column: int, end: int, source: str, caret: str) -> None:
    assert shown(finding(1, column, end), text)[3:] == [f"1 | {source}", f"  | {caret}"]


def test_a_very_long_line_is_cut_around_the_place() -> None:
    text = "a" * 5000 + "!" + "b" * 5000
    _, _, _, source, caret = shown(finding(1, 5001, 5002), text)
    assert len(source) < 200
    assert source[caret.index("^")] == "!"
    assert source.startswith("1 | …")
    assert source.endswith("…")


def test_labels_in_the_same_and_in_another_file() -> None:
    text = "a: 1\nb: 2\nc: 3\nd: 4"
    near = finding(4, 1, 2, labels=(Label(Span("f", 1, 1, 1, 2), "first"),))
    assert shown(near, text)[2:] == ["  |", "1 | a: 1", "  | - first", "...", "4 | d: 4", "  | ^"]
    far = finding(4, 1, 2, labels=(Label(Span("g", 2, 1, 2, 2), "first"),))
    assert shown(far, text)[2:] == ["  |", "4 | d: 4", "  | ^", "  ::: g:2:1", "  |", "2 | b: 2", "  | - first"]


def test_sentences_are_wrapped_on_a_terminal() -> None:
    long = finding(1, 1, 2, message="word " * 30, help="word " * 30)
    lines = shown(long, "a", width=60)
    assert all(len(line) <= 60 for line in lines)
    assert sum("word" in line for line in lines) > 4


def test_summary() -> None:
    found = Reader().read({"a": b"- x\n", "b": b""}).diagnostics
    assert summary(found, 2, 0) == "1 error, 1 note in 2 files, 0 usable objects"
    assert summary((), 12000, 1) == "ok: 12,000 files, 1 object, nothing found"


def test_what_a_value_holds_does_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text('apiVersion: v1\nkind: Service\nmetadata: {name: "\\e[31mx\\u202E\\n"}\n')
    done = validate(tmp_path)
    assert "LB0111" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
