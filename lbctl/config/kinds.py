"""All kinds that lbctl reads, and what to say of the others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from lbctl.config.advertisement import BGP_ADVERTISEMENT, COMMUNITY, L2_ADVERTISEMENT
from lbctl.config.block import Value
from lbctl.config.cluster import NAMESPACE, NODE, SECRET
from lbctl.config.endpoint import ENDPOINT_SLICE
from lbctl.config.kind import Kind
from lbctl.config.peer import BFD_PROFILE, BGP_PEER, OLD_BGP_PEER
from lbctl.config.pool import POOL
from lbctl.config.schema import Problem
from lbctl.config.service import SERVICE
from lbctl.config.spelling import did_you_mean, nearest

KINDS: dict[tuple[str, str], Kind] = {
    (kind.api_version, kind.name): kind
    for kind in (
        POOL,
        L2_ADVERTISEMENT,
        BGP_ADVERTISEMENT,
        BGP_PEER,
        OLD_BGP_PEER,
        BFD_PROFILE,
        COMMUNITY,
        SERVICE,
        NODE,
        NAMESPACE,
        SECRET,
        ENDPOINT_SLICE,
    )
}

_MAPS = {
    "IPAddressPool": "pools",
    "L2Advertisement": "l2_advertisements",
    "BGPAdvertisement": "bgp_advertisements",
    "BGPPeer": "bgp_peers",
    "BFDProfile": "bfd_profiles",
    "Community": "communities",
    "Service": "services",
    "Node": "nodes",
    "Namespace": "namespaces",
    "Secret": "secrets",
    "EndpointSlice": "slices",
}
_IN_NAMESPACES = ("Service", "Secret", "EndpointSlice")


def place_of(kind: str, value: Mapping[str, Value]) -> tuple[str, Hashable] | None:
    """The map and the key of an object of one of the kinds, by what its text says, however wrong the rest of it is."""
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str):
        return None
    if kind not in _IN_NAMESPACES:
        return _MAPS[kind], name
    namespace = metadata.get("namespace") or "default"
    return (_MAPS[kind], (namespace, name)) if isinstance(namespace, str) else None


LIST = ("v1", "List")
"""The kind that holds other objects in `items`."""

_GROUP = "metallb.io"
STATUS_KINDS = ("ServiceL2Status", "ServiceBGPStatus", "ConfigurationState")
"""Kinds that MetalLB writes for people to read."""


OPERATOR_KIND = "MetalLB"
"""The kind by which the operator of MetalLB is told what to install."""

_OTHERS = ("BGPPeer", "Community")
"""Kinds whose names other groups have as well (Calico)."""


def unread(api_version: str, kind: str, value: Mapping[str, Value] | None = None) -> Problem | None:
    """What to say of an object that is of none of the kinds; None for what may be passed over in silence."""
    group, _, version = api_version.rpartition("/")
    if group == _GROUP:
        if kind == OPERATOR_KIND:
            message = "MetalLB is the operator's own object, which says how to install MetalLB; it is passed over"
            return Problem("LB0104", ("kind",), message)
        return None if kind in STATUS_KINDS else _unknown_in_metallb(version, kind)
    if kind == "ConfigMap" and not group and value is not None and _is_old_configuration(value):
        message = "this is MetalLB's old configuration, which is passed over"
        return Problem("LB0121", ("kind",), message, "convert it: lbctl convert FILE")
    passed_over = Problem("LB0104", ("kind",), f"{kind} of {api_version} is not read, and passed over")
    versions = [known for known, name in KINDS if name == kind]
    if not versions:
        if (meant := _misspelt(api_version, kind)) is None:
            return passed_over
        message = f'{api_version} has no kind "{kind}"; this object is passed over'
        return Problem("LB0122", ("kind",), message, f'did you mean "{meant}"?')
    groups = {known.rpartition("/")[0] for known in versions}
    ours = _GROUP in groups
    if (
        group in groups
        or (group and nearest(group, groups))
        or not (group or ours)
        or (ours and _meant_ours(group, kind))
    ):
        return Problem(
            "LB0112",
            ("apiVersion",),
            f'{kind} is read as {" or ".join(sorted(versions))}, not as "{api_version}"; this one is passed over',
            f'did you mean "{max(versions)}"?',
        )
    return passed_over


def _misspelt(api_version: str, kind: str) -> str | None:
    """The kind of this version that was probably meant: the same in other letters, or one not far from it."""
    if kind in _BESIDE.get(api_version, ()):
        return None
    return nearest(kind, [name for known, name in KINDS if known == api_version], likeness=0.7)


_BESIDE = {
    "v1": [
        "Binding",
        "ComponentStatus",
        "ConfigMap",
        "Endpoints",
        "Event",
        "LimitRange",
        "List",
        "NamespaceList",
        "NodeList",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "PodTemplate",
        "ReplicationController",
        "ResourceQuota",
        "SecretList",
        "ServiceAccount",
        "ServiceList",
        "EndpointsList",
        "Status",
        "APIService",
    ],
    "discovery.k8s.io/v1": ["EndpointSliceList"],
}
"""The other kinds of those versions: they are nobody's misspelling."""


def _meant_ours(group: str, kind: str) -> bool:
    """Whether an object of another group was probably meant for MetalLB's: the kind's name is MetalLB's alone, or the
    group is missing (`v1`), or is one that MetalLB once had."""
    return kind not in _OTHERS or not group or group.startswith("metallb")


def _is_old_configuration(value: Mapping[str, Value]) -> bool:
    data = value.get("data")
    text = data.get("config") if isinstance(data, dict) else None
    return isinstance(text, str) and any(line.rstrip() in ("address-pools:", "peers:") for line in text.splitlines())


def _unknown_in_metallb(version: str, kind: str) -> Problem:
    names = sorted({name for api_version, name in KINDS if api_version.startswith(_GROUP + "/")})
    versions = [known.rpartition("/")[2] for known, name in KINDS if name == kind]
    if versions:
        write = f'did you mean "{_GROUP}/{max(versions)}"?'
        return Problem("LB0103", ("apiVersion",), f"metallb.io has no {kind} of version {version}", write)
    if kind == "AddressPool":
        help = "write an IPAddressPool, and an advertisement for its protocol, or let lbctl convert do it"
        return Problem("LB0103", ("kind",), "AddressPool is no longer a kind of metallb.io", help)
    help = did_you_mean(kind, names) or "the kinds are " + ", ".join(names)
    return Problem("LB0103", ("kind",), f'metallb.io has no kind "{kind}"', help)
