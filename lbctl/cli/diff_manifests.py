"""Manifests that `lbctl diff` compares, one side of it: what they say, what is wrong with them, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbctl.cli.manifest_files import read_manifests
from lbctl.config.assemble import FileReading, Reading
from lbctl.config.diagnostic import Diagnostic, Severity, Span
from lbctl.config.reader import Reader


class CannotTell(Exception):
    """The question cannot be answered; the text is one line and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """Files and folders, read together. `named` is how to call them in a sentence."""

    named: str
    files: Mapping[str, FileReading]
    reading: Reading

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(found for found in self.reading.diagnostics if found.severity is Severity.ERROR)

    def passwords(self) -> Mapping[str, str]:
        """By BGPPeer what the Secret that it names holds."""
        secrets = self.reading.secrets
        by_name: dict[str, str] = {}
        for (_, name), secret in sorted(secrets.items(), key=lambda item: item[0]):
            if secret.value:
                by_name.setdefault(name, secret.value)
        found: dict[str, str] = {}
        for peer in self.reading.world.bgp_peers.values():
            reference = peer.session.password_secret
            if reference is None:
                continue
            exact = secrets.get((reference.namespace, reference.name)) if reference.namespace else None
            value = exact.value if exact is not None else by_name.get(reference.name)
            if value:
                found[peer.name] = value
        return found

    def place_of(self, map: str, key: object) -> Span | None:
        """Where an object's name stands."""
        for name in sorted(self.files):
            for lines, parsed in self.files[name].documents:
                for number, made in enumerate(parsed.objects):
                    if made.map == map and made.key == key:
                        path = ("spec", "addresses") if map == "pools" else ("metadata", "name")
                        return parsed.span(number, path).moved(name, lines)
        return None


def read(paths: Sequence[Path], reader: Reader) -> Manifests:
    """Reads manifests; those with errors are in it too. Raises CannotTell where a path cannot be read at all.

    One reader for both sides: what stands in both is parsed once.
    """
    files = read_manifests(paths)
    if files.unread:
        raise CannotTell("; ".join(map(str, files.unread)))
    readings = {name: reader.read_file(name, raw) for name, raw in files.contents.items()}
    return Manifests(named=", ".join(map(str, paths)), files=readings, reading=reader.assemble(readings))
