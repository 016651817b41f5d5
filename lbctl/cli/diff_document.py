"""What `lbctl diff -o json` prints: lbctl.io/diff/v1 (docs/diff.md)."""

from __future__ import annotations

from typing import Any

from lbctl.cli.diff_inputs import Inputs
from lbctl.config.diagnostic import Span
from lbctl.plan.diff import Diff
from lbctl.plan.diff_objects import Value
from lbctl.plan.diff_services import ServiceChange
from lbctl.plan.reason import Refusal
from lbctl.plan.routes import RouteAttributes

SCHEMA = "lbctl.io/diff/v1"


def document(told: Diff, inputs: Inputs, status: int) -> dict[str, Any]:
    """The answer as lbctl.io/diff/v1."""
    return {
        "schema": SCHEMA,
        "status": int(status),
        "changes": bool(told),
        "allocations": "planned" if inputs.remembered is None else "ledger",
        "owners": "planned" if inputs.owners is None else "asked",
        "generation": inputs.generation,
        "ledger": inputs.ledger,
        "notes": [{"note": note.basis.value, "message": note.message} for note in inputs.notes],
        "errors": [
            {"code": error.code, "message": error.message, **_place(error.span)} for error in inputs.manifests.errors
        ],
        "held_back": list(inputs.held_back),
        "refused": [
            {
                "pool": item.subject,
                "reason": item.reason.value,
                "detail": item.detail,
                **_place(inputs.manifests.place_of("pools", item.subject)),
            }
            for item in told.refused
        ],
        "services": [_service(item) for item in told.services],
        "stranded": [
            {
                "address": str(item.address),
                "pool": item.pool,
                "services": list(map(str, item.services)),
                "reason": item.reason.value,
                "detail": item.detail,
                **_place(place),
            }
            for item, place in zip(told.stranded, _pool_places(told, inputs), strict=True)
        ],
        "vips": [
            {
                "address": str(item.address),
                "event": item.event.value,
                "services": list(map(str, item.services)),
                "before": item.before,
                "after": item.after,
                "reason": item.reason.value if item.reason is not None else None,
                "refusals": [_refusal(refusal) for refusal in item.refusals],
            }
            for item in told.vips
        ],
        "sessions": [
            {
                "peer": item.peer,
                "event": item.event.value,
                "reason": item.reason.value,
                "nodes": list(item.nodes),
                "fields": [
                    {"field": part.field.value, "before": part.before, "after": part.after} for part in item.fields
                ],
            }
            for item in told.sessions
        ],
        "routes": [
            {
                "peer": item.peer,
                "prefix": str(item.prefix),
                "event": item.event.value,
                "reason": item.reason.value,
                "refusal": _refusal(item.refusal) if item.refusal is not None else None,
                "services": list(map(str, item.services)),
                "nodes": list(item.nodes),
                "before": _attributes_document(item.before),
                "after": _attributes_document(item.after),
            }
            for item in told.routes
        ],
        "objects": [
            {
                "kind": item.kind,
                "name": item.name,
                "event": item.event.value,
                "consequences": [each.value for each in item.consequences],
                "used_by": list(item.used_by),
                "fields": [
                    {"field": edit.field, "before": _value(edit.before), "after": _value(edit.after)}
                    for edit in item.edits
                ],
            }
            for item in told.objects
        ],
        "pending": [
            {
                "service": str(item.service),
                "holds": list(map(str, item.holds)),
                "reasons": [_refusal(refusal) for refusal in item.refusals],
            }
            for item in told.pending
        ],
    }


def _pool_places(told: Diff, inputs: Inputs) -> list[Span | None]:
    places: dict[str, Span | None] = {}
    for item in told.stranded:
        if item.pool not in places:
            places[item.pool] = inputs.manifests.place_of("pools", item.pool)
    return [places[item.pool] for item in told.stranded]


def _place(span: Span | None) -> dict[str, object]:
    if span is None:
        return {"file": None, "line": None, "column": None}
    return {"file": span.file, "line": span.line, "column": span.column}


def _service(item: ServiceChange) -> dict[str, object]:
    return {
        "service": str(item.service),
        "event": item.event.value,
        "before": list(map(str, item.before)),
        "after": list(map(str, item.after)),
        "pools_before": list(item.pools_before),
        "pools_after": list(item.pools_after),
        "reason": item.reason.value if item.reason is not None else None,
        "detail": item.detail,
        "cause": item.cause.value if item.cause is not None else None,
        "pending": [_refusal(refusal) for refusal in item.pending],
    }


def _value(value: Value) -> str | list[str]:
    return value if isinstance(value, str) else list(value)


def _refusal(refusal: Refusal) -> dict[str, str]:
    return {"subject": refusal.subject, "reason": refusal.reason.value, "detail": refusal.detail}


def _attributes_document(attributes: RouteAttributes | None) -> dict[str, object] | None:
    if attributes is None:
        return None
    return {"local_pref": attributes.local_pref, "communities": list(attributes.communities)}
