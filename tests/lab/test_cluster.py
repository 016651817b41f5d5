"""The lab itself, without daemons: hosts that share nothing but the wire, cuts and cures, the client's prober."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbctl.lab.cluster import Cut, Lab, LabError
from lbctl.lab.measure import Mode, ProbeResult
from tests.lab.conftest import FOLDERS, MACHINE_HAD
from tests.support.bars import PATIENCE, met_once

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def routed_lab(bare_lab: Lab) -> Iterator[Lab]:
    """The client knows the way to the first node's pod, by plain routing."""
    routes = [["10.244.1.0/24", "via", "192.168.3.103"], ["fd00:10:244:1::/64", "via", "fd00:3::103"]]
    for route in routes:
        bare_lab.exec("client", ["ip", "route", "add", *route], check=True)
    yield bare_lab
    for route in routes:
        bare_lab.exec("client", ["ip", "route", "del", *route], check=True)


# -- hosts ----------------------------------------------------------------------------------------------------------


def test_every_host_reaches_every_other_on_the_segment(bare_lab: Lab) -> None:
    addresses = [address for host in bare_lab.topology.hosts if host.on_segment for address in (host.ipv4, host.ipv6)]
    script = " && ".join(f"ping -q -c1 -w60 {address}" for address in addresses)
    for host in ("client", "n1", "n3", "controller"):
        bare_lab.exec(host, ["sh", "-c", script], check=True)


def test_a_pod_reaches_the_pods_behind_the_other_nodes(bare_lab: Lab) -> None:
    answer = bare_lab.exec("web1", ["curl", "-s", "-m60", "http://10.244.3.10/"], check=True)
    assert answer.stdout == "n3 saw 10.244.1.10\n"
    answer = bare_lab.exec("web2", ["curl", "-s", "-m60", "http://[fd00:10:244:1::10]/"], check=True)
    assert answer.stdout == "n1 saw fd00:10:244:2::10\n"


def test_the_client_knows_no_way_to_the_pods(bare_lab: Lab) -> None:
    assert "unreachable" in bare_lab.exec("client", ["ip", "route", "get", "10.244.1.10"]).stderr


def test_a_host_has_a_name_and_links_of_its_own(bare_lab: Lab) -> None:
    shown = bare_lab.exec("n2", ["sh", "-c", "uname -n; ls /sys/class/net"], check=True).stdout.split()
    assert shown[0] == "n2"
    assert set(shown[1:]) == {"lo", "eth0", "vethpod"}


def test_exec_hands_over_input_output_and_exit_status(bare_lab: Lab) -> None:
    done = bare_lab.exec("n1", ["sh", "-c", "cat; echo oops >&2; exit 9"], stdin="hello")
    assert (done.returncode, done.stdout, done.stderr) == (9, "hello", "oops\n")
    with pytest.raises(LabError, match="exit 9: oops"):
        bare_lab.exec("n1", ["sh", "-c", "echo oops >&2; exit 9"], check=True)
    assert bare_lab.exec("n1", ["no-such-command"]).returncode == 127
    assert bare_lab.exec("n1", ["/etc"]).returncode == 126


def test_unknown_hosts_are_named_with_those_there_are(bare_lab: Lab) -> None:
    with pytest.raises(LabError, match="no host 'n9'; it has: sw client controller n1"):
        bare_lab.exec("n9", ["true"])


# -- disks ----------------------------------------------------------------------------------------------------------


def test_hosts_share_no_disk_and_the_machine_sees_none_of_it(bare_lab: Lab) -> None:
    for folder in FOLDERS:
        bare_lab.exec("n1", ["sh", "-c", f"echo mine > {folder}/of-n1"], check=True)
        assert bare_lab.exec("n1", ["cat", f"{folder}/of-n1"]).stdout == "mine\n"
        for other in ("n2", "client", "controller", "web1"):
            assert "of-n1" not in bare_lab.exec(other, ["ls", "-A", folder], check=True).stdout
        assert not Path(folder, "of-n1").exists()
        bare_lab.exec("n1", ["rm", f"{folder}/of-n1"], check=True)
    assert tuple(folder for folder in FOLDERS if Path(folder).exists()) == MACHINE_HAD


def test_the_published_folder_is_there_on_every_node_to_be_read_only(bare_lab: Lab) -> None:
    bare_lab.exec("controller", ["sh", "-c", "echo 1 > /var/lib/lbctl/published/x"], check=True)
    for node in bare_lab.nodes:
        assert bare_lab.exec(node, ["cat", "/var/lib/lbctl/published/x"]).stdout == "1\n"
    assert "Read-only" in bare_lab.exec("n1", ["sh", "-c", "echo 2 > /var/lib/lbctl/published/x"]).stderr
    # A later file in its place is seen as well: that is how the controller writes.
    bare_lab.exec("controller", ["sh", "-c", "cd /var/lib/lbctl/published && echo 2 > y && mv y x"], check=True)
    assert bare_lab.exec("n3", ["cat", "/var/lib/lbctl/published/x"]).stdout == "2\n"
    (bare_lab.published / "x").unlink()


