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
from lbctl.controller import status as controller_status
from lbctl.model.service import LoadBalancerSpec, Service, ServiceKey, ServiceType
from lbctl.model.snapshot import Snapshot, World, evolve
from lbctl.plan.reason import Reason, Refusal
from lbctl.sources.published_document import DocumentEncoder
from tests.cli.test_main import lbctl
from tests.cli.told import VIP, Daemon, claim, serving, view, world

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


def test_status_says_what_keeps_a_member_from_being_given_anything() -> None:
    member = {"state": "alive", "two_way": True, "since_unix": 1.0}
    answer = {
        "role": "speaker", "node": "n1", "version": "0.1.0", "ready": True, "since_unix": 0.0, "generation": None,
        "troubles": [], "members": [
            {**member, "node": "n1"}, {**member, "node": "n2", "held_until_unix": 91.0},
            {**member, "node": "n3", "state": "draining"},
        ],
        "orders": {"drains": [{"node": "n1", "by": "ada", "since_unix": 1.0}], "pins": []},
    }  # fmt: skip
    lines = status_command.text(answer, now=61.0, wide=False).splitlines()
    assert [" ".join(line.split()[:5]) for line in lines[3:6]] == [
        "n1 alive, drained yes speaker",
        "n2 alive, held down 30s",
        "n3 draining yes speaker 1m",
    ]
    assert lines[-1] == "  n1 is drained (by ada, 1m ago)"


def test_a_trouble_of_both_daemons_is_told_once_and_a_narrow_terminal_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = {
        "role": "controller", "node": "", "version": "0.1.0", "ready": True, "since_unix": 0.0, "generation": 7,
        "age": 61.0, "troubles": ["the disk is full", "the disk is full"], "members": [],
    }  # fmt: skip
    first, second = status_command._troubled_once(
        [answer, {**answer, "role": "speaker", "troubles": ["the disk is full", "x"]}]
    )
    assert (first["troubles"], second["troubles"]) == (["the disk is full"], ["x"])
    monkeypatch.setattr(status_command, "terminal_width", lambda: 40)
    lines = status_command.text(first, now=61.0, wide=False).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert (
        " ".join(" ".join(lines).split())
        == "controller ready up 1m1s world 7, 1m1s old lbctl 0.1.0 trouble: the disk is full"
    )


def test_status_without_a_daemon_is_2(tmp_path: Path) -> None:
    done = lbctl("status", "--socket", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lbctl status: no daemon listens on unix:{tmp_path}/none\n"


def waits(*pending: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    reasons = [{"subject": subject, "reason": reason, "detail": detail} for subject, reason, detail in pending]
    return {**ROW, "namespace": "shop", "name": "web", "addresses": [], "owners": [], "pending": reasons, **more}


def why(row: dict[str, Any], **options: Any) -> list[str]:
    """The lines below the table."""
    _, _, below = services_command.text([row], now=100.0, wide=False, **options).partition("Why:\n")
    return below.splitlines()


def test_reasons_are_told_once_for_all_nodes_and_without_the_name_of_the_service_itself() -> None:
    nodes = [(node, "no_interface", "eth9") for node in ("n1", "n2", "n3")]
    silent = waits(*nodes, addresses=[VIP])
    assert why(silent) == ["  shop/web  announced by nobody: n1, n2, n3: no_interface (eth9)"]
    assert why(silent, knows_owners=False) == ["  shop/web  n1, n2, n3: no_interface (eth9)"]
    assert why(waits(("shop/web", "no_cluster_ip", ""))) == ["  shop/web  no_cluster_ip"]


def test_a_pipe_gets_a_reason_on_one_line_and_a_terminal_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    row = waits(*((f"pool-{n}", "pool_exhausted", "all 10 addresses in use") for n in range(9)))
    assert len(why({**row, "pending": [{**each, "detail": each["subject"]} for each in row["pending"]]})) == 1
    monkeypatch.setattr(services_command, "terminal_width", lambda: 80)
    lines = why(row)
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)


def test_a_service_of_another_class_is_shown_and_does_not_wait(daemon: Daemon, tmp_path: Path) -> None:
    daemon.facts.pending = {WAITING: (Refusal("shop/web", Reason.OTHER_CLASS, "acme.io/lb"),)}
    with daemon.on(tmp_path / "s") as via:
        shown = services("--via", via).stdout
        pending = services("--via", via, "--pending").stdout
        elsewhere = services("--via", via, "--pending", "-n", "shop").stdout
        nowhere = services("--via", via, "--pending", "-n", "none").stdout
    assert "(other class)" in shown
    assert "Why:" not in shown
    assert pending == "No service of type LoadBalancer waits.\n"
    assert elsewhere == "No service of type LoadBalancer waits in namespace shop.\n"
    assert nowhere == "No services of type LoadBalancer in namespace none.\n"


def test_a_controller_says_what_nobody_announces(tmp_path: Path) -> None:
    base = world()
    wrong = evolve(base, made_unix=base.made_unix, l2_advertisements={})
    seen = view([], {"n1": "02:00:00:00:00:01", "n2": "02:00:00:00:00:02"})
    facts = controller_status.Facts(host="c", since_unix=time.time() - 60, world=wrong, view=lambda: seen, ready=True)
    with serving(lambda: controller_status.routes(facts), tmp_path / "s") as via:
        told = lbctl("status", "--via", via)
        pending = services("--via", via, "--pending").stdout
    assert told.returncode == 1
    line = f"  trouble: default/nginx-svc: {VIP} is announced by nobody: no_advertisement (pool first-pool)"
    assert line in told.stdout.splitlines()
    assert "default/nginx-svc  announced by nobody: no_advertisement (pool first-pool)" in pending
