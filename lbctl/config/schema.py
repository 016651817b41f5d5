"""How fields are described and read: one table a kind serves for checking, building the model and documentation.

A `Type` turns a plain value (what YAML gave) into a model value, or raises `Wrong`. A `Record` is a mapping with known
fields; it collects every problem of its fields and goes on. Problems carry the path of the value, not its position:
positions are looked up only for documents that have findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from lbctl.config.block import Value
from lbctl.config.cap import Cap
from lbctl.config.spelling import nearest
from lbctl.model.selector import Labels

Path = tuple[str | int, ...]
JsonSchema = dict[str, Any]
"""What a type takes, in the words of JSON Schema 2020-12; see `json_schema`."""


class Fields(dict[str, Any]):
    """The values of a record's fields as their types gave them; what is absent or wrong is not in it."""

    __slots__ = ("wrong",)

    def __init__(self) -> None:
        super().__init__()
        self.wrong: tuple[str, ...] = ()

    def given(self, name: str) -> bool:
        """Whether the text has the field at all, be it right or wrong."""
        return name in self or name in self.wrong


class Problem(NamedTuple):
    """A finding about the value at `path` (about its key if `at_key`; about characters `part` of a scalar).

    `other` is a second place within the same document and what is to be seen there.
    """

    code: str
    path: Path
    message: str
    help: str = ""
    at_key: bool = False
    part: tuple[int, int] | None = None
    other: tuple[Path, str] | None = None
    sensitive: bool = False


