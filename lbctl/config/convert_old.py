"""MetalLB's format before it had kinds of its own: peers, address-pools, bgp-communities and bfd-profiles in one text.

Checked here are the fields themselves; what must hold between them is left to the rules of the kinds they become.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lbctl.config.block import Value
from lbctl.config.convert_fields import ADVERTISEMENT_FIELDS, BFD_FIELDS, PEER_FIELDS, POOL_FIELDS, TEXT
from lbctl.config.schema import Path, Problem, Walk, Wrong

V1BETA1, V1BETA2 = "metallb.io/v1beta1", "metallb.io/v1beta2"
SECTIONS = ("peers", "address-pools", "bgp-communities", "bfd-profiles", "peer-autodiscovery")
_LONGEST_NAME = 253


@dataclass(slots=True)
class Manifest:
    """An object of today in the making. `origin` has the place in the old text that each path of it comes from."""

    api_version: str
    kind: str
    name: str
    spec: dict[str, Value]
    origin: dict[Path, Path]
    namespace: str = ""
    labels: Value = None
    annotations: Value = None

    def value(self) -> dict[str, Value]:
        """The manifest as plain values."""
        metadata: dict[str, Value] = {"name": self.name}
        for name, value in (
            ("namespace", self.namespace),
            ("labels", self.labels),
            ("annotations", self.annotations),
        ):
            if value:
                metadata[name] = value
        made: dict[str, Value] = {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}
        if self.spec:
            made["spec"] = self.spec
        return made

    def origin_of(self, path: Path) -> Path:
        """The place in the old text of the value at `path`, or of what is around it."""
        for length in range(len(path), -1, -1):
            if (found := self.origin.get(path[:length])) is not None:
                return (*found, *path[length:])
        return ()


@dataclass(slots=True)
class Old:
    """What one old text becomes, and what was found in it (paths are of the old text)."""

    manifests: list[Manifest] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class Names:
    """Names for objects: valid, and each once within a kind."""

    def __init__(self) -> None:
        self._taken: set[tuple[str, str]] = set()

    def take(self, kind: str, wanted: str) -> str:
        """A name as near to `wanted` as can be."""
        base = valid_name(wanted) or kind.lower()
        name, number = base, 2
        while (kind, name) in self._taken:
            name = f"{base[: _LONGEST_NAME - 8]}-{number}"
            number += 1
        self._taken.add((kind, name))
        return name


def valid_name(text: str) -> str:
    """`text` as a subdomain of RFC 1123; empty where nothing of it can stay."""
    name = re.sub(r"[^-a-z0-9.]+", "-", text.lower())
    name = re.sub(r"-*\.[-.]*", ".", name)
    return name.strip("-.")[:_LONGEST_NAME].strip("-.")


def is_old(value: Value) -> bool:
    """Whether a document is the text that the key `config` of the ConfigMap would hold."""
    return isinstance(value, dict) and "kind" not in value and any(section in value for section in SECTIONS)


def convert_old(value: Value, names: Names, namespace: str) -> Old:
    """What an old configuration becomes. Items with something wrong in them are left out."""
    old = Old()
    walk = Walk(strict=True)
    try:
        TEXT.read(value, walk)
    except Wrong as wrong:
        walk.wrong(wrong)
    old.problems += walk.problems
    if not isinstance(value, dict):
        return old
    if value.get("peer-autodiscovery") is not None:
        old.problems.append(
            Problem(
                "LB0701",
                ("peer-autodiscovery",),
                "peers cannot be read from nodes",
                "write a BGPPeer for each router",
                at_key=True,
            )
        )
    wrong_at = [problem.path for problem in walk.problems]
    _Converter(old, names, namespace, value, wrong_at).run()
    return old


class _Converter:
    """Turns sections into manifests, in the order in which the kinds refer to each other."""

    def __init__(
        self, old: Old, names: Names, namespace: str, value: Mapping[str, Value], wrong_at: Iterable[Path]
    ) -> None:
        self._old = old
        self._names = names
        self._namespace = namespace
        self._value = value
        self._wrong_at = list(wrong_at)

    def run(self) -> None:
        profiles = self._bfd_profiles()
        self._communities()
        self._peers(profiles)
        self._pools()

    def _items(self, section: str) -> Iterator[tuple[Path, dict[str, Value]]]:
        items = self._value.get(section)
        for number, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict) and not any(path[:2] == (section, number) for path in self._wrong_at):
                yield (section, number), item

    def _add(
        self, kind: str, name: str, spec: dict[str, Value], origin: dict[Path, Path], version: str = V1BETA1
    ) -> None:
        self._old.manifests.append(Manifest(version, kind, name, spec, origin, namespace=self._namespace))

    def _named(self, kind: str, item: Mapping[str, Value], path: Path) -> str:
        wanted = str(item["name"])
        name = self._names.take(kind, wanted)
        if name != wanted:
            asks = "; services that ask for it by name have to be changed" if kind == "IPAddressPool" else ""
            self._old.problems.append(
                Problem("LB0702", (*path, "name"), f'"{wanted}" becomes the {kind} {name}', f"references follow{asks}")
            )
        return name

    def _bfd_profiles(self) -> dict[str, str]:
        """The new names of the profiles by their old ones."""
        names: dict[str, str] = {}
        for path, item in self._items("bfd-profiles"):
            name = self._named("BFDProfile", item, path)
            names.setdefault(str(item["name"]), name)
            spec, origin = renamed(item, BFD_FIELDS, path)
            self._add("BFDProfile", name, spec, origin | {("metadata", "name"): (*path, "name")})
        return names

    def _communities(self) -> None:
        found = self._value.get("bgp-communities")
        if not isinstance(found, dict):
            return
        section = "bgp-communities"
        good = {name: value for name, value in found.items() if (section, name) not in self._wrong_at}
        aliases: list[Value] = [{"name": name, "value": value} for name, value in good.items()]
        if not aliases:
            return
        origin: dict[Path, Path] = {(): (section,)}
        for number, name in enumerate(good):
            origin["spec", "communities", number] = (section,)
            origin["spec", "communities", number, "name"] = (section, name)
            origin["spec", "communities", number, "value"] = (section, name)
        self._add("Community", self._names.take("Community", "communities"), {"communities": aliases}, origin)

    def _peers(self, profiles: Mapping[str, str]) -> None:
        for path, item in self._items("peers"):
            spec, origin = renamed(item, PEER_FIELDS, path)
            if not spec.get("peerPort", True):
                del spec["peerPort"]
            for unset in ("password", "bfdProfile"):
                if spec.get(unset) == "":
                    del spec[unset]
            if "nodeSelectors" in spec:
                spec["nodeSelectors"] = _selectors(spec["nodeSelectors"])
            profile = spec.get("bfdProfile")
            if isinstance(profile, str):
                spec["bfdProfile"] = profiles.get(profile, profile)
            if spec.get("password"):
                self._old.problems.append(password_note((*path, "password")))
            self._add("BGPPeer", self._names.take("BGPPeer", _peer_name(item)), spec, origin, V1BETA2)

    def _pools(self) -> None:
        layer2: list[tuple[str, Path]] = []
        for path, item in self._items("address-pools"):
            name = self._named("IPAddressPool", item, path)
            spec, origin = renamed(item, POOL_FIELDS, path)
            self._add("IPAddressPool", name, spec, origin | {("metadata", "name"): (*path, "name")})
            if item["protocol"] == "layer2":
                layer2.append((name, path))
                continue
            rules = item.get("bgp-advertisements")
            self._advertisements(name, path, rules if isinstance(rules, list) else [])
        if layer2:
            origin = {(): ("address-pools",)}
            origin |= {("spec", "ipAddressPools", n): (*path, "name") for n, (_, path) in enumerate(layer2)}
            names: list[Value] = [name for name, _ in layer2]
            self._add(
                "L2Advertisement", self._names.take("L2Advertisement", "layer2"), {"ipAddressPools": names}, origin
            )

    def _advertisements(self, pool: str, path: Path, rules: list[Value]) -> None:
        for number, rule in enumerate(rules or [{}]):
            at = (*path, "bgp-advertisements", number) if rules else path
            spec, origin = renamed(rule if isinstance(rule, dict) else {}, ADVERTISEMENT_FIELDS, at)
            origin["spec", "ipAddressPools", 0] = (*path, "name")
            self._add(
                "BGPAdvertisement",
                self._names.take("BGPAdvertisement", pool),
                {"ipAddressPools": [pool], **spec},
                origin,
            )


def renamed(
    item: Mapping[str, Value], fields: Mapping[str, str], path: Path
) -> tuple[dict[str, Value], dict[Path, Path]]:
    """A spec of the fields that are given, and where each comes from."""
    spec = {new: item[old] for old, new in fields.items() if item.get(old) is not None}
    origin: dict[Path, Path] = {(): path}
    origin |= {("spec", new): (*path, old) for old, new in fields.items() if new in spec}
    return spec, origin


def password_note(path: Path) -> Problem:
    return Problem(
        "LB0703",
        path,
        "the password stands in the BGPPeer as it is",
        "put it into a Secret of type kubernetes.io/basic-auth and name that under passwordSecret",
        at_key=True,
        sensitive=True,
    )


def _peer_name(item: Mapping[str, Value]) -> str:
    return "peer-" + str(item["peer-address"]).replace(":", "-").replace(".", "-")


def _selectors(value: Value) -> Value:
    made: list[Value] = []
    for selector in value if isinstance(value, list) else ():
        if isinstance(selector, dict):
            fields = {"match-labels": "matchLabels", "match-expressions": "matchExpressions"}
            made.append({fields[name]: part for name, part in selector.items() if name in fields and part is not None})
    return made
