"""`where-is` as a process, on a real segment, against the speaker's real status handlers."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from queue import Queue
from types import MappingProxyType
from typing import IO, Any

import pytest
import yaml

from lbctl.controller import status as controller_status
from lbctl.model.snapshot import Snapshot, evolve
from lbctl.sources.published_document import DocumentEncoder
from lbctl.speaker.owners import Move
from tests.cli.told import NGINX, VIP, Daemon, claim, serving, view, world
from tests.support.bars import met_once
from tests.support.netns import Host, Segment, eventually

pytestmark = pytest.mark.netns

VIP6 = "fd00:3::170"
HOSTS = {
    "client": ["192.168.3.50/24", "fd00:3::50/64"],
    "n1": ["192.168.3.103/24", "fd00:3::103/64"],
    "n2": ["192.168.3.104/24", "fd00:3::104/64"],
    "other": ["192.168.3.9/24"],
}
LBCTL = [sys.executable, "-m", "lbctl.cli.main"]


@pytest.fixture(scope="module")
def lan() -> Iterator[Segment]:
    with Segment(HOSTS) as segment:
        yield segment


@pytest.fixture
def macs(lan: Segment) -> dict[str, str]:
    return {name: lan[name].mac for name in ("n1", "n2")}


@pytest.fixture
def holding(lan: Segment) -> Iterator[Holding]:
    held = Holding(lan)
    try:
        yield held
    finally:
        held.release()


class Holding:
    """Hosts whose kernels answer for an address, as a speaker's wire process would."""

    def __init__(self, lan: Segment) -> None:
        self._lan = lan
        self._held: list[tuple[str, str]] = []

    def __call__(self, name: str, address: str = VIP) -> None:
        prefix = "128" if ":" in address else "32"
        self._lan[name].add_address(f"{address}/{prefix}")
        self._held.append((name, f"{address}/{prefix}"))

    def release(self) -> None:
        while self._held:
            name, address = self._held.pop()
            self._lan[name].run(["ip", "addr", "del", address, "dev", "eth0"])


def where_is(host: Host, *arguments: str, color: bool = False) -> subprocess.CompletedProcess[str]:
    """With a window long enough for a busy machine, unless the test names one."""
    wait = [] if "--wait" in arguments else ["--wait", "0.25"]
    env = ["env", "FORCE_COLOR=1"] if color else []
    return host.run([*env, *LBCTL, "where-is", *arguments, *wait], check=False, timeout=60)


def asked(host: Host, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = where_is(host, *arguments, "-o", "json")
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["schema"] == "lbctl.io/where-is/v1"
    assert document["status"] == done.returncode
    return done.returncode, document


def findings(document: Mapping[str, Any]) -> list[str]:
    return [each["finding"] for vip in document["vips"] for each in vip["findings"]]


def test_owned_said_and_seen_agree(lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path) -> None:
    holding("n2")
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs)), previous={VIP: "n1"})
    with daemon.on(tmp_path / "s") as via:
        status, document = asked(lan["client"], VIP, "--via", via)
        text = where_is(lan["client"], VIP, "--via", via)
        by_name = where_is(lan["client"], str(NGINX), "--via", via)
        painted = where_is(lan["client"], VIP, "--via", via, color=True)
        as_yaml = where_is(lan["client"], VIP, "--via", via, "-o", "yaml")
        wide = where_is(lan["client"], VIP, "--via", via, "-o", "wide")
    assert (status, document["verdict"]) == (0, "owned")
    (vip,) = document["vips"]
    assert (vip["owner"], vip["planned"]["owner"], vip["said"][0]["node"]) == ("n2", "n2", "n2")
    (answer,) = vip["seen"]["answers"]
    assert (answer["mac"], answer["node"], answer["asked"]) == (macs["n2"], "n2", True)
    assert document["services"] == [str(NGINX)]
    assert document["asked"] == {"role": "speaker", "node": "n1", "address": via, "failures": []}
    assert text.returncode == by_name.returncode == 0
    assert text.stdout.splitlines()[0] == f"{VIP}  default/nginx-svc  pool first-pool"
    assert f"n2 has {VIP}: planned, said and seen agree." in text.stdout
    assert "before it n1" in text.stdout
    assert by_name.stdout.splitlines()[0] == text.stdout.splitlines()[0]
    assert all(len(line) <= 80 for line in text.stdout.splitlines())
    assert "\033[" not in text.stdout
    assert "\033[32m" in painted.stdout
    assert yaml.safe_load(as_yaml.stdout)["vips"][0]["owner"] == "n2"
    assert "epoch 3" in wide.stdout
    assert "not_incumbent" in wide.stdout


