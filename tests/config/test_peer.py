"""BGPPeer and BFDProfile: MetalLB rules R1 to R9."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from lbctl.config.duration import parse_duration
from lbctl.model.peer import BFDProfile, BGPPeer, PeerAddress, PeerSession, PeerTimers, SecretReference
from tests.config.manifests import Found, findings, obj, read

GOOD = "  myASN: 64512\n  peerASN: 64513\n  peerAddress: 10.0.0.1\n"


def peer(spec: str, version: str = "v1beta2") -> str:
    return obj("BGPPeer", spec, version=f"metallb.io/{version}")


def without(*fields: str) -> str:
    return "".join(line + "\n" for line in GOOD.splitlines() if line.split(":")[0].strip() not in fields)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (without("myASN"), [("LB0110", "spec")]),
        (without("myASN") + "  myASN: 0", [("LB0401", "0")]),
        (without("myASN") + "  myASN: 4294967296", [("LB0108", "4294967296")]),
        (without("peerASN"), [("LB0402", "spec")]),
        (without("peerASN") + "  peerASN: x", [("LB0107", "x")]),
        (without("peerASN") + "  peerASN: 0", [("LB0402", "0")]),
        (GOOD + "  dynamicASN: external", [("LB0402", "external")]),
        (without("peerASN") + "  dynamicASN: both", [("LB0109", "both")]),
        (without("peerASN") + "  peerASN: 64512\n  ebgpMultiHop: true", [("LB0403", "true")]),
        (without("peerAddress"), [("LB0404", "spec")]),
        (GOOD + "  interface: eth0", [("LB0404", "eth0")]),
        (without("peerAddress") + "  peerAddress: fe80::1%eth0", [("LB0116", "fe80::1%eth0")]),
        (without("peerAddress") + "  peerAddress: 10.0.0.1/24", [("LB0116", "10.0.0.1/24")]),
        (without("peerAddress") + "  peerAddress: router", [("LB0116", "router")]),
        (GOOD + "  holdTime: 2s", [("LB0405", "2s")]),
        (GOOD + "  holdTime: 2999ms", [("LB0405", "2999ms")]),
        (GOOD + "  holdTime: 500ms", [("LB0405", "500ms")]),
        (GOOD + "  keepaliveTime: 500ms", [("LB0405", "500ms")]),
        (GOOD + "  holdTime: 9s\n  keepaliveTime: 10s", [("LB0405", "10s")]),
        (GOOD + "  holdTime: 90", [("LB0107", "90")]),
        (GOOD + "  holdTime: 90 s", [("LB0118", "90 s")]),
        (GOOD + "  holdTime: -90s", [("LB0108", "-90s")]),
        (GOOD + "  connectTime: 1500ms", [("LB0108", "1500ms")]),
        (GOOD + "  connectTime: 0s", [("LB0108", "0s")]),
        (GOOD + "  routerID: fd00::1", [("LB0116", "fd00::1")]),
        (GOOD + "  routerID: 5", [("LB0107", "5")]),
        (GOOD + "  sourceAddress: x", [("LB0116", "x")]),
        (GOOD + "  peerPort: 0", [("LB0108", "0")]),
        (GOOD + "  peerPort: 16385", [("LB0108", "16385")]),
        (GOOD + "  localASN: 0", [("LB0108", "0")]),
        (GOOD + "  password: a\n  passwordSecret: {name: s}", [("LB0406", "passwordSecret"), ("LB0408", "s")]),
        (GOOD + "  passwordSecret: {namespace: s}", [("LB0110", "passwordSecret")]),
        (GOOD + "  nodeSelectors: [{}, {}]", [("LB0114", "{}")]),
        (GOOD + "  peerAdress: 10.0.0.2", [("LB0105", "peerAdress")]),
    ],
)
def test_rule(spec: str, expected: list[Found]) -> None:
    assert findings(peer(spec)) == expected
    assert not read(peer(spec)).world.bgp_peers


@pytest.mark.parametrize(
    ("spec", "timers"),
    [
        ("", PeerTimers()),
        ("  holdTime: 90s", PeerTimers(hold_time=90, keepalive_time=30)),
        ("  keepaliveTime: 10s", PeerTimers(hold_time=30, keepalive_time=10)),
        ("  holdTime: 3s\n  keepaliveTime: 3s", PeerTimers(hold_time=3, keepalive_time=3)),
        ("  holdTime: 0s", PeerTimers(hold_time=0, keepalive_time=0)),
        ("  connectTime: 1m", PeerTimers(connect_time=60)),
    ],
)
def test_timers(spec: str, timers: PeerTimers) -> None:
    """R6."""
    assert read(peer(GOOD + spec)).world.bgp_peers["x"].timers == timers


def test_everything_a_peer_can_say() -> None:
    found = read(
        peer(
            """  myASN: 64512
  dynamicASN: external
  localASN: 64999
  peerAddress: fd00::1
  sourceAddress: fd00::2
  peerPort: 1179
  routerID: 10.9.9.9
  vrf: red
  ebgpMultiHop: true
  enableGracefulRestart: true
  dualStackAddressFamily: true
  disableMP: false
  bfdProfile: fast
  passwordSecret: {name: s, namespace: n}
