"""`lbctl completion`: the completion script of a shell, made out of the commands themselves.

Commands and options are written into the script, so that a TAB costs no start of Python; only names of services and
addresses are asked of the daemon, when they are wanted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from typer._click.core import Context
from typer.core import TyperGroup

from lbctl.cli.completion_scripts import Node, Option, Value, bash, fish, zsh
from lbctl.cli.exit_status import ExitStatus

if TYPE_CHECKING:
    from typer._click.core import Command, Parameter

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="Which shell.")]) -> int:
    """Print the completion script for a shell.

    \b
    Examples:
      lbctl completion bash > /etc/bash_completion.d/lbctl
      lbctl completion zsh > /usr/share/zsh/vendor-completions/_lbctl
      lbctl completion fish > /usr/share/fish/vendor_completions.d/lbctl.fish
    """
    print(script(shell), end="")
    return ExitStatus.OK


def script(shell: Shell) -> str:
    """The whole script of one shell."""
    nodes = tree()
    match shell:
        case Shell.BASH:
            return bash(nodes)
        case Shell.ZSH:
            return zsh(nodes)
        case Shell.FISH:
            return fish(nodes)


def tree() -> tuple[Node, ...]:
    """Every command, parents before children. Imports every command's module."""
    from typer.main import get_command

    from lbctl.cli import main

    def walk(words: tuple[str, ...], command: Command, context: Context) -> Iterator[Node]:
        children = list(_children(command, context))
        lines = {name: line for name, (_, line) in main.COMMANDS.items()} if not words else {}
        parameters = [each for each in command.get_params(context) if not getattr(each, "hidden", False)]
        arguments = [each for each in parameters if each.param_type_name == "argument"]
        yield Node(
            words=words,
            children=tuple((name, lines.get(name) or child.get_short_help_str(100)) for name, child in children),
            options=tuple(_option(each, context) for each in parameters if each.param_type_name == "option"),
            argument=_value(arguments[0], context) if arguments else None,
        )
        for name, child in children:
            yield from walk((*words, name), child, Context(child, info_name=name, parent=context))

    root = get_command(main.app)
    return tuple(walk((), root, Context(root, info_name="lbctl", help_option_names=["-h", "--help"])))


def _children(command: Command, context: Context) -> Iterator[tuple[str, Command]]:
    from lbctl.cli.main import CommandMissing

    if not isinstance(command, TyperGroup):
        return
    for name in command.list_commands(context):
        with contextlib.suppress(CommandMissing):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield name, child


def _option(parameter: Parameter, context: Context) -> Option:
    flag = bool(getattr(parameter, "is_flag", False))
    summary = (getattr(parameter, "help", "") or "").split(". ")[0].rstrip(".")
    return Option(
        names=tuple(sorted((*parameter.opts, *parameter.secondary_opts), key=lambda name: name.startswith("--"))),
        takes=None if flag else _value(parameter, context),
        help=summary,
        repeatable=bool(getattr(parameter, "multiple", False)),
    )


def _value(parameter: Parameter, context: Context) -> Value:
    choices = getattr(parameter.type, "choices", ())
    words = tuple(str(getattr(choice, "value", choice)) for choice in choices)
    return Value(metavar=parameter.make_metavar(context), words=words)
