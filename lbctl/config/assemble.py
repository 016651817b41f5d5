"""All files together: one World, and what the objects say of each other.

An Assembler remembers what it put together last, so that one changed file among 30,000 costs little; the result is the
same as if it had started from nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.config.allow import of_no_use
from lbctl.config.cap import capped
from lbctl.config.check import Finding, Place, Secrets
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Label, Severity, Span
from lbctl.config.kind import Object
from lbctl.config.parse import Parsed, Roots
from lbctl.config.run_rules import Doubtful, Drafts, Maps, Rules
from lbctl.config.schema import Path
from lbctl.model.frozen_map import FrozenMap, changed_keys, frozen
from lbctl.model.snapshot import SOURCE_MAPS, World

_NAMES = (*SOURCE_MAPS, "secrets")
_Found = tuple[str, int, Parsed, int]
"""File, lines before the document, the document, and the number of the object in it."""
_Index = dict[str, dict[Hashable, _Found]]


PlacedDocument = tuple[int, Parsed]
"""How many lines of the file stand before a document, and the document."""


@dataclass(frozen=True, slots=True)
class FileReading:
    """One file: its documents, their objects, and what is wrong within it. `failed`: something is an error.

    `allowing` are the documents with comments that silence findings.
    """

    name: str
    documents: tuple[PlacedDocument, ...]
    objects: tuple[Object, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    failed: bool = False
    allowing: tuple[PlacedDocument, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All files together. `world` has generation 0 and no allocations; objects with an error are not in it.

    `conflicts` are the errors between objects of which each alone is right; they are among `diagnostics` too.
    `allowed` are the findings that comments silence; they are not.
    """

    world: World
    secrets: Secrets
    diagnostics: tuple[Diagnostic, ...]
    conflicts: tuple[Diagnostic, ...]
    allowed: tuple[Diagnostic, ...] = ()

    @property
    def count(self) -> int:
        """How many objects there are in it."""
        return len(self.secrets) + sum(len(getattr(self.world, name)) for name in _NAMES if name != "secrets")


class Assembler:
    """Puts files together, in the order of their names."""

    def __init__(self) -> None:
        self._files: Mapping[str, FileReading] = {}
        self._noisy: dict[str, FileReading] = {}
        self._allowing: dict[str, FileReading] = {}
        self._failed: dict[str, FileReading] = {}
        self._maps: Maps | None = None
        """Of `_files`, as long as no two objects are in conflict."""
        self._spans: dict[_SpanKey, Span] = {}
        self._index: _Index = {}
        self._rules = Rules()
        self._doubtful = Doubtful()

    def assemble(self, files: Mapping[str, FileReading], changed: Collection[str] | None = None) -> Reading:
        """What the files say together.

        `changed` names those that may be others than last time, and those that are gone; without it all are compared.
        """
        if changed is None:
            changed = changed_keys(self._files, files)
        self._sort(files, changed)
        refused = frozenset(
            place for file in self._failed.values() for _, parsed in file.documents for place in parsed.refused
        )
        drafts = _drafts(self._failed)
        maps = self._patched(files, changed)
        places = _Places(files, self._spans, {} if maps is None else self._next_index(files, changed))
        found = None if maps is None else self._rules.check(maps, refused)
        crossed = None if found is None else [places.diagnostic(each) for each in found]
        if maps is None or crossed is None or _errors(crossed):
            # Who was there first decides conflicts, so everything is put together anew, in the order of the files.
            places = _Places(files, self._spans, {})
            plain: dict[str, dict[Any, Any]] = {name: {} for name in _NAMES}
            doubled = _fill(plain, files)
            maps = {name: FrozenMap(objects) for name, objects in plain.items()}
            crossed = [places.duplicate(name, index) for name, index in doubled]
            found = self._rules.check(maps, refused)
            crossed += map(places.diagnostic, found)
        errors = _errors(crossed)
        if drafts or errors:
            assert found is not None
            places.drafts = drafts
            crossed += map(places.diagnostic, self._doubtful.check(maps, self._rules.refused, drafts, refused, found))
        self._files, self._maps = frozen(files), None if errors else maps
        self._spans, self._index = places.used, places.index
        crossed, allowed = _allow(self._allowing, crossed)
        within = [diagnostic for file in self._noisy.values() for diagnostic in file.diagnostics]
        return Reading(
            world=_world(maps),
            secrets=maps["secrets"],
            diagnostics=tuple(sorted((*within, *crossed), key=lambda diagnostic: diagnostic.order)),
            conflicts=errors,
            allowed=tuple(sorted(allowed, key=lambda diagnostic: diagnostic.order)),
        )

    def _sort(self, files: Mapping[str, FileReading], changed: Iterable[str]) -> None:
        """Notes which files there is something to say of."""
        for name in changed:
            for noted in (self._noisy, self._allowing, self._failed):
                noted.pop(name, None)
            if name in files:
                file = files[name]
                if file.diagnostics:
                    self._noisy[name] = file
                if file.allowing:
                    self._allowing[name] = file
                if file.failed:
                    self._failed[name] = file

    def _patched(self, files: Mapping[str, FileReading], changed: Collection[str]) -> Maps | None:
        """The maps of last time with what has changed since; None where that is much, or gives one key to two."""
        if self._maps is None or 4 * len(changed) > len(files):
            return None
        old, new = (_objects(each, changed) for each in (self._files, files))
        for map_name, objects in new.items():
            known, leaving = self._maps[map_name], old.get(map_name, {})
            # By key, not by value: the same text in two files is the very same object.
            if any(len(values) > 1 or (key in known and key not in leaving) for key, values in objects.items()):
                return None
        return {
            name: objects.having({key: value for key, (value,) in new.get(name, {}).items()}, old.get(name, ()))
            for name, objects in self._maps.items()
        }

    def _next_index(self, files: Mapping[str, FileReading], changed: Collection[str]) -> _Index:
        """Where the objects of some maps stand, with what has changed since."""
        for map_name, found in self._index.items():
            for name in changed:
                if name in self._files:
                    for made in self._files[name].objects:
                        if made.map == map_name:
                            del found[made.key]
            found |= _where(files, map_name, [name for name in changed if name in files])
        return self._index


