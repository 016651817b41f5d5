"""The house keeps its own law: who imports what, and that the documents say what is true."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer._click.core import Command, Context
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

import lbctl
from lbctl.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
PURE = ("model", "config", "plan", "protocol")
ALLOWED = {
    "__future__", "array", "binascii", "bisect", "collections", "dataclasses", "difflib", "enum", "functools",
    "hashlib", "heapq", "hmac", "ipaddress", "itertools", "json", "math", "operator", "re", "string", "struct",
    "textwrap", "types", "typing", "unicodedata", "lbctl",
}  # fmt: skip
ALSO_IN_CONFIG = {"yaml", "msgspec", "datetime"}
CLOCKS = re.compile(r"\b(?:datetime|date)\.(?:now|utcnow|today|fromtimestamp)\(")


def test_the_import_law_is_kept() -> None:
    """pyproject.toml has the contracts; import-linter judges."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def _pure_modules() -> Iterator[Path]:
    for part in PURE:
        yield from sorted((ROOT / "lbctl" / part).rglob("*.py"))
    yield from sorted((ROOT / "lbctl").rglob("step.py"))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """What a module imports at run time: what stands under `if TYPE_CHECKING` is not."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0], node.lineno


def test_the_pure_parts_import_values_only() -> None:
    """No clock, socket, file, environment or random number below model, config, plan, protocol and in step.py."""
    modules = list(_pure_modules())
    assert len(modules) > 30
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules
        for name, line in _imports(path)
        if name not in ALLOWED and not (name in ALSO_IN_CONFIG and "config" in path.parts)
        and not (name == "logging" and path.name == "step.py")
    ]  # fmt: skip
    assert wrong == []
    assert [str(path) for path in modules if CLOCKS.search(path.read_text())] == []


def test_no_module_is_too_long_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "lbctl").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 600
    }
    assert long == {}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == lbctl.__version__
    assert project["scripts"]["lbctl"] == "lbctl.__main__:main"
    assert (ROOT / "lbctl" / "py.typed").exists()


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lbctl", "version"], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout == f"lbctl {lbctl.__version__}\n"


def _code_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of code blocks: fenced, or indented by four."""
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield number, line.strip()


def command_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The arguments of each `lbctl ...` in a document's code, whatever stands around it in the shell's language."""
    for number, line in _code_lines(path):
        text = line.removeprefix("$ ").removeprefix("# ").replace("$(hostname)", "hostname")
        try:
            words = shlex.split(text, comments=True)
        except ValueError:
            continue  # prose or a drawing
        while words and words[0] in ("sudo", "exec"):
            del words[0]
        if not words or Path(words[0].removeprefix("ExecStart=")).name != "lbctl":
            continue
        arguments: list[str] = []
        for word in words[1:]:
            if word in ("|", "&&", "||", "&", ">", ";"):
                break
            arguments.append(word)
        yield number, arguments


def parse(arguments: list[str]) -> None:
    """Parses a command line to its end without running it. Raises TyperException."""
    command: Command = get_command(main.app)
    context = command.make_context("lbctl", list(arguments), resilient_parsing="--help" in arguments)
    while isinstance(command, TyperGroup):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, below, rest = command.resolve_command(context, rest)
        assert below is not None
        parent: Context = context
        command = below
        context = command.make_context(name, rest, parent=parent, resilient_parsing="--help" in arguments)


COMMAND_LINES = [
    pytest.param(arguments, id=f"{path.relative_to(ROOT)}:{number}")
    for path in DOCUMENTS
    for number, arguments in command_lines(path)
]


@pytest.mark.parametrize("arguments", COMMAND_LINES)
def test_every_command_in_the_documents_is_one_that_parses(arguments: list[str]) -> None:
    parse(arguments)


def test_the_documents_have_commands_and_a_wrong_one_would_be_noticed() -> None:
    assert len([None for _ in command_lines(ROOT / "README.md")]) >= 10
    for wrong in (["where-was", "192.0.2.1"], ["where-is"], ["services", "--nope"], ["lab", "cut"]):
        with pytest.raises(TyperException):
            parse(wrong)


def test_every_command_is_in_the_readme_or_the_command_page() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "commands.md").read_text()
    assert [name for name in main.COMMANDS if f"lbctl {name}" not in text] == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in DOCUMENTS
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


def test_files_that_the_documents_name_exist() -> None:
    """A path in backquotes that begins with one of our folders, such as `docs/lab.md`."""
    pattern = re.compile(r"`((?:lbctl|docs|configs|tests|bench|completions|\.ci)/[\w./-]+)`")
    missing = sorted(
        f"{path.relative_to(ROOT)}: {name}"
        for path in DOCUMENTS
        for name in pattern.findall(path.read_text())
        if not (ROOT / name).exists()
    )
    assert missing == []


def test_every_json_schema_is_documented() -> None:
    told = "".join(path.read_text() for path in DOCUMENTS)
    used = {
        schema
        for path in (ROOT / "lbctl").rglob("*.py")
        for schema in re.findall(r"\"(lbctl\.io/[a-z-]+/v\d+)\"", path.read_text())
    }
    assert len(used) > 5
    assert sorted(schema for schema in used if schema not in told) == []
