"""metallb.io IPAddressPool (MetalLB rules P1-P10 but for those between pools, which are in `checks`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lbctl.config import extension
from lbctl.config.block import Value
from lbctl.config.kind import Kind, Object, kind
from lbctl.config.metadata import OWN_PREFIX, Metadata
from lbctl.config.ranges import covers, merged, ranges_overlap, read_cidr, read_range, without_use
from lbctl.config.schema import Fields, JsonSchema, Many, Problem, Record, Refer, Walk, Wrong, kind_of
from lbctl.config.selectors import SELECTORS
from lbctl.config.value_types import ADDRESS_PATTERN, Boolean, Integer, Text
from lbctl.model.address import AddressRange
from lbctl.model.pool import COOLING_TIME, Choice, OnConflict, Pool, PoolOptions, ServiceAllocation
from lbctl.model.selector import Labels


class PoolItem:
    """A CIDR or a `start-end` range. Host bits of a CIDR are masked away, with a note."""

    def read(self, value: Value, walk: Walk) -> AddressRange:
        if type(value) is not str:
            raise Wrong("LB0107", f"a CIDR or a range of addresses is wanted here, not {kind_of(value)}")
        if "-" in value:
            return read_range(value)
        item, note = read_cidr(value)
        if note is not None:
            walk.add(note)
        return item

    def schema(self, refer: Refer) -> JsonSchema:
        rest = rf"(/[0-9]+|\s*-\s*{ADDRESS_PATTERN})"
        return {"type": "string", "pattern": rf"^\s*{ADDRESS_PATTERN}{rest}\s*$"}


def _no_overlap_within(fields: Fields) -> Iterator[Problem]:
    ranges: dict[int, AddressRange] = dict(fields.get("addresses", ()))
    pairs = sorted(ranges_overlap([(item, place) for place, item in ranges.items()]), reverse=True)
    for later, earlier in sorted(dict(pairs).items()):
        yield Problem(
            "LB0205",
            ("addresses", later),
            f"{ranges[later].text} overlaps {ranges[earlier].text} of the same pool",
            "an address may stand in one item only",
            other=(("addresses", earlier), "overlaps this"),
        )


_ALLOCATION = Record(
    "serviceAllocation",
    {
        "priority": Integer(0, 2**31 - 1),
        "namespaces": Many(Text(), unique="the namespace"),
        "namespaceSelectors": SELECTORS,
        "serviceSelectors": SELECTORS,
    },
    build=lambda fields: ServiceAllocation(
        priority=fields.get("priority", 0),
        namespaces=fields.get("namespaces", ()),
        namespace_selectors=fields.get("namespaceSelectors", ()),
        service_selectors=fields.get("serviceSelectors", ()),
    ),
)

_SPEC = Record(
    "the spec of an IPAddressPool",
    {
        "addresses": Many(
            PoolItem(), placed=True, none=("LB0201", "the pool has no addresses", "add a CIDR or a range")
        ),
        "autoAssign": Boolean(),
        "avoidBuggyIPs": Boolean(),
        "serviceAllocation": _ALLOCATION,
    },
    required=("addresses",),
    rules=(_no_overlap_within,),
    strays={"protocol": "remove it: an L2Advertisement or a BGPAdvertisement says how the pool is announced"},
)


def _exclusion_fits(fields: Fields) -> Iterator[Problem]:
    """Whether what is excluded lies in the pool, and leaves something of it."""
    metadata: Metadata | None = fields.get("metadata")
    key = OWN_PREFIX + "exclude"
    text = dict(metadata.annotations).get(key) if metadata and metadata.annotations else None
    spec: Fields = fields.get("spec") or Fields()
    if text is None or "addresses" not in spec:
        return
    path = ("metadata", "annotations", key)
    try:
        excluded = list(extension.excluded_words(text))
    except Wrong:
        return
    ranges = [item for _, item in spec["addresses"]]
    for at, word, item in excluded:
        if not any(item.overlaps(other) for other in ranges):
            message = f"{word} is not in the pool, so excluding it changes nothing"
            help = "remove it, or mend it if an address of the pool was meant"
            yield Problem("LB0208", path, message, help, part=(at, at + len(word)))
    if ranges and covers(ranges, [item for _, _, item in excluded]):
        message = "every address of the pool is excluded"
        yield Problem("LB0209", path, message, "leave some addresses, or remove the pool", at_key=True)


_NO_OPTIONS = PoolOptions()


def _options(annotations: Labels, ranges: Sequence[AddressRange]) -> PoolOptions:
    given = extension.read_extensions(extension.POOL, annotations)
    useless = without_use(ranges)
    if not given and not useless:
        return _NO_OPTIONS
    return PoolOptions(
        excluded=merged((*given.get("exclude", ()), *useless)),
        cooling_time=given.get("cooling-time", COOLING_TIME),
        choice=given.get("choice", Choice.LOWEST),
        protected=given.get("protect", False),
        on_conflict=given.get("on-conflict", OnConflict.QUARANTINE),
        probe=given.get("probe", True),
    )


def _build(fields: Fields) -> Object:
    metadata, spec = fields["metadata"], fields["spec"]
    ranges = tuple(item for _, item in spec["addresses"])
    pool = Pool(
        name=metadata.name,
        ranges=ranges,
        auto_assign=spec.get("autoAssign", True),
        avoid_buggy_ips=spec.get("avoidBuggyIPs", False),
        service_allocation=spec.get("serviceAllocation"),
        options=_options(metadata.annotations, ranges),
        labels=metadata.labels,
        annotations=metadata.annotations,
    )
    return Object("pools", pool.name, pool)


POOL: Kind = kind(
    "metallb.io/v1beta1",
    "IPAddressPool",
    {"spec": _SPEC},
    _build,
    required=("spec",),
    rules=(_exclusion_fits,),
    extensions=extension.POOL,
)
