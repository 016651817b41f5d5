"""LB04: codes of findings about BGP peers."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code
from lbctl.config.codes.example import manifest, node, peer, pool, together

_ROUTER = "myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1"


def _secret(namespace: str) -> str:
    text = manifest("Secret", version="v1", name="bgp", metadata=f"namespace: {namespace}")
    return text + "type: kubernetes.io/basic-auth\nstringData: {password: example}\n"


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
        "usual (RFC 4271 section 4.2). If one is left out it follows from the other. 65535 seconds is the most the "
        "protocol has room for, and with a hold time of 0 there are no keepalives.",
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
        example=together(
            peer(_ROUTER + "\npassword: example\npasswordSecret: {name: bgp}"),
            _secret("metallb-system"),
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
    Code(
        "LB0411",
        WARNING,
        "peer for no node",
        "None of the nodeSelectors matches a node that is here, so nobody speaks to this peer. Nodes are compared "
        "where there are some among the manifests. Every node has the label kubernetes.io/hostname, also outside "
        "Kubernetes.",
        "R8",
        example=together(
            peer(_ROUTER + "\nnodeSelectors: [{matchLabels: {rack: b}}]"), node("192.0.2.10", labels="rack: a")
        ),
        fix=together(
            peer(_ROUTER + "\nnodeSelectors: [{matchLabels: {rack: a}}]"), node("192.0.2.10", labels="rack: a")
        ),
    ),
    Code(
        "LB0412",
        ERROR,
        "two sessions with one router",
        "Two peers that one node speaks to have the same address, port, source address and VRF. A router keeps one "
        "session with an address and closes the other. Peers for different nodes may be alike: give them nodeSelectors "
        "that exclude each other. Where no node is known, selectors count as excluding each other only if no labels "
        "could satisfy both.",
        "F2",
        example=together(peer(_ROUTER), peer(_ROUTER, name="again")),
        fix=together(peer(_ROUTER), peer(_ROUTER.replace("192.0.2.1", "192.0.2.2"), name="again")),
    ),
    Code(
        "LB0413",
        WARNING,
        "two router ids on one node",
        "A speaker has one BGP identifier, the same for all its peers (RFC 4271 section 4.2). lbctl keeps one "
        "session for each peer, each with an identifier of its own, so this works, where MetalLB refuses it in its "
        "FRR modes. But routers that exchange routes take the node for two, and it is mostly an oversight. A peer "
        "with routerID and one without differ as well.",
        "F1",
        example=together(
            peer(_ROUTER + "\nrouterID: 192.0.2.10"),
            peer(_ROUTER.replace("192.0.2.1", "192.0.2.2") + "\nrouterID: 192.0.2.11", name="other"),
        ),
        fix=together(
            peer(_ROUTER + "\nrouterID: 192.0.2.10"),
            peer(_ROUTER.replace("192.0.2.1", "192.0.2.2") + "\nrouterID: 192.0.2.10", name="other"),
        ),
    ),
    Code(
        "LB0414",
        NOTE,
        "two AS numbers on one node",
        "A node is of one AS to one peer and of another to the next. Each session of lbctl has an AS number of its "
        "own, so this works; MetalLB refuses it in its FRR modes. It is how a node stands between two networks, or "
        "an oversight.",
        "F3",
        example=together(
            peer(_ROUTER),
            peer("myASN: 64520\npeerASN: 64513\npeerAddress: 192.0.2.2", name="other"),
        ),
        fix=together(
            peer(_ROUTER),
            peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.2", name="other"),
        ),
    ),
    Code(
        "LB0415",
        ERROR,
        "BFD echo and IPv6",
        "The peer's BFDProfile has echoMode, and addresses of IPv6 are announced to the peer. The echo function is "
        "one of IPv4 on the routers in use: it would say that the way is free while IPv6 is not forwarded. Use a "
        "profile without echoMode for this peer; BFD notices a lost router just the same.",
        "B8",
        example=together(
            pool("addresses: ['2001:db8::/64']"),
            manifest("BGPAdvertisement", "peers: [router]"),
            peer(_ROUTER + "\nbfdProfile: fast"),
            manifest("BFDProfile", "echoMode: true", name="fast"),
        ),
        fix=together(
            pool("addresses: ['2001:db8::/64']"),
            manifest("BGPAdvertisement", "peers: [router]"),
            peer(_ROUTER + "\nbfdProfile: fast"),
            manifest("BFDProfile", "receiveInterval: 50\ntransmitInterval: 50", name="fast"),
        ),
    ),
    Code(
        "LB0416",
        WARNING,
        "BFD echo over several hops",
        "An echo packet is returned by the forwarding plane of a direct neighbor; over several hops there is none "
        "(RFC 5883 section 4). The session runs without echo.",
        example=together(
            peer(_ROUTER + "\nebgpMultiHop: true\nbfdProfile: fast"),
            manifest("BFDProfile", "echoMode: true", name="fast"),
        ),
        fix=together(
            peer(_ROUTER + "\nebgpMultiHop: true\nbfdProfile: fast"),
            manifest("BFDProfile", "echoMode: false", name="fast"),
        ),
    ),
    Code(
        "LB0417",
        NOTE,
        "minimumTtl for a direct neighbor",
        "BFD packets of a direct neighbor must come with TTL 255 (RFC 5881 section 5), so that nobody can forge "
        "them from afar. minimumTtl says how many hops may lie between, and counts with ebgpMultiHop only.",
        example=together(
            peer(_ROUTER + "\nbfdProfile: far"),
            manifest("BFDProfile", "minimumTtl: 250", name="far"),
        ),
        fix=together(
            peer(_ROUTER + "\nebgpMultiHop: true\nbfdProfile: far"),
            manifest("BFDProfile", "minimumTtl: 250", name="far"),
        ),
    ),
    Code(
        "LB0418",
        NOTE,
        "disableMP has no effect",
        "disableMP is deprecated in MetalLB and without effect there; here too. A session carries the family of its "
        "own addresses, and both with dualStackAddressFamily: true.",
        example=peer(_ROUTER + "\ndisableMP: true"),
        fix=peer(_ROUTER),
    ),
    Code(
        "LB0419",
        WARNING,
        "Secret in another namespace",
        "passwordSecret names another namespace than that of the peer. MetalLB passes passwordSecret.namespace over "
        "and looks in its own namespace; lbctl looks where it says when it reads files, but in Kubernetes it may "
        "read Secrets of its own namespace only. Put the Secret beside the peer.",
        example=together(
            peer(_ROUTER + "\npasswordSecret: {name: bgp, namespace: vault}", metadata="namespace: metallb-system"),
            _secret("vault"),
        ),
        fix=together(
            peer(_ROUTER + "\npasswordSecret: {name: bgp}", metadata="namespace: metallb-system"),
            _secret("metallb-system"),
        ),
    ),
    Code(
        "LB0420",
        WARNING,
        "peer's address that cannot be reached",
        "An IPv6 link-local address (fe80::/10) is reached over an interface that must be known, which peerAddress "
        "cannot say; and a session from a source address of one family to a peer of the other cannot be opened. "
        "MetalLB takes both and the session never comes up. For a session over link-local addresses, write "
        "interface: instead of peerAddress:.",
        example=peer("myASN: 64512\npeerASN: 64513\npeerAddress: fe80::1"),
        fix=peer("myASN: 64512\npeerASN: 64513\ninterface: eth0"),
    ),
)