def test_both_families_of_a_service(lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path) -> None:
    holding("n2")
    holding("n2", VIP6)
    both = [claim("n2"), claim("n2", VIP6)]
    daemon = Daemon(Snapshot(world=world([VIP, VIP6]), view=view(both, macs)))
    with daemon.on(tmp_path / "s") as via:
        status, document = asked(lan["client"], str(NGINX), "--via", via)
    assert status == 0
    assert [(vip["address"], vip["verdict"]) for vip in document["vips"]] == [(VIP, "owned"), (VIP6, "owned")]


def test_the_owner_cannot_hear_itself(lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path) -> None:
    """Its wire process answers from a raw socket, so its own kernel does not know the address."""
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs)), node="n2")
    with daemon.on(tmp_path / "s") as via:
        status, document = asked(lan["n2"], VIP, "--via", via)
        text = where_is(lan["n2"], VIP, "--via", via)
        # The same socket from another host (a mounted folder, another namespace): that one hears n2, or should.
        elsewhere, silent = asked(lan["client"], VIP, "--via", via)
        holding("other")
        conflict, stranger = asked(lan["n2"], VIP, "--via", via)
    assert (status, document["verdict"]) == (0, "owned")
    assert document["vips"][0]["seen"]["own"] is True
    assert "nobody else within 250 ms on eth0 (this host is the owner)" in text.stdout
    assert f"n2 (this host) has {VIP}" in text.stdout
    assert (elsewhere, findings(silent)) == (2, ["nobody_answers"])
    assert (conflict, findings(stranger)) == (2, ["foreign_answers"])


def test_every_disagreement_is_named(lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path) -> None:
    client = lan["client"]
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs)))
    with daemon.on(tmp_path / "s") as via:
        status, document = asked(client, VIP, "--via", via)
        assert (status, findings(document)) == (2, ["nobody_answers"])
        holding("n2")
        holding("n1")
        status, document = asked(client, VIP, "--via", via)
        assert (status, findings(document)) == (2, ["two_answer", "other_answers"])
        text = where_is(client, VIP, "--via", via)
        assert f"Conflict over {VIP}:" in text.stdout
        assert "n1 and n2 answer for it" in text.stdout
        holding.release()
        holding("n1")
        status, document = asked(client, VIP, "--via", via)
        assert (status, findings(document)) == (2, ["other_answers", "nobody_answers"])
        daemon.see(view([], macs))
        status, document = asked(client, VIP, "--via", via)
        assert (status, findings(document)) == (2, ["unclaimed_answers"])
        daemon.see(view([claim("n1"), claim("n2", epoch=4)], macs))
        status, document = asked(client, VIP, "--via", via)
        assert (status, findings(document)[0]) == (2, "two_claims")


def test_a_stale_neighbor_of_this_host_is_named(
    lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path
) -> None:
    client = lan["client"]
    holding("n2")
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs)))
    stale = ["ip", "neigh", "replace", VIP, "dev", "eth0", "nud", "stale", "lladdr"]
    with daemon.on(tmp_path / "s") as via:
        client.run([*stale, macs["n1"]])
        text = where_is(client, VIP, "--via", via)
        client.run([*stale, macs["n1"]])
        status, document = asked(client, VIP, "--via", via)
        client.run([*stale, macs["n2"]])
        mended = asked(client, VIP, "--via", via)
    assert (status, findings(document)) == (0, ["stale_neighbor"]), "the others reach it: no conflict"
    assert document["vips"][0]["seen"]["cached"] == {"mac": macs["n1"], "node": "n1"}
    assert f"This host itself still sent to {macs['n1']} (n1) on eth0" in " ".join(text.stdout.split())
    assert (mended[0], findings(mended[1])) == (0, [])


