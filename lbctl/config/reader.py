"""The way into config: files in, a World without allocations out, and every finding.

A Reader remembers documents by their text: what did not change is neither parsed again nor replaced by another object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from lbctl.config.block import BlockParser
from lbctl.config.check import RULES, Finding, Place, Secrets
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Label, Severity, Span
from lbctl.config.document import foreign_encoding, split
from lbctl.config.kind import Object
from lbctl.config.parse import Parsed, parse
from lbctl.config.schema import Path
from lbctl.model.snapshot import MAPS, World

_FEW = 1000
_NAMES = (*(name for name in MAPS if name != "allocations"), "secrets")


class PlacedDocument(NamedTuple):
    """A parsed document and how many lines of the file stand before it."""

    lines_before: int
    parsed: Parsed


@dataclass(frozen=True, slots=True)
class FileReading:
    """One file: its documents, their objects, and what is wrong with the file as a whole.

    `failed`: there is an error in it; `quiet`: there is nothing to say about it at all.
    """

    name: str
    documents: tuple[PlacedDocument, ...]
    whole: tuple[Diagnostic, ...] = ()
    objects: tuple[Object, ...] = ()
    failed: bool = False
    quiet: bool = False

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The findings within this file, in the order of the text."""
        found = list(self.whole)
        for lines, parsed in self.documents:
            found += [diagnostic.moved(self.name, lines) for diagnostic in parsed.diagnostics]
        return tuple(sorted(found, key=lambda diagnostic: diagnostic.order))


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
    def failed(self) -> bool:
        return any(diagnostic.severity is Severity.ERROR for diagnostic in self.diagnostics)

    @property
    def count(self) -> int:
        """How many objects there are in it."""
        return len(self.secrets) + sum(len(getattr(self.world, name)) for name in _NAMES if name != "secrets")


class Reader:
    """Reads files, parsing each distinct document once. Not for use by two threads at a time."""

    def __init__(self) -> None:
        self._block = BlockParser()
        self._parsed: dict[bytes, Parsed] = {}
        self._most = _FEW

    def read(self, files: Mapping[str, bytes]) -> Reading:
        """Reads all files (names to bytes) and checks them together."""
        return self.assemble([self.read_file(name, raw) for name, raw in files.items()])

    def read_file(self, name: str, raw: bytes) -> FileReading:
        """Reads one file; documents whose text was seen before come from memory."""
        if (encoding := foreign_encoding(raw)) is not None:
            message = f"the file is encoded in {encoding}"
            return FileReading(name, (), (whole_file(name, "LB0001", message, "save it as UTF-8"),), failed=True)
        known = self._parsed
        documents = []
        for lines, text in split(raw):
            parsed = known.get(text)
            if parsed is None:
                parsed = parse(text, self._block)
                known[text] = parsed
            documents.append(PlacedDocument(lines, parsed))
        if not documents:
            return FileReading(name, (), (whole_file(name, "LB0009", "the file holds no document"),))
        noisy = [parsed for _, parsed in documents if parsed.diagnostics]
        objects = documents[0].parsed.objects
        if len(documents) > 1:
            objects = tuple(made for _, parsed in documents for made in parsed.objects)
        failed = any(parsed.failed for parsed in noisy)
        return FileReading(name, tuple(documents), objects=objects, failed=failed, quiet=not noisy)

    def assemble(self, readings: Iterable[FileReading]) -> Reading:
        """Checks files together, in the order of their names, and forgets documents that are in none of them."""
        files = sorted(readings, key=attrgetter("name"))
        maps: dict[str, dict[Any, Any]] = {name: {} for name in _NAMES}
        doubled: list[tuple[FileReading, int]] = []
        diagnostics: list[Diagnostic] = []
        for file in files:
            for index, (map_name, key, value) in enumerate(file.objects):
                target = maps[map_name]
                if key in target:
                    doubled.append((file, index))
                else:
                    target[key] = value
            if not file.quiet:
                diagnostics += file.diagnostics
        self._forget(files)
        places = _Places(files)
        crossed = [places.duplicate(file, index) for file, index in doubled]
        secrets = MappingProxyType(maps["secrets"])
        views: dict[str, Any] = {name: MappingProxyType(maps[name]) for name in _NAMES if name != "secrets"}
        world = World(**views)
        for rule in RULES:
            for finding in list(rule(world, secrets)):
                crossed.append(places.diagnostic(finding))
                if CODES[finding.code].severity is Severity.ERROR:
                    maps[finding.subject.map].pop(finding.subject.key, None)
        return Reading(
            world=world,
            secrets=secrets,
            diagnostics=tuple(sorted((*diagnostics, *crossed), key=lambda diagnostic: diagnostic.order)),
            conflicts=tuple(diagnostic for diagnostic in crossed if diagnostic.severity is Severity.ERROR),
        )

    def _forget(self, files: list[FileReading]) -> None:
        """Lets go of documents that are in no file any more, once they are many."""
        if len(self._parsed) > self._most:
            self._parsed = {parsed.raw: parsed for file in files for _, parsed in file.documents}
            self._most = 2 * len(self._parsed) + _FEW


def whole_file(name: str, code: str, message: str, help: str = "") -> Diagnostic:
    """A finding about a file as such, with no place in its text."""
    span = Span(name, 1, 1, 1, 1)
    return Diagnostic(code=code, severity=CODES[code].severity, message=message, span=span, help=help, sensitive=True)


class _Places:
    """Finds the text of objects; looks only once somebody asks."""

    def __init__(self, files: list[FileReading]) -> None:
        self._files = files
        self._index: dict[tuple[str, Any], tuple[FileReading, int]] | None = None

    def span(self, place: Place) -> Span:
        if self._index is None:
            self._index = {}
            for file in self._files:
                for index, made in enumerate(file.objects):
                    self._index.setdefault((made.map, made.key), (file, index))
        return _span(*self._index[place.map, place.key], place.path)

    def duplicate(self, file: FileReading, index: int) -> Diagnostic:
        made, path = file.objects[index], ("metadata", "name")
        name = "/".join(made.key) if isinstance(made.key, tuple) else str(made.key)
        return Diagnostic(
            code="LB0113",
            severity=CODES["LB0113"].severity,
            message=f"{_NOUNS[made.map]} {name} is defined twice",
            span=_span(file, index, path),
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


def _span(file: FileReading, index: int, path: Path) -> Span:
    """Where something within the object number `index` of a file stands."""
    for lines, parsed in file.documents:
        if index < len(parsed.objects):
            return parsed.span(index, path).moved(file.name, lines)
        index -= len(parsed.objects)
    raise IndexError(index)


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
