"""`services` and `status`: their tables, their documents, and what they do where nobody answers."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbctl.cli import services as services_command
from lbctl.cli import status as status_command
from lbctl.model.service import LoadBalancerSpec, Service, ServiceKey, ServiceType
from lbctl.model.snapshot import Snapshot, World, evolve
from lbctl.plan.reason import Reason, Refusal
from lbctl.sources.published_document import DocumentEncoder
from tests.cli.test_main import lbctl
from tests.cli.told import VIP, Daemon, claim, view, world

WAITING = ServiceKey("shop", "web")
WHY = Refusal("first-pool", Reason.POOL_EXHAUSTED, "all 10 addresses are in use")


def with_waiting() -> World:
    base = world()
    waiting = Service(
        key=WAITING, type=ServiceType.LOAD_BALANCER, load_balancer=LoadBalancerSpec(), created_unix=time.time() - 5
    )
    return evolve(base, made_unix=base.made_unix, services={**base.services, WAITING: waiting})


@pytest.fixture
def daemon() -> Daemon:
    macs = {"n1": "02:00:00:00:00:01", "n2": "02:00:00:00:00:02"}
    speaker = Daemon(Snapshot(world=with_waiting(), view=view([claim("n2")], macs, gone=["n2"])))
    speaker.facts.pending = {WAITING: (WHY,)}
    return speaker


def services(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return lbctl("services", *arguments, **options)


def test_the_table_has_a_line_a_service_and_says_why_one_waits(daemon: Daemon, tmp_path: Path) -> None:
    with daemon.on(tmp_path / "s") as via:
        done = services("--via", via)
        by_socket = services("--socket", str(tmp_path / "s"))
    assert (done.returncode, done.stderr) == (0, "")
    header, nginx, web, _, why, reason = done.stdout.splitlines()
    assert header.split() == ["NAMESPACE", "NAME", "TYPE", "EXTERNAL-IP", "PORTS", "POOL", "OWNER", "AGE"]
    assert nginx.split()[:6] == ["default", "nginx-svc", "LoadBalancer", VIP, "8080/TCP", "first-pool"]
    assert nginx.split()[7] in ("4m10s", "4m11s", "4m12s")
    assert web.split()[:6] == ["shop", "web", "LoadBalancer", "<pending>", "-", "-"]
    assert why == "Why:"
    assert reason == "  shop/web  first-pool: pool_exhausted (all 10 addresses are in use)"
    assert all(len(line) <= 80 for line in (header, nginx, web))
    assert by_socket.stdout.splitlines()[0] == header


def test_other_forms_and_filters(daemon: Daemon, tmp_path: Path) -> None:
    with daemon.on(tmp_path / "s") as via:
        document = json.loads(services("--via", via, "-o", "json").stdout)
        assert yaml.safe_load(services("--via", via, "-o", "yaml").stdout)["schema"] == document["schema"]
        assert services("--via", via, "-o", "name").stdout == "default/nginx-svc\nshop/web\n"
        assert services("--via", via, "-o", "name", "--pending").stdout == "shop/web\n"
        assert services("--via", via, "-o", "name", "-n", "default").stdout == "default/nginx-svc\n"
        assert services("--via", via, "-n", "none").stdout == "No services of type LoadBalancer in namespace none.\n"
        assert "ADDRESS-AGE" in services("--via", via, "-o", "wide").stdout
    assert document["schema"] == "lbctl.io/services/v1"
    assert [row["addresses"] for row in document["services"]] == [[VIP], []]
    assert document["services"][1]["pending"] == [
        {"subject": "first-pool", "reason": "pool_exhausted", "detail": "all 10 addresses are in use"}
    ]


def test_without_a_daemon_the_published_file_speaks_and_owners_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "published" / "snapshot.json"
    nothing = services("--state", str(tmp_path))
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "neither speaker nor controller runs on this host" in nothing.stderr
    path.parent.mkdir()
    path.write_bytes(b"".join(DocumentEncoder(cluster="default", ledger="x").encode(with_waiting(), {WAITING: (WHY,)})))
    done = services("--state", str(tmp_path))
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split()[6] == "?"
    assert "pool_exhausted" in done.stdout
    assert json.loads(services("--state", str(tmp_path), "-o", "json").stdout)["role"] == "published"
    path.write_text("torn")
    assert services("--state", str(tmp_path)).returncode == 2


ROW: dict[str, Any] = {
    "namespace": "a-rather-long-namespace",
    "name": "a-service-with-a-long-name",
    "type": "LoadBalancer",
    "addresses": [VIP, "fd00:3::aaaa:170"],
    "ports": ["80/TCP", "443/TCP"],
    "pool": "production",
    "owners": ["node-number-1"],
    "since_unix": 0.0,
    "created_unix": 0.0,
    "pending": [],
}


def test_a_pipe_gets_a_line_a_service_and_all_of_it() -> None:
    text = services_command.text([ROW], now=100.0, wide=False)
    assert len(text.splitlines()) == 2
    assert "…" not in text
    assert f"{VIP},fd00:3::aaaa:170" in text


def test_a_terminal_gets_eighty_columns_with_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services_command, "terminal_width", lambda: 80)
    text = services_command.text([ROW], now=100.0, wide=False)
    assert all(len(line) <= 80 for line in text.splitlines())
    _, first, second = text.splitlines()
    assert VIP in first
    assert second.split() == ["fd00:3::aaaa:170", "443/TCP"]


def test_status_of_a_speaker(daemon: Daemon, tmp_path: Path) -> None:
    with daemon.on(tmp_path / "s") as via:
        well = lbctl("status", "--via", via)
        document = json.loads(lbctl("status", "--via", via, "-o", "json").stdout)
        daemon.facts.troubles = lambda: ("published file is 5 minutes old",)
        troubled = lbctl("status", "--via", via)
        daemon.facts.ready = False
        starting = lbctl("status", "--via", via)
    assert well.returncode == 0
    head, _, header, first, second = well.stdout.splitlines()
    assert head.startswith("speaker n1  ready  up 10m  world 2, ")
    assert head.endswith("lbctl 0.1.0")
    assert header.split() == ["MEMBER", "STATE", "HEARS-US", "ROLE", "SINCE", "ADDRESSES"]
    assert first.split() == ["n1", "alive", "yes", "speaker", "15m", "-"]
    assert second.split()[:2] == ["n2", "gone"]
    assert document["schema"] == "lbctl.io/daemons/v1"
    assert document["daemons"][0]["schema"] == "lbctl.io/status/v1"
    assert document["daemons"][0]["address"] == via
    assert (troubled.returncode, starting.returncode) == (1, 1)
    assert "trouble: published file is 5 minutes old" in troubled.stdout
    assert "not ready" in starting.stdout


def test_status_wide_has_macs_capabilities_and_counters() -> None:
    answer = {
        "role": "speaker", "node": "n1", "version": "0.1.0", "ready": True, "since_unix": 0.0, "generation": None,
        "age": None, "troubles": [], "counters": {"arp_answered": 3}, "capabilities": {"sys_nice": False},
        "members": [{"node": "n2", "state": "alive", "two_way": False, "since_unix": 1.0, "macs": [["02::1", "eth0"]]}],
    }  # fmt: skip
    text = status_command.text(answer, now=61.0, wide=True)
    assert "no world yet" in text
    assert "02::1@eth0" in text
    assert "arp_answered                     3" in text
    assert "sys_nice                         no" in text


def test_status_without_a_daemon_is_2(tmp_path: Path) -> None:
    done = lbctl("status", "--socket", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lbctl status: no daemon listens on unix:{tmp_path}/none\n"