def test_one_that_does_not_hear_the_node_asked_is_named(
    lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path
) -> None:
    holding("n2")
    seen = view([claim("n2")], macs)
    members = {**seen.members, "n2": replace(seen.members["n2"], two_way=False)}
    daemon = Daemon(Snapshot(world=world(), view=replace(seen, members=members)), node="n1")
    with daemon.on(tmp_path / "s") as via:
        _, document = asked(lan["client"], VIP, "--via", via)
        text = where_is(lan["client"], VIP, "--via", via)
    assert "one_way" in findings(document)
    assert "hears n2, and is not heard there: packets get through one way only" in " ".join(text.stdout.split())


def test_why_tells_each_node_and_its_reasons_in_80_columns(
    lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path
) -> None:
    holding("n2")
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs)))
    with daemon.on(tmp_path / "s") as via:
        done = where_is(lan["client"], VIP, "--via", via, "--why")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert "  next     n1" in lines
    assert "  n2  has it" in lines
    assert "  n1  may, next in line: not_incumbent (n2 holds it)" in lines
    assert any(line.startswith(f"  asked: speaker n1 ({via})") or "asked: speaker n1" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_a_stranger_is_found_by_its_other_address(
    lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path
) -> None:
    holding("other")
    lan["client"].run(["ping", "-c1", "-W30", "192.168.3.9"])
    daemon = Daemon(Snapshot(world=world(), view=view([], macs)))
    with daemon.on(tmp_path / "s") as via:
        status, document = asked(lan["client"], VIP, "--via", via)
    assert (status, findings(document)) == (2, ["foreign_answers"])
    assert document["vips"][0]["seen"]["answers"][0]["also"] == "192.168.3.9"


def test_unowned_says_why(lan: Segment, macs: dict[str, str], tmp_path: Path) -> None:
    client = lan["client"]
    daemon = Daemon(Snapshot(world=world(), view=view([], macs)))
    with daemon.on(tmp_path / "s") as via:
        assert asked(client, VIP, "--via", via)[0] == 1
        free = where_is(client, "192.168.3.171", "--via", via)
        assert free.returncode == 1
        assert "No service holds 192.168.3.171; it is free in pool first-pool." in free.stdout
        missing = where_is(client, "default/none", "--via", via)
        assert (missing.returncode, missing.stdout) == (1, "There is no service default/none.\n")
        nodes_own = where_is(client, "192.168.3.104", "--via", via)
        assert nodes_own.returncode == 1, "an address of no pool may be answered by whoever has it"
        assert "192.168.3.104 is no VIP: no pool has it." in nodes_own.stdout
        daemon.facts.snapshot = Snapshot(
            world=evolve(world(), made_unix=time.time(), slices=MappingProxyType({})), view=view([], macs)
        )
        without = where_is(client, VIP, "--via", via)
        assert without.returncode == 1
        assert "no_endpoints" in without.stdout


def test_from_another_segment_its_word_has_to_do(
    lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path
) -> None:
    holding("n2")
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs)))
    with Segment({"far": ["198.51.100.2/24"], "router": ["198.51.100.1/24"]}) as away, daemon.on(tmp_path / "s") as via:
        away["far"].run(["ip", "route", "add", "default", "via", "198.51.100.1"])
        status, document = asked(away["far"], VIP, "--via", via)
        text = where_is(away["far"], VIP, "--via", via)
    assert (status, document["verdict"]) == (0, "owned_not_seen")
    assert document["vips"][0]["seen"]["unseen"]["reason"] == "not_on_this_segment"
    assert "through 198.51.100.1 on eth0" in " ".join(text.stdout.split())


def test_nobody_to_ask(lan: Segment, holding: Holding, tmp_path: Path) -> None:
    client = lan["client"]
    state = ["--state", str(tmp_path)]
    done = where_is(client, VIP, "--via", f"unix:{tmp_path}/none", *state)
    assert done.returncode == 3
    assert f"no daemon listens on unix:{tmp_path}/none" in " ".join(done.stdout.split())
    assert where_is(client, "default/web", "--via", f"unix:{tmp_path}/none", *state).returncode == 3
    holding("n2")
    status, document = asked(client, VIP, "--via", f"unix:{tmp_path}/none", *state)
    assert (status, document["verdict"], document["vips"][0]["said"]) == (3, "unverified", None)
    assert len(document["vips"][0]["seen"]["answers"]) == 1
    holding("n1")
    assert asked(client, VIP, "--via", f"unix:{tmp_path}/none", *state)[0] == 2, "two that answer need no witness"


