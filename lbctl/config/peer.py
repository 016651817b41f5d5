"""metallb.io BGPPeer (v1beta2, and v1beta1 converted) and BFDProfile (MetalLB rules R1-R9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lbctl.config.advertisement import interface_name_problem
from lbctl.config.block import Value
from lbctl.config.duration import Duration
from lbctl.config.kind import Kind, Object, kind
from lbctl.config.metadata import Metadata
from lbctl.config.schema import Fields, JsonSchema, Problem, Record, Refer, Type, Walk, Wrong, kind_of
from lbctl.config.selectors import SELECTORS
from lbctl.config.value_types import Address, Boolean, Integer, OrNothing, Text, parse_address
from lbctl.model.address import family_of
from lbctl.model.peer import BFDProfile, BGPPeer, PeerAddress, PeerSession, PeerTimers, SecretReference

_MOST_ASN = 2**32 - 1
_LONGEST_HOLD = 65535
"""Seconds; the OPEN message has 16 bits for them (RFC 4271 section 4.2)."""


class RouterId:
    """A BGP identifier, written as an IPv4 address (RFC 4271 section 4.2)."""

    def read(self, value: Value, walk: Walk) -> str:
        if type(value) is not str:
            raise Wrong("LB0107", f"a router id is wanted here, not {kind_of(value)}", "write it like 192.0.2.1")
        address = parse_address(value)
        if address is None or address.version != 4:
            raise Wrong("LB0116", f'"{value}" is not a router id', "a router id looks like an IPv4 address: 192.0.2.1")
        return str(address)

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "string", "pattern": "^[0-9]{1,3}(\\.[0-9]{1,3}){3}$"}


def _own_asn(fields: Fields) -> Iterator[Problem]:
    """R1."""
    if fields.get("myASN") == 0:
        yield Problem("LB0401", ("myASN",), "myASN must not be 0", "write the AS number of the speakers")


def _one_of_two(first: str, second: str, code: str, fields: Fields, given: str, missing: str) -> Iterator[Problem]:
    # 0 and empty text stand for "not given"; what is given but wrong has been named already.
    has_first, has_second = (bool(fields.get(name)) or name in fields.wrong for name in (first, second))
    empty = next((name for name in (first, second) if name in fields), None)
    if has_first and has_second:
        yield Problem(code, (second,), f"{first} and {second} are both given", given, other=((first,), "given here"))
    elif not has_first and not has_second and empty is not None:
        message = f"{empty} is {0 if fields[empty] == 0 else 'empty'}, which is as good as not given"
        yield Problem(code, (empty,), message, missing.replace("add ", "fill in ", 1))
    elif not has_first and not has_second:
        yield Problem(code, (), f"neither {first} nor {second} is given", missing)


def _peer_asn(fields: Fields) -> Iterator[Problem]:
    """R2."""
    yield from _one_of_two(
        "peerASN", "dynamicASN", "LB0402", fields, "remove one of them", "add peerASN:, the router's AS number"
    )


def _multihop_is_external(fields: Fields) -> Iterator[Problem]:
    """R4."""
    if fields.get("ebgpMultiHop") and fields.get("peerASN") and fields.get("peerASN") == fields.get("myASN"):
        yield Problem(
            "LB0403",
            ("ebgpMultiHop",),
            "ebgpMultiHop is for a peer in another AS",
            "remove it: a session within one AS may cross routers anyway",
            other=(("peerASN",), "the same AS as myASN"),
        )


def _peer_address(fields: Fields) -> Iterator[Problem]:
    """R5."""
    yield from _one_of_two(
        "peerAddress", "interface", "LB0404", fields, "remove one of them", "add peerAddress:, the router's address"
    )


def _timers(fields: Fields) -> Iterator[Problem]:
    """R6."""
    hold, keepalive = _hold_and_keepalive(fields)
    written = "holdTime" if "holdTime" in fields else "keepaliveTime"
    if hold is not None and (0 < int(hold) < 3 or 0 < hold < 1):
        yield Problem("LB0405", (written,), f"the hold time would be {hold:g} s", "make it 0s or at least 3s")
    elif hold is not None and hold > _LONGEST_HOLD:
        message = f"the hold time would be {hold:g} s, and the protocol has room for {_LONGEST_HOLD} s"
        yield Problem("LB0405", (written,), message, "make it 90s, or leave it out")
    elif hold and keepalive is not None and keepalive > hold:
        yield Problem(
            "LB0405",
            ("keepaliveTime",),
            f"the keepalive time {keepalive:g} s is longer than the hold time {hold:g} s",
            f"make it {hold / 3:g}s or leave it out",
            other=(("holdTime",), "the hold time"),
        )


def _no_keepalive_without_hold(fields: Fields) -> Iterator[Problem]:
    """A hold time of 0 turns keepalives off (RFC 4271 section 4.4)."""
    if fields.get("holdTime") == 0 and fields.get("keepaliveTime"):
        yield Problem(
            "LB0405",
            ("keepaliveTime",),
            "with a hold time of 0 there are no keepalives",
            "leave it out, or give a holdTime: three times as long is usual",
            other=(("holdTime",), "the hold time"),
        )


def _hold_and_keepalive(fields: Fields) -> tuple[float | None, float | None]:
    hold: float | None = fields.get("holdTime")
    keepalive: float | None = fields.get("keepaliveTime")
    if hold is not None and keepalive is None:
        return hold, hold / 3
    if keepalive is not None and hold is None:
        return keepalive * 3, keepalive
    return hold, keepalive


def _one_password(fields: Fields) -> Iterator[Problem]:
    """R9."""
    if fields.get("password") and fields.get("passwordSecret"):
        yield Problem(
            "LB0406",
            ("passwordSecret",),
            "password and passwordSecret are both given",
            "keep passwordSecret and remove password",
            at_key=True,
            other=(("password",), "given here"),
        )


def _reachable(fields: Fields) -> Iterator[Problem]:
    """What MetalLB takes, and no session ever comes of."""
    address, source = fields.get("peerAddress"), fields.get("sourceAddress")
    if address is not None and address.version == 6 and address.is_link_local:
        yield Problem(
            "LB0420",
            ("peerAddress",),
            f"{address} is link-local, and which interface leads there cannot be said here",
            "write interface: with the name of the interface instead of peerAddress:",
        )
    elif address is not None and source is not None and address.version != source.version:
        yield Problem(
            "LB0420",
            ("sourceAddress",),
            f"{source} is {family_of(source)}, and the peer is {family_of(address)}",
            f"give a source address of {family_of(address)}, or leave it out",
            other=(("peerAddress",), "the peer"),
        )
    elif address is not None and address == source:
        yield Problem(
            "LB0420",
            ("sourceAddress",),
            f"{source} is the peer's address, and so not one of this node",
            "give an address of the node, or leave it out",
            other=(("peerAddress",), "the peer"),
        )
    for field in ("interface", "vrf"):
        found = interface_name_problem(fields.get(field) or "")
        if found is not None:
            yield Problem("LB0314", (field,), *found)


def _multiprotocol(fields: Fields) -> Iterator[Problem]:
    if fields.get("disableMP"):
        help = "remove it; a session carries the family of its addresses unless dualStackAddressFamily is true"
        yield Problem("LB0418", ("disableMP",), "disableMP has no effect", help)


def _secret_is_beside_the_peer(fields: Fields) -> Iterator[Problem]:
    metadata: Metadata | None = fields.get("metadata")
    spec: Fields = fields.get("spec") or Fields()
    reference: SecretReference | None = spec.get("passwordSecret")
    if metadata is None or reference is None or not metadata.namespace or not reference.namespace:
        return
    if reference.namespace != metadata.namespace:
        yield Problem(
            "LB0419",
            ("spec", "passwordSecret", "namespace"),
            f'the Secret is said to be in "{reference.namespace}", and the peer is in "{metadata.namespace}"',
            f'put it into "{metadata.namespace}" and leave the namespace out',
            other=(("metadata", "namespace"), "the peer's namespace"),
        )


def _secret_has_a_name(fields: Fields) -> Iterator[Problem]:
    if fields.get("namespace") and not fields.given("name"):
        yield Problem("LB0110", (), 'passwordSecret needs the field "name"', "add name: to it")


_SECRET = Record(
    "passwordSecret",
    {"name": Text(), "namespace": Text()},
    rules=(_secret_has_a_name,),
    build=lambda fields: (
        SecretReference(name=fields["name"], namespace=fields.get("namespace", "")) if fields.get("name") else None
    ),
)
"""Without a name it is as good as not there: MetalLB's own objects, read back, say `passwordSecret: {}`."""

