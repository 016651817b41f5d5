"""Old MetalLB configuration to the kinds of today: the ConfigMap, the text in it, and the old kinds of metallb.io.

    made = convert({"config.yaml": raw})
    made.text, made.diagnostics

What comes out has passed the same rules as any manifest; a finding about it points at the old text it came from, also
within the text that a ConfigMap holds. What cannot be converted is named and left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from lbctl.config.block import Value
from lbctl.config.cap import capped
from lbctl.config.codes import CODES
from lbctl.config.compose import Node, compose, value_of
from lbctl.config.convert_kinds import convert_kind, is_old_kind
from lbctl.config.convert_old import SECTIONS, Manifest, Names, Old, convert_old, is_old
from lbctl.config.convert_yaml import document
from lbctl.config.diagnostic import Diagnostic, Severity, Span
from lbctl.config.document import BadText, decode, foreign_encoding, split
from lbctl.config.kinds import KINDS, LIST
from lbctl.config.locate import diagnose, span_of
from lbctl.config.reader import Reader, whole_file
from lbctl.config.schema import Path, Problem
from lbctl.config.secret_lines import Secrets

DEFAULT_NAMESPACE = "metallb-system"
"""Where MetalLB looks for its objects unless it was installed elsewhere."""
_KEY = "config"
_CHART_KEY = "configInline"
"""Under which the values of MetalLB's Helm chart held the same text."""
_GROUP = "metallb.io/"
_EXPECTED = frozenset({"LB0207"})
"""Findings about what was so in the old text, too, and means nothing there."""