def test_the_machines_own_files_stay_readable_on_a_host(bare_lab: Lab) -> None:
    shown = bare_lab.exec("n1", ["sh", "-c", "cat /etc/passwd; ls -A /etc /run /var/lib"], check=True).stdout
    assert Path("/etc/passwd").read_text() in shown
    for folder in ("/etc", "/run", "/var/lib"):
        for entry in os.listdir(folder):  # noqa: PTH208
            # Labs of other test runs come and go meanwhile.
            assert entry in shown.split("\n") or not Path(folder, entry).exists()


def test_what_is_mounted_below_those_folders_stays_readable_too(bare_lab: Lab) -> None:
    # A checkout may lie on a disk of its own below /var/lib or /run.
    below = Path(f"/run/{bare_lab.name}-mounted")
    below.mkdir()
    try:
        script = 'mount -t tmpfs none "$1" && echo seen > "$1/file" && shift && exec "$@"'
        command = bare_lab.command("n1", ["cat", f"{below}/file"])
        unshared = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(below), *command]
        assert subprocess.run(unshared, capture_output=True, text=True, check=False).stdout == "seen\n"
    finally:
        below.rmdir()


def test_manifests_become_the_controllers_configuration(bare_lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("a: 1\n")
    (tmp_path / "two.yml").write_text("b: 2\n")
    (tmp_path / "notes.txt").write_text("not for lbctl\n")
    assert bare_lab.apply(tmp_path) == ["one.yaml", "two.yml"]
    bare_lab.apply_text("one.yaml", "a: 3\n")
    listed = bare_lab.exec("controller", ["sh", "-c", "cd /etc/lbctl && ls -A && cat one.yaml"], check=True).stdout
    assert listed == "one.yaml\ntwo.yml\na: 3\n"
    bare_lab.delete("one.yaml", "two.yml")
    assert bare_lab.exec("controller", ["ls", "-A", "/etc/lbctl"]).stdout == ""
    with pytest.raises(LabError, match=r"no manifest one.yaml was applied; there are: none"):
        bare_lab.delete("one.yaml")
    with pytest.raises(LabError, match="cannot read"):
        bare_lab.apply(tmp_path / "missing.yaml")
    with pytest.raises(LabError, match=r"should end in \.yaml"):
        bare_lab.apply(tmp_path / "notes.txt")


# -- cuts -----------------------------------------------------------------------------------------------------------


def _carrier(lab: Lab, host: str) -> bool:
    return lab.exec(host, ["cat", "/sys/class/net/eth0/carrier"], check=True).stdout == "1\n"


@pytest.mark.parametrize("how", list(Cut))
def test_a_cut_host_hears_nobody_until_it_is_healed(bare_lab: Lab, how: Cut) -> None:
    assert bare_lab.cut_state("n2") is None
    bare_lab.cut("n2", how)
    assert bare_lab.cut_state("n2") is how
    assert _carrier(bare_lab, "n2") is (how is Cut.SILENT)
    for pair in (("client", "192.168.3.104"), ("n2", "192.168.3.50"), ("n2", "fd00:3::103")):
        assert bare_lab.exec(pair[0], ["ping", "-q", "-c2", "-i0.05", "-W0.2", pair[1]]).returncode == 1
    bare_lab.exec("client", ["ping", "-q", "-c1", "-w60", "192.168.3.103"], check=True)
    bare_lab.heal("n2")
    assert bare_lab.cut_state("n2") is None
    assert _carrier(bare_lab, "n2")
    for target in ("192.168.3.104", "fd00:3::104"):
        bare_lab.exec("client", ["ping", "-q", "-c1", "-w60", target], check=True)


def test_one_cut_may_follow_the_other(bare_lab: Lab) -> None:
    for how in (Cut.SILENT, Cut.CARRIER, Cut.CARRIER, Cut.SILENT):
        bare_lab.cut("n3", how)
    bare_lab.heal("n3")
    bare_lab.heal("n3")
    bare_lab.exec("n3", ["ping", "-q", "-c1", "-w60", "192.168.3.50"], check=True)


def test_only_what_is_on_the_segment_can_be_cut(bare_lab: Lab) -> None:
    for host in ("web1", "sw"):
        with pytest.raises(LabError, match="no link to cut"):
            bare_lab.cut(host)


def test_ethernet_addresses_lead_back_to_hosts(bare_lab: Lab) -> None:
    for host in ("client", "controller", "n1", "n2", "n3"):
        mac = bare_lab.exec(host, ["cat", "/sys/class/net/eth0/address"], check=True).stdout.strip()
        assert bare_lab.node_of_mac(mac.upper()) == host
    assert bare_lab.node_of_mac("02:00:00:00:00:01") is None


# -- the prober -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["10.244.1.10", "fd00:10:244:1::10"])
@pytest.mark.parametrize("mode", list(Mode))
def test_the_prober_sees_a_gap_and_how_long_it_was(routed_lab: Lab, mode: Mode, target: str) -> None:

    def probed() -> ProbeResult:
        with routed_lab.probe(target, mode=mode) as probe:
            probe.wait("ready", PATIENCE)
            routed_lab.cut("n1", Cut.SILENT)
            probe.wait("silent", PATIENCE)
            routed_lab.heal("n1")
            back = probe.wait("back", PATIENCE)
            result = probe.stop()
        # Silence is said after 10 questions without an answer, 5 ms apart.
        assert back["gap_ms"] >= 50
        assert result.gap_ms is not None
        assert result.gap_ms >= back["gap_ms"]
        assert 2 <= result.answered <= result.sent
        assert set(result.by) == ({"n1"} if mode in (Mode.HTTP, Mode.UDP) else set())
        return result

    # A prober that was held up takes that for silence, and nothing was lost.
    met_once(probed, lambda result: result.lost >= 1)


def test_the_prober_sees_no_gap_where_there_is_none(routed_lab: Lab) -> None:
    def probed() -> ProbeResult:
        with routed_lab.probe("10.244.1.10", every=0.002) as probe:
            probe.wait("ready", PATIENCE)
            routed_lab.cut("n2")  # concerns nobody here
            routed_lab.heal("n2")
            result = probe.stop()
        assert result.gap_ms is not None
        return result

    # The machine may be busy: what the prober was late itself is not the network's.
    met_once(probed, lambda result: (result.gap_ms or 0) < 100 + result.late_ms)


def test_the_prober_says_when_there_never_was_an_answer(bare_lab: Lab) -> None:
    with bare_lab.probe("192.168.3.170", 8080) as probe:
        with pytest.raises(LabError, match="did not say 'ready'"):
            probe.wait("ready", within=0.1)
        result = probe.stop()
    assert result.gap_ms is None
    assert result.answered == 0
    assert result.sent > 0


def test_a_closed_port_is_no_answer(routed_lab: Lab) -> None:
    with routed_lab.probe("10.244.1.10", 81) as probe, pytest.raises(LabError):
        probe.wait("ready", within=0.1)


# -- daemons, with the web servers for an example -------------------------------------------------------------------


def test_a_daemon_is_killed_and_started_again(bare_lab: Lab) -> None:
    (killed,) = bare_lab.kill("web2")
    assert not bare_lab.is_running("web2")
    assert not Path(f"/proc/{killed.pid}").exists()
    with pytest.raises(LabError, match="nothing to signal on web2"):
        bare_lab.kill("web2")
    with pytest.raises(LabError, match="no daemon runs on web2"):
        bare_lab.stop("web2")
    bare_lab.start("web2")
    assert bare_lab.is_running("web2")
    with pytest.raises(LabError, match="runs on web2 already"):
        bare_lab.start("web2")
    bare_lab.stop("web2")
    bare_lab.start("web2")
    assert "ready" in bare_lab.log("web2")


def test_other_signals_leave_it_alive(bare_lab: Lab) -> None:
    bare_lab.kill("web3", signal.SIGSTOP)
    try:
        assert bare_lab.exec("web1", ["curl", "-s", "-m0.2", "http://10.244.3.10/"]).returncode == 28
    finally:
        bare_lab.kill("web3", signal.SIGCONT)
    assert bare_lab.exec("web1", ["curl", "-s", "-m60", "http://10.244.3.10/"]).returncode == 0


def test_a_daemon_that_does_not_start_is_reported_with_what_it_said(make_lab: Callable[..., Lab]) -> None:
    # Nothing but the command line differs from a real one: an option that does not exist.
    lab = make_lab(nodes=1, controller_args=["--no-such-option"])
    with pytest.raises(LabError, match=r"(?s)run-controller on controller ended:.*no-such-option"):
        lab.up()


def test_a_command_left_running_is_ended_with_the_lab(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(nodes=1)
    lab.up(daemons=False, keep=False)
    child = lab.popen("n1", ["sleep", "600"], stdout=subprocess.DEVNULL)
    lab.down()
    assert child.returncode == -signal.SIGKILL
