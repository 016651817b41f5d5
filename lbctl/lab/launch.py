"""How a process gets onto a lab host: the command line around enter.py, and the environment it starts with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lbctl

_ENTER = Path(__file__).with_name("enter.py")


def launcher(spec: dict[str, Any], argv: Sequence[str]) -> list[str]:
    """The command line that enters the host described by `spec` (see enter.py) and becomes `argv`."""
    return [sys.executable, "-I", "-S", str(_ENTER), json.dumps(spec, separators=(",", ":")), *argv]


def environment() -> dict[str, str]:
    """Our own, but with this very lbctl first on the paths, and without settings meant for the machine itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LBCTL_")}
    # Both as they are, unresolved: in a virtual environment they are links, and the folder is what matters.
    programs = str(Path(sys.executable).parent)
    package = str(Path(lbctl.__file__).parent.parent)
    # After `su` without a dash, Debian's PATH lacks the folders where nft and conntrack are.
    kept["PATH"] = os.pathsep.join([programs, kept.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    kept["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [kept.get("PYTHONPATH")])])
    kept["PYTHONUNBUFFERED"] = "1"
    kept.pop("NOTIFY_SOCKET", None)
    return kept
