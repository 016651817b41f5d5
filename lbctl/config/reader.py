"""The way into config: files in, a World without allocations out, and every finding.

A Reader remembers documents by their text: what did not change is neither parsed again nor replaced by another object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from lbctl.config.block import BlockParser
from lbctl.config.check import RULES, Finding, Place, Secrets
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Label, Severity, Span
from lbctl.config.document import foreign_encoding, split
from lbctl.config.parse import Parsed, parse
from lbctl.model.snapshot import MAPS, World

_NAMES = (*(name for name in MAPS if name != "allocations"), "secrets")


class PlacedDocument(NamedTuple):
    """A parsed document and how many lines of the file stand before it."""

    lines_before: int
    parsed: Parsed


@dataclass(frozen=True, slots=True)
class FileReading:
    """One file: its documents and what is wrong with the file as a whole."""

    name: str
    documents: tuple[PlacedDocument, ...]
    whole: tuple[Diagnostic, ...] = ()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The findings within this file, in the order of the text."""
        found = list(self.whole)
        for lines, parsed in self.documents:
            found += [diagnostic.moved(self.name, lines) for diagnostic in parsed.diagnostics]
        return tuple(sorted(found, key=lambda diagnostic: diagnostic.order))

    @property
    def failed(self) -> bool:
        """Whether there is an error in it."""
        return any(diagnostic.severity is Severity.ERROR for diagnostic in self.whole) or any(
            parsed.diagnostics and parsed.failed for _, parsed in self.documents
        )


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


class Reader:
    """Reads files, parsing each distinct document once. Not for use by two threads at a time."""

    def __init__(self) -> None:
        self._block = BlockParser()
        self._parsed: dict[bytes, Parsed] = {}

    def read(self, files: Mapping[str, bytes]) -> Reading:
        """Reads all files (names to bytes) and checks them together."""
        return self.assemble([self.read_file(name, raw) for name, raw in files.items()])

    def read_file(self, name: str, raw: bytes) -> FileReading:
        """Reads one file; documents whose text was seen before come from memory."""
        if (encoding := foreign_encoding(raw)) is not None:
            message = f"the file is encoded in {encoding}"
            return FileReading(name, (), (_whole(name, "LB0001", message, "save it as UTF-8"),))
        known = self._parsed
        documents = []
        for lines, text in split(raw):
            parsed = known.get(text)
            if parsed is None:
                parsed = parse(text, self._block)
                known[text] = parsed
            documents.append(PlacedDocument(lines, parsed))
        if not documents:
            return FileReading(name, (), (_whole(name, "LB0009", "the file holds no document", ""),))
        return FileReading(name, tuple(documents))

    def assemble(self, readings: Iterable[FileReading]) -> Reading:
        """Checks files together, in the order of their names, and forgets documents that are in none of them."""
        files = sorted(readings, key=lambda reading: reading.name)
        maps: dict[str, dict[Any, Any]] = {name: {} for name in _NAMES}
        doubled: list[tuple[Place, FileReading, PlacedDocument, int]] = []
        diagnostics: list[Diagnostic] = []
        count = 0
        for file in files:
            diagnostics += file.whole
            for document in file.documents:
                count += 1
                parsed = document.parsed
                for index, made in enumerate(parsed.objects):
                    target = maps[made.map]
                    if made.key in target:
                        doubled.append((Place(made.map, made.key), file, document, index))
                    else:
                        target[made.key] = made.value
                if parsed.diagnostics:
                    lines = document.lines_before
                    diagnostics += [diagnostic.moved(file.name, lines) for diagnostic in parsed.diagnostics]
        if len(self._parsed) > 2 * count + 1000:
            self._parsed = {d.parsed.raw: d.parsed for file in files for d in file.documents}
        places = _Places(files)
        crossed = [places.duplicate(*double) for double in doubled]
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


def _whole(name: str, code: str, message: str, help: str) -> Diagnostic:
    span = Span(name, 1, 1, 1, 1)
    return Diagnostic(code=code, severity=CODES[code].severity, message=message, span=span, help=help, sensitive=True)


class _Places:
    """Finds the text of objects; looks only once somebody asks."""

    def __init__(self, files: list[FileReading]) -> None:
        self._files = files
        self._index: dict[tuple[str, Any], tuple[str, PlacedDocument, int]] | None = None

    def span(self, place: Place) -> Span:
        if self._index is None:
            self._index = {}
            for name, document, index, made in self._objects():
                self._index.setdefault((made.map, made.key), (name, document, index))
        name, document, index = self._index[place.map, place.key]
        return document.parsed.span(index, place.path).moved(name, document.lines_before)

    def _objects(self) -> Iterator[tuple[str, PlacedDocument, int, Any]]:
        for file in self._files:
            for document in file.documents:
                for index, made in enumerate(document.parsed.objects):
                    yield file.name, document, index, made

    def duplicate(self, place: Place, file: FileReading, document: PlacedDocument, index: int) -> Diagnostic:
        path = ("metadata", "name")
        key = place.key
        name = "/".join(key) if isinstance(key, tuple) else str(key)
        return Diagnostic(
            code="LB0113",
            severity=CODES["LB0113"].severity,
            message=f"{_NOUNS[place.map]} {name} is defined twice",
            span=document.parsed.span(index, path).moved(file.name, document.lines_before),
            help="remove one of the two, or give it another name",
            labels=(Label(self.span(place._replace(path=path)), "first defined here"),),
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
