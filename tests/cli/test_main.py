"""The command line as a whole: what it imports, how it fails, and that every command can explain itself."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.cli import main
from lbctl.cli.exit_status import ExitStatus
from tests.support.bars import met_once

_HEAVY = ("pydantic", "rich", "aiohttp", "pyroute2", "scapy", "yaml", "msgspec", "asyncio", "http")
_MODULES = """
import json, sys
from lbctl.cli.main import run
status = run(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(int(status))
"""


def lbctl(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lbctl.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )


def loaded_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _MODULES, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return {name.partition(".")[0] for name in modules} | set(modules)


def test_help_lists_every_command_and_imports_none() -> None:
    done = lbctl("--help")
    assert done.returncode == 0
    for name in main.COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    loaded = loaded_by("--help")
    assert not loaded & set(_HEAVY)
    assert not {module for module in loaded if module.startswith("lbctl.cli.") and module not in _OF_HELP}


_OF_HELP = {"lbctl.cli.main", "lbctl.cli.exit_status"}


@pytest.mark.parametrize("command", ["where-is", "services", "status"])
def test_short_commands_import_no_library(command: str) -> None:
    """Each of these modules costs 25 ms and more, and none is needed to ask a question and print columns."""
    # lo carries no ARP: the question stops short of the wire of this machine.
    arguments = ["192.0.2.1", "--interface", "lo", "--state", "/nonexistent"] if command == "where-is" else []
    assert not loaded_by(command, *arguments) & set(_HEAVY)


def test_help_is_fast() -> None:
    """The bar is 200 ms. CPU time, because other tests may hold the cores."""

    def spent() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        lbctl("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    met_once(spent, lambda seconds: seconds < 2 * 0.2)


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    done = lbctl(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: lbctl {name} ")
    assert "Example" in done.stdout
    assert f"  lbctl {name}" in done.stdout
    assert "\033[" not in done.stdout
    assert "╭" not in done.stdout, "rich help costs 180 ms"
    assert all(len(line) <= 80 for line in done.stdout.splitlines()), done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["were-is"], "no command 'were-is'; did you mean where-is?"),
        (["--nope"], "No such option: --nope"),
        (["where-is"], "Missing argument"),
        (["where-is", "a b"], "neither an address nor namespace/name"),
        (["where-is", "192.168.3.1700"], "neither an address nor namespace/name"),
        (["where-is", "192.0.2.1", "--via", "host:http"], "'http' is not a port"),
        (["where-is", "192.0.2.1", "--via", "unix:"], "unix: needs a path"),
        (["where-is", "192.0.2.1", "--wait", "soon"], "'soon' is not a valid float"),
        (["where-is", "192.0.2.1", "--wait", "nan"], "'nan' is not a time"),
        (["run-speaker", "--node", "a\nb"], "is not a node's name"),
        (["run-speaker", "--node", "a/b"], "is not a node's name"),
        (["run-speaker", "--node", "Node"], "is not a node's name"),
        (["run-speaker", "--node", "a" * 64], "is not a node's name"),
        (["run-speaker", "--node", ".".join(["a" * 50] * 6)], "is not a node's name"),
        (["services", "-o", "xml"], "'xml' is not one of"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_a_wrong_command_line_is_64_and_says_where_help_is(arguments: list[str], says: str) -> None:
    done = lbctl(*arguments)
    assert done.returncode == ExitStatus.USAGE
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert says in first
    assert second.startswith("Try 'lbctl")
    assert second.endswith("--help'.")


def test_no_command_at_all_shows_the_help_and_is_64() -> None:
    done = lbctl()
    assert (done.returncode, done.stdout) == (ExitStatus.USAGE, "")
    assert "Commands:" in done.stderr


def test_version_both_ways() -> None:
    for arguments in (["version"], ["--version"]):
        done = lbctl(*arguments)
        assert done.returncode == 0
        assert done.stdout == "lbctl 0.1.0\n"


def test_a_missing_module_breaks_only_its_own_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(main.COMMANDS, "nothing", ("lbctl.cli.no_such_module:app", "A command without a module."))
    assert main.run(["--help"]) == 0
    assert "A command without a module." in capsys.readouterr().out
    assert main.run(["nothing"]) == ExitStatus.UNAVAILABLE
    assert (
        capsys.readouterr().err
        == "lbctl: nothing is not part of this installation (no module lbctl.cli.no_such_module)\n"
    )


def test_an_import_error_inside_a_command_is_not_mistaken_for_a_missing_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_command.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(main.COMMANDS, "broken", ("broken_command:app", "Broken."))
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        main.run(["broken"])


@pytest.mark.parametrize("name", sorted(main.DAEMONS))
def test_daemons_collect_their_garbage(name: str) -> None:
    """`main` turns the collector off for the short commands."""
    gc.disable()
    try:
        main.load(name)
        assert gc.isenabled()
    finally:
        gc.enable()


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "lbctl.cli.main", "completion", "bash"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (ExitStatus.BROKEN_PIPE, "")


_SHORT = (
    ["--help"],
    ["version"],
    ["--version"],
    ["where-is", "--help"],
    ["completion", "bash"],
    ["status"],
    ["services"],
    ["validate", "."],
    ["where-is", "192.0.2.1", "--interface", "lo", "--state", "/nonexistent"],
    ["lab", "--help"],
)


@pytest.mark.parametrize("arguments", _SHORT, ids=" ".join)
def test_output_that_cannot_be_written_is_one_line_and_2(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("---\n")
    command = f"cd {tmp_path}; exec {sys.executable} -m lbctl.cli.main {' '.join(arguments)}"
    full = "No space left on device"
    for where, why, unbuffered in ((">&-", "it is closed", ""), (">/dev/full", full, ""), (">/dev/full", full, "1")):
        done = subprocess.run(
            ["bash", "-c", f"{command} {where}"],
            stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(Path(main.__file__).parents[2])},
        )  # fmt: skip
        assert done.returncode == ExitStatus.UNAVAILABLE, (where, done.stderr)
        (line,) = done.stderr.splitlines()
        if arguments[0] not in ("status", "services"):  # Here no daemon runs, which is their line.
            assert line == f"lbctl: cannot write to stdout: {why}"


def test_what_is_no_text_is_shown_escaped(tmp_path: Path) -> None:
    broken = tmp_path / os.fsdecode(b"\xff.yaml")
    broken.write_text("a: [")
    for output in ("text", "json"):
        done = subprocess.run(
            [sys.executable, "-m", "lbctl.cli.main", "validate", str(broken), *(["-o", output] * (output == "json"))],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == ExitStatus.FOUND, done.stderr
        assert b"\\udcff.yaml" in done.stdout
        assert b"Traceback" not in done.stderr


def test_ctrl_c_is_130_and_quiet(tmp_path: Path) -> None:
    """Interrupted while it waits for a daemon that accepts and never answers."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        silent.settimeout(60)
        command = [sys.executable, "-m", "lbctl.cli.main", "services", "--socket", str(tmp_path / "s")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            connection, _ = silent.accept()
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
            connection.close()
    assert (running.returncode, out, err) == (ExitStatus.INTERRUPTED, "", "")
