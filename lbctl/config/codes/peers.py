"""LB04: codes of findings about BGP peers."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code
from lbctl.config.codes.example import manifest, peer, together

PEERS: tuple[Code, ...] = (
    Code(
        "LB0401",
        ERROR,
        "own AS number missing",
        "myASN is the AS number of the speakers and cannot be 0.",
        "R1",
        example=peer("myASN: 0\npeerASN: 64513\npeerAddress: 192.0.2.1"),
        fix=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1"),
    ),
    Code(
        "LB0402",
        ERROR,
        "peer's AS number",
        "A peer has either peerASN, the router's AS number, or dynamicASN, which accepts any internal or external one.",
        "R2",
        example=peer("myASN: 64512\npeerAddress: 192.0.2.1"),
        fix=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1"),
    ),
    Code(
        "LB0403",
        ERROR,
        "multihop within one AS",
        "ebgpMultiHop is for sessions to another AS. Sessions within one AS (peerASN equal to myASN) may always "
        "cross routers.",
        "R4",
        example=peer("myASN: 64512\npeerASN: 64512\npeerAddress: 192.0.2.1\nebgpMultiHop: true"),
        fix=peer("myASN: 64512\npeerASN: 64512\npeerAddress: 192.0.2.1"),
    ),
    Code(
        "LB0404",
        ERROR,
        "peer's address",
        "A peer has either peerAddress, the router's address, or interface, for a session with whoever is there.",
        "R5",
        example=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\ninterface: eth1"),
        fix=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1"),
    ),
    Code(
        "LB0405",
        ERROR,
        "hold time and keepalive time",
        "The hold time is 0 (never) or at least 3 seconds, and the keepalive time not longer than it; a third is "
        "usual (RFC 4271 section 4.2). If one is left out it follows from the other.",
        "R6",
        example=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\nholdTime: 9s\nkeepaliveTime: 30s"),
        fix=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\nholdTime: 90s\nkeepaliveTime: 30s"),
    ),
    Code(
        "LB0406",
        ERROR,
        "two passwords",
        "The password stands in the peer or in a Secret that passwordSecret names, not in both.",
        "R9",
        example=peer(
            "myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\npassword: example\npasswordSecret: {name: bgp}"
        ),
        fix=together(
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\npasswordSecret: {name: bgp}"),
            manifest("Secret", version="v1", name="bgp")
            + "type: kubernetes.io/basic-auth\nstringData: {password: example}\n",
        ),
    ),
    Code(
        "LB0407",
        WARNING,
        "peer names a missing BFDProfile",
        "The session runs without BFD, and so fails over slowly, until the profile exists.",
        "R11",
        example=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\nbfdProfile: fast"),
        fix=together(
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\nbfdProfile: fast"),
            manifest("BFDProfile", "detectMultiplier: 3", name="fast"),
        ),
    ),
    Code(
        "LB0408",
        WARNING,
        "peer names a missing Secret",
        "The session stays down until the Secret that holds its password exists.",
        "R10",
        example=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\npasswordSecret: {name: bgp}"),
        fix=together(
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\npasswordSecret: {name: bgp}"),
            manifest("Secret", version="v1", name="bgp")
            + "type: kubernetes.io/basic-auth\nstringData: {password: example}\n",
        ),
    ),
    Code(
        "LB0409",
        ERROR,
        "Secret is no password",
        "The password of a BGP session is the key password of a Secret of type kubernetes.io/basic-auth.",
        "R10",
        example=together(
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\npasswordSecret: {name: bgp}"),
            manifest("Secret", version="v1", name="bgp") + "type: Opaque\nstringData: {password: example}\n",
        ),
        fix=together(
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\npasswordSecret: {name: bgp}"),
            manifest("Secret", version="v1", name="bgp")
            + "type: kubernetes.io/basic-auth\nstringData: {password: example}\n",
        ),
    ),
    Code(
        "LB0410",
        NOTE,
        "old version of BGPPeer",
        "BGPPeer v1beta1 is read and converted. Fields added since exist in metallb.io/v1beta2 only.",
        example=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1", version="metallb.io/v1beta1"),
        fix=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1"),
    ),
)