def _objects(files: Mapping[str, FileReading], names: Iterable[str]) -> dict[str, dict[Hashable, list[Any]]]:
    """What some of the files hold, by map and key."""
    found: dict[str, dict[Hashable, list[Any]]] = {}
    for name in names:
        if name in files:
            for map_name, key, value in files[name].objects:
                found.setdefault(map_name, {}).setdefault(key, []).append(value)
    return found


def _where(files: Mapping[str, FileReading], map_name: str, names: Iterable[str]) -> dict[Hashable, _Found]:
    """Where some of the files say what the objects of a map are; the first place where there are two."""
    found: dict[Hashable, _Found] = {}
    for name in names:
        for lines, parsed in files[name].documents:
            for number, made in enumerate(parsed.objects):
                if made.map == map_name:
                    found.setdefault(made.key, (name, lines, parsed, number))
    return found


def _allow(
    files: Mapping[str, FileReading], crossed: list[Diagnostic]
) -> tuple[list[Diagnostic], tuple[Diagnostic, ...]]:
    """The findings between objects that no comment in `files` silences, with what is to be said of comments, and those
    findings of all kinds that one does."""
    if not files:
        return crossed, ()
    broken = {diagnostic.span.file for diagnostic in _errors(crossed)} | {f.name for f in files.values() if f.failed}
    silenced: set[Diagnostic] = set()
    idle: list[Diagnostic] = []
    for name, file in files.items():
        here = [diagnostic for diagnostic in crossed if diagnostic.span.file == name]
        for lines, parsed in file.allowing:
            last = lines + parsed.raw.count(b"\n") + 1
            between = [(each, each.moved(name, -lines)) for each in here if lines < each.span.line <= last]
            within = [diagnostic.moved(name, lines) for diagnostic in parsed.allowed]
            silenced.update(within)
            idle_here: list[Diagnostic] = []
            for allow in parsed.allows:
                found = [each for each, relative in between if allow.silences(relative)]
                silenced.update(found)
                # What an error keeps from being looked at may well be found once it is mended.
                if not found and name not in broken and not any(map(allow.silences, parsed.allowed)):
                    idle_here.append(of_no_use(allow))
            idle += [diagnostic.moved(name, lines) for diagnostic in capped(idle_here)]
    return [diagnostic for diagnostic in (*crossed, *idle) if diagnostic not in silenced], tuple(silenced)


def _errors(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR)


def _fill(maps: dict[str, dict[Any, Any]], files: Mapping[str, FileReading]) -> list[tuple[str, int]]:
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


def _world(maps: Maps) -> World:
    views: dict[str, Any] = {name: maps[name] for name in SOURCE_MAPS}
    return World(**views)


def _drafts(failed: Mapping[str, FileReading]) -> Drafts:
    found: Drafts = {}
    for name in sorted(failed):
        for lines, parsed in failed[name].documents:
            for draft in parsed.drafts:
                found.setdefault((draft.made.map, draft.made.key), (name, lines, parsed, draft))
    return found


_SpanKey = tuple[bytes, int, Path]


class _Places:
    """Finds the text of objects, once somebody asks; what was found last time is not looked for again."""

    def __init__(self, files: Mapping[str, FileReading], known: dict[_SpanKey, Span], index: _Index) -> None:
        self._files = files
        self._known = known
        self.used: dict[_SpanKey, Span] = {}
        self.index = index
        self._numbered: dict[str, list[_Found]] = {}
        self.drafts: Drafts = {}
        self._roots = Roots()

    def span(self, place: Place) -> Span:
        found = self.index.get(place.map)
        if found is None:
            found = self.index[place.map] = _where(self._files, place.map, sorted(self._files))
        if place.key not in found:
            name, lines, parsed, draft = self.drafts[place.map, place.key]
            return parsed.span_at(draft.path_of(place.path), self._roots).moved(name, lines)
        return self._span(found[place.key], place.path)

    def _span(self, found: _Found, path: Path) -> Span:
        name, lines, parsed, number = found
        key = (parsed.raw, number, path)
        span = self._known.get(key) or self.used.get(key) or parsed.span(number, path, self._roots)
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
        first = self.span(Place(made.map, made.key, path))
        help = "remove one of the two, or give it another name"
        if not isinstance(made.key, tuple) and made.map in _OF_METALLB:
            help += _NO_NAMESPACES
        called = "/".join(made.key) if isinstance(made.key, tuple) else str(made.key)
        return Diagnostic(
            code="LB0113",
            severity=CODES["LB0113"].severity,
            message=f"{_NOUNS[made.map]} {called} is defined twice",
            span=self._span(self._numbered[name][index], path),
            help=help,
            labels=(Label(first, "first defined here"),),
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
            left_out=finding.left_out,
        )


_OF_METALLB = frozenset(
    ("pools", "l2_advertisements", "bgp_advertisements", "bgp_peers", "bfd_profiles", "communities")
)
_NO_NAMESPACES = "; of the kinds of metallb.io there is one set here, whatever namespaces they are in"
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
