"""All files together: one World, and what the objects say of each other.

An Assembler remembers what it put together last, so that one changed file among 30,000 costs little; the result is the
same as if it had started from nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lbctl.config.check import RULES, Finding, Place, Secrets
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Label, Severity, Span
from lbctl.config.kind import Object
from lbctl.config.parse import Parsed
from lbctl.config.schema import Path
from lbctl.model.snapshot import SOURCE_MAPS, World

_NAMES = (*SOURCE_MAPS, "secrets")
_Maps = dict[str, dict[Any, Any]]


PlacedDocument = tuple[int, Parsed]
"""How many lines of the file stand before a document, and the document."""


@dataclass(frozen=True, slots=True)
class FileReading:
    """One file: its documents, their objects, and what is wrong within it. `failed`: something is an error."""

    name: str
    documents: tuple[PlacedDocument, ...]
    objects: tuple[Object, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All files together. `world` has generation 0 and no allocations; objects with an error are not in it.

    `conflicts` are the errors between objects of which each alone is right; they are among `diagnostics` too.
    """

    world: World
    secrets: Secrets
    diagnostics: tuple[Diagnostic, ...]
    conflicts: tuple[Diagnostic, ...]

    @property
    def count(self) -> int:
        """How many objects there are in it."""
        return len(self.secrets) + sum(len(getattr(self.world, name)) for name in _NAMES if name != "secrets")


class Assembler:
    """Puts files together, in the order of their names."""

    def __init__(self) -> None:
        self._files: Mapping[str, FileReading] = {}
        self._noisy: dict[str, FileReading] = {}
        self._maps: _Maps | None = None
        """Of `_files`, as long as no two objects are in conflict."""
        self._spans: dict[_SpanKey, Span] = {}

    def assemble(self, files: Mapping[str, FileReading], changed: Collection[str] | None = None) -> Reading:
        """What the files say together.

        `changed` names those that may be others than last time, and those that are gone; without it all are compared.
        """
        if changed is None:
            before = self._files
            changed = [name for name in files.keys() | before.keys() if files.get(name) is not before.get(name)]
        places = _Places(files, self._spans)
        maps = self._patched(files, changed)
        crossed = None if maps is None else _check(maps, places)
        if maps is None or crossed is None or _errors(crossed):
            # Who was there first decides conflicts, so everything is put together anew, in the order of the files.
            maps = {name: {} for name in _NAMES}
            doubled = _fill(maps, files)
            crossed = [places.duplicate(name, index) for name, index in doubled]
            crossed += _check(maps, places)
        errors = _errors(crossed)
        self._files, self._maps, self._spans = dict(files), None if errors else maps, places.used
        for name in changed:
            self._noisy.pop(name, None)
            if name in files and files[name].diagnostics:
                self._noisy[name] = files[name]
        within = [diagnostic for file in self._noisy.values() for diagnostic in file.diagnostics]
        return Reading(
            world=_world(maps),
            secrets=MappingProxyType(maps["secrets"]),
            diagnostics=tuple(sorted((*within, *crossed), key=lambda diagnostic: diagnostic.order)),
            conflicts=errors,
        )

    def _patched(self, files: Mapping[str, FileReading], changed: Collection[str]) -> _Maps | None:
        """The maps of last time with what has changed since; None where that is much, or gives one key to two."""
        if self._maps is None or 4 * len(changed) > len(files):
            return None
        maps = {name: dict(objects) for name, objects in self._maps.items()}
        for name in changed:
            if name in self._files:
                for map_name, key, _ in self._files[name].objects:
                    del maps[map_name][key]
        for name in changed:
            if name in files:
                for map_name, key, value in files[name].objects:
                    # By key, not by value: the same text in two files is the very same object.
                    if key in maps[map_name]:
                        return None
                    maps[map_name][key] = value
        return maps


def _errors(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR)


