"""The kinds as JSON Schema (2020-12), made out of the very tables that check them, so that editors check and complete.

What a schema cannot say (rules between fields and between objects) is left to `lbctl validate`; what it does refuse,
lbctl refuses too.
"""

from __future__ import annotations

from collections.abc import Iterable

from lbctl.config.descriptions import ANNOTATIONS, of_fields
from lbctl.config.extension import METALLB_ANNOTATIONS
from lbctl.config.kind import Kind
from lbctl.config.kinds import KINDS, LIST, STATUS_KINDS
from lbctl.config.metadata import OWN_PREFIX, PREFIX
from lbctl.config.schema import JsonSchema, Record

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_GROUP = "metallb.io/"
_ARTICLES = ("the ", "an ", "a ")


def of_kinds(kinds: Iterable[Kind]) -> JsonSchema:
    """A schema of documents of one of `kinds`, or of Lists of them; documents of other kinds are taken as they are."""
    kinds = tuple(kinds)
    made = _Made()
    rules = [
        {"if": _is(kind.api_version, kind.name), "then": {"$ref": made.kind(kind)}}
        for kind in kinds
    ]  # fmt: skip
    known = [_is(kind.api_version, kind.name) for kind in kinds if kind.strict]
    known += [{"properties": {"kind": {"enum": list(STATUS_KINDS)}}}]
    rules.append(
        {
            "if": {"properties": {"apiVersion": {"pattern": f"^{_GROUP}"}}, "required": ["apiVersion", "kind"]},
            "then": {"anyOf": known},
        }
    )
    rules.append(
        {
            "if": _is(*LIST),
            "then": {"properties": {"items": {"type": ["array", "null"], "items": {"$ref": "#"}}}},
        }
    )
    return {
        "$schema": DIALECT,
        "title": "Manifests that lbctl reads",
        "type": ["object", "null"],
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"type": "string", "minLength": 1, "examples": sorted({kind.api_version for kind in kinds})},
            "kind": {"type": "string", "minLength": 1, "examples": sorted({kind.name for kind in kinds})},
        },
        "allOf": rules,
        "$defs": made.definitions,
    }


def of_kind(kind: Kind) -> JsonSchema:
    """A schema of documents of this kind and no other."""
    made = _Made()
    return {"$schema": DIALECT, "title": kind.name, "$ref": made.kind(kind), "$defs": made.definitions}


def everything() -> JsonSchema:
    return of_kinds(KINDS.values())


def _is(api_version: str, name: str) -> JsonSchema:
    constants = {"apiVersion": {"const": api_version}, "kind": {"const": name}}
    return {"properties": constants, "required": ["apiVersion", "kind"]}


class _Made:
    """The schemas of records, each once."""

    def __init__(self) -> None:
        self.definitions: JsonSchema = {}
        self._names: dict[tuple[int, bool], str] = {}
        self._strict = False

    def kind(self, kind: Kind) -> str:
        """Where the kind's schema is, as a reference."""
        self._strict = kind.strict
        name = f"{kind.api_version.replace('/', '.')}.{kind.name}"
        schema = self._fields(kind.record)
        properties = schema["properties"]
        properties["apiVersion"] = {"const": kind.api_version}
        properties["kind"] = {"const": kind.name}
        annotations = [OWN_PREFIX + each for each in kind.extensions]
        if kind.name == "Service":
            annotations += [PREFIX + each for each in METALLB_ANNOTATIONS]
        if annotations:
            described = {each: _described({"type": ["string", "null"]}, ANNOTATIONS.get(each)) for each in annotations}
            properties["metadata"] |= {"properties": {"annotations": {"properties": described}}}
        schema["required"] = ["apiVersion", "kind", *schema["required"]]
        self.definitions[name] = schema
        return f"#/$defs/{name}"

    def _refer(self, record: Record) -> JsonSchema:
        key = (id(record), self._strict)
        if key not in self._names:
            name = self._names[key] = self._free(_slug(record.noun))
            self.definitions[name] = {}  # its place in the order
            self.definitions[name] = self._fields(record)
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _free(self, slug: str) -> str:
        name, number = slug, 2
        while name in self.definitions:
            name, number = f"{slug}-{number}", number + 1
        return name

    def _fields(self, record: Record) -> JsonSchema:
        described = of_fields(record.noun)
        properties = {}
        for name, type_ in record.fields.items():
            schema = type_.schema(self._refer)
            if name not in record.required:
                schema = _or_nothing(schema)
            properties[name] = _described(schema, described.get(name))
        out: JsonSchema = {"type": "object", "properties": properties, "required": list(record.required)}
        if self._strict:
            out["additionalProperties"] = False
        return out


def _or_nothing(schema: JsonSchema) -> JsonSchema:
    """A field that is not required may be given as null, which means that it is not given."""
    if not schema or set(schema) == {"format"}:
        return schema
    if "enum" in schema:
        return {**schema, "type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _described(schema: JsonSchema, text: str | None) -> JsonSchema:
    return schema if text is None else {"description": text, **schema}


def _slug(noun: str) -> str:
    for article in _ARTICLES:
        noun = noun.removeprefix(article)
    return noun.replace(" ", "-")