_RULES = (
    _own_asn,
    _peer_asn,
    _multihop_is_external,
    _peer_address,
    _timers,
    _no_keepalive_without_hold,
    _one_password,
    _reachable,
    _multiprotocol,
)

_V1BETA1: dict[str, Type] = {
    "myASN": Integer(0, _MOST_ASN),
    "peerASN": Integer(0, _MOST_ASN),
    "peerAddress": Address(),
    "sourceAddress": OrNothing(Address()),
    "peerPort": Integer(0, 16384),
    "holdTime": Duration(),
    "keepaliveTime": Duration(),
    "routerID": OrNothing(RouterId()),
    "nodeSelectors": SELECTORS,
    "password": Text(),
    "bfdProfile": Text(),
    "ebgpMultiHop": Boolean(),
}
_V1BETA2: dict[str, Type] = {
    **_V1BETA1,
    "peerAddress": OrNothing(Address()),
    "peerPort": Integer(1, 16384),
    "dynamicASN": Text(("internal", "external")),
    "localASN": Integer(1, _MOST_ASN),
    "interface": OrNothing(Text()),
    "connectTime": Duration(whole=True),
    "passwordSecret": _SECRET,
    "enableGracefulRestart": Boolean(),
    "vrf": Text(),
    "disableMP": Boolean(),
    "dualStackAddressFamily": Boolean(),
}