def _fill(maps: _Maps, files: Mapping[str, FileReading]) -> list[tuple[str, int]]:
    """Puts all objects into the maps; those whose key is taken already, by file and number, are left out."""
    doubled = []
    for name in sorted(files):
        for index, (map_name, key, value) in enumerate(files[name].objects):
            target = maps[map_name]
            if key in target:
                doubled.append((name, index))
            else:
                target[key] = value
    return doubled


def _world(maps: _Maps) -> World:
    views: dict[str, Any] = {name: MappingProxyType(maps[name]) for name in _NAMES if name != "secrets"}
    return World(**views)


def _check(maps: _Maps, places: _Places) -> list[Diagnostic]:
    """Runs all rules; takes the objects that they refuse out of the maps."""
    world, secrets = _world(maps), MappingProxyType(maps["secrets"])
    crossed = []
    for rule in RULES:
        for finding in list(rule(world, secrets)):
            crossed.append(places.diagnostic(finding))
            if CODES[finding.code].severity is Severity.ERROR:
                maps[finding.subject.map].pop(finding.subject.key, None)
    return crossed


_SpanKey = tuple[bytes, int, Path]
_Found = tuple[str, int, Parsed, int]
"""File, lines before the document, the document, and the number of the object in it."""


class _Places:
    """Finds the text of objects, once somebody asks; what was found last time is not looked for again."""

    def __init__(self, files: Mapping[str, FileReading], known: dict[_SpanKey, Span]) -> None:
        self._files = files
        self._known = known
        self.used: dict[_SpanKey, Span] = {}
        self._index: dict[str, dict[Hashable, _Found]] = {}
        self._numbered: dict[str, list[_Found]] = {}

    def span(self, place: Place) -> Span:
        found = self._index.get(place.map)
        if found is None:
            found = self._index[place.map] = {}
            for name in sorted(self._files):
                for lines, parsed in self._files[name].documents:
                    for number, made in enumerate(parsed.objects):
                        if made.map == place.map:
                            found.setdefault(made.key, (name, lines, parsed, number))
        return self._span(found[place.key], place.path)

    def _span(self, found: _Found, path: Path) -> Span:
        name, lines, parsed, number = found
        key = (parsed.raw, number, path)
        span = self._known.get(key) or self.used.get(key) or parsed.span(number, path)
        self.used[key] = span
        return span.moved(name, lines)

    def duplicate(self, name: str, index: int) -> Diagnostic:
        """The object with this number in a file has the key of another one."""
        if name not in self._numbered:
            documents = self._files[name].documents
            self._numbered[name] = [
                (name, lines, parsed, number) for lines, parsed in documents for number in range(len(parsed.objects))
            ]
        made, path = self._files[name].objects[index], ("metadata", "name")
        called = "/".join(made.key) if isinstance(made.key, tuple) else str(made.key)
        return Diagnostic(
            code="LB0113",
            severity=CODES["LB0113"].severity,
            message=f"{_NOUNS[made.map]} {called} is defined twice",
            span=self._span(self._numbered[name][index], path),
            help="remove one of the two, or give it another name",
            labels=(Label(self.span(Place(made.map, made.key, path)), "first defined here"),),
        )

    def diagnostic(self, finding: Finding) -> Diagnostic:
        labels: tuple[Label, ...] = ()
        if finding.other is not None:
            labels = (Label(self.span(finding.other), finding.other_message),)
        return Diagnostic(
            code=finding.code,
            severity=CODES[finding.code].severity,
            message=finding.message,
            span=self.span(finding.subject),
            help=finding.help,
            labels=labels,
        )


_NOUNS = {
    "services": "the Service",
    "slices": "the EndpointSlice",
    "nodes": "the Node",
    "namespaces": "the Namespace",
    "pools": "the IPAddressPool",
    "l2_advertisements": "the L2Advertisement",
    "bgp_advertisements": "the BGPAdvertisement",
    "bgp_peers": "the BGPPeer",
    "bfd_profiles": "the BFDProfile",
    "communities": "the Community",
    "secrets": "the Secret",
}
