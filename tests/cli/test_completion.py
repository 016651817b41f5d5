"""Completion: the scripts of the repository are those the commands make, and bash really completes with them."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from lbctl.cli.completion import Shell, script, tree
from lbctl.cli.completion_scripts import Kind

COMPLETIONS = Path(__file__).parents[2] / "completions"


@pytest.mark.parametrize("shell", list(Shell))
def test_the_scripts_of_the_repository_are_current(shell: Shell) -> None:
    kept = (COMPLETIONS / f"lbctl.{shell.value}").read_text()
    assert kept == script(shell), "run `make completions`"


def completed(tmp_path: Path, *words: str, services: str = "") -> set[str]:
    """What bash offers for the last of `words`. `services` is what `lbctl services -o name` would print."""
    asked = shlex.join(words)
    (tmp_path / "names").write_text(services)
    program = f"""
        lbctl() {{ cat {shlex.quote(str(tmp_path))}/names; }}
        compopt() {{ :; }}
        source {shlex.quote(str(COMPLETIONS / "lbctl.bash"))}
        COMP_WORDS=({asked}); COMP_CWORD=$(({len(words)} - 1))
        _lbctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes_commands_options_and_values(tmp_path: Path) -> None:
    assert {"where-is", "services", "lab", "run-speaker"} <= completed(tmp_path, "lbctl", "")
    assert completed(tmp_path, "lbctl", "where") == {"where-is"}
    assert completed(tmp_path, "lbctl", "where-is", "--wa") == {"--wait", "--watch"}
    assert completed(tmp_path, "lbctl", "where-is", "-o", "") == {"table", "wide", "json", "yaml"}
    assert completed(tmp_path, "lbctl", "where-is", "192.0.2.1", "--output", "j") == {"json"}
    assert completed(tmp_path, "lbctl", "completion", "") == {"bash", "zsh", "fish"}


def test_an_option_s_value_is_not_taken_for_a_command(tmp_path: Path) -> None:
    assert completed(tmp_path, "lbctl", "services", "-n", "lab", "--pe") == {"--pending"}


def test_bash_completes_services_from_the_daemon(tmp_path: Path) -> None:
    offered = completed(tmp_path, "lbctl", "where-is", "default/", services="default/a\ndefault/b\nshop/web\n")
    assert offered == {"default/a", "default/b"}


def test_bash_completes_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "snapshot.json").write_text("")
    (tmp_path / "state").mkdir()
    assert completed(tmp_path, "lbctl", "where-is", "--published", "sn") == {"snapshot.json"}
    assert completed(tmp_path, "lbctl", "where-is", "--state", "s") == {"state"}


def test_every_command_is_in_every_script() -> None:
    nodes = tree()
    assert {node.words for node in nodes} >= {(), ("where-is",), ("lab", "up"), ("completion",)}
    for shell in Shell:
        text = script(shell)
        for node in nodes:
            for option in node.options:
                for name in option.names:
                    assert (name[2:] if shell is Shell.FISH and name.startswith("--") else name.lstrip("-")) in text
    (where_is,) = (node for node in nodes if node.words == ("where-is",))
    assert where_is.argument is not None
    assert where_is.argument.kind is Kind.TARGETS
