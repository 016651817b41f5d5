"""The `lbctl` command: a table of commands, each imported only when it is run.

Exit statuses are in `exit_status`; here they are kept: a wrong command line is 64 (typer alone would say 2, which is a
finding), Ctrl-C is 130, and a reader that goes away ends us without a traceback.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn, TextIO

import typer
import typer.core
from typer._click.exceptions import UsageError
from typer.exceptions import TyperException
from typer.main import get_command

from lbctl import __version__
from lbctl.cli.exit_status import ExitStatus

if TYPE_CHECKING:
    from typer._click.core import Command, Context
    from typer._click.formatting import HelpFormatter

COMMANDS: dict[str, tuple[str, str]] = {
    "run-controller": ("lbctl.cli.run_controller:app", "Give services their addresses (daemon, one a cluster)."),
    "run-speaker": ("lbctl.cli.run_speaker:app", "Announce addresses from this node (daemon, one a node)."),
    "where-is": ("lbctl.cli.where_is:app", "Which node answers for a VIP: planned, said and seen."),
    "services": ("lbctl.cli.services:app", "Services, their addresses and who announces them."),
    "pools": ("lbctl.cli.pools:app", "How full the pools are, and what is kept back."),
    "drain": ("lbctl.cli.drain:app", "Move everything away from a node, before work on it."),
    "undrain": ("lbctl.cli.undrain:app", "Let a drained node announce again."),
    "move": ("lbctl.cli.move:app", "Send a VIP to a node and pin it there."),
    "rebalance": ("lbctl.cli.rebalance:app", "Spread the VIPs evenly over the nodes, now."),
    "history": ("lbctl.cli.history:app", "Who had an address: every grant, release and cause."),
    "reserve": ("lbctl.cli.reserve:app", "Keep addresses for a service by its name."),
    "quarantine": ("lbctl.cli.quarantine:app", "Addresses for which a foreign machine answers."),
    "ledger": ("lbctl.cli.ledger:app", "The ledger as text and back, and its check."),
    "status": ("lbctl.cli.status:app", "How the daemon on this host is, and whom it hears."),
    "validate": ("lbctl.cli.validate:app", "Check manifests; every finding with its line."),
    "diff": ("lbctl.cli.diff:app", "What a configuration would change, before it does."),
    "convert": ("lbctl.cli.convert:app", "Old MetalLB configuration to today's kinds."),
    "explain": ("lbctl.cli.explain:app", "What a code of a finding means, an example, the fix."),
    "schema": ("lbctl.cli.schema:app", "JSON Schema of manifests, for editors."),
    "lab": ("lbctl.cli.lab:app", "A cluster in network namespaces, to try things out."),
    "completion": ("lbctl.cli.completion:app", "Print the completion script for a shell."),
    "version": ("lbctl.cli.main:version_app", "Print the version."),
}
"""Name -> (where its typer app is, one line of help). The order is the order of `lbctl --help`."""


DAEMONS = frozenset({"run-controller", "run-speaker"})


class CommandMissing(TyperException):
    """A command of the table whose module is not installed."""

    exit_code = ExitStatus.UNAVAILABLE


class LazyGroup(typer.core.TyperGroup):
    """Lists its commands from COMMANDS and imports one when it is asked for by name."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = load(cmd_name)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        # The superclass looks for near names in `commands`, which is empty here; the table has them.
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(_no_such_command(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Context) -> object:
        try:
            result: object = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            _discard_stdout()
            raise typer.Exit(ExitStatus.BROKEN_PIPE) from None


def load(name: str) -> Command:
    """The command called `name`, its module imported now. Raises CommandMissing where the module is not there."""
    module_name, _, attribute = COMMANDS[name][0].partition(":")
    if name in DAEMONS:
        gc.enable()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise CommandMissing(f"{name} is not part of this installation (no module {module_name})") from None
    app = getattr(module, attribute)
    assert isinstance(app, typer.Typer)
    # Rich help costs 180 ms and its markup would turn [brackets] of examples into styles.
    app.rich_markup_mode = None
    app._add_completion = False
    app.pretty_exceptions_enable = False
    command = get_command(app)
    command.name = name
    return command


def _no_such_command(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=3)
    return f"no command {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def _discard_stdout() -> None:
    """Python flushes stdout once more on its way out; into a closed pipe that would print an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
version_app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lbctl {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Exit status: 0 did it; 1 found something; 2 could not be asked or started; 64 wrong command line; "
    "130 interrupted. where-is has its own, see its help."
)
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Bare-metal load balancer: services get addresses from pools, nodes announce
    them by ARP/NDP, and one command says which node answers.

    \b
    Examples:
      lbctl validate configs/
      lbctl run-controller --config /etc/lbctl
      lbctl run-speaker --node $(hostname)
      lbctl where-is 192.168.3.170
    """


@version_app.command()
def _print_version() -> None:
    """Print the version of lbctl.

    \b
    Example:
      lbctl version
    """
    print(f"lbctl {__version__}")


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; returns its exit status. Errors of the command line are said on stderr."""
    command = get_command(app)
    try:
        result = command.main(args=list(arguments), prog_name="lbctl", standalone_mode=False)
    except TyperException as error:
        return _refuse(error)
    except typer.Abort:
        return ExitStatus.INTERRUPTED
    return result if isinstance(result, int) else ExitStatus.OK


def _refuse(error: TyperException) -> int:
    context: Context | None = getattr(error, "ctx", None)
    path = context.command_path if context else "lbctl"
    if context and type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help(), file=sys.stderr)
        return ExitStatus.USAGE
    usage = hasattr(error, "ctx")
    print(f"{path}: {error.format_message()}", file=sys.stderr)
    if usage:
        print(f"Try '{path} --help'.", file=sys.stderr)
    return ExitStatus.USAGE if usage else error.exit_code


def main() -> NoReturn:
    """Entry of the console script."""
    # A short command ends before its garbage matters, and looking for it costs a tenth of its time.
    gc.disable()
    arguments = sys.argv[1:]
    _settle_streams(daemon=bool(arguments) and arguments[0] in DAEMONS)
    try:
        status = run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = ExitStatus.INTERRUPTED
    except BrokenPipeError:
        _discard_stdout()
        status = ExitStatus.BROKEN_PIPE
    except OSError as error:
        if not isinstance(sys.stdout, _Stdout) or not sys.stdout.failed:
            raise
        _discard_stdout()
        _say(f"cannot write to stdout: {error.strerror or error}")
        status = ExitStatus.UNAVAILABLE
    sys.exit(int(status))


class _Stdout(io.TextIOWrapper):
    """Remembers that it could not be written to, which tells its errors from others."""

    failed = False

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            self.failed = True
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self.failed = True
            raise


def _settle_streams(*, daemon: bool) -> None:
    """Python has None for a stream that was closed before it began; a path need not be text in our encoding."""
    if sys.stderr is None:
        sys.stderr = _nowhere(2)
    if sys.stdout is None:
        if not daemon:
            _say("cannot write to stdout: it is closed")
            sys.exit(int(ExitStatus.UNAVAILABLE))
        # A daemon has little to say there, but must not get a socket of that number.
        sys.stdout = _nowhere(1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        before = sys.stdout
        encoding, lines, through = before.encoding, before.line_buffering, before.write_through
        sys.stdout = _Stdout(
            before.detach(), encoding, errors="backslashreplace", line_buffering=lines, write_through=through
        )


def _nowhere(number: int) -> TextIO:
    opened = os.open(os.devnull, os.O_WRONLY)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    return os.fdopen(number, "w", closefd=False)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(f"lbctl: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
