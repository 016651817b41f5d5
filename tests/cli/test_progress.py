"""The progress bar: only where somebody watches, only when it takes long, and gone at the end."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lbctl.cli import progress
from lbctl.cli.progress import Progress


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def counted(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, seconds: float) -> str:
    """What is on stderr after ten steps that take so long together."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with Progress("checking", 1000) as bar:
        for _ in range(10):
            now[0] += seconds / 10
            bar.advance(100)
    return stream.getvalue()


def test_what_is_quick_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(monkeypatch, Screen(), 0.3) == ""


def test_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(monkeypatch, io.StringIO(), 60) == ""


def test_it_counts_up_and_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = counted(monkeypatch, Screen(), 5)
    assert "checking" in shown
    percents = [int(number) for number in re.findall(r"(\d+)%", shown)]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert shown.rstrip("\r").endswith(("\x1b[2K", "\x1b[?25h")), "the line is erased, the cursor back"


def test_an_exception_takes_it_away_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Screen()
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")

    def interrupted() -> None:
        with Progress("checking", 10) as bar:
            bar.advance(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "\x1b[?25h" in stream.getvalue()


def test_validate_on_a_terminal(tmp_path: Path) -> None:
    """Findings on stdout stay clean while the bar is drawn on a terminal that is stderr."""
    document = "apiVersion: v1\nkind: Namespace\nmetadata: {{name: n{}}}\n"
    (tmp_path / "many.yaml").write_text("---\n".join(document.format(n) for n in range(3000)))
    code = (
        "from lbctl.cli import progress\nprogress._PATIENCE = 0.0\n"
        "import sys\nfrom lbctl.cli.main import run\nsys.exit(run(sys.argv[1:]))"
    )
    ours, theirs = pty.openpty()
    drawn: list[bytes] = []
    reading = threading.Thread(target=lambda: drawn.extend(iter(lambda: _read(ours), b"")))
    reading.start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, "validate", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=60,
            check=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        )
    finally:
        os.close(theirs)
        reading.join(60)
        os.close(ours)
    assert done.stdout.decode() == "ok: 1 file, 3,000 objects, nothing found\n"
    assert b"checking" in b"".join(drawn)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""
