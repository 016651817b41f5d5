"""Where the `lbctl` command begins, and `python -m lbctl`."""

from __future__ import annotations

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Entry of the console script."""
    # A short command ends before its garbage matters, and to look for it costs a fifth of the imports that follow.
    gc.disable()
    from lbctl.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
