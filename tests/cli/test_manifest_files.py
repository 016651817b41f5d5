"""Files, folders and standard input, and what is wrong with them: too large, linked in a circle, named in no text."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lbctl.cli import main
from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.manifest_files import Unread, read_manifests
from lbctl.sources import tree

POOL = b"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: p}\nspec: {addresses: [192.0.2.0/24]}\n"
OLD = b"address-pools:\n- {name: p, protocol: layer2, addresses: [192.0.2.0/24]}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[Path]:
    with contextlib.chdir(tmp_path):
        yield tmp_path


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


def run(*arguments: str, stdin: bytes | None = b"") -> Done:
    # As the command has it: names that are no text become escapes on the way out.
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    err = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            status = main.run(arguments)
        finally:
            gc.enable()
    out.flush()
    return Done(status, out.buffer.getvalue().decode(), err.getvalue())


COMMANDS = {
    "validate": ["validate", "-"],
    "convert": ["convert", "-"],
    "diff": ["diff", "-", "--against", "now.yaml"],
    "diff-against": ["diff", "now.yaml", "--against", "-"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_standard_input_has_the_limit_of_files(command: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "now.yaml").write_bytes(POOL)
    raw = OLD if command == "convert" else POOL
    monkeypatch.setattr(tree, "LARGEST", len(raw))
    assert run(*COMMANDS[command], stdin=raw).status in (ExitStatus.OK, ExitStatus.FOUND)
    done = run(*COMMANDS[command], stdin=raw + b"\n")
    assert done.status == ExitStatus.UNAVAILABLE
    assert "larger than 0 MiB, which no manifest is" in done.out + done.err
    assert "<stdin>" in done.out + done.err


@pytest.mark.parametrize("command", COMMANDS)
def test_standard_input_that_is_closed(command: str, here: Path) -> None:
    (here / "now.yaml").write_bytes(POOL)
    done = run(*COMMANDS[command], stdin=None)
    assert done.status == ExitStatus.UNAVAILABLE
    assert "it is closed" in done.out + done.err


def test_a_file_that_is_too_large(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its size, before a byte of it is read; the others are checked."""
    (here / "good.yaml").write_bytes(POOL)
    with (here / "large.yaml").open("wb") as file:
        file.truncate(tree.LARGEST + 1)  # a hole: it takes no room
    done = run("validate", str(here))
    assert done.status == ExitStatus.UNAVAILABLE
    assert "error[LB0010]: cannot be read: larger than 256 MiB, which no manifest is" in done.out
    assert "--> large.yaml" in done.out
    assert "1 usable object" in done.out
    for command in (["convert", "."], ["diff", ".", "--against", "good.yaml"]):
        done = run(*command)
        assert (done.status, done.out) == (ExitStatus.UNAVAILABLE, "")
        assert done.err == f"lbctl {command[0]}: large.yaml: larger than 256 MiB, which no manifest is\n"


def test_folders_linked_in_a_circle_are_read_once(here: Path) -> None:
    (here / "a" / "b").mkdir(parents=True)
    (here / "a" / "p.yaml").write_bytes(POOL)
    (here / "a" / "b" / "up").symlink_to("..")
    (here / "a" / "self").symlink_to(".")
    (here / "around").symlink_to("a/b/up/b")
    files = read_manifests([Path()])
    assert list(files.contents) == ["a/p.yaml"]
    assert not files.unread


def test_links_that_lead_nowhere_but_to_each_other(here: Path) -> None:
    (here / "x.yaml").symlink_to("y.yaml")
    (here / "y.yaml").symlink_to("x.yaml")
    (here / "gone.yaml").symlink_to("nothing")
    (here / "p.yaml").write_bytes(POOL)
    below = read_manifests([here])
    assert list(below.contents) == ["p.yaml"]
    assert {each.name for each in below.unread} == {"x.yaml", "y.yaml"}
    named = read_manifests([here / "x.yaml"])
    assert named.unread == (Unread("x.yaml", "Too many levels of symbolic links"),)


def test_links_out_of_the_folder_are_followed_and_shown_where_they_lie(here: Path) -> None:
    """As Kubernetes mounts a ConfigMap: ..data is a link, and so is each file."""
    (here / "elsewhere" / "deep").mkdir(parents=True)
    (here / "elsewhere" / "deep" / "p.yaml").write_bytes(POOL)
    (here / "etc").mkdir()
    (here / "etc" / "linked").symlink_to(here / "elsewhere")
    (here / "etc" / "q.yaml").symlink_to("../elsewhere/deep/p.yaml")
    (here / "etc" / "..data").symlink_to(here / "elsewhere")
    files = read_manifests([here / "etc"])
    # Once: the very same file twice would be an object defined twice.
    assert list(files.contents) == ["etc/linked/deep/p.yaml"]
    assert run("validate", "etc").status == ExitStatus.OK


@pytest.mark.parametrize("form", ["human", "concise", "json", "sarif", "github"])
def test_names_that_are_no_text(here: Path, form: str) -> None:
    name = os.fsdecode(b"p\xff\xfe.yaml")
    (here / name).write_bytes(POOL.replace(b"spec", b"spce"))
    done = run("validate", ".", "-o", form)
    assert done.status == ExitStatus.FOUND
    assert {
        "human": "--> p\\udcff\\udcfe.yaml:",
        "concise": "p\\udcff\\udcfe.yaml:4:1: error[LB0105]",
        "github": "::error file=p\\udcff\\udcfe.yaml,line=4",
        "json": '"file": "p\\\\udcff\\\\udcfe.yaml"',
        "sarif": '"uri": "p%FF%FE.yaml"',
    }[form] in done.out
    if form in ("json", "sarif"):
        json.loads(done.out.encode().decode("utf-8", "strict"))


def test_names_that_would_break_a_workflow_command(here: Path) -> None:
    (here / "a,b:c%\n::stop-commands::x.yaml").write_bytes(POOL.replace(b"spec", b"spce"))
    done = run("validate", ".", "-o", "github")
    lines = done.out.splitlines()
    assert all(line.startswith(("::error file=a%2Cb%3Ac%25", "::warning file=a%2Cb%3Ac%25")) for line in lines)
    assert lines
    assert "::stop-commands::" not in done.out
