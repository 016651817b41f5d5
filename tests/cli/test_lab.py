"""`lbctl lab` as a person types it: what it prints, how it ends, and that a signal leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lbctl.lab import namespaces
from lbctl.lab.cluster import Lab
from tests.lab.conftest import lab_name, remains
from tests.support.netns import eventually

pytestmark = pytest.mark.netns

_LBCTL = [sys.executable, "-m", "lbctl.cli.main", "lab"]


def lbctl_lab(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_LBCTL, *words],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )


@pytest.fixture(scope="module")
def name() -> Iterator[str]:
    """A lab without daemons, made by the command itself."""
    lab = Lab(lab_name())
    done = lbctl_lab("up", "--name", lab.name, "--nodes", "2", "--no-daemons")
    assert done.returncode == 0, done.stderr
    yield lab.name
    lab.down()


def test_status_as_a_table_and_as_json(name: str) -> None:
    table = lbctl_lab("status", env={"LBCTL_LAB": name}).stdout.splitlines()
    assert table[0].split() == ["HOST", "ROLE", "IPV4", "IPV6", "LINK", "DAEMON"]
    assert [line.split()[0] for line in table[1:]] == ["client", "controller", "n1", "n2", "web1", "web2"]
    assert max(map(len, table)) <= 80
    answer = json.loads(lbctl_lab("status", "--name", name, "-o", "json").stdout)
    assert (answer["schema"], answer["name"]) == ("lbctl.io/lab/v1", name)
    hosts = {host["name"]: host for host in answer["hosts"]}
    assert hosts["n2"] == {
        "name": "n2",
        "role": "node",
        "ipv4": "192.168.3.104",
        "ipv6": "fd00:3::104",
        "mac": "02:1b:00:00:01:04",
        "netns": f"lbctl-{name}-n2",
        "link": "up",
        "daemon": None,
    }
    assert hosts["web1"]["daemon"]["alive"] is True


def test_exec_is_the_command(name: str) -> None:
    done = lbctl_lab("exec", "--name", name, "n1", "--", "sh", "-c", "uname -n; echo no >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "n1\n", "no\n")
    # Without the dashes too, as long as options come after the host.
    assert lbctl_lab("exec", "--name", name, "n2", "uname", "-n").stdout == "n2\n"


def test_a_lab_host_has_this_very_lbctl(name: str) -> None:
    done = lbctl_lab("exec", "--name", name, "client", "--", "lbctl", "lab", "status")
    assert done.returncode == 2
    assert done.stderr == "lbctl lab: this is the lab host client: leave it first\n"


def test_cut_and_heal(name: str) -> None:
    shown = {"carrier": "no carrier", "silent": "no frames"}
    for how, words in (("carrier", []), ("silent", ["--how", "silent"])):
        done = lbctl_lab("cut", "n1", "--name", name, *words)
        assert done.stdout == f"n1 is cut off ({how})\n"
        assert f" {shown[how]} " in lbctl_lab("status", "--name", name).stdout
        assert lbctl_lab("heal", "n1", "--name", name).stdout == "n1 is connected\n"
    assert " no " not in lbctl_lab("status", "--name", name).stdout


def test_kill_start_stop_logs(name: str) -> None:
    assert lbctl_lab("kill", "web1", "--name", name).stdout.startswith("web1: sent SIGKILL to ")
    assert "dead" in lbctl_lab("status", "--name", name).stdout
    assert lbctl_lab("start", "web1", "--name", name).stdout == "web1 is ready\n"
    assert lbctl_lab("stop", "web1", "--name", name).stdout == "web1 has stopped\n"
    assert lbctl_lab("start", "web1", "--name", name).returncode == 0
    assert lbctl_lab("logs", "web1", "--name", name).stdout == "ready\n"


def test_apply_and_delete(name: str, tmp_path: object) -> None:
    file = f"{tmp_path}/pool.yaml"
    with open(file, "w") as out:  # noqa: PTH123
        out.write("kind: Pool\n")
    done = lbctl_lab("apply", file, "--name", name)
    assert (done.stdout, done.returncode) == ("applied pool.yaml\n", 1)
    assert "error[LB0102]" in done.stderr
    assert lbctl_lab("exec", "--name", name, "controller", "cat", "/etc/lbctl/pool.yaml").stdout == "kind: Pool\n"
    assert lbctl_lab("delete", file, "--name", name).stdout == "deleted pool.yaml\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (
            ["status", "--name", "lbt-none"],
            2,
            "there is no lab 'lbt-none': make it with `lbctl lab up --name lbt-none`",
        ),
        (["up", "--name", "A/B"], 2, "'A/B' cannot name a lab"),
        (["up", "--nodes", "99"], 2, "a lab has 1 to 60 nodes, not 99"),
        (["cut"], 64, "Missing argument 'HOST'"),
        (["no-such"], 64, "No such command 'no-such'"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(words: list[str], status: int, said: str) -> None:
    done = lbctl_lab(*words)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_what_a_lab_does_not_have_is_said(name: str) -> None:
    for words, said in (
        (["cut", "n9"], "has no host 'n9'; it has: sw client controller n1 n2"),
        (["kill", "n1"], "nothing to signal on n1: no daemon runs"),
        (["kill", "n1", "--which", "pulse"], "nothing to signal on n1: no pulse runs"),
        (["delete", "x.yaml"], "no manifest x.yaml was applied; there are: none"),
        (["apply", "/no/such.yaml"], "cannot read /no/such.yaml: No such file or directory"),
        (["up"], "is there already"),
    ):
        done = lbctl_lab(*words, "--name", name)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr
    assert "there is no signal 'X'" in lbctl_lab("kill", "web1", "-s", "X", "--name", name).stderr


def test_down_may_be_repeated() -> None:
    name = lab_name()
    assert lbctl_lab("up", "--name", name, "--nodes", "1", "--no-daemons").returncode == 0
    assert lbctl_lab("down", "--name", name).stdout == f"lab {name} is removed\n"
    done = lbctl_lab("down", "--name", name)
    assert (done.returncode, done.stdout) == (0, f"there is no lab {name}\n")
    assert remains(Lab(name)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("namespaces_there", [1, 9])
def test_a_signal_while_building_leaves_nothing(number: signal.Signals, namespaces_there: int) -> None:
    lab = Lab(lab_name())
    argv = [*_LBCTL, "up", "--name", lab.name, "--nodes", "20", "--no-daemons"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as builder:
        eventually(lambda: len(namespaces.existing(lab.name)) >= namespaces_there, every=0)
        while builder.poll() is None:  # impatience changes nothing
            builder.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                builder.wait(0.005)
        assert builder.stderr is not None
        said = builder.stderr.read()
    assert builder.returncode == 128 + number
    assert said == f"\nlbctl lab: stopped by {number.name}\n"
    assert remains(lab) == []


def test_every_command_has_help_with_an_example() -> None:
    listed = lbctl_lab("--help").stdout
    assert "Examples:" in listed
    commands = [
        "up",
        "down",
        "status",
        "exec",
        "apply",
        "delete",
        "kill",
        "cut",
        "heal",
        "start",
        "stop",
        "logs",
        "demo",
    ]
    for command in commands:
        assert f"  {command} " in listed
        said = lbctl_lab(command, "--help").stdout
        assert f"lbctl lab {command}" in said
        assert "Example" in said
        assert max(map(len, said.splitlines())) <= 80
