"""One document's bytes to model objects and findings, both relative to the document, so that they can be kept."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from lbctl.config.allow import Allow, Allows, allows_in, divide, of_no_use
from lbctl.config.block import BlockParser, NotSimple, Value
from lbctl.config.cap import Cap, capped, left_out
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Diagnostic, Severity, Span
from lbctl.config.document import BadText, decode
from lbctl.config.kind import Object
from lbctl.config.kinds import KINDS, LIST, place_of, unread
from lbctl.config.schema import Path, Problem, Spoiled, Walk, Wrong, kind_of
from lbctl.config.secret_lines import Secrets

if TYPE_CHECKING:
    from lbctl.config.compose import Node

# The exact parser and what finds places in its nodes are imported where they are needed: many texts need neither.

_SECRET = re.compile(r"""^[ -]*["']?kind["']?[ ]*:[ ]*["']?Secret\b""", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{|\$\{|\{%")
_OCTAL = re.compile(r"[ \[,{]0[0-9]+[ \n\],}]")
_ROOTS = 8


class Draft(NamedTuple):
    """An object that has an error: without what is wrong, for further checks of the rest alone, never for use.

    `path` is its place in the document, `dropped` are the paths of list items, within the object, that are not in it.
    """

    made: Object
    path: Path
    dropped: tuple[Path, ...] = ()

    def path_of(self, path: Path) -> Path:
        """Where something of the object stands in the document."""
        out: Path = ()
        for step in path:
            if isinstance(step, int):
                for lost in sorted(lost for *there, lost in self.dropped if tuple(there) == out):
                    assert isinstance(lost, int)
                    step += lost <= step
            out += (step,)
        return (*self.path, *out)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one document holds. `paths` has each object's place within the document, where it is not the whole.

    `allowed` are the findings that comments silence; they are not among `diagnostics`. `refused` are the objects that
    have an error, by map and key, as far as they say who they are; `drafts` what could be made of them all the same.
    """

    raw: bytes
    objects: tuple[Object, ...]
    paths: tuple[Path, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    allows: tuple[Allow, ...] = ()
    allowed: tuple[Diagnostic, ...] = ()
    refused: tuple[tuple[str, Hashable], ...] = ()
    drafts: tuple[Draft, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something in it is an error."""
        return any(diagnostic.severity is Severity.ERROR for diagnostic in self.diagnostics)

    def span(self, index: int, path: Path, roots: Roots | None = None) -> Span:
        """Where something within the object number `index` stands, relative to the document."""
        return self.span_at((*(self.paths[index] if self.paths else ()), *path), roots)

    def span_at(self, path: Path, roots: Roots | None = None) -> Span:
        """Where something stands, by its path within the document, relative to the document.

        Whoever asks more than once gives the `roots` that he found before.
        """
        from lbctl.config.locate import span_of

        return span_of((Roots() if roots is None else roots).of(self.raw), path)


class Roots:
    """The exact reading of the documents that were asked for last; it is much larger than their text."""

    def __init__(self) -> None:
        self._known: dict[bytes, Node | None] = {}

    def of(self, raw: bytes) -> Node | None:
        """The root of one document; None where it is no text or has none."""
        if raw in self._known:
            return self._known[raw]
        from lbctl.config.compose import compose

        text = decode(raw)
        root = None if isinstance(text, BadText) else compose(text).root
        if len(self._known) >= _ROOTS:
            del self._known[next(iter(self._known))]
        self._known[raw] = root
        return root


def parse(raw: bytes, parser: BlockParser) -> Parsed:
    """Reads one document. Never raises for what `raw` holds."""
    text = decode(raw)
    if isinstance(text, BadText):
        return Parsed(raw, (), (), (_bad_text(text),))
    parsed = _parse(raw, text, parser)
    comments = allows_in(text)
    return _allow(parsed, comments, text) if comments.allows or comments.diagnostics else parsed


def _parse(raw: bytes, text: str, parser: BlockParser) -> Parsed:
    try:
        return _check(raw, parser.parse(text), text, None)
    except NotSimple:
        pass
    from lbctl.config.compose import compose, value_of

    composed = compose(text)
    secrets = Secrets(text)
    said = tuple(map(secrets.hide, capped(composed.diagnostics)))
    checked = _check(raw, value_of(composed.root) if composed.root else None, text, composed.root)
    if not said:
        return checked
    broken = any(diagnostic.severity is Severity.ERROR for diagnostic in said)
    both = tuple(sorted((*said, *checked.diagnostics), key=lambda diagnostic: diagnostic.order))
    if _TEMPLATE.search(text):
        from lbctl.config.template import name_placeholders

        both = name_placeholders(both, text)
    if not broken:
        return replace(checked, diagnostics=both)
    refused = (*checked.refused, *((made.map, made.key) for made in checked.objects))
    return Parsed(raw, (), (), both, refused=refused)


def _allow(parsed: Parsed, comments: Allows, text: str) -> Parsed:
    """The document with what its comments silence set apart, and what is to be said of them."""
    remain, allowed = divide(parsed.diagnostics, comments.allows)
    secrets = Secrets(text)
    remain += map(secrets.hide, capped(comments.diagnostics))
    diagnostics = tuple(sorted(remain, key=lambda diagnostic: diagnostic.order))
    allows = tuple(each._replace(sensitive=secrets.hide(of_no_use(each)).sensitive) for each in comments.allows)
    return replace(parsed, diagnostics=diagnostics, allows=allows, allowed=tuple(allowed))


def _check(raw: bytes, value: Value, text: str, root: Node | None) -> Parsed:
    collector = _Collector()
    collector.document(value)
    diagnostics: tuple[Diagnostic, ...] = ()
    if collector.problems:
        from lbctl.config.compose import compose
        from lbctl.config.locate import diagnose

        root = root if root is not None else compose(text).root
        secrets = Secrets(text)
        found = [secrets.hide(diagnose(problem, root)) for problem in collector.problems]
        if left := collector.cap.left:
            found.append(left_out(left, max(found, key=_order).span))
        diagnostics = tuple(sorted(found, key=lambda diagnostic: diagnostic.order))
        if _TEMPLATE.search(text):
            from lbctl.config.template import name_placeholders

            diagnostics = name_placeholders(diagnostics, text)
    if " 0" in text and collector.objects and _OCTAL.search(text) and not _SECRET.search(text):
        from lbctl.config.compose import compose, leading_zeros

        zeros = map(Secrets(text).hide, capped(leading_zeros(root or compose(text).root)))
        diagnostics = tuple(sorted((*diagnostics, *zeros), key=_order))
    return Parsed(
        raw,
        tuple(collector.objects),
        tuple(collector.paths) if any(collector.paths) else (),
        diagnostics,
        refused=tuple(collector.refused),
        drafts=tuple(collector.drafts),
    )


def _order(diagnostic: Diagnostic) -> tuple[str, int, int, str, str]:
    return diagnostic.order


class _Collector:
    """The objects and problems of one YAML document; a List brings many."""

    def __init__(self) -> None:
        self.objects: list[Object] = []
        self.paths: list[Path] = []
        self.problems: list[Problem] = []
        self.cap: Cap[str] = Cap()
        self.refused: list[tuple[str, Hashable]] = []
        self.drafts: list[Draft] = []

    def document(self, value: Value) -> None:
        if value is None:
            return
        if isinstance(value, dict) and (value.get("apiVersion"), value.get("kind")) == LIST:
            items = value.get("items")
            if items is not None and not isinstance(items, list):
                self._add(Problem("LB0107", ("items",), f"a list is wanted here, not {kind_of(items)}"))
                return
            for index, item in enumerate(items or ()):
                self._object(item, ("items", index))
        else:
            self._object(value, ())

    def _add(self, problem: Problem) -> None:
        if self.cap.admits(problem.code):
            self.problems.append(problem)

    def _object(self, value: Value, path: Path) -> None:
        if not isinstance(value, dict):
            help = "write apiVersion:, kind: and metadata: at the beginning of the line"
            self._add(Problem("LB0101", path, f"an object is wanted here, not {kind_of(value)}", help))
            return
        api_version, name = value.get("apiVersion"), value.get("kind")
        if not isinstance(api_version, str) or not isinstance(name, str) or not api_version or not name:
            missing = "apiVersion" if not isinstance(api_version, str) or not api_version else "kind"
            help = f"add {missing}:, for example {missing}: {_example(missing, name)}"
            self._add(Problem("LB0102", path, f"this object has no {missing}", help))
            return
        kind = KINDS.get((api_version, name))
        if kind is None:
            if (problem := unread(api_version, name, value)) is not None:
                self._add(problem._replace(path=(*path, *problem.path)))
            return
        walk = Walk(kind.strict, self.cap)
        walk.path += path
        made: Object | None = None
        try:
            made = kind.record.read(value, walk)
        except Spoiled:
            pass
        except Wrong as wrong:
            walk.wrong(wrong)
        self.problems += walk.problems
        if made is not None and not any(CODES[code].severity is Severity.ERROR for code in walk.codes):
            self.objects.append(made)
            self.paths.append(path)
            return
        if (place := place_of(name, value)) is not None:
            self.refused.append(place)
        if made is not None:
            at = len(path)
            self.drafts.append(Draft(made, path, tuple(lost[at:] for lost in walk.dropped)))


def _example(missing: str, kind: Value) -> str:
    """What stands behind apiVersion: (of this kind, where it is known) or behind kind:."""
    if missing == "kind":
        return "IPAddressPool"
    return max((version for version, name in KINDS if name == kind), default="metallb.io/v1beta1")


def _bad_text(bad: BadText) -> Diagnostic:
    return Diagnostic(
        code=bad.code,
        severity=CODES[bad.code].severity,
        message=bad.message,
        span=Span("", bad.line, bad.column, bad.line, bad.column + 1),
        help=bad.help,
        # What is no text cannot be told from a secret, and cannot be shown anyway.
        sensitive=True,
    )
