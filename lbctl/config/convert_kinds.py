"""The old kinds of metallb.io: AddressPool v1beta1, and BGPPeer v1beta1."""

from __future__ import annotations

from lbctl.config.advertisement import CommunityValue
from lbctl.config.block import Value
from lbctl.config.codes import CODES
from lbctl.config.convert_fields import PROTOCOLS
from lbctl.config.convert_old import (
    V1BETA1,
    V1BETA2,
    Manifest,
    Names,
    Old,
    password_note,
)
from lbctl.config.diagnostic import Severity
from lbctl.config.kind import Kind, kind
from lbctl.config.kinds import KINDS
from lbctl.config.pool import PoolItem
from lbctl.config.schema import Many, Path, Problem, Record, Walk, Wrong
from lbctl.config.value_types import Boolean, Integer, Text

ADDRESS_POOL: Kind = kind(
    V1BETA1,
    "AddressPool",
    {
        "spec": Record(
            "the spec of an AddressPool",
            {
                "protocol": Text(PROTOCOLS),
                "addresses": Many(PoolItem(), none=("LB0201", "the pool has no addresses", "add a CIDR or a range")),
                "autoAssign": Boolean(),
                "avoidBuggyIPs": Boolean(),
                "bgpAdvertisements": Many(
                    Record(
                        "an item of bgpAdvertisements",
                        {
                            "aggregationLength": Integer(1, 32),
                            "aggregationLengthV6": Integer(0, 128),
                            "localPref": Integer(0, 2**32 - 1),
                            "communities": Many(CommunityValue(names=True)),
                        },
                    )
                ),
            },
            required=("protocol", "addresses"),
        )
    },
    lambda fields: None,
    required=("spec",),
)
_OLD_PEER = KINDS[V1BETA1, "BGPPeer"]
_NOTHING = ("", 0, "0s", "0")
"""What a field of a v1beta1 BGPPeer holds that was not given."""


def is_old_kind(value: Value) -> bool:
    return isinstance(value, dict) and (value.get("apiVersion"), value.get("kind")) in (
        (V1BETA1, "AddressPool"),
        (V1BETA1, "BGPPeer"),
    )


def convert_kind(value: dict[str, Value], path: Path, names: Names) -> Old:
    """What one object becomes; `path` is where it stands in its document."""
    old = Old()
    walk = Walk(strict=True)
    walk.path += path
    pool = value.get("kind") == "AddressPool"
    metadata, spec = value.get("metadata"), value.get("spec")
    if isinstance(spec, dict) and not pool:
        spec = {name: item for name, item in spec.items() if item is not None and item not in _NOTHING}
        value = {**value, "spec": spec}
    try:
        (ADDRESS_POOL if pool else _OLD_PEER).record.read(value, walk)
    except Wrong as wrong:
        walk.wrong(wrong)
    # Of the rest the rules of today will say what there is to say.
    old.problems += [problem for problem in walk.problems if CODES[problem.code].severity is Severity.ERROR]
    if old.problems or not isinstance(metadata, dict) or not isinstance(spec, dict):
        return old
    (_pool if pool else _peer)(old, metadata, spec, path, names)
    return old


def _peer(old: Old, metadata: dict[str, Value], spec: dict[str, Value], path: Path, names: Names) -> None:
    kept = dict(spec)
    if "nodeSelectors" in kept and not kept["nodeSelectors"]:
        del kept["nodeSelectors"]
    if kept.get("password"):
        old.problems.append(password_note((*path, "spec", "password")))
    name = names.take("BGPPeer", str(metadata["name"]))
    old.manifests.append(_manifest("BGPPeer", name, kept, metadata, path, version=V1BETA2))


def _pool(old: Old, metadata: dict[str, Value], spec: dict[str, Value], path: Path, names: Names) -> None:
    wanted = str(metadata["name"])
    name = names.take("IPAddressPool", wanted)
    if name != wanted:
        old.problems.append(
            Problem("LB0702", (*path, "metadata", "name"), f'"{wanted}" becomes the IPAddressPool {name}')
        )
    fields = ("addresses", "autoAssign", "avoidBuggyIPs")
    kept: dict[str, Value] = {field: spec[field] for field in fields if spec.get(field) is not None}
    old.manifests.append(_manifest("IPAddressPool", name, kept, metadata, path))
    if spec["protocol"] == "layer2":
        made = _manifest(
            "L2Advertisement", names.take("L2Advertisement", name), {"ipAddressPools": [name]}, metadata, path
        )
        old.manifests.append(_bare(made))
        return
    rules = spec.get("bgpAdvertisements")
    for rule in (rules if isinstance(rules, list) else []) or [{}]:
        assert isinstance(rule, dict)
        given = {field: value for field, value in rule.items() if value is not None}
        made = _manifest(
            "BGPAdvertisement",
            names.take("BGPAdvertisement", name),
            {"ipAddressPools": [name], **given},
            metadata,
            path,
        )
        old.manifests.append(_bare(made))


def _manifest(
    kind_name: str, name: str, spec: dict[str, Value], metadata: dict[str, Value], path: Path, *, version: str = V1BETA1
) -> Manifest:
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        annotations = {key: text for key, text in annotations.items() if not key.startswith("kubectl.kubernetes.io/")}
    return Manifest(
        version,
        kind_name,
        name,
        spec,
        {(): path},
        namespace=str(metadata.get("namespace") or ""),
        labels=metadata.get("labels"),
        annotations=annotations,
    )


def _bare(manifest: Manifest) -> Manifest:
    """Without the labels and annotations, which are the pool's own."""
    manifest.labels = manifest.annotations = None
    manifest.origin = {(): (*manifest.origin[()], "spec")}
    return manifest
