"""Options that several commands share, so that one name means one thing everywhere.

    @app.command()
    def run(config: ConfigPaths, state: StateDir = DEFAULT_STATE, output: OutputOption = Output.TABLE) -> None: ...

`ConfigPaths` carries its own default (a parameter without one); the others take theirs from the signature.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lbctl.telemetry.log import LogFormat

DEFAULT_CONFIG = Path("/etc/lbctl")
DEFAULT_STATE = Path("/var/lib/lbctl")
DEFAULT_CLUSTER = "default"
DEFAULT_SPEAKER_SOCKET = Path("/run/lbctl/speaker.sock")
DEFAULT_CONTROLLER_SOCKET = Path("/run/lbctl/controller.sock")
NONE_HERE = "neither speaker nor controller runs on this host; name one with --via HOST"
STATUS_PORT = 7967
"""TCP port of the status API where a daemon was given `--listen HOST` without one, and where `--via HOST` asks."""


class Output(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


class OutputWithName(StrEnum):
    """`name` prints namespace/name only, one a line, for shells."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


ConfigPaths = Annotated[
    list[Path],
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        envvar="LBCTL_CONFIG",
        show_envvar=True,
        default_factory=lambda: [DEFAULT_CONFIG],
        show_default=str(DEFAULT_CONFIG),
        help="Manifests: a file or a folder; may be given more than once.",
    ),
]
StateDir = Annotated[
    Path,
    typer.Option(
        "--state",
        metavar="DIR",
        envvar="LBCTL_STATE",
        show_envvar=True,
        help="Folder of the ledger, of what is published, and of the journals.",
    ),
]
PublishedPath = Annotated[
    Path | None,
    typer.Option(
        "--published",
        metavar="PATH",
        help="The published file or its folder, where it is not below --state.",
        show_default=False,
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Form of the answer.")]
OutputWithNameOption = Annotated[OutputWithName, typer.Option("--output", "-o", help="Form of the answer.")]
Cluster = Annotated[
    str,
    typer.Option("--cluster", metavar="NAME", help="Speakers hear only members of their own cluster."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", metavar="PATH", help="Shared secret of the heartbeats, for all members.", show_default=False
    ),
]
LogFormatOption = Annotated[LogFormat, typer.Option("--log-format", help="Form of the log on stderr.")]
Socket = Annotated[
    Path | None,
    # Whether it may be opened is said by who opens it, with what to do about it.
    typer.Option(
        "--socket", metavar="PATH", help="Status socket of a daemon on this host.", show_default=False, readable=False
    ),
]
Via = Annotated[
    str | None,
    typer.Option(
        "--via",
        metavar="HOST[:PORT]|unix:PATH",
        help=f"Ask this daemon instead of the one on this host (port {STATUS_PORT}).",
        show_default=False,
    ),
]


_NODE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")


def is_node_name(name: str) -> bool:
    """Whether Kubernetes would take it as a node's name: a subdomain of RFC 1123, in lower case."""
    return len(name) <= 253 and _NODE.fullmatch(name) is not None


def published_file(published: Path | None, state: Path) -> Path:
    """What `--published` (the file, or the folder it lies in) or else `--state` names."""
    if published is None:
        return state / "published" / "snapshot.json"
    return published / "snapshot.json" if published.is_dir() else published
