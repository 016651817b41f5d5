"""The demo is true: what it shows happened, and whatever ends it, nothing stays behind."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from lbctl.lab.cluster import Lab
from tests.lab.conftest import remains

pytestmark = pytest.mark.lab

_DEMO = [sys.executable, "-m", "lbctl.cli.main", "lab", "demo"]


def _remains(pid: int) -> list[str]:
    """What a demo of this pid left: its lab is named after it."""
    return remains(Lab(f"demo-{pid}"))


def test_every_step_is_done_and_verified() -> None:
    demo = subprocess.Popen([*_DEMO, "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, errors = demo.communicate(timeout=250)
    assert demo.returncode == 0, errors
    report = json.loads(said)
    assert report["schema"] == "lbctl.io/lab-demo/v1"
    assert report["service"] == {"name": "nginx-svc", "address": "192.168.3.170"}
    assert len(report["backends"]) >= 2
    nodes = {"n1", "n2", "n3"}
    assert report["owner"] in nodes
    assert report["new_owner"] in nodes - {report["owner"]}
    assert report["owner_after_healing"] in nodes
    # Detection takes 150 ms where nothing else runs; here much else may run.
    assert 20 < report["gap_ms"] < 3000 + report["prober_late_ms"]
    assert _remains(demo.pid) == []


def test_plain_where_it_is_no_terminal() -> None:
    demo = subprocess.Popen(_DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, errors = demo.communicate(timeout=250)
    assert demo.returncode == 0, errors
    assert errors == ""
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 80
    for words in ("192.168.3.170-192.168.3.179", "kind: Service", "EXTERNAL-IP", "planned", "took over from", " ms"):
        assert words in said
    assert _remains(demo.pid) == []


def _on_a_terminal(env: dict[str, str], until: str) -> str:
    """What the demo writes on a pseudo-terminal of 80 columns, up to these words; then Ctrl-C is typed."""
    ours, theirs = pty.openpty()
    demo = subprocess.Popen(
        _DEMO,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **env},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = b""
    typed = False
    try:
        while select.select([ours], [], [], 250)[0]:
            said += os.read(ours, 65536)
            if not typed and until.encode() in said:
                typed = os.write(ours, b"\x03") == 1
    except OSError:
        pass  # the other end is closed: it has ended
    finally:
        os.close(ours)
    assert demo.wait(timeout=120) == 130, said.decode()
    assert _remains(demo.pid) == []
    return said.decode()


def test_colours_on_a_terminal_but_not_when_they_are_not_wanted() -> None:
    colour = re.compile(r"\x1b\[(?:\d+;)*3[1-7]m")
    assert colour.search(_on_a_terminal({}, "has 192.168.3.170"))
    assert not colour.search(_on_a_terminal({"NO_COLOR": "1"}, "has 192.168.3.170"))


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "A cluster of network"),
        (signal.SIGHUP, "speakers are ready"),
        (signal.SIGTERM, "lbctl services"),
        (signal.SIGINT, "lbctl lab cut"),
    ],
)
def test_interrupted_it_cleans_up(number: signal.Signals, moment: str) -> None:
    with subprocess.Popen(
        _DEMO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as demo:
        assert demo.stdout is not None
        assert any(moment in line for line in demo.stdout)
        demo.send_signal(number)
        said, errors = demo.communicate(timeout=120)
    assert demo.returncode == 128 + number
    assert f"stopped by {number.name}" in errors
    assert "verified;" not in said
    assert "Traceback" not in errors
    assert _remains(demo.pid) == []


def test_a_step_that_fails_fails_the_demo(tmp_path: Path) -> None:
    # A pool of other addresses: everything else works, and the address promised is not given.
    source = Path(__file__).parents[2] / "configs"
    for name in ("nodes.yaml", "layer2.yaml", "nginx.yaml"):
        text = (source / name).read_text()
        (tmp_path / name).write_text(text.replace("192.168.3.170-192.168.3.179", "192.168.3.171-192.168.3.179"))
    demo = subprocess.Popen(
        [*_DEMO, "--configs", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said, errors = demo.communicate(timeout=250)
    assert demo.returncode == 1, said
    assert "This did not work: the Service got ['192.168.3.171']" in errors
    assert "-- controller" in errors
    assert _remains(demo.pid) == []