class Wrong(Exception):
    """A value that its type does not take. The record around it knows where it stands."""

    def __init__(self, code: str, message: str, help: str = "", part: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
        self.part = part


class Spoiled(Wrong):
    """The value cannot be built, and why is already among the problems."""

    def __init__(self) -> None:
        super().__init__("", "")


class Walk:
    """One pass over one object: where it is, and what it found. `strict`: unknown fields are errors.

    `dropped` are the list items that are wrong, and so not in the value. `problems` are those that the `cap` of
    the whole document lets in; `codes` has those of the others too.
    """

    __slots__ = ("_cap", "codes", "dropped", "path", "problems", "secret", "strict")

    def __init__(self, strict: bool, cap: Cap[str] | None = None) -> None:
        self.path: list[str | int] = []
        self.problems: list[Problem] = []
        self.codes: set[str] = set()
        self._cap = cap
        self.dropped: list[Path] = []
        self.strict = strict
        self.secret = False

    def wrong(self, wrong: Wrong) -> None:
        if isinstance(wrong, Spoiled):
            return
        # What is wanted may be said of a secret, but not what is there.
        message = wrong.message.partition(", not ")[0] if self.secret else wrong.message
        self._take(Problem(wrong.code, tuple(self.path), message, wrong.help, part=wrong.part, sensitive=self.secret))

    def add(self, problem: Problem) -> None:
        """Adds a problem whose path is relative to where the walk is."""
        here = tuple(self.path)
        other = None if problem.other is None else ((*here, *problem.other[0]), problem.other[1])
        self._take(problem._replace(path=(*here, *problem.path), other=other))

    def _take(self, problem: Problem) -> None:
        self.codes.add(problem.code)
        if self._cap is None or self._cap.admits(problem.code):
            self.problems.append(problem)


Refer = Callable[["Record"], JsonSchema]


class Type(Protocol):
    """Reads one value. Raises Wrong, or adds problems to the walk itself when it has parts of its own.

    `schema` says the same to an editor: it refuses no value that is read, and as many others as it can. `refer` gives
    the place of a record's own schema.
    """

    def read(self, value: Value, walk: Walk) -> Any: ...

    def schema(self, refer: Refer) -> JsonSchema: ...


Rule = Callable[[Fields], Iterator[Problem]]
"""Something that must hold between the fields of one record. Paths are relative to the record."""


def kind_of(value: Value) -> str:
    """A value's type as a person who writes YAML calls it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f'the text "{value if len(value) <= 40 else value[:37] + "..."}"'
        case list():
            return "a list"
        case dict():
            return "a mapping"


class Many:
    """A list of values of one type; those that are wrong are left out.

    `unique` names what must not be given twice. `placed`: gives pairs (place in the text's list, value), for rules
    that have to point at one of them. `none` is what to raise when the list is empty.
    """

    def __init__(
        self, item: Type, *, unique: str = "", placed: bool = False, none: tuple[str, str, str] | None = None
    ) -> None:
        self.item = item
        self._unique = unique
        self._placed = placed
        self._none = none

    def read(self, value: Value, walk: Walk) -> tuple[Any, ...]:
        if type(value) is not list:
            scalar = not isinstance(value, dict)
            raise Wrong(
                "LB0107", f"a list is wanted here, not {kind_of(value)}", "begin each item with '- '" if scalar else ""
            )
        if not value and self._none is not None:
            raise Wrong(*self._none)
        out = []
        places: list[int] = []
        path = walk.path
        for index, item in enumerate(value):
            path.append(index)
            try:
                if item is None:
                    raise Wrong("LB0107", "this list item is empty", "remove the '-' or write a value behind it")
                out.append(self.item.read(item, walk))
                places.append(index)
            except Wrong as wrong:
                walk.wrong(wrong)
                walk.dropped.append(tuple(path))
            path.pop()
        if self._unique and len(out) > 1:
            self._check_unique(out, places, walk)
        return tuple(zip(places, out, strict=True)) if self._placed else tuple(out)

    def _check_unique(self, out: Sequence[Any], places: Sequence[int], walk: Walk) -> None:
        seen: dict[Any, int] = {}
        for place, item in zip(places, out, strict=True):
            first = seen.setdefault(item, place)
            if first != place:
                what = f'{self._unique} "{item}"' if isinstance(item, str) else f"the same {self._unique}"
                walk.add(Problem("LB0114", (place,), f"{what} is given twice", other=((first,), "first given here")))

    def schema(self, refer: Refer) -> JsonSchema:
        schema: JsonSchema = {"type": "array", "items": self.item.schema(refer)}
        if self._none is not None:
            schema["minItems"] = 1
        if self._unique:
            schema["uniqueItems"] = True
        return schema


class TextMap:
    """Labels and the like: a mapping from text to text, as sorted pairs. Null values count as empty text."""

    def read(self, value: Value, walk: Walk) -> Labels:
        if type(value) is not dict:
            raise Wrong("LB0107", f"a mapping is wanted here, not {kind_of(value)}")
        if all(type(text) is str for text in value.values()):
            return _sorted(tuple(value.items()))
        out = []
        for key, text in value.items():
            if isinstance(text, str) or text is None:
                out.append((key, text or ""))
            else:
                quoted = "put it in quotes" if not isinstance(text, (list, dict)) else ""
                walk.path.append(key)
                walk.wrong(Wrong("LB0107", f'text is wanted for "{key}", not {kind_of(text)}', quoted))
                walk.path.pop()
        return _sorted(tuple(out))

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "object", "additionalProperties": {"type": ["string", "null"]}}


@lru_cache(maxsize=2048)
def _sorted(pairs: Labels) -> Labels:
    return tuple(sorted(pairs))


def _meant(name: str, fields: Iterable[str]) -> str | None:
    """The field that was probably meant: the same in other letters before one that is only near."""
    plain = _plain(name)
    return next((field for field in fields if _plain(field) == plain), None) or nearest(name, fields)


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


class Record:
    """A mapping with known fields. `build` makes the model value of its fields, once no required one is missing.

    `since` has fields that a later version of the kind has, by that version; `strays` says what to do about fields that
    people write here though they belong elsewhere (under "" about any).
    """

    def __init__(
        self,
        noun: str,
        fields: Mapping[str, Type],
        *,
        required: Sequence[str] = (),
        rules: Sequence[Rule] = (),
        build: Callable[[Fields], Any] | None = None,
        secret: Sequence[str] = (),
        since: Mapping[str, str] | None = None,
        strays: Mapping[str, str] | None = None,
    ) -> None:
        self.noun = noun
        self._strays = strays or {}
        self._since = since or {}
        self.fields = fields
        self._read = {name: type_.read for name, type_ in fields.items()}
        self.required = tuple(required)
        self._rules = tuple(rules)
        self._build = build
        self._secret = frozenset(secret)

    def read(self, value: Value, walk: Walk) -> Any:
        if type(value) is not dict:
            raise Wrong("LB0107", f"a mapping is wanted here, not {kind_of(value)}")
        readers = self._read
        path = walk.path
        out = Fields()
        failed: list[str] = []
        meant: list[str | None] = []
        for name, item in value.items():
            reader = readers.get(name)
            if reader is None:
                meant.append(self._unknown(name, value, walk))
                failed += filter(None, meant[-1:])
            elif item is not None:
                path.append(name)
                if name in self._secret:
                    walk.secret = True
                try:
                    out[name] = reader(item, walk)
                except Wrong as wrong:
                    walk.wrong(wrong)
                    failed.append(name)
                walk.secret = False
                path.pop()
        out.wrong = tuple(failed)
        for name in self.required:
            if value.get(name) is None and name not in meant:
                walk.add(self._lacks(name, name in value))
        for rule in self._rules:
            for problem in rule(out):
                walk.add(problem)
        for name in self.required:
            if name not in out:
                raise Spoiled
        return out if self._build is None else self._build(out)

    def _unknown(self, name: str, value: Mapping[str, Value], walk: Walk) -> str | None:
        """Says that a field is not known; gives back the field that was probably meant."""
        meant = None if name in self._since or name in self._strays else _meant(name, self.fields)
        help, other = f'did you mean "{meant}"?', None
        if meant is None:
            help = self._elsewhere(name)
        elif meant in value:
            same = meant.lower() == name.lower()
            help = f'it is given twice, differing in case: keep "{meant}"' if same else help + " It is given already"
            other, meant = ((meant,), "given here"), None
        code = "LB0105" if walk.strict else "LB0106"
        walk.add(Problem(code, (name,), f'{self.noun} has no field "{name}"', help, at_key=True, other=other))
        return meant

    def _lacks(self, name: str, there: bool) -> Problem:
        """About a required field that is not given."""
        if there:
            help = "write what belongs to it below, indented, or behind it"
            return Problem("LB0110", (name,), f'"{name}" is empty, and {self.noun} needs it', help, at_key=True)
        return Problem("LB0110", (), f'{self.noun} needs the field "{name}"', f"add {name}: to it")

    def _elsewhere(self, name: str) -> str:
        if name in self._strays:
            return self._strays[name]
        if name in self._since:
            return f"{self._since[name]} has it: write apiVersion: {self._since[name]}"
        for outer, type_ in self.fields.items():
            if isinstance(type_, Record) and name in type_.fields:
                return f"it belongs under {outer}:, indented"
        return self._strays.get("", "")

    def schema(self, refer: Refer) -> JsonSchema:
        return refer(self)