_DEEPEST_INDENT = 41


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The new manifests as YAML text, how many they are, and what is to be said of the old ones."""

    text: str
    count: int
    diagnostics: tuple[Diagnostic, ...]

    @property
    def failed(self) -> bool:
        """Whether something could not be converted."""
        return any(found.severity is Severity.ERROR for found in self.diagnostics)


class _Source:
    """One piece of old text, whose nodes know where they stand in it, and how that is a place in a file."""

    def __init__(
        self, text: str, root: Node | None, file: str, lines: int, embedded: tuple[Span, int] | None = None
    ) -> None:
        self._root = root
        self._secrets = Secrets(text)
        self._file = file
        self._lines = lines
        self._embedded = embedded

    def diagnostic(self, problem: Problem) -> Diagnostic:
        return self.placed(diagnose(problem, self._root))

    def span(self, path: Path) -> Span:
        return self._moved(span_of(self._root, path))

    def placed(self, found: Diagnostic) -> Diagnostic:
        found = self._secrets.hide(found)
        labels = tuple(replace(label, span=self._moved(label.span)) for label in found.labels)
        return replace(found, span=self._moved(found.span), labels=labels)

    def _moved(self, span: Span) -> Span:
        if self._embedded is None:
            return span.moved(self._file, self._lines)
        start, indent = self._embedded
        if indent < 0:
            return start
        return Span(
            start.file,
            start.line + span.line,
            span.column + indent,
            start.line + span.end_line,
            span.end_column + indent,
        )


def convert(files: Mapping[str, bytes], *, namespace: str = DEFAULT_NAMESPACE) -> Converted:
    """Converts files (names to bytes). Never raises for what they hold.

    `namespace` is for objects out of text that says of none.
    """
    return _Conversion(namespace).run(files)


class _Conversion:
    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._names = Names()
        self._made: list[tuple[Manifest, _Source]] = []
        self._found: list[Diagnostic] = []

    def run(self, files: Mapping[str, bytes]) -> Converted:
        for name in files:
            self._file(name, files[name])
        text = self._checked()
        return Converted(
            text=text,
            count=len(self._made),
            diagnostics=self._told(),
        )

    def _told(self) -> tuple[Diagnostic, ...]:
        ordered = sorted(dict.fromkeys(self._found), key=lambda found: found.order)
        return tuple(
            found for _, of_file in groupby(ordered, lambda found: found.span.file) for found in capped(of_file)
        )

    def _file(self, name: str, raw: bytes) -> None:
        if (encoding := foreign_encoding(raw)) is not None:
            self._found.append(whole_file(name, "LB0001", f"the file is encoded in {encoding}", "save it as UTF-8"))
            return
        documents = list(split(raw))
        if not documents:
            self._found.append(whole_file(name, "LB0704", "there is nothing in it", CODES["LB0704"].advice))
        for lines, piece in documents:
            text = decode(piece)
            if isinstance(text, BadText):
                span = Span(name, text.line + lines, text.column, text.line + lines, text.column + 1)
                self._say(text.code, span, text.message, text.help, sensitive=True)
                continue
            self._document(text, name, lines)

    def _say(self, code: str, span: Span, message: str, help: str = "", *, sensitive: bool = False) -> None:
        severity = CODES[code].severity
        self._found.append(
            Diagnostic(code=code, severity=severity, message=message, span=span, help=help, sensitive=sensitive)
        )

    def _document(self, text: str, name: str, lines: int) -> None:
        composed = compose(text)
        source = _Source(text, composed.root, name, lines)
        self._found += map(source.placed, composed.diagnostics)
        if composed.root is None or any(found.severity is Severity.ERROR for found in composed.diagnostics):
            return
        value = value_of(composed.root)
        for path, item in _objects(value):
            self._object(item, path, source, text, composed.root, (name, lines))

    def _object(self, value: Value, path: Path, source: _Source, text: str, root: Node, at: tuple[str, int]) -> None:
        kind = (value.get("apiVersion"), value.get("kind")) if isinstance(value, dict) else (None, None)
        if isinstance(value, dict) and kind == ("v1", "ConfigMap"):
            self._config_map(value, path, source, text, root, at)
        elif isinstance(value, dict) and is_old_kind(value):
            self._take(convert_kind(value, path, self._names), source)
        elif is_old(value):
            self._take(_under(path, convert_old(value, self._names, self._namespace)), source)
        elif isinstance(value, dict) and is_old(value.get(_CHART_KEY)):
            inner = convert_old(value[_CHART_KEY], self._names, self._namespace)
            self._take(_under((*path, _CHART_KEY), inner), source)
        elif isinstance(kind[0], str) and isinstance(kind[1], str):
            if (kind[0], kind[1]) in KINDS and kind[0].startswith(_GROUP):
                what = f"{kind[1]} of {kind[0]} is of today"
            elif kind[0].startswith(_GROUP):
                what = f"metallb.io has no kind {kind[1]} in {kind[0]}, old or of today"
            else:
                what = f"{kind[1]} of {kind[0]} is no configuration of MetalLB"
            self._say("LB0705", source.span((*path, "kind")), f"{what}; it is left out")
        else:
            wanted = ", ".join(SECTIONS[:4])
            message = f"this is no old configuration: it has none of {wanted}"
            self._say("LB0704", source.span(path), message, CODES["LB0704"].advice)

    def _config_map(
        self, value: Mapping[str, Value], path: Path, source: _Source, text: str, root: Node, at: tuple[str, int]
    ) -> None:
        data, metadata = value.get("data"), value.get("metadata")
        inner = data.get(_KEY) if isinstance(data, dict) else None
        if not isinstance(inner, str):
            self._say("LB0704", source.span((*path, "data")), f'this ConfigMap has no text under the key "{_KEY}"')
            return
        namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
        place = source.span((*path, "data", _KEY))
        node = _node_at(root, (*path, "data", _KEY))
        embedded = (place, -1) if node is None else _embedding(node, text, inner, place, at)
        composed = compose(inner)
        within = _Source(inner, composed.root, at[0], at[1], embedded)
        self._found += map(within.placed, composed.diagnostics)
        if any(found.severity is Severity.ERROR for found in composed.diagnostics):
            return
        found = value_of(composed.root) if composed.root is not None else None
        if not is_old(found):
            self._say("LB0704", place, "this text is no old configuration", CODES["LB0704"].advice)
            return
        chosen = namespace if isinstance(namespace, str) and namespace else self._namespace
        self._take(convert_old(found, self._names, chosen), within)

    def _take(self, old: Old, source: _Source) -> None:
        if not old.problems and not old.manifests:
            self._say("LB0704", source.span(()), "there is nothing in it", CODES["LB0704"].advice)
        self._found += [source.diagnostic(problem) for problem in old.problems]
        self._made += [(manifest, source) for manifest in old.manifests]

    def _checked(self) -> str:
        """The text of what stands up to the rules; what does not is taken out, with the finding at its old place."""
        while True:
            pieces = [document(manifest.value()) for manifest, _ in self._made]
            text = "---\n".join(pieces)
            starts: list[int] = []
            line = 1
            for piece in pieces:
                starts.append(line)
                line += piece.count("\n") + 1
            refused: set[int] = set()
            roots: dict[int, Node | None] = {}
            said: list[Diagnostic] = []
            for found in Reader().read({"": text.encode()}).diagnostics if pieces else ():
                number = bisect_right(starts, found.span.line) - 1
                if found.severity is Severity.ERROR:
                    refused.add(number)
                if found.code not in _EXPECTED:
                    if number not in roots:
                        roots[number] = compose(pieces[number]).root
                    said.append(self._back(found, number, starts[number], roots[number]))
            if not refused:
                self._found += said
                return text
            self._found += [found for found in said if found.severity is Severity.ERROR]
            self._drop(refused)

    def _back(self, found: Diagnostic, number: int, start: int, root: Node | None) -> Diagnostic:
        """A finding about a new manifest as one about the old text."""
        manifest, source = self._made[number]
        path = _path_at(root, found.span.line - start + 1, found.span.column)
        return replace(found, span=source.span(manifest.origin_of(path)), labels=(), sensitive=found.sensitive)

    def _drop(self, refused: set[int]) -> None:
        gone = {(manifest.kind, manifest.name) for number, (manifest, _) in enumerate(self._made) if number in refused}
        kept = [pair for number, pair in enumerate(self._made) if number not in refused]
        self._made = []
        for manifest, source in kept:
            pools = manifest.spec.get("ipAddressPools")
            if isinstance(pools, list):
                left = [name for name in pools if ("IPAddressPool", name) not in gone]
                if not left:
                    continue
                manifest.spec["ipAddressPools"] = left
            self._made.append((manifest, source))


def _objects(value: Value) -> Iterator[tuple[Path, Value]]:
    """The objects of a document and where they stand; a List brings many."""
    if value is None:
        return
    items = value.get("items") if isinstance(value, dict) else None
    if isinstance(value, dict) and (value.get("apiVersion"), value.get("kind")) == LIST and isinstance(items, list):
        for number, item in enumerate(items):
            yield ("items", number), item
    else:
        yield (), value


def _under(path: Path, old: Old) -> Old:
    """The same where the old text stands at `path` of its document."""
    if path:
        old.problems = [
            problem._replace(
                path=(*path, *problem.path),
                other=None if problem.other is None else ((*path, *problem.other[0]), problem.other[1]),
            )
            for problem in old.problems
        ]
        for manifest in old.manifests:
            manifest.origin = {new: (*path, *place) for new, place in manifest.origin.items()}
    return old


def _node_at(root: Node, path: Path) -> Node | None:
    node: Node | None = root
    for step in path:
        if node is None:
            return None
        if isinstance(step, int):
            node = node.items[step] if node.items is not None and step < len(node.items) else None
        else:
            node = next((value for key, value in node.pairs or () if key.text == step), None)
    return node


def _embedding(node: Node, text: str, inner: str, place: Span, at: tuple[str, int]) -> tuple[Span, int]:
    """Where the lines of a block scalar begin in the file and how far they are indented; -1: they cannot be found.

    A block scalar stands as it is, one line for each, behind the line of its key. Text in quotes or folded does not.
    """
    outer = text.split("\n")[node.span.line :]
    lines = inner.split("\n")
    for indent in range(_DEEPEST_INDENT):
        wanted = [" " * indent + line if line else "" for line in lines]
        shown = [line.rstrip() if not line.strip() else line for line in outer[: len(wanted)]]
        if shown[: len(wanted) - 1] == wanted[:-1] and (not wanted[-1] or shown[-1:] == wanted[-1:]):
            return Span(at[0], node.span.line + at[1], 1, node.span.line + at[1], 1), indent
    return place, -1


def _path_at(root: Node | None, line: int, column: int) -> Path:
    """The path of the innermost value of a document whose key or text begins at this place."""
    best: Path = ()

    def look(node: Node, path: Path) -> None:
        nonlocal best
        for key, value in node.pairs or ():
            if (key.span.line, key.span.column) <= (line, column):
                best = (*path, key.text)
                look(value, (*path, key.text))
        for number, item in enumerate(node.items or ()):
            if (item.span.line, item.span.column) <= (line, column):
                best = (*path, number)
                look(item, (*path, number))

    if root is not None:
        look(root, ())
    return best
