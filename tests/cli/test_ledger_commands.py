"""history, reserve, quarantine, ledger: with a controller running, without one, and where no way leads there."""

from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

import lbctl.cli.ledger as ledger_command
from lbctl.controller.kept import AddressChanges
from lbctl.controller.ledger import Ledger
from lbctl.controller.records import Batch
from lbctl.net.status_client import TcpAddress, UnixAddress, ask, post
from tests.cli.test_main import lbctl
from tests.controller.kept_stories import quarantine
from tests.controller.running import Home


@pytest.fixture
def home(memory_folder: Path) -> Iterator[Home]:
    made = Home(memory_folder)
    yield made
    made.kill()


@pytest.fixture
def memory_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def at(home: Home) -> list[str]:
    return ["--socket", str(home.socket)]


def free(home: Home) -> list[str]:
    """The state folder named, no socket: what a person types on a host where no controller runs."""
    return ["--state", str(home.state)]


def good(*arguments: str) -> str:
    done = lbctl(*arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def quarantined(home: Home, address: str) -> None:
    """As a controller would have noted it."""
    ledger = Ledger(home.state / "controller", new_name=lambda: "x")
    state = ledger.open()
    found = AddressChanges(quarantined=(quarantine(address),))
    ledger.commit(Batch(at_unix=1.0, first_grant=state.next_grant, kept=found))
    ledger.close()


def test_a_reservation_is_made_kept_over_a_kill_and_taken_back(home: Home) -> None:
    home.start()
    assert good("reserve", "default/shop", "--ip", "192.0.2.2", *at(home)) == (
        "192.0.2.2 reserved for default/shop, from pool first\n"
    )
    assert "was reserved for default/shop already" in good("reserve", "default/shop", *at(home))
    home.kill()
    home.start()
    home.service("a")
    home.service("b")
    home.until(lambda found: {"a": "192.0.2.1", "b": "192.0.2.3"}.items() <= found.items())
    header, row = good("reserve", *at(home)).splitlines()
    assert header.split() == ["SERVICE", "ADDRESSES", "POOL", "IN", "USE", "BY", "AGE"]
    assert row.split()[:4] == ["default/shop", "192.0.2.2", "first", "waiting"]
    home.service("shop")
    home.until(lambda found: found.get("shop") == "192.0.2.2")
    assert home.ask("/v1/status")["counters"]["reserved"] == 1
    assert "192.0.2.2 of default/shop no longer reserved" in good("reserve", "--remove", "default/shop", *at(home))
    assert "nothing is reserved" in good("reserve", "--remove", "default/shop", *at(home))
    assert good("reserve", *at(home)) == "Nothing is reserved.\n"
    assert home.addresses()["shop"] == "192.0.2.2", "who holds it keeps it"


def test_what_is_refused_says_why(home: Home) -> None:
    home.service("web")
    home.start()
    done = lbctl("reserve", "default/shop", "--ip", "192.0.2.1", *at(home))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "lbctl reserve: nothing was reserved for default/shop",
        "  192.0.2.1: address_taken (held by default/web)",
    ]
    done = lbctl("reserve", "default/shop", "--pool", "none", "-o", "json", *at(home))
    assert done.returncode == 1
    assert json.loads(done.stdout)["refusals"][0]["reason"] == "unknown_pool"


def test_without_a_controller_the_ledger_is_written_under_its_lock(home: Home) -> None:
    home.start()
    home.stop()
    said = good("reserve", "default/shop", *free(home))
    assert said.splitlines() == [
        "192.0.2.1 reserved for default/shop, from pool first",
        "No controller runs; it takes effect when one starts.",
    ]
    home.service("first")
    home.service("shop")
    home.start()
    assert home.addresses() == {"first": "192.0.2.2", "shop": "192.0.2.1"}
    blocked = lbctl("reserve", "--remove", "default/shop", *free(home))
    assert blocked.returncode == 2
    assert "does not listen on /run/lbctl/controller.sock; name its socket with --socket" in blocked.stderr


def test_another_controllers_socket_is_not_taken_for_ours(home: Home, tmp_path: Path) -> None:
    home.start()
    done = lbctl("reserve", "default/shop", "--state", str(tmp_path), *at(home))
    assert done.returncode == 2
    assert f"this controller uses the state folder {home.state}, not {tmp_path}" in done.stderr


