"""metadata of every object: names, labels, and the annotations that mean something here."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from lbctl.config.block import Value
from lbctl.config.schema import Fields, JsonSchema, Problem, Record, Refer, TextMap, Walk, Wrong, kind_of
from lbctl.config.spelling import nearest
from lbctl.config.value_types import AnyValue, Text
from lbctl.model.selector import Labels

PREFIX = "metallb.io/"
OLD_PREFIX = "metallb.universe.tf/"
OWN_PREFIX = "lbctl.io/"
CALICO_ANNOTATIONS = ("projectcalico.org/IPv4Address", "projectcalico.org/IPv6Address")
"""Calico notes a node's address with its prefix length in these."""
_PREFIXES = (PREFIX, OLD_PREFIX, OWN_PREFIX, *CALICO_ANNOTATIONS)

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\Z")
_LONGEST_NAME = 253


class Metadata(NamedTuple):
    """What is kept of an object's metadata. `annotations`: only those under prefixes of ours."""

    name: str
    namespace: str
    labels: Labels
    annotations: Labels
    uid: str
    created_unix: float | None

    def annotation(self, name: str) -> tuple[str, str] | None:
        """The full key and the value of a MetalLB annotation under the new or the old prefix; the new one wins."""
        annotations = dict(self.annotations)
        for prefix in (PREFIX, OLD_PREFIX):
            if prefix + name in annotations:
                return prefix + name, annotations[prefix + name]
        return None


class Name:
    """An object's name (RFC 1123 subdomain)."""

    def read(self, value: Value, walk: Walk) -> str:
        if type(value) is not str:
            quoted = isinstance(value, (bool, int, float))
            raise Wrong("LB0107", f"a name is wanted here, not {kind_of(value)}", "put it in quotes" if quoted else "")
        if not _NAME.match(value) or len(value) > _LONGEST_NAME:
            usual = re.sub(r"[^-a-z0-9.]+", "-", value.lower()).strip("-.")
            raise Wrong("LB0111", f'"{value}" is not a valid name', f'for example "{usual}"' if usual else "")
        return value

    def schema(self, refer: Refer) -> JsonSchema:
        return {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": _LONGEST_NAME}


class Timestamp:
    """RFC 3339, as seconds since 1970."""

    def read(self, value: Value, walk: Walk) -> float:
        if type(value) is str:
            try:
                when = datetime.fromisoformat(value)
            except ValueError:
                pass
            else:
                return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        raise Wrong("LB0119", f"{kind_of(value)} is not a time stamp", "write it like 2026-01-31T12:00:00Z")

    def schema(self, refer: Refer) -> JsonSchema:
        return {"format": "date-time"}


@lru_cache(maxsize=256)
def _meant(prefix: str) -> str | None:
    """The prefix of ours that was probably meant, unless this one is known, or clearly somebody else's."""
    if prefix.startswith(_PREFIXES):
        return None
    return nearest(prefix, (PREFIX, OLD_PREFIX, OWN_PREFIX), likeness=0.85)


class Annotations(TextMap):
    def read(self, value: Value, walk: Walk) -> Labels:
        pairs = super().read(value, walk)
        ours = tuple(pair for pair in pairs if pair[0].startswith(_PREFIXES))
        if len(ours) < len(pairs):
            for key, _ in pairs:
                prefix, slash, name = key.partition("/")
                if slash and (meant := _meant(prefix + "/")) is not None:
                    message = f'the annotation "{key}" is not one of ours, and passed over'
                    walk.add(Problem("LB0509", (key,), message, f'did you mean "{meant}{name}"?', at_key=True))
        return ours


def _build(fields: Fields) -> Metadata:
    return Metadata(
        fields["name"],
        fields.get("namespace", ""),
        fields.get("labels", ()),
        fields.get("annotations", ()),
        fields.get("uid", ""),
        fields.get("creationTimestamp"),
    )


METADATA = Record(
    "metadata",
    {
        "name": Name(),
        "namespace": Name(),
        "labels": TextMap(),
        "annotations": Annotations(),
        "uid": Text(),
        "creationTimestamp": Timestamp(),
        "generateName": AnyValue(),
        "resourceVersion": AnyValue(),
        "generation": AnyValue(),
        "deletionTimestamp": AnyValue(),
        "deletionGracePeriodSeconds": AnyValue(),
        "finalizers": AnyValue(),
        "managedFields": AnyValue(),
        "ownerReferences": AnyValue(),
        "selfLink": AnyValue(),
    },
    required=("name",),
    build=_build,
)
