"""A kind: its names, its table of fields, and where its objects go."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from lbctl.config.extension import NONE, Table, check_extensions
from lbctl.config.metadata import METADATA
from lbctl.config.schema import Fields, Record, Rule, Type
from lbctl.config.value_types import AnyValue, Text


class Object(NamedTuple):
    """A model value under its key in one of World's maps (or in `secrets`)."""

    map: str
    key: Hashable
    value: Any


@dataclass(frozen=True, slots=True)
class Kind:
    """`strict`: unknown fields are errors (metallb.io), else warnings (Kubernetes). `extensions`: under lbctl.io/."""

    api_version: str
    name: str
    record: Record
    strict: bool
    extensions: Table


def kind(
    api_version: str,
    name: str,
    fields: Mapping[str, Type],
    build: Callable[[Fields], Object | None],
    *,
    required: Sequence[str] = (),
    rules: Sequence[Rule] = (),
    extensions: Table = NONE,
) -> Kind:
    """A kind whose objects have `fields` beside apiVersion, kind, metadata and status; `extensions` under lbctl.io/."""
    known: dict[str, Type] = {
        "apiVersion": Text(),
        "kind": Text(),
        "metadata": METADATA,
        "status": AnyValue(),
        **fields,
    }
    every: tuple[Rule, ...] = (partial(check_extensions, extensions), *rules)
    record = Record(name, known, required=("metadata", *required), rules=every, build=build)
    return Kind(api_version, name, record, api_version.startswith("metallb.io/"), extensions)