status: {}"""
        )
    )
    assert [d.code for d in found.diagnostics] == ["LB0407", "LB0408"]
    assert found.world.bgp_peers["x"] == BGPPeer(
        name="x",
        my_asn=64512,
        dynamic_asn="external",
        local_asn=64999,
        router_id="10.9.9.9",
        address=PeerAddress(
            address=ip_address("fd00::1"), source=ip_address("fd00::2"), port=1179, vrf="red", multihop=True
        ),
        session=PeerSession(
            graceful_restart=True,
            dual_stack=True,
            bfd_profile="fast",
            password_secret=SecretReference(name="s", namespace="n"),
        ),
    )


def test_interface_instead_of_address() -> None:
    found = read(peer(without("peerAddress") + "  interface: eth0"))
    assert found.world.bgp_peers["x"].address == PeerAddress(interface="eth0")


def test_old_version_is_converted() -> None:
    text = peer(GOOD + "  holdTime: 0s\n  peerPort: 0\n  bfdProfile: ''\n", "v1beta1")
    found = read(text)
    assert [d.code for d in found.diagnostics] == ["LB0410"]
    assert found.world.bgp_peers["x"] == BGPPeer(
        name="x", my_asn=64512, peer_asn=64513, address=PeerAddress(address=ip_address("10.0.0.1"))
    )


@pytest.mark.parametrize("field", ["vrf: red", "interface: eth0", "passwordSecret: {name: x}", "localASN: 5"])
def test_old_version_has_not_the_new_fields(field: str) -> None:
    assert ("LB0105", field.split(":")[0]) in findings(peer(GOOD + "  " + field, "v1beta1"))


def test_a_password_shows_nowhere() -> None:
    found = read(peer(GOOD + "  password: geheim\n"))
    assert found.world.bgp_peers["x"].session.password == "geheim"
    assert "geheim" not in repr(found.world.bgp_peers["x"])
    for spec in ("  password: [geheim]\n", "  password: geheim\n  password: geheim\n", "  password: 4711\n"):
        (wrong,) = read(peer(GOOD + spec)).diagnostics
        assert wrong.sensitive
        assert "geheim" not in wrong.message
        assert "4711" not in wrong.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1m30s", 90),
        ("1h", 3600),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("0", 0),
        ("-1s", -1),
        ("1us", 1e-6),
        ("", None),
        ("90", None),
        ("s", None),
        ("1d", None),
        ("1s ", None),
        ("1e3s", None),
        ("９s", None),
        ("9" * 50 + "s", None),
    ],
)
def test_duration(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("receiveInterval", 10, 60000),
        ("transmitInterval", 10, 60000),
        ("detectMultiplier", 2, 255),
        ("echoInterval", 10, 60000),
        ("minimumTtl", 1, 254),
    ],
)
def test_bfd_ranges(field: str, low: int, high: int) -> None:
    for value, good in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
        found = findings(obj("BFDProfile", f"  {field}: {value}"))
        assert found == ([] if good else [("LB0108", str(value))])


def test_bfd_defaults() -> None:
    assert read(obj("BFDProfile", "  passiveMode: true")).world.bfd_profiles["x"] == BFDProfile(
        name="x", passive_mode=True
    )
