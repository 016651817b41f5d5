"""The way into config: files in, a World without allocations out, and every finding.

A Reader remembers documents by their text: what did not change is neither parsed again nor replaced by another object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from lbctl.config.assemble import Assembler, FileReading, PlacedDocument, Reading
from lbctl.config.block import BlockParser
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Span
from lbctl.config.document import foreign_encoding, split
from lbctl.config.kind import Object
from lbctl.config.parse import Parsed, parse

__all__ = ["FileReading", "Reader", "Reading", "whole_file"]

_FEW = 1000


class Reader:
    """Reads files, parsing each distinct document once. Not for use by two threads at a time."""

    def __init__(self) -> None:
        self._block = BlockParser()
        self._assembler = Assembler()
        self._parsed: dict[bytes, Parsed] = {}
        self._most = _FEW

    def read(self, files: Mapping[str, bytes], tell: Callable[[int], None] | None = None) -> Reading:
        """Reads all files (names to bytes) and checks them together. `tell` hears how many bytes more are read."""
        return self.assemble({name: self.read_file(name, raw, tell) for name, raw in files.items()})

    def read_file(self, name: str, raw: bytes, tell: Callable[[int], None] | None = None) -> FileReading:
        """Reads one file; documents whose text was seen before come from memory."""
        if (encoding := foreign_encoding(raw)) is not None:
            found = whole_file(name, "LB0001", f"the file is encoded in {encoding}", "save it as UTF-8")
            return FileReading(name, (), (), (found,), failed=True)
        known = self._parsed
        documents: list[PlacedDocument] = []
        objects: list[Object] = []
        noisy: list[PlacedDocument] = []
        allowing: list[PlacedDocument] = []
        for lines, text in split(raw):
            parsed = known.get(text)
            if parsed is None:
                parsed = parse(text, self._block)
                known[text] = parsed
            if tell is not None:
                tell(len(text))
            documents.append((lines, parsed))
            objects += parsed.objects
            if parsed.diagnostics:
                noisy.append((lines, parsed))
            if parsed.allows:
                allowing.append((lines, parsed))
        if not documents:
            return FileReading(name, (), (), (whole_file(name, "LB0009", "the file holds no document"),))
        return FileReading(
            name,
            tuple(documents),
            documents[0][1].objects if len(documents) == 1 else tuple(objects),
            tuple(found.moved(name, lines) for lines, parsed in noisy for found in parsed.diagnostics),
            failed=any(parsed.failed for _, parsed in noisy),
            allowing=tuple(allowing),
        )

    def assemble(self, files: Mapping[str, FileReading], changed: Collection[str] | None = None) -> Reading:
        """Checks files together, in the order of their names, and forgets documents that are in none of them.

        `changed` names those that may be others than last time, and those that are gone; without it all are compared.
        """
        if len(self._parsed) > self._most:
            self._parsed = {parsed.raw: parsed for file in files.values() for _, parsed in file.documents}
            self._most = 2 * len(self._parsed) + _FEW
        return self._assembler.assemble(files, changed)


def whole_file(name: str, code: str, message: str, help: str = "") -> Diagnostic:
    """A finding about a file as such, with no place in its text."""
    span = Span(name, 1, 1, 1, 1)
    return Diagnostic(code=code, severity=CODES[code].severity, message=message, span=span, help=help, sensitive=True)