def _build_peer(fields: Fields) -> Object:
    metadata, spec = fields["metadata"], fields["spec"]
    hold, keepalive = _hold_and_keepalive(spec)
    peer = BGPPeer(
        name=metadata.name,
        my_asn=spec["myASN"],
        peer_asn=spec.get("peerASN") or None,
        dynamic_asn=spec.get("dynamicASN"),
        local_asn=spec.get("localASN"),
        router_id=spec.get("routerID"),
        address=PeerAddress(
            address=spec.get("peerAddress"),
            interface=spec.get("interface"),
            port=spec.get("peerPort") or 179,
            source=spec.get("sourceAddress"),
            vrf=spec.get("vrf", ""),
            multihop=spec.get("ebgpMultiHop", False),
        ),
        timers=PeerTimers(hold_time=hold, keepalive_time=keepalive, connect_time=spec.get("connectTime")),
        session=PeerSession(
            graceful_restart=spec.get("enableGracefulRestart", False),
            dual_stack=spec.get("dualStackAddressFamily", False),
            disable_mp=spec.get("disableMP", False),
            bfd_profile=spec.get("bfdProfile") or None,
            password=spec.get("password") or None,
            password_secret=spec.get("passwordSecret"),
        ),
        node_selectors=spec.get("nodeSelectors", ()),
        annotations=metadata.annotations,
    )
    return Object("bgp_peers", peer.name, peer)


def _build_old_peer(fields: Fields) -> Object:
    """v1beta1: a time of 0 means that it was not given."""
    made = _build_peer(fields)
    peer: BGPPeer = made.value
    timers = PeerTimers(hold_time=peer.timers.hold_time or None, keepalive_time=peer.timers.keepalive_time or None)
    return made._replace(value=replace(peer, timers=timers))


def _is_old(fields: Fields) -> Iterator[Problem]:
    yield Problem(
        "LB0410",
        ("apiVersion",),
        "BGPPeer v1beta1 is old; it is read as v1beta2",
        "write apiVersion: metallb.io/v1beta2",
    )


BGP_PEER: Kind = kind(
    "metallb.io/v1beta2",
    "BGPPeer",
    {"spec": Record("the spec of a BGPPeer", _V1BETA2, required=("myASN",), rules=_RULES, secret=("password",))},
    _build_peer,
    required=("spec",),
    rules=(_secret_is_beside_the_peer,),
)
OLD_BGP_PEER: Kind = kind(
    "metallb.io/v1beta1",
    "BGPPeer",
    {
        "spec": Record(
            "the spec of a BGPPeer v1beta1",
            {**_V1BETA1, "peerASN": Integer(1, _MOST_ASN)},
            required=("myASN", "peerASN", "peerAddress"),
            rules=(_own_asn, _multihop_is_external, _timers, _reachable),
            secret=("password",),
            since=dict.fromkeys(_V1BETA2.keys() - _V1BETA1.keys(), "metallb.io/v1beta2"),
        )
    },
    _build_old_peer,
    required=("spec",),
    rules=(_is_old,),
)

_BFD_SPEC = Record(
    "the spec of a BFDProfile",
    {
        "receiveInterval": Integer(10, 60000, milliseconds=True),
        "transmitInterval": Integer(10, 60000, milliseconds=True),
        "detectMultiplier": Integer(2, 255),
        "echoInterval": Integer(10, 60000, milliseconds=True),
        "echoMode": Boolean(),
        "passiveMode": Boolean(),
        "minimumTtl": Integer(1, 254),
    },
)


def _build_bfd(fields: Fields) -> Object:
    name, spec = fields["metadata"].name, fields.get("spec", {})
    profile = BFDProfile(
        name=name,
        receive_interval=spec.get("receiveInterval", 300),
        transmit_interval=spec.get("transmitInterval", 300),
        detect_multiplier=spec.get("detectMultiplier", 3),
        echo_interval=spec.get("echoInterval", 50),
        echo_mode=spec.get("echoMode", False),
        passive_mode=spec.get("passiveMode", False),
        minimum_ttl=spec.get("minimumTtl"),
    )
    return Object("bfd_profiles", name, profile)


BFD_PROFILE: Kind = kind("metallb.io/v1beta1", "BFDProfile", {"spec": _BFD_SPEC}, _build_bfd)