def test_nothing_is_changed_over_tcp(home: Home) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home.start("--no-heartbeat", "--listen", f"127.0.0.1:{port}")
    tcp = TcpAddress("127.0.0.1", port)
    status, answer = post(tcp, "/v1/reserve", {"service": "default/shop"})
    assert (status, answer["schema"]) == (403, "lbctl.io/error/v1")
    assert ask(tcp, "/v1/reservations")[1]["reservations"] == []
    assert ask(tcp, "/v1/history")[0] == 200


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/v1/reserve", {}),
        ("/v1/reserve", {"service": "Shop"}),
        ("/v1/reserve", {"service": "a/b", "ip": "1.2.3"}),
        ("/v1/reserve", {"service": "a/b", "ip": "1" * 300}),
        ("/v1/reserve", {"service": "a/b", "pool": "\x1b[2J"}),
        ("/v1/reserve", {"service": "a/b", "family": "ipv5"}),
        ("/v1/clear", {"address": ""}),
        ("/v1/reserve", {"service": "-a/b"}),
        ("/v1/reserve", {"service": "../.."}),
        ("/v1/reserve", {"service": "a/b", "state": "\0"}),
        ("/v1/unreserve", {"service": "a/b", "state": "x" * 5000}),
    ],
)
def test_orders_that_make_no_sense_are_refused(shared: Home, path: str, arguments: dict[str, str]) -> None:
    status, answer = post(UnixAddress(shared.socket), path, arguments)
    assert (status, answer["schema"]) == (400, "lbctl.io/error/v1")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("shared"))
    made.start()
    yield made
    made.kill()


def test_history_is_told_while_it_runs_and_after(home: Home) -> None:
    home.service("web")
    home.start()
    home.drop("web")
    home.until(lambda found: not found)
    home.service("next")
    home.until(lambda found: "next" in found)
    for where in (at(home), free(home)):
        header, *rows = good("history", "192.0.2.1", *where).splitlines()
        assert header.split()[0] == "TIME"
        assert "ADDRESSES" not in header, "it would say the same in each line"
        assert [row.split()[2:4] for row in rows[:2]] == [["allocated", "default/web"], ["released", "default/web"]]
        assert rows[1].split()[4:] == ["first", "service_deleted"]
        assert "for " in rows[0]
    home.stop()
    told = json.loads(good("history", "default/web", "-o", "json", *free(home)))
    assert (told["schema"], told["target"]) == ("lbctl.io/history/v1", "default/web")
    first, last = told["events"]
    assert (first["event"], first["until_unix"], first["ended_by"]) == ("allocated", last["at_unix"], "service_deleted")
    assert len(good("history", "--limit", "1", *free(home)).splitlines()) == 3
    assert lbctl("history", "--since", "2999-01-01", *free(home)).returncode == 1
    nobody = lbctl("history", "192.0.2.77", *free(home))
    assert (nobody.returncode, nobody.stdout) == (1, "Nothing is known of 192.0.2.77.\n")


def test_a_quarantine_is_listed_named_in_services_and_ended_by_hand(home: Home) -> None:
    home.service("web")
    home.start()
    home.stop()
    quarantined(home, "192.0.2.1")
    home.start()
    done = lbctl("quarantine", *at(home))
    row = done.stdout.splitlines()[1]
    assert done.returncode == 1
    assert row.split()[:4] == ["192.0.2.1", "02:00:00:00:00:07", "n1@eth1", "default/web"]
    why = lbctl("services", *at(home)).stdout.splitlines()
    assert "192.0.2.1: quarantined" in "\n".join(why)
    assert "\n  1 service, 1 allocation, 1 address in quarantine" in good("status", *at(home))
    found = home.published()
    assert found is not None
    assert ip_address("192.0.2.1") in found.world.quarantined
    assert good("quarantine", "--clear", "192.0.2.1", *at(home)) == "192.0.2.1 is out of quarantine\n"
    home.until(lambda _: (now := home.published()) is not None and not now.world.quarantined)
    assert good("quarantine", *at(home)) == "No address is in quarantine.\n"
    assert "not in quarantine" in good("quarantine", "--clear", "192.0.2.1", *at(home))
    told = good("history", "default/web", *at(home)).splitlines()
    # The quarantine was made up to be older than all else.
    assert [line.split()[2] for line in told[1:]] == ["allocated", "quarantined", "cleared"]


