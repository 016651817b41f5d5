"""drain, undrain, move and rebalance: what they say, what they refuse, and what a speaker does with them.

The speaker is the real desk of orders over the real status socket; other nodes are played by the real plan: what it
decides is carried out at once, as pulse would.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.model.claim import Claim
from lbctl.model.orders import Orders
from lbctl.model.snapshot import Snapshot, View
from lbctl.net.status_server import Answer, Handler
from lbctl.plan.announce import announce
from lbctl.plan.claims import ClaimsMemo, index_claims
from lbctl.speaker.orders import Desk, Ends, Row
from lbctl.speaker.owners import follow
from lbctl.speaker.status import Facts, Moves, routes
from tests.cli.test_main import lbctl
from tests.cli.told import VIP, Daemon, claim, serving, view, world
from tests.support.worlds import observer

NODES = ("n1", "n2", "n3")
MACS = {node: f"02:00:00:00:00:0{number}" for number, node in enumerate(NODES, 1)}
ADDRESSES = {node: [f"192.168.3.10{number}"] for number, node in enumerate(NODES, 3)}


class Cluster:
    """A speaker that takes orders; `stuck`: nothing follows from them."""

    def __init__(self, *, holder: str = "n2", gone: tuple[str, ...] = (), stuck: bool = False) -> None:
        snapshot = Snapshot(world=world((VIP,), ADDRESSES), view=view([claim(holder)], MACS, gone=gone))
        self.daemon = Daemon(snapshot)
        self.stuck = stuck
        self.stopped = False
        self.flows = [0]
        self.spread: list[Row] = []
        self.orders = Orders()
        self.desk = Desk("n1", self.facts, self._spread, Ends(flows=self._flows, stop=self._stop))
        self.step()

    @property
    def facts(self) -> Facts:
        return self.daemon.facts

    def step(self) -> None:
        """The plan of every node, and what it takes from whom."""
        for node in NODES:
            view = self.facts.snapshot.view
            assert view is not None
            view = replace(view, drains=self.orders.drains, pins=self.orders.pins, rebalance=self.orders.rebalance)
            self.facts.snapshot = replace(self.facts.snapshot, view=view)
            plan, memo = announce(self.facts.snapshot, self.facts.told.memo, own=replace(self.facts.own, node=node))
            if node == "n1":
                _, claims = index_claims(view, ClaimsMemo())
                owners, _ = follow(
                    self.facts.told.owners, view, claims, plan.by_address, now=0, now_unix=0, started_unix=0
                )
                self.facts.told = replace(self.facts.told, memo=memo, owners=owners)
            for key in plan.taking if not self.stuck else ():
                taken = {address: replace(claim(node), epoch=9) for address in key}
                self._see(view, node, taken)

    def _see(self, view: View, node: str, taken: Mapping[Any, Claim]) -> None:
        others = {name: {a: c for a, c in held.items() if a not in taken} for name, held in view.claims.items()}
        self.facts.snapshot = replace(
            self.facts.snapshot, view=replace(view, claims={**others, node: {**others.get(node, {}), **taken}})
        )

    def _spread(self, rows: list[Row]) -> None:
        self.spread += rows
        self.orders = self.orders.with_rows(rows)
        self.step()
        self.step()

    async def _flows(self) -> int | None:
        return self.flows.pop(0) if len(self.flows) > 1 else self.flows[0]

    def _stop(self) -> None:
        self.stopped = True

    @contextlib.contextmanager
    def on(self, path: Path) -> Iterator[str]:
        def start() -> dict[str, Handler]:
            handlers = {**routes(self.facts, Moves()), **self.desk.routes()}
            status = handlers["/v1/status"]

            async def until_stopped(query: Mapping[str, str]) -> Answer:
                return Answer({"not": "there"}, 503) if self.stopped else await status(query)

            return {**handlers, "/v1/status": until_stopped}

        with serving(start, path) as via:
            yield via


def told(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_a_drain_says_where_everything_went_and_is_shown_until_it_is_taken_back(tmp_path: Path) -> None:
    cluster = Cluster()
    with cluster.on(tmp_path / "s") as via:
        status, out, err = told(lbctl("drain", "n2", "--via", via))
        assert (status, err) == (0, "")
        to = out.split()[-2]
        assert out == f"n2 is drained: 1 address moved to {to} (1)"
        assert to in ("n1", "n3")
        assert "n2 is drained (by n1, " in lbctl("status", "--via", via).stdout
        assert told(lbctl("drain", "n2", "--via", via)) == (0, "n2 was drained already", "")
        refused = told(lbctl("move", VIP, "--to", "n2", "--via", via))
        assert refused == (1, "", f"lbctl move: n2 cannot announce {VIP}\n  n2: node_drained (by n1)")
        status, out, err = told(lbctl("undrain", "n2", "--via", via))
        assert (status, err) == (0, "")
        assert out.startswith("n2 may announce again;")
        assert told(lbctl("undrain", "n2", "--via", via)) == (0, "n2 is not drained", "")
        assert "drained" not in lbctl("status", "--via", via).stdout
    assert [row[:4] + row[6:] for row in cluster.spread] == [
        ["drain", "n2", "", 1, True],
        ["drain", "n2", "", 2, False],
    ]


def test_a_drain_that_leaves_an_address_without_any_node_is_refused_with_the_reasons(tmp_path: Path) -> None:
    cluster = Cluster(gone=("n1", "n3"))
    with cluster.on(tmp_path / "s") as via:
        status, out, err = told(lbctl("drain", "n2", "--via", via))
        assert (status, out) == (1, "")
        assert err.splitlines() == [
            "lbctl drain: draining n2 would leave an address without any node; --force does it all the same",
            f"  {VIP}: no_other_node (n1 node_not_alive; n3 node_not_alive)",
        ]
        assert cluster.spread == []
        document = json.loads(lbctl("drain", "n2", "--via", via, "-o", "json").stdout)
        assert (document["schema"], document["result"]) == ("lbctl.io/order/v1", "refused")
        assert document["refusals"][0]["reason"] == "no_other_node"


def test_what_is_forced_is_done_and_what_is_left_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbctl.speaker.orders.MOVE_TIME", 0.1)
    cluster = Cluster(gone=("n1", "n3"))
    with cluster.on(tmp_path / "s") as via:
        done = told(lbctl("drain", "n2", "--force", "--via", via))
    assert done == (1, "", f"lbctl drain: n2 is drained; it still holds {VIP}")


def test_a_move_is_made_pinned_and_released(tmp_path: Path) -> None:
    cluster = Cluster()
    with cluster.on(tmp_path / "s") as via:
        pinned = f"pinned there until `lbctl move {VIP} --release`"
        assert told(lbctl("move", VIP, "--to", "n3", "--via", via)) == (0, f"{VIP} moved from n2 to n3; {pinned}", "")
        assert f"{VIP} is pinned to n3 (by n1, " in lbctl("status", "--via", via).stdout
        again = told(lbctl("move", VIP, "--to", "n3", "--via", via))
        assert again == (0, f"{VIP} is at n3 already, and pinned there", "")
        by_name = told(lbctl("move", "nginx-svc", "--to", "n1", "--via", via))
        assert by_name[:2] == (0, f"{VIP} moved from n3 to n1; pinned there until `lbctl move nginx-svc --release`")
        released = told(lbctl("move", VIP, "--release", "--via", via))
        assert released == (0, f"{VIP} may be anywhere again; it stays where it is for now", "")
        assert told(lbctl("move", VIP, "--release", "--via", via)) == (0, f"{VIP} is pinned to no node", "")
    assert {claim.node for claim in cluster.facts.told.owners.held.values()} == {"n1"}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("192.168.3.175", "--to", "n1"), "no service holds 192.168.3.175; it is free in pool first-pool"),
        (("10.0.0.1", "--to", "n1"), "10.0.0.1 is no VIP: no pool has it"),
        (("default/nothing", "--to", "n1"), "there is no service default/nothing"),
        ((VIP, "--to", "n9"), "there is no node 'n9'; there are n1, n2, n3"),
        ((VIP, "--to", "n3"), f"n3 cannot announce {VIP}\n  n3: node_not_alive (gone)"),
    ],
)
def test_a_move_that_cannot_be_is_refused_by_reason(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    cluster = Cluster(gone=("n3",))
    with cluster.on(tmp_path / "s") as via:
        assert told(lbctl("move", *words, "--via", via)) == (1, "", f"lbctl move: {why}")
    assert cluster.spread == []


def test_a_move_that_does_not_happen_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbctl.speaker.orders.MOVE_TIME", 0.1)
    with Cluster(stuck=True).on(tmp_path / "s") as via:
        status, out, err = told(lbctl("move", VIP, "--to", "n3", "--via", via))
    assert (status, out) == (1, "")
    assert err.startswith(f"lbctl move: {VIP} is not at n3 yet after 0 s; it is pinned there until")


def test_rebalance_says_what_each_node_has(tmp_path: Path) -> None:
    cluster = Cluster()
    with cluster.on(tmp_path / "s") as via:
        status, out, err = told(lbctl("rebalance", "--via", via))
    assert (status, err) == (0, "")
    assert out.replace("\n", " ") == "spread evenly already; now: n1 0, n2 1, n3 0"
    assert cluster.orders.rebalance is not None
    assert abs(cluster.orders.rebalance.since_unix - time.time()) < 60


def test_rebalance_says_which_nodes_may_have_none_and_that_it_spreads(tmp_path: Path) -> None:
    cluster = Cluster()
    memo = cluster.facts.told.memo
    with cluster.on(tmp_path / "s") as via:
        assert told(lbctl("drain", "n3", "--via", via))[0] == 0
        cluster.facts.told = replace(cluster.facts.told, memo=replace(memo, elect=replace(memo.elect, loads={"n2": 3})))
        _, out, _ = told(lbctl("rebalance", "--via", via))
    expected = "spreading evenly, one group a second to each node that has too few; now: n1 0, n2 3, n3 0 (drained)"
    assert out.replace("\n", " ") == expected


def test_an_observer_is_no_node_that_could_be_named(tmp_path: Path) -> None:
    cluster = Cluster()
    snapshot = cluster.facts.snapshot
    assert snapshot.view is not None
    members = {**snapshot.view.members, "c/controller": observer("c/controller")}
    cluster.facts.snapshot = replace(snapshot, view=replace(snapshot.view, members=members))
    with cluster.on(tmp_path / "s") as via:
        expected = "lbctl drain: there is no node 'n9'; there are n1, n2, n3"
        assert told(lbctl("drain", "n9", "--via", via)) == (1, "", expected)


@pytest.mark.parametrize("command", [("drain", "n9"), ("undrain", "n9")])
def test_nobody_has_heard_of_the_node(tmp_path: Path, command: tuple[str, ...]) -> None:
    with Cluster().on(tmp_path / "s") as via:
        expected = f"lbctl {command[0]}: there is no node 'n9'; there are n1, n2, n3"
        assert told(lbctl(*command, "--via", via)) == (1, "", expected)


@pytest.mark.parametrize("command", [("drain", "n1"), ("undrain", "n1"), ("move", VIP, "--to", "n1"), ("rebalance",)])
def test_no_speaker_and_no_unix_socket_are_said_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    status, out, err = told(lbctl(*command, "--socket", str(tmp_path / "none")))
    assert (status, out) == (2, "")
    assert (
        err == f"lbctl {command[0]}: no daemon listens on unix:{tmp_path}/none; run this on a node where a speaker runs"
    )
    status, out, err = told(lbctl(*command, "--via", "192.0.2.1"))
    assert (status, out) == (2, "")
    assert err.startswith(
        f"lbctl {command[0]}: 192.0.2.1:7967 is asked over the network, where nothing can be changed;"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("drain",),
        ("drain", "n1", "--self"),
        ("drain", "n1", "--stop"),
        ("drain", "N_1"),
        ("undrain",),
        ("move",),
        ("move", VIP),
        ("move", VIP, "--to", "n1", "--release"),
        ("move", VIP, "--to", "N_1"),
        ("rebalance", "n1"),
        ("drain", "n1", "--via", "[::1"),
    ],
)
def test_a_wrong_command_line_is_64(words: tuple[str, ...]) -> None:
    assert lbctl(*words).returncode == 64


def test_a_daemon_that_takes_no_orders_is_named(tmp_path: Path) -> None:
    with Daemon(Snapshot(world=world(), view=view([claim("n1")], MACS))).on(tmp_path / "s") as via:
        status, out, err = told(lbctl("rebalance", "--via", via))
    assert (status, out) == (2, "")
    assert "lbctl rebalance:" in err


def test_stop_waits_for_the_connections_and_ends_the_speaker(tmp_path: Path) -> None:
    cluster = Cluster(holder="n1")
    cluster.flows = [2, 1, 0]
    with cluster.on(tmp_path / "s") as via:
        done = lbctl("drain", "--self", "--stop", "--via", via)
    assert cluster.stopped
    # The socket of this test stays, and answers with what is no status; the command cannot ask any more.
    assert done.returncode == 0, done.stderr
    assert "n1 is drained: 1 address moved to" in done.stdout
    assert "the speaker of n1 has stopped; `lbctl undrain n1`" in done.stdout
    assert "waiting for 2 open connections through n1" in done.stderr
    assert "waiting for 1 open connection through n1" in done.stderr


def test_stop_gives_up_after_the_time_that_was_given_and_says_what_was_left(tmp_path: Path) -> None:
    cluster = Cluster(holder="n1")
    cluster.flows = [3]
    with cluster.on(tmp_path / "s") as via:
        done = lbctl("drain", "--self", "--stop", "--flow-time", "0.2", "--via", via)
    assert cluster.stopped
    assert done.returncode == 1
    assert "lbctl drain: 3 open connections still went through n1" in done.stderr


def test_stop_does_nothing_after_a_refusal(tmp_path: Path) -> None:
    cluster = Cluster(holder="n1", gone=("n2", "n3"))
    with cluster.on(tmp_path / "s") as via:
        assert lbctl("drain", "--self", "--stop", "--via", via).returncode == 1
    assert not cluster.stopped


def test_orders_are_restored_as_far_as_they_are_orders() -> None:
    cluster = Cluster()
    kept = [["drain", "n3", "", 7, "n2", int(time.time()), True], ["drain"], "x", ["fly", "n1", "", 1, "n1", 1, True]]
    rows = cluster.desk.restore(kept, time.time())
    assert rows == [kept[0]]
