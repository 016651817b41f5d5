"""`lbctl run-controller` as a process: what a user does with it, and what goes wrong around it."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.running import Home, manifest, private_tmpfs
from tests.support.bars import PATIENCE, met_once
from tests.support.netns import eventually


@pytest.fixture
def home(memory_folder: Path) -> Iterator[Home]:
    made = Home(memory_folder)
    yield made
    made.kill()


def test_services_come_wait_and_go(home: Home) -> None:
    home.service("asks", ip="192.0.2.2")
    home.service("web")
    home.start()
    assert home.addresses() == {"asks": "192.0.2.2", "web": "192.0.2.1"}, "when it says ready it is published"
    home.service("more")
    home.until(lambda found: found.get("more") == "192.0.2.3")
    home.service("late")
    home.service("late2", ip="203.0.113.1")
    home.until(lambda _: home.why("late") == "first: pool_exhausted (all 3 IPv4 addresses in use)")
    home.until(lambda _: home.why("late2") == "203.0.113.1: address_in_no_pool")
    home.drop("web")
    assert home.until(lambda found: "late" in found)["late"] == "192.0.2.1"
    home.service("more", kind="ClusterIP")
    home.until(lambda found: "more" not in found)
    assert "Traceback" not in home.logged()


def test_it_answers_on_its_socket(home: Home) -> None:
    home.service("web")
    home.service("asks", ip="203.0.113.1")
    home.start()
    status = home.ask("/v1/status")
    assert (status["schema"], status["role"], status["ready"]) == ("lbctl.io/status/v1", "controller", True)
    assert (status["counters"]["allocations"], status["counters"]["pending"], status["troubles"]) == (1, 1, [])
    asks, web = home.ask("/v1/services")["services"]
    assert (web["name"], web["addresses"], web["pool"], web["ports"]) == ("web", ["192.0.2.1"], "first", ["80/TCP"])
    assert asks["pending"] == [{"subject": "203.0.113.1", "reason": "address_in_no_pool", "detail": ""}]
    where = home.ask("/v1/where?target=default/web")
    assert (where["schema"], where["role"], where["vips"][0]["address"]) == (
        "lbctl.io/where/v1",
        "controller",
        "192.0.2.1",
    )
    assert home.ask("/v1/where?target=192.0.2.3")["error"]["reason"] == "not_allocated"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_two_seconds_and_leaves_nothing(home: Home, number: int) -> None:
    def stopped() -> float:
        home.start()
        before = time.monotonic()
        assert home.stop(number) == 0
        took = time.monotonic() - before
        assert not home.socket.exists()
        assert not (home.state / "controller" / "ledger.sqlite-wal").exists(), "the ledger is closed"
        return took

    met_once(stopped, lambda took: took < 2 * 2)


def test_it_stops_within_two_seconds_while_it_still_reads_its_manifests(home: Home) -> None:
    home.put("many", "---\n".join(manifest(f"s{number}") for number in range(30_000)))

    def stopped() -> float:
        home.log.unlink(missing_ok=True)
        home.start(ready=False)
        eventually(lambda: home.log.exists() and "ledger_read" in home.logged())
        before = time.monotonic()
        assert home.process is not None
        home.process.send_signal(signal.SIGTERM)
        assert home.stop() == 0, "and a second signal changes nothing"
        return time.monotonic() - before

    met_once(stopped, lambda took: took < 2 * 2)


def test_a_restart_changes_no_address(home: Home) -> None:
    for name in ("b", "c"):
        home.service(name)
    home.start().stop()
    before = home.addresses()
    first = home.published()
    home.service("a")
    home.start()
    assert home.addresses() == {**before, "a": "192.0.2.3"}
    again = home.published()
    assert first is not None
    assert again is not None
    assert again.world.generation > first.world.generation
    assert again.ledger == first.ledger


def test_a_restart_with_a_broken_manifest_takes_nothing_away(home: Home) -> None:
    home.service("web")
    home.start().stop()
    before = home.addresses()
    home.put("web", "kind: Service\n\tbroken")
    home.start()
    assert home.addresses() == before
    assert any("web.yaml" in trouble for trouble in home.ask("/v1/status")["troubles"])


def test_a_restart_with_a_broken_manifest_and_nothing_published_takes_nothing_away(home: Home) -> None:
    home.service("web")
    home.service("other")
    home.start().stop()
    before = home.addresses()
    home.snapshot.unlink()
    home.put("pool", "kind: IPAddressPool\n\tbroken")
    home.put("web", "kind: Service\n\tbroken")
    home.start()
    assert home.addresses() == before
    home.drop("other")
    home.until(lambda found: set(found) == {"web"})


def test_a_second_controller_is_refused_and_the_first_goes_on(home: Home) -> None:
    home.start()
    assert home.process is not None
    said = home.refused("--no-heartbeat", "--socket", str(home.socket) + "2")
    assert f"another controller (pid {home.process.pid}) uses {home.state}/controller" in said
    home.service("web")
    home.until(lambda found: "web" in found)


def test_a_socket_that_is_in_use_is_said(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(home.socket))
        other.listen()
        assert f"another process listens on {home.socket}" in home.refused()
        assert not home.state.exists(), "nothing was made"


def test_a_second_controller_with_the_same_socket_is_told_of_the_state_folder(home: Home) -> None:
    home.start()
    assert f"uses {home.state}/controller" in home.refused()


def test_a_wrong_path_of_manifests_is_waited_for_and_said(home: Home) -> None:
    home.start("--no-heartbeat", "--config", str(home.config / "nowhere"))
    assert any("nowhere" in trouble for trouble in home.ask("/v1/status")["troubles"])


def test_a_damaged_published_file_is_replaced(home: Home) -> None:
    home.service("web")
    home.start().stop()
    before = home.addresses()
    home.snapshot.write_bytes(home.snapshot.read_bytes()[:-100])
    home.start()
    assert home.addresses() == before
    assert "published_not_read" in home.logged()


def test_a_lost_ledger_is_made_again_from_what_was_published(home: Home) -> None:
    home.service("b")
    home.start()
    home.service("a")
    home.until(lambda found: len(found) == 2)
    home.stop()
    before = home.addresses()
    for path in (home.state / "controller").iterdir():
        path.unlink()
    home.start()
    assert home.addresses() == before
    assert "recovered" in home.logged()


def test_systemd_is_told_when_it_is_ready(home: Home) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(home.socket) + ".notify")
        listener.settimeout(60)
        home.start(prefix=["env", f"NOTIFY_SOCKET={home.socket}.notify"])
        assert listener.recv(100) == b"READY=1"
        home.stop()
        assert listener.recv(100) == b"STOPPING=1"


def test_the_log_is_json_where_asked_for(home: Home) -> None:
    home.service("web")
    home.start("--no-heartbeat", "--log-format", "json").stop()
    assert '"event": "allocated", "service": "default/web", "addresses"' in home.logged()


# A disk that is full, and one that is read-only -----------------------------------------------------------------------


def _inside(home: Home, *command: str) -> None:
    """Runs a command among the mounts of the running daemon."""
    assert home.process is not None
    subprocess.run(["nsenter", "--target", str(home.process.pid), "--mount", *command], check=True)


@pytest.mark.netns
def test_a_full_disk_is_named_loses_nothing_and_is_got_over(home: Home) -> None:
    home.service("web")
    home.start(prefix=private_tmpfs(home.state, "1m"))
    root = home.root()
    state = root / home.state.relative_to("/")
    before = home.addresses(root)
    with (state / "filler").open("wb", buffering=0) as filler:
        while True:
            try:
                if filler.write(b"x" * 4096) < 4096:
                    break
            except OSError:
                break
    home.service("more")
    troubles = _until_troubled(home)
    assert any("no space left" in text.lower() and "free some" in text for text in troubles), troubles
    assert home.addresses(root) == before, "what was published stands"
    assert home.ask("/v1/services")["services"], "and it still answers"
    (state / "filler").unlink()
    home.until(lambda found: "more" in found, root)
    assert home.addresses(root)["web"] == before["web"]
    # The file may be there a moment before the step that leads to it is over.
    eventually(lambda: not home.ask("/v1/status")["troubles"])
    eventually(lambda: "steps_work_again" in home.logged())


@pytest.mark.netns
def test_a_disk_that_becomes_read_only_is_named_and_got_over(home: Home) -> None:
    home.service("web")
    home.start(prefix=private_tmpfs(home.state, "8m"))
    root = home.root()
    before = home.addresses(root)
    # A file system is not made read-only under open files, so another mount of it is put above it.
    _inside(home, "mount", "--bind", str(home.state), str(home.state))
    _inside(home, "mount", "-o", "remount,bind,ro", str(home.state))
    home.service("more")
    troubles = _until_troubled(home)
    assert any("make it writable" in text for text in troubles), troubles
    assert home.addresses(root) == before
    _inside(home, "umount", str(home.state))
    home.until(lambda found: "more" in found, root)


def _until_troubled(home: Home) -> list[str]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        troubles: list[str] = home.ask("/v1/status")["troubles"]
        if troubles:
            return troubles
        time.sleep(0.05)
    raise AssertionError(home.logged())


@pytest.mark.netns
def test_a_read_only_state_folder_is_said_at_the_start(home: Home) -> None:
    home.state.mkdir()
    script = f'mount --bind {home.state} {home.state} && mount -o remount,bind,ro {home.state} && exec "$@"'
    said = home.refused(prefix=["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"])
    assert "Read-only file system" in said
    assert "give another --state DIR" in said


@pytest.mark.netns
def test_a_full_disk_is_said_at_the_start(home: Home) -> None:
    said = home.refused(prefix=private_tmpfs(home.state, "4k"))
    assert "free some" in said


def test_a_newer_ledger_is_said_at_the_start(home: Home) -> None:
    home.start().stop()
    ledger = home.state / "controller" / "ledger.sqlite"
    subprocess.run(
        ["python3", "-c", f"import sqlite3; c = sqlite3.connect({str(ledger)!r}); "
         "c.execute(\"UPDATE meta SET value = 99 WHERE key = 'schema'\"); c.commit()"],
        check=True,
    )  # fmt: skip
    assert "written by a newer lbctl" in home.refused()


def test_it_is_not_ready_before_anything_could_be_read(home: Home) -> None:
    """A typing error in --config must not look like an empty cluster."""
    kept = home.config.with_name("elsewhere")
    home.config.rename(kept)
    home.start(ready=False)
    eventually(lambda: "nothing_read" in home.logged())
    status = home.ask("/v1/status")
    assert (status["ready"], status["counters"]["services"]) == (False, 0)
    assert "--config names nothing that could be read" in status["troubles"][0]
    assert f"{home.config}: No such file or directory" in status["troubles"][1]
    assert not home.snapshot.exists()
    assert " error " in next(line for line in home.logged().splitlines() if "nothing_read" in line)
    kept.rename(home.config)
    home.wait_ready()
    eventually(lambda: home.ask("/v1/status")["troubles"] == [])
    assert home.snapshot.exists()


def test_a_folder_without_manifests_is_something(home: Home) -> None:
    home.drop("pool")
    home.start()
    assert home.addresses() == {}


def test_a_config_that_is_gone_at_a_restart_takes_nothing_away_and_says_so(home: Home) -> None:
    home.service("web")
    home.start()
    home.stop()
    home.config.rename(home.config.with_name("elsewhere"))
    home.start()
    assert home.addresses() == {"web": "192.0.2.1"}
    assert [str(home.config) in trouble for trouble in home.ask("/v1/status")["troubles"]] == [True]


def test_without_published_file_and_config_the_ledger_is_not_published_empty(home: Home) -> None:
    """Speakers go on with what they have, rather than with a World that has nothing."""
    home.service("web")
    home.start()
    home.stop()
    home.snapshot.unlink()
    kept = home.config.with_name("elsewhere")
    home.config.rename(kept)
    home.start(ready=False)
    eventually(lambda: "nothing_read" in home.logged())
    assert not home.snapshot.exists()
    kept.rename(home.config)
    home.wait_ready()
    assert home.addresses() == {"web": "192.0.2.1"}
