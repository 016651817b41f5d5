"""How a speaker starts, what it refuses in one line, and what it lives with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from lbctl.speaker.restarts import Restarts
from tests.support.bars import met_once
from tests.support.netns import eventually
from tests.support.speakers import Speaker, Speakers, is_gone
from tests.support.worlds import vip_world

pytestmark = pytest.mark.netns
soon = partial(eventually, every=0.01)

VIP = "192.0.2.100"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Speakers]:
    with Speakers(["a"], folder=tmp_path) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Speakers]:
    """A node on which nothing may start, for all refusals."""
    with Speakers(["a"], folder=tmp_path_factory.mktemp("refused")) as cluster:
        yield cluster


def refused(host: Speakers, *options: str, prefix: Sequence[str] = ()) -> str:
    """The one line that it says; it ends with 2 and prints nothing on stdout."""
    speaker = host["a"]
    done = speaker.host.run([*prefix, *speaker.argv, *options], check=False)
    assert (done.returncode, done.stdout) == (2, ""), done
    said = [line for line in done.stderr.splitlines() if line.startswith("lbctl run-speaker: ")]
    assert len(said) == 1, done.stderr
    return said[0]


def test_a_missing_interface(host: Speakers) -> None:
    said = refused(host, "--interface", "eth0", "--interface", "eth9")
    assert "interface eth9 does not exist" in said
    assert "eth0" in said


def test_a_missing_capability(host: Speakers) -> None:
    said = refused(host, prefix=["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"])
    assert "CAP_NET_RAW is missing" in said
    assert "CAP_NET_ADMIN" not in said
    assert "AmbientCapabilities=CAP_NET_RAW" in said


def test_an_unusable_key_file(host: Speakers, tmp_path: Path) -> None:
    assert "No such file" in refused(host, "--key-file", str(tmp_path / "key"))


def test_a_state_folder_that_cannot_be_written(host: Speakers, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--state" in refused(host, "--state", str(tmp_path / "file"))


@pytest.mark.parametrize("options", [["--peer", "nobody"], ["--listen", "unix:/x"], ["--port", "0"], ["--node", "a/b"]])
def test_a_wrong_option_is_wrong_usage(host: Speakers, options: list[str]) -> None:
    speaker = host["a"]
    done = speaker.host.run([*speaker.argv, *options], check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert options[0] in done.stderr


def test_a_second_speaker_of_the_same_name_or_socket(alone: Speakers, tmp_path: Path) -> None:
    alone["a"].start()
    alone["a"].wait_ready()
    assert "another speaker named a runs" in refused(alone)
    assert "--socket" in refused(alone, "--state", str(tmp_path / "elsewhere"))


def test_without_a_published_file_it_is_ready_and_says_so(alone: Speakers) -> None:
    speaker = alone["a"]
    speaker.start()
    speaker.wait_ready()
    (trouble,) = speaker.ask("/v1/status")["troubles"]
    assert "missing" in trouble
    assert "missing" in speaker.ask(f"/v1/where?target={VIP}")["world"]["stale"]
    alone.publish(vip_world([VIP], made_unix=time.time()))
    assert alone.owner(VIP) == "a"
    soon(lambda: speaker.ask("/v1/status")["troubles"] == [])
    # A torn file takes nothing away, not even over a restart.
    alone.published.write_bytes(alone.published.read_bytes()[:-100])
    speaker.signal(signal.SIGTERM)
    assert speaker.wait_ended() == 0
    speaker.start()
    assert alone.owner(VIP) == "a"
    soon(lambda: speaker.ask("/v1/status")["troubles"])
    assert speaker.ask(f"/v1/where?target={VIP}")["world"]["generation"] == 1


def test_it_stops_at_once_at_any_time(alone: Speakers) -> None:
    speaker = alone["a"]

    def stopped() -> float:
        if speaker.folder.exists():
            (speaker.folder / "log").unlink()
        speaker.start()
        soon(lambda: "starting" in speaker.log)
        children = speaker.children()
        began = time.monotonic()
        speaker.signal(signal.SIGINT)
        assert speaker.wait_ended() == 0
        took = time.monotonic() - began
        assert len(children) == 2
        assert not any(Path(f"/proc/{pid}").exists() for pid in children.values()), "ended and waited for"
        assert not speaker.socket.path.exists()
        return took

    met_once(stopped, lambda took: took < 2 * 2.0)


@pytest.mark.parametrize("part", ["pulse", "wire"])
def test_without_restart_a_killed_child_ends_it(alone: Speakers, part: str) -> None:
    speaker = alone["a"]
    speaker.start("--no-restart")
    speaker.wait_ready()
    children = speaker.children()
    speaker.signal(signal.SIGKILL, part)
    assert speaker.wait_ended() == 1
    assert all(is_gone(pid) for pid in children.values())
    assert f'stopped why="{part} ended, killed by SIGKILL"' in speaker.log


def test_who_fails_again_and_again_ends_and_says_why(alone: Speakers) -> None:
    speaker = alone["a"]
    speaker.start()
    # Each of its starts finds four that were just now, as if they had not helped.
    speaker.wait_ready()
    speaker.signal(signal.SIGTERM)
    assert speaker.wait_ended() == 0
    now = time.monotonic()
    left = Restarts(at=(now - 3, now - 2, now - 1, now), why="wire ended").text()
    argv, speaker.argv = speaker.argv, ["env", f"LBCTL_RESTARTS={left}", *speaker.argv]
    try:
        speaker.start()
        speaker.wait_ready()
    finally:
        speaker.argv = argv
    children, pid = speaker.children(), speaker.pid
    speaker.signal(signal.SIGKILL, "wire")
    # The fifth, after a pause in which it still listens to signals (the next test); the sixth is not tried.
    again = speaker.wait_back(children)
    assert speaker.pid == pid
    assert "number=5 wait=4.000" in speaker.log
    speaker.signal(signal.SIGKILL, "pulse")
    assert speaker.wait_ended() == 1
    assert all(is_gone(child) for child in again.values())
    assert 'given_up why="pulse ended, killed by SIGKILL" restarts=5' in speaker.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_waits_to_start_anew_stops_when_it_is_told_to(alone: Speakers, number: signal.Signals) -> None:
    speaker = alone["a"]
    now = time.monotonic()
    left = Restarts(at=(now - 2, now - 1, now), why="wire ended").text()
    argv, speaker.argv = speaker.argv, ["env", f"LBCTL_RESTARTS={left}", *speaker.argv]
    try:
        speaker.start()
        speaker.wait_ready()
        speaker.signal(signal.SIGKILL, "wire")
        soon(lambda: "restarting" in speaker.log)
        speaker.signal(number)
        assert speaker.wait_ended() == 0
    finally:
        speaker.argv = argv
    assert speaker.log.count(" starting ") == 1
    assert speaker.log.rstrip().endswith("stopped")


def test_a_restart_that_finds_no_interface_is_tried_again(alone: Speakers) -> None:
    """A device that is reset is gone for a moment; at a first start that is a mistake, here it is not."""
    speaker = alone["a"]
    host = alone.lan["a"]
    now = time.monotonic()
    left = Restarts(at=(now - 1, now), why="wire ended").text()
    argv, speaker.argv = speaker.argv, ["env", f"LBCTL_RESTARTS={left}", *speaker.argv]
    host.run(["ip", "link", "set", host.interface, "down"])
    host.run(["ip", "link", "set", host.interface, "name", "away"])
    try:
        speaker.start("--interface", host.interface)
        soon(lambda: "restarting" in speaker.log)
    finally:
        speaker.argv = argv
        host.run(["ip", "link", "set", "away", "name", host.interface])
        host.run(["ip", "link", "set", host.interface, "up"])
    speaker.wait_ready()
    assert 'restarting why="interface eth0 does not exist' in speaker.log


def test_the_incarnation_grows_and_nobody_follows_itself(alone: Speakers) -> None:
    speaker = alone["a"]
    alone.publish(vip_world([VIP], made_unix=time.time()))
    seen = []
    for _ in range(2):
        speaker.start()
        speaker.wait_ready()
        alone.owner(VIP)
        soon(lambda: speaker.said(VIP) == ["a"])
        (claim,) = speaker.ask(f"/v1/where?target={VIP}")["vips"][0]["said"]
        seen.append((claim["incarnation"], claim["epoch"], claim["previous"]))
        speaker.signal(signal.SIGTERM)
        assert speaker.wait_ended() == 0
    (first, second) = seen
    assert second[0] > first[0]
    assert second[1] > first[1], "an epoch never goes back"
    assert (first[2], second[2]) == (None, None), "who comes back does not follow itself"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill(folder: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (folder / "ballast").write_bytes(b"x" * 2**20)


def test_a_full_disk_keeps_nobody_from_starting_or_taking_over(tmp_path: Path, full_disk: Path) -> None:
    with Speakers(["a", "b"], folder=tmp_path / "cluster") as cluster:
        cluster.publish(vip_world([VIP], made_unix=time.time()))
        (full_disk / "speakers" / "b").mkdir(parents=True)
        cluster["a"].start()
        cluster["a"].wait_ready()
        fill(full_disk)
        cluster["b"].start("--state", str(full_disk))
        cluster["b"].wait_ready()
        cluster.agreed(VIP, "a", among=["a", "b"])
        cluster["a"].signal(signal.SIGKILL)
        assert cluster.owner(VIP, but=["a"]) == "b"
        troubles = soon(lambda: cluster["b"].ask("/v1/status")["troubles"])
        assert any("No space left" in trouble for trouble in troubles)


def test_peers_find_each_other_without_multicast_and_with_a_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    with Speakers(["a", "b"], folder=tmp_path / "cluster") as cluster:
        for name in "ab":
            rules = "table inet t { chain out { type filter hook output priority 0; ip daddr 224.0.0.0/4 drop; }; }"
            cluster.lan[name].run(["nft", rules])
        cluster.publish(vip_world([VIP], made_unix=time.time()))
        cluster["a"].start("--key-file", str(key), "--peer", "192.0.2.1", "--peer", "192.0.2.2")
        cluster["b"].start("--key-file", str(key), "--peer", "192.0.2.1", "--peer", "192.0.2.2")
        for name in "ab":
            cluster[name].wait_ready()
        owner = cluster.owner(VIP)
        cluster.agreed(VIP, owner, among=["a", "b"])
        assert "unauthenticated" not in cluster["a"].log
        # Whoever is met once is remembered, so the names need not be given again.
        (other,) = {"a", "b"} - {owner}
        soon(lambda: (cluster[other].folder / "state/speakers" / other / "peers.json").exists())
        cluster[other].signal(signal.SIGTERM)
        cluster[other].wait_ended()
        cluster[other].start("--key-file", str(key))
        cluster[other].wait_ready()
        cluster.agreed(VIP, owner, among=["a", "b"])


def test_a_proxy_that_cannot_work_keeps_nothing_from_being_announced(tmp_path: Path) -> None:
    with Speakers(["a"], folder=tmp_path, options=["--proxy", "nftables"]) as cluster:
        cluster.publish(vip_world([VIP], made_unix=time.time()))
        speaker = cluster["a"]
        nft = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        argv, speaker.argv = (
            speaker.argv,
            [
                *("unshare", "--mount", "sh", "-c", f'mount --bind /dev/null {nft} && exec "$@"', "sh"),
                *speaker.argv,
            ],
        )
        speaker.start()
        assert cluster.owner(VIP) == "a"
        soon(lambda: "service proxy:" in str(speaker.ask("/v1/status")["troubles"]))
        speaker.signal(signal.SIGTERM)
        assert speaker.wait_ended() == 0
        speaker.argv = argv
        speaker.start()
        assert cluster.owner(VIP) == "a"
        soon(lambda: speaker.ask("/v1/status")["troubles"] == [])
        assert VIP in cluster.lan["a"].run(["nft", "list", "table", "inet", "lbctl"]).stdout
        # What forwards open connections stays when the speaker goes.
        speaker.signal(signal.SIGTERM)
        assert speaker.wait_ended() == 0
        assert VIP in cluster.lan["a"].run(["nft", "list", "table", "inet", "lbctl"]).stdout


def test_a_named_veth_is_used_and_a_nameless_one_is_not(tmp_path: Path) -> None:
    with Speakers(["a"], folder=tmp_path) as cluster:
        cluster.publish(vip_world([VIP], made_unix=time.time()))
        host = cluster.lan["a"]
        host.run(["ip", "link", "set", host.interface, "down"])
        host.run(["ip", "link", "set", host.interface, "name", "veth7"])
        host.run(["ip", "link", "set", "veth7", "up"])
        speaker: Speaker = cluster["a"]
        speaker.start()
        speaker.wait_ready()
        assert "no_interface" in speaker.log
        assert "no interface to announce on" in speaker.ask("/v1/status")["troubles"]
        speaker.signal(signal.SIGTERM)
        speaker.wait_ended()
        speaker.start("--interface", "veth7")
        speaker.wait_ready()
        host.interface = "veth7"
        assert cluster.owner(VIP) == "a"
