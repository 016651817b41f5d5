"""Which edits of a BGPPeer reset a session: a row for every field."""

from __future__ import annotations

import pytest

from lbctl.model.address import Family
from lbctl.model.peer import BGPPeer
from lbctl.plan.session_key import SessionField, families_carried, paired, session_key
from tests.plan.diff_worlds import peer, world

BASE = "peerPort: 179"


def made(spec: str = BASE, *, metadata: str = "", address: str = "192.0.2.9", name: str = "r") -> BGPPeer:
    profiles = "apiVersion: metallb.io/v1beta1\nkind: BFDProfile\nmetadata: {name: fast}\n---\n"
    secrets = "".join(
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/basic-auth\n"
        f"stringData: {{password: {text}}}\n---\n"
        for name, text in (("one", "x"), ("two", "y"))
    )
    return world(profiles + secrets + peer(name, address, spec, metadata=metadata)).bgp_peers[name]


RESETS = [
    ("peerPort: 1179", SessionField.PEER_PORT),
    ("sourceAddress: 192.0.2.1", SessionField.SOURCE_ADDRESS),
    ("ebgpMultiHop: true", SessionField.MULTIHOP),
    ("password: x", SessionField.PASSWORD),
    ("passwordSecret: {name: one}", SessionField.PASSWORD),
    ("localASN: 65009", SessionField.LOCAL_ASN),
    ("routerID: 192.0.2.1", SessionField.ROUTER_ID),
    ("holdTime: 30s", SessionField.HOLD_TIME),
    ("keepaliveTime: 20s", SessionField.HOLD_TIME),  # alone it makes the hold time 60 s (MetalLB rule R6)
    ("enableGracefulRestart: true", SessionField.GRACEFUL_RESTART),
    ("dualStackAddressFamily: true", SessionField.DUAL_STACK),
    ("vrf: red", SessionField.VRF),
]


@pytest.mark.parametrize(("spec", "field"), RESETS)
def test_what_resets_a_session(spec: str, field: SessionField) -> None:
    assert session_key(made()).differs(session_key(made(spec))) == (field,)
    assert session_key(made(spec)).differs(session_key(made())) == (field,)


@pytest.mark.parametrize(
    "spec",
    [
        "connectTime: 5s",
        "bfdProfile: fast",
        "nodeSelectors: [{matchLabels: {a: b}}]",
        "disableMP: true",
        "holdTime: 90s",
        "holdTime: 90s, keepaliveTime: 5s",
        "holdTime: 90500ms",
        "peerPort: 179",
        "enableGracefulRestart: false",
        "vrf: ''",
    ],
)
def test_what_a_standing_session_takes(spec: str) -> None:
    assert session_key(made()) == session_key(made(spec))


def test_the_addresses_and_as_numbers() -> None:
    base = session_key(made())
    assert base.differs(session_key(made(address="192.0.2.10"))) == (SessionField.PEER_ADDRESS,)
    own = world(peer("r", "192.0.2.9").replace("65001", "65002")).bgp_peers["r"]
    theirs = world(peer("r", "192.0.2.9").replace("65000", "65002")).bgp_peers["r"]
    dynamic = world(peer("r", "192.0.2.9").replace("peerASN: 65000", "dynamicASN: external")).bgp_peers["r"]
    unnumbered = world(peer("r", "x").replace("peerAddress: 'x'", "interface: eth1")).bgp_peers["r"]
    assert base.differs(session_key(own)) == (SessionField.MY_ASN,)
    assert base.differs(session_key(theirs)) == (SessionField.PEER_ASN,)
    assert base.differs(session_key(dynamic)) == (SessionField.PEER_ASN,)
    assert base.differs(session_key(unnumbered)) == (SessionField.PEER_ADDRESS, SessionField.INTERFACE)


def test_the_smallest_ttl_taken() -> None:
    peers = [made(), made(metadata="annotations: {lbctl.io/ttl-security: '254'}")]
    assert session_key(peers[0]).differs(session_key(peers[1])) == (SessionField.TTL_SECURITY,)


def test_a_password_counts_by_its_text_where_that_is_known() -> None:
    plain, secret = made("password: x"), made("passwordSecret: {name: one}")
    assert session_key(plain) == session_key(secret, secret="x")
    assert session_key(plain).differs(session_key(secret, secret="y")) == (SessionField.PASSWORD,)
    assert session_key(secret).differs(session_key(made("passwordSecret: {name: two}"))) == (SessionField.PASSWORD,)
    assert session_key(secret, secret="x").differs(session_key(secret, secret="y")) == (SessionField.PASSWORD,)


def test_no_password_is_ever_shown() -> None:
    key = session_key(made("password: hunter2"))
    assert key.part(SessionField.PASSWORD) == "given"
    assert "hunter2" not in repr(key)
    assert "hunter2" not in str(key.parts)
    assert session_key(made()).part(SessionField.PASSWORD) == ""


def test_every_field_has_its_place() -> None:
    assert len(session_key(made()).parts) == len(SessionField)


def test_families_carried() -> None:
    both = (Family.IPV4, Family.IPV6)
    assert families_carried(made()) == (Family.IPV4,)
    assert families_carried(made(address="2001:db8::1")) == (Family.IPV6,)
    assert families_carried(made("dualStackAddressFamily: true")) == both
    assert families_carried(world(peer("r", "x").replace("peerAddress: 'x'", "interface: eth1")).bgp_peers["r"]) == both


def test_a_renamed_peer_keeps_its_session() -> None:
    old = world(peer("r", "192.0.2.9") + peer("s", "192.0.2.10") + peer("gone", "192.0.2.11")).bgp_peers
    new = world(peer("q", "192.0.2.9") + peer("s", "192.0.2.12") + peer("new", "192.0.2.13")).bgp_peers
    assert paired(old, new, ({}, {})) == {"q": "r", "s": "s"}
    assert paired(new, old, ({}, {})) == {"r": "q", "s": "s"}