def test_the_ledger_as_text_goes_to_another_folder_and_back(home: Home, tmp_path: Path) -> None:
    home.service("web")
    home.start()
    good("reserve", "default/shop", *at(home))
    text = good("ledger", "export", *free(home))
    assert "All is well: 1 allocations, 1 reserved" in good("ledger", "check", *free(home))
    path = tmp_path / "export"
    path.write_text(text)
    running = lbctl("ledger", "import", str(path), "--replace", *free(home))
    assert (running.returncode, running.stdout) == (2, "")
    assert running.stderr == f"lbctl ledger import: a controller runs with {home.state}; stop it first\n"
    other = ["--state", str(tmp_path / "other")]
    assert good("ledger", "import", str(path), *other) == f"{len(text.splitlines()) - 2} rows, 1 allocations\n"
    assert good("ledger", "export", *other) == text
    again = lbctl("ledger", "import", str(path), *other)
    assert again.returncode == 2
    assert "is not empty; --replace replaces it" in again.stderr
    assert "the one before is kept as" in good("ledger", "import", str(path), "--replace", *other)
    path.write_text(text[:-100])
    cut = lbctl("ledger", "import", str(path), "--replace", *other)
    assert cut.returncode == 2
    assert "cut off" in cut.stderr


def test_an_answer_does_not_repeat_all_of_a_question(shared: Home) -> None:
    for state in ("x/" * 1000, "a\nb", "\x1b[2J"):
        status, answer = post(UnixAddress(shared.socket), "/v1/unreserve", {"service": "a/b", "state": state})
        assert status == 421
        assert len(answer["error"]) < 300 + len(str(shared.state))
        assert answer["error"].isprintable()


def test_an_export_that_fails_leaves_what_there_was(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    file.write_bytes(b"before\n")

    def lines() -> Iterator[bytes]:
        yield b"after\n"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        ledger_command._write(file, lines())
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("ledger.jsonl", b"before\n")]
    ledger_command._write(file, [b"after\n"])
    assert file.read_bytes() == b"after\n"


def test_an_export_into_a_pipe_leaves_the_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    ledger_command._write(pipe, [b"line\n"])
    assert os.read(reader, 100) == b"line\n"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_full_disk_is_not_blamed_on_the_ledger(home: Home) -> None:
    home.start()
    home.stop()
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lbctl.cli.main", "ledger", "export", "--state", str(home.state)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "lbctl: cannot write to stdout: No space left on device\n"


def test_an_import_from_nowhere_makes_no_state_folder(tmp_path: Path) -> None:
    said = refused("ledger", "import", str(tmp_path / "none"), "--state", str(tmp_path / "state"), status=2)
    assert said == f"lbctl ledger import: {tmp_path / 'none'}: No such file or directory"
    assert list(tmp_path.iterdir()) == []


def test_history_forges_no_line_of_its_own(home: Home) -> None:
    home.service("web")
    home.start()
    home.stop()
    with sqlite3.connect(home.state / "controller" / "ledger.sqlite") as writer:
        writer.execute("UPDATE grants SET name = 'web' || char(10) || '2026-01-01 00:00:00  allocated  evil'")
    writer.close()
    assert len(good("history", *free(home)).splitlines()) == 2
    done = lbctl("ledger", "check", *free(home))
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1)


def refused(*arguments: str, status: int) -> str:
    done = lbctl(*arguments)
    assert (done.returncode, done.stdout) == (status, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[0]


def test_where_there_is_nothing_it_is_said_in_a_line(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path)]
    for command in (["history"], ["reserve"], ["quarantine"], ["ledger", "check"], ["ledger", "export"]):
        assert f"there is no ledger at {tmp_path}" in refused(*command, *state, status=2)
    assert f"no ledger in {tmp_path}/controller" in refused("reserve", "default/shop", *state, status=2)
    nowhere = ["--socket", str(tmp_path / "nowhere")]
    assert "no daemon listens on" in refused("reserve", "default/shop", *nowhere, status=2)
    assert "no daemon listens on" in refused("history", *nowhere, status=2)
    assert not list(tmp_path.iterdir()), "and nothing is made"


@pytest.mark.parametrize(
    "arguments",
    [
        ["history", "nonsense"],
        ["history", "--since", "yesterday"],
        ["history", "--limit", "0"],
        ["reserve", "shop"],
        ["reserve", "--remove"],
        ["reserve", "--ip", "192.0.2.1"],
        ["reserve", "--remove", "default/shop", "--pool", "p"],
        ["quarantine", "--clear", "nonsense"],
        ["ledger", "nonsense"],
    ],
)
def test_a_wrong_command_line_is_64(arguments: list[str]) -> None:
    refused(*arguments, status=64)
