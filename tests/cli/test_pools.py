"""`pools`: its table, its documents, and what it does where nobody answers."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from lbctl.controller.status import Facts, routes
from lbctl.plan.reason import Reason, Refusal
from lbctl.sources.published_document import DocumentEncoder
from tests.cli.test_main import lbctl
from tests.cli.told import serving
from tests.plan.allocation_worlds import PREFER, Cluster, pool, quarantine, reserve, service


def facts(*, held_back: tuple[Refusal, ...] = ()) -> Facts:
    cluster = Cluster(pool("prod", "192.0.2.0/29", "2001:db8::/64"), pool("tiny", "198.51.100.7/32", auto=False))
    cluster.put(service("web", stack=PREFER)).put(service("db")).put(service("old", from_pool="tiny")).put(service("x"))
    cluster.delete("x")
    quarantine(reserve(cluster, "mail", "192.0.2.5", home="prod"), "192.0.2.1")
    excluding = pool("prod", "192.0.2.0/29", "2001:db8::/64", exclude="192.0.2.0/32", cooling_time=1e10)
    cluster.become(pools=[excluding, cluster.world.pools["tiny"]]).settle()
    state = cluster.state
    now = replace(cluster.world, allocations=state.allocations, quarantined=state.remembered.quarantined)
    return Facts(
        host="c",
        since_unix=0.0,
        world=now,
        remembered=lambda: state.remembered,
        held_back=lambda: held_back,
    )


def pools(told: Facts, path: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    with serving(lambda: routes(told), path / "s") as via:
        return lbctl("pools", *arguments, "--via", via, **options)


def test_the_table_has_a_line_a_pool_and_family(tmp_path: Path) -> None:
    done = pools(facts(), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "POOL  FAMILY  TOTAL   USED  FREE    COOLING  RESERVED  QUARANTINED",
        "prod  IPv4    7       1     5       1        1         1",
        "prod  IPv6    1.8e19  1     1.8e19  0        0         0",
        "tiny  IPv4    1       1     0       0        0         0",
        "",
        "prod: 1 IPv4 address excluded in use, counted neither in TOTAL nor in USED",
        "192.0.2.0 is excluded, and default/web keeps it",
    ]


def test_one_pool_wide(tmp_path: Path) -> None:
    done = pools(facts(), tmp_path, "tiny", "-o", "wide")
    _, line = done.stdout.splitlines()
    assert line.split()[8:] == ["1", "no", "lowest", "no", "198.51.100.7/32"]


def test_programs_get_exact_numbers(tmp_path: Path) -> None:
    document = json.loads(pools(facts(), tmp_path, "-o", "json").stdout)
    assert document["schema"] == "lbctl.io/pools/v1"
    six = document["pools"][0]["families"][1]
    assert (six["size"], six["available"]) == (2**64, 2**64 - 1)
    assert document["kept"][0]["service"] == "default/web"
    assert pools(facts(), tmp_path, "-o", "name").stdout.split() == ["prod", "tiny"]


def test_an_edit_that_is_held_back_is_a_finding(tmp_path: Path) -> None:
    why = (Refusal("tiny", Reason.POOL_PROTECTED, "its removal would take 198.51.100.7 from default/old"),)
    done = pools(facts(held_back=why), tmp_path)
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "tiny: an edit is held back: its removal would take 198.51.100.7 from default/old" in text
    assert pools(facts(held_back=why), tmp_path, "prod").returncode == 0


def test_a_pool_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = pools(facts(), tmp_path, "none")
    assert (done.returncode, done.stderr) == (1, "lbctl pools: there is no pool none\n")


def test_without_a_controller_the_published_file_says_what_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_bytes(b"".join(DocumentEncoder(cluster="default", ledger="x").encode(facts().world, {})))
    done = lbctl("pools", "--published", str(path))
    assert done.stdout.splitlines()[1].split() == ["prod", "IPv4", "7", "1", "6", "?", "?", "1"]
    assert json.loads(lbctl("pools", "--published", str(path), "-o", "json").stdout)["role"] == "published"


def test_where_nobody_can_be_asked(tmp_path: Path) -> None:
    done = lbctl("pools", "--state", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("lbctl pools: no controller runs on this host, and nothing is published at ")
    assert done.stderr.count("\n") == 1