def test_the_published_file_knows_the_plan_only(lan: Segment, holding: Holding, tmp_path: Path) -> None:
    holding("n2")
    lan["client"].run(["ping", "-c1", "-W30", "192.168.3.104"])
    path = tmp_path / "published" / "snapshot.json"
    path.parent.mkdir()
    path.write_bytes(b"".join(DocumentEncoder(cluster="default", ledger="x").encode(world(), {})))
    for options in (["--state", str(tmp_path)], ["--published", str(path)], ["--published", str(path.parent)]):
        status, document = asked(lan["client"], VIP, *options)
        assert (status, document["verdict"], document["asked"]["role"]) == (3, "unverified", "published")
        (vip,) = document["vips"]
        assert {each["node"] for each in vip["planned"]["candidates"]} == {"n1", "n2"}
        assert vip["said"] is None
        assert vip["seen"]["answers"][0]["node"] == "n2", "by the node's address and the kernel's neighbor table"
    text = where_is(lan["client"], VIP, "--state", str(tmp_path))
    assert "one of n1, n2" in text.stdout or "one of n2, n1" in text.stdout
    path.write_text("{}")
    torn = where_is(lan["client"], VIP, "--state", str(tmp_path))
    assert torn.returncode == 3
    assert str(path) in torn.stdout


def test_a_controller_that_hears_no_speaker_cannot_say_that_nobody_has_it(
    lan: Segment, holding: Holding, macs: dict[str, str], tmp_path: Path
) -> None:
    holding("n2")
    facts = controller_status.Facts(host="c1", since_unix=0.0, world=world())
    with serving(lambda: controller_status.routes(facts), tmp_path / "s") as via:
        status, document = asked(lan["client"], VIP, "--via", via)
        text = where_is(lan["client"], VIP, "--via", via)
        facts.view = lambda: view([claim("n2")], macs)
        heard, agreed = asked(lan["client"], VIP, "--via", via)
    assert (status, document["verdict"], document["vips"][0]["said"]) == (3, "unverified", None)
    assert "the controller on c1 hears no speaker" in " ".join(text.stdout.split())
    assert (heard, agreed["asked"]["role"]) == (0, "controller")


def test_claims_that_were_not_all_heard_are_told_with_that(
    lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path
) -> None:
    holding("n2")
    daemon = Daemon(Snapshot(world=world(), view=replace(view([claim("n2")], macs), synced=False)))
    daemon.facts.stale = lambda: "snapshot.json is missing; keeping generation 4, made 90 s ago"
    with daemon.on(tmp_path / "s") as via:
        text = where_is(lan["client"], VIP, "--via", via)
    assert "n1 has not heard everybody's claims yet." in text.stdout
    assert "keeping generation 4, made 90 s ago." in " ".join(text.stdout.split())


def test_a_node_that_hears_nobody_is_not_taken_at_its_word_alone(
    lan: Segment, macs: dict[str, str], tmp_path: Path
) -> None:
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs, gone=["n1"])), node="n2")
    with daemon.on(tmp_path / "s") as via:
        status, document = asked(lan["n2"], VIP, "--via", via)
        text = where_is(lan["n2"], VIP, "--via", via)
    assert (status, findings(document)) == (0, ["hears_nobody"])
    assert "hears nothing of n1: if it is cut off, they may see it differently." in " ".join(text.stdout.split())


def test_an_interface_that_is_not_there_is_a_wrong_command_line(lan: Segment) -> None:
    done = where_is(lan["client"], VIP, "--interface", "eth7")
    assert (done.returncode, done.stdout) == (64, "")
    assert "there is no interface 'eth7' here" in done.stderr


def test_without_the_right_to_look_it_says_so(
    lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path
) -> None:
    holding("n2")
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs)))
    with daemon.on(tmp_path / "s") as via:
        dropped = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw"]
        done = lan["client"].run([*dropped, *LBCTL, "where-is", VIP, "--via", via], check=False)
    assert done.returncode == 0
    assert "needs CAP_NET_RAW" in done.stdout


