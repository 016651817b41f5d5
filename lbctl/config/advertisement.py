"""metallb.io L2Advertisement, BGPAdvertisement and Community (MetalLB rules B1-B4; B5-B8 are in `checks`)."""

from __future__ import annotations

from collections.abc import Iterator

from lbctl.config import extension
from lbctl.config.block import Value
from lbctl.config.kind import Kind, Object, kind
from lbctl.config.schema import Fields, JsonSchema, Many, Problem, Record, Refer, Walk, Wrong, kind_of
from lbctl.config.selectors import SELECTOR, SELECTORS
from lbctl.config.value_types import Integer, Text
from lbctl.model.advertisement import BGPAdvertisement, L2Advertisement, PreferredNodes
from lbctl.model.peer import CommunityAliases

_LONGEST_INTERFACE = 15
_COMMUNITY_HELP = "write it like 64512:10 (two numbers up to 65535) or large:64512:1:10"


class CommunityValue:
    """`N:N` with 16 bits each or `large:N:N:N` with 32 bits each; with `names` also the name of one (B4)."""

    def __init__(self, *, names: bool) -> None:
        self._names = names

    def read(self, value: Value, walk: Walk) -> str:
        if type(value) is not str:
            raise Wrong("LB0107", f"a BGP community is wanted here, not {kind_of(value)}", _COMMUNITY_HELP)
        if not (is_community(value) or (self._names and value and ":" not in value)):
            raise Wrong("LB0304", f'"{value}" is not a BGP community', _COMMUNITY_HELP)
        return value

    def schema(self, refer: Refer) -> JsonSchema:
        name = "|[^:]+" if self._names else ""
        return {"type": "string", "pattern": f"^([0-9]{{1,5}}:[0-9]{{1,5}}|large(:[0-9]{{1,10}}){{3}}{name})$"}


def is_community(text: str) -> bool:
    """Whether `text` is a community written in numbers (RFC 1997; large ones RFC 8092)."""
    parts = text.split(":")
    if parts[0] == "large":
        return len(parts) == 4 and all(_number(part, 32) for part in parts[1:])
    return len(parts) == 2 and all(_number(part, 16) for part in parts)


