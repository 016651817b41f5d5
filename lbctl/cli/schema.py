"""`lbctl schema [KIND]`: JSON Schema of the manifests that lbctl reads, for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer._click.exceptions import UsageError

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.render import as_json

if TYPE_CHECKING:
    from lbctl.config.kind import Kind

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def schema(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="Only this kind: IPAddressPool, or metallb.io/v1beta1/BGPPeer."),
    ] = None,
) -> int:
    """JSON Schema (2020-12) of all kinds that lbctl reads, or of one.

    Editors complete and check manifests by it; `lbctl validate` knows more.

    \b
    Examples:
      lbctl schema > ~/.config/lbctl.schema.json
      lbctl schema BGPPeer
    """
    from lbctl.config.json_schema import everything, of_kind

    print(as_json(everything() if kind is None else of_kind(_kind(kind))))
    return ExitStatus.OK


def _kind(written: str) -> Kind:
    """The kind called so, in whatever case, with or without its apiVersion; the newest of several versions."""
    from lbctl.config.kinds import KINDS
    from lbctl.config.spelling import did_you_mean

    wanted = written.lower()
    found = [
        kind
        for (api_version, name), kind in sorted(KINDS.items())
        if wanted in (name.lower(), f"{api_version}/{name}".lower())
    ]
    if not found:
        names = sorted({name for _, name in KINDS})
        said = did_you_mean(written, names) or "the kinds are " + ", ".join(names)
        raise UsageError(f"no kind {written!r}; {said}")
    return found[-1]
