"""`lbctl convert`: manifests on stdout, findings on stderr, and the exit status."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lbctl.cli import main
from lbctl.cli.exit_status import ExitStatus

OLD = """apiVersion: v1
kind: ConfigMap
metadata:
  namespace: metallb-system
  name: config
data:
  config: |
    address-pools:
    - name: default
      protocol: layer2
      addresses:
      - 192.168.1.240-192.168.1.250
"""


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, cwd: Path, stdin: str = "", command: str = "convert") -> Done:
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        patch.delenv("FORCE_COLOR", raising=False)
        try:
            status = main.run([command, *arguments])
        finally:
            gc.enable()
    return Done(status, out.getvalue(), err.getvalue())


def test_a_config_map(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    done = run("old.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (ExitStatus.OK, "")
    assert done.stdout.count("---\n") == 1
    (tmp_path / "new.yaml").write_text(done.stdout)
    checked = run("new.yaml", "--strict", cwd=tmp_path, command="validate")
    assert checked.returncode == ExitStatus.OK, checked.stdout


def test_stdin_and_folders(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.yaml").write_text(OLD)
    (tmp_path / "old" / "notes.txt").write_text("x")
    assert run("-", cwd=tmp_path, stdin=OLD).stdout == run("old", cwd=tmp_path).stdout != ""


def test_what_cannot_be_converted_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    done = run("-", cwd=tmp_path, stdin=OLD + "    peer-autodiscovery:\n      from-labels: []\n")
    assert done.returncode == ExitStatus.FOUND
    assert "kind: IPAddressPool\n" in done.stdout
    assert done.stderr == (
        "error[LB0701]: peers cannot be read from nodes\n"
        "   --> <stdin>:13:5\n"
        "   |\n"
        "13 |     peer-autodiscovery:\n"
        "   |     ^^^^^^^^^^^^^^^^^^\n"
        "   = help: write a BGPPeer for each router\n"
        "\n"
    )


def test_the_namespace_for_bare_text(tmp_path: Path) -> None:
    bare = "\n".join(line[4:] for line in OLD.split("\n")[7:])
    assert "  namespace: lb\n" in run("-", "-n", "lb", cwd=tmp_path, stdin=bare).stdout
    assert "  namespace: metallb-system\n" in run("-", cwd=tmp_path, stdin=bare).stdout


@pytest.mark.parametrize(
    ("stdin", "words"), [("", "LB0704"), ("# nothing\n", "nothing to convert"), ("a: b: c\n", "LB0004")]
)
def test_nothing_to_convert(tmp_path: Path, stdin: str, words: str) -> None:
    done = run("-", cwd=tmp_path, stdin=stdin)
    assert (done.returncode, done.stdout) == (ExitStatus.UNAVAILABLE, "")
    assert words in done.stderr


def test_a_path_that_cannot_be_read(tmp_path: Path) -> None:
    done = run("nowhere.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (ExitStatus.UNAVAILABLE, "")
    assert done.stderr == "lbctl convert: nowhere.yaml: No such file or directory\n"


def test_a_password_is_kept_and_not_shown_again(tmp_path: Path) -> None:
    peer = "    peers:\n    - {my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, password: hunter2}\n"
    done = run("-", cwd=tmp_path, stdin=OLD + peer)
    assert done.returncode == ExitStatus.OK
    assert "password: hunter2\n" in done.stdout
    assert "note[LB0703]" in done.stderr
    assert "hunter2" not in done.stderr