def _number(text: str, bits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 1 << bits


_PREFERRED = Record(
    "a preferred node selector",
    {"weight": Integer(1, 100), "preference": SELECTOR},
    required=("weight", "preference"),
    build=lambda fields: PreferredNodes(weight=fields["weight"], preference=fields["preference"]),
)


def interface_name_problem(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of a network interface, and what to do (dev_valid_name of the kernel)."""
    if any(character in name for character in "*?[]"):
        return f'"{name}" is a pattern, and interfaces are named exactly', "name each interface by itself"
    if len(name.encode(errors="replace")) > _LONGEST_INTERFACE:
        return f'"{name}" is longer than a name of an interface can be', "15 bytes is the most"
    if name in (".", "..") or any(character in "/:" or character.isspace() for character in name):
        return f'"{name}" cannot be the name of an interface', "it has no spaces, slashes or colons"
    return None


def _interfaces_can_exist(fields: Fields) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for place, name in fields.get("interfaces", ()):
        found = interface_name_problem(name)
        if found is not None:
            yield Problem("LB0314", ("interfaces", place), *found)
        first = seen.setdefault(name, place)
        if first != place:
            other = (("interfaces", first), "named here already")
            yield Problem("LB0314", ("interfaces", place), f'"{name}" is named twice', "name it once", other=other)


_L2_SPEC = Record(
    "the spec of an L2Advertisement",
    {
        "ipAddressPools": Many(Text(empty=False), unique="the pool"),
        "ipAddressPoolSelectors": SELECTORS,
        "nodeSelectors": SELECTORS,
        "interfaces": Many(Text(empty=False), placed=True),
        "serviceSelectors": SELECTORS,
        "preferredNodeSelectors": Many(_PREFERRED),
    },
    rules=(_interfaces_can_exist,),
)


def _build_l2(fields: Fields) -> Object:
    metadata, spec = fields["metadata"], fields.get("spec", {})
    own = extension.read_extensions(extension.L2, metadata.annotations) if metadata.annotations else {}
    advertisement = L2Advertisement(
        name=metadata.name,
        pools=spec.get("ipAddressPools", ()),
        pool_selectors=spec.get("ipAddressPoolSelectors", ()),
        node_selectors=spec.get("nodeSelectors", ()),
        interfaces=tuple(dict.fromkeys(name for _, name in spec.get("interfaces", ()))),
        service_selectors=spec.get("serviceSelectors", ()),
        preferred_nodes=spec.get("preferredNodeSelectors", ()),
        failback=own.get("failback"),
        require_subnet=own.get("require-subnet", False),
        announce_rate=own.get("announce-rate"),
        annotations=metadata.annotations,
    )
    return Object("l2_advertisements", advertisement.name, advertisement)


def _selectors_without_aggregation(fields: Fields) -> Iterator[Problem]:
    """B2."""
    if not fields.get("serviceSelectors"):
        return
    for name, whole in (("aggregationLength", 32), ("aggregationLengthV6", 128)):
        if fields.get(name, whole) != whole:
            yield Problem(
                "LB0303",
                (name,),
                f"{name} {fields[name]} cannot go together with serviceSelectors",
                f"leave it at {whole}, or leave serviceSelectors out",
                other=(("serviceSelectors",), "only some services are meant"),
            )


_BGP_SPEC = Record(
    "the spec of a BGPAdvertisement",
    {
        "aggregationLength": Integer(1, 32),
        "aggregationLengthV6": Integer(0, 128),
        "localPref": Integer(0, 2**32 - 1),
        "communities": Many(CommunityValue(names=True), unique="the community"),
        "ipAddressPools": Many(Text(empty=False), unique="the pool"),
        "ipAddressPoolSelectors": SELECTORS,
        "nodeSelectors": SELECTORS,
        "serviceSelectors": SELECTORS,
        "peers": Many(Text(empty=False), unique="the peer"),
    },
    rules=(_selectors_without_aggregation,),
)


def _build_bgp(fields: Fields) -> Object:
    metadata, spec = fields["metadata"], fields.get("spec", {})
    advertisement = BGPAdvertisement(
        name=metadata.name,
        pools=spec.get("ipAddressPools", ()),
        pool_selectors=spec.get("ipAddressPoolSelectors", ()),
        node_selectors=spec.get("nodeSelectors", ()),
        service_selectors=spec.get("serviceSelectors", ()),
        peers=spec.get("peers", ()),
        communities=spec.get("communities", ()),
        local_pref=spec.get("localPref", 0),
        aggregation_length=spec.get("aggregationLength", 32),
        aggregation_length_v6=spec.get("aggregationLengthV6", 128),
        annotations=metadata.annotations,
    )
    return Object("bgp_advertisements", advertisement.name, advertisement)


_ALIAS = Record(
    "a community",
    {"name": Text(empty=False), "value": CommunityValue(names=False)},
    required=("name", "value"),
    build=lambda fields: (fields["name"], fields["value"]),
)


def _build_communities(fields: Fields) -> Object:
    name, spec = fields["metadata"].name, fields.get("spec", {})
    return Object("communities", name, CommunityAliases(name=name, aliases=spec.get("communities", ())))


L2_ADVERTISEMENT: Kind = kind(
    "metallb.io/v1beta1", "L2Advertisement", {"spec": _L2_SPEC}, _build_l2, extensions=extension.L2
)
BGP_ADVERTISEMENT: Kind = kind("metallb.io/v1beta1", "BGPAdvertisement", {"spec": _BGP_SPEC}, _build_bgp)
COMMUNITY: Kind = kind(
    "metallb.io/v1beta1",
    "Community",
    {"spec": Record("the spec of a Community", {"communities": Many(_ALIAS)})},
    _build_communities,
)