def test_the_whole_process_is_quick(lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path) -> None:
    """250 ms is the bar: the window of 50 ms and what the process itself computes. Twice that must be met once.

    Computing time and not the clock, because others may hold the cores; the clock has to be near it once.
    """
    holding("n2")
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n2")], macs)))

    def asked_once() -> tuple[float, float]:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        assert where_is(lan["client"], VIP, "--via", via, "--wait", "0.05").returncode == 0
        took = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert took > 0.05, "it waits for a second answer"
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + 0.05, took

    with daemon.on(tmp_path / "s") as via:
        met_once(asked_once, lambda found: found[0] < 2 * 0.25 and found[1] < 1.2)


def test_a_conflict_is_looked_at_twice(lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path) -> None:
    """What moves at this very moment is said of one node and seen at another, and a moment later it is not."""
    holding("n2")
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n1")], macs)))
    moved = view([claim("n2")], macs)
    daemon.after_where = lambda: daemon.see(moved)
    with daemon.on(tmp_path / "s") as via:
        status, document = asked(lan["client"], VIP, "--via", via)
    assert (status, document["verdict"], document["vips"][0]["owner"]) == (0, "owned", "n2")


class Watching:
    """A running command, and its lines as they come."""

    def __init__(self, host: Host, command: list[str]) -> None:
        self._process = host.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.out: Queue[str] = Queue()
        self.err: Queue[str] = Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self.out)),
            threading.Thread(target=self._read, args=(self._process.stderr, self.err)),
        ]

    @staticmethod
    def _read(stream: IO[str], lines: Queue[str]) -> None:
        with stream:
            for line in stream:
                lines.put(line.rstrip("\n"))

    def __enter__(self) -> Watching:
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()

    def interrupt(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)


def _move(previous: str | None, owner: str | None, gap: float | None, address: str = VIP) -> Move:
    return Move(
        address=ip_address(address), previous=previous, owner=owner, cause="owner_gone", at_unix=time.time(), gap=gap
    )


@pytest.mark.parametrize("output", ["table", "json"])
def test_watch_prints_a_line_a_move_and_survives_a_restart_of_the_speaker(
    lan: Segment, macs: dict[str, str], holding: Holding, tmp_path: Path, output: str
) -> None:
    holding("n1")
    daemon = Daemon(Snapshot(world=world(), view=view([claim("n1")], macs)))
    command = [*LBCTL, "where-is", VIP, "--watch", "-o", output, "--via", f"unix:{tmp_path}/s", "--wait", "0.25"]
    with contextlib.ExitStack() as stack:
        with daemon.on(tmp_path / "s"):
            watching = stack.enter_context(Watching(lan["client"], command))
            first = watching.out.get(timeout=60)
            daemon.move(_move("n1", None, None), _move("n1", "n2", 0.163), _move("n2", "n1", 0.1, "192.168.3.171"))
            told = [watching.out.get(timeout=60)]
            daemon.move(_move("n2", None, None))
            told.append(watching.out.get(timeout=60))
            # Cursor; the first two moves; that there is no owner; that none comes; and then it waits.
            eventually(lambda: daemon.polls >= 5, what="the next poll")
        complaint = watching.err.get(timeout=60)
        daemon.see(view([claim("n2")], macs))
        with daemon.on(tmp_path / "s"):
            caught_up = watching.out.get(timeout=60)
            assert watching.interrupt() == 130
    assert complaint.endswith("; trying again")
    if output == "json":
        assert json.loads(first)["vips"][0]["owner"] == "n1"
        moves = [json.loads(line) for line in told]
        assert [(move["from"], move["to"], move["gap"]) for move in moves] == [("n1", "n2", 0.163), ("n2", None, None)]
        assert {move["schema"] for move in moves} == {"lbctl.io/move/v1"}
        missed = json.loads(caught_up)
        assert (missed["from"], missed["to"], missed["cause"], missed["gap"]) == (None, "n2", "not_heard", None)
    else:
        assert first.endswith(f"{VIP}  n1  now (owned)")
        assert told[0].endswith(f"{VIP}  n1 -> n2  owner_gone  gap 163 ms")
        assert told[1].endswith(f"{VIP}  n2 -> nobody  owner_gone")
        assert caught_up.endswith(f"{VIP}  nobody -> n2  not_heard")


def test_watch_needs_a_speaker(lan: Segment, tmp_path: Path) -> None:
    done = where_is(lan["client"], VIP, "--watch", "--via", f"unix:{tmp_path}/none", "--wait", "0.01")
    assert done.returncode == 3
    assert "--watch needs a speaker" in done.stderr
