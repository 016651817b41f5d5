"""docs/published.md says what the file has: its example is read, and every member is named in it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import msgspec
import pytest

from lbctl.model.service import ServiceKey
from lbctl.sources import published_schema as schema
from lbctl.sources.published_document import KINDS, PENDING, DocumentDecoder, Kind, Trouble

_PAGE = (Path(__file__).parents[2] / "docs" / "published.md").read_text()


def test_the_example_is_a_document() -> None:
    example = json.loads(re.findall(r"```json\n(.*?)```", _PAGE, re.DOTALL)[0])
    body = json.dumps(example["body"]).encode()
    example["checksum"] = f"sha256:{hashlib.sha256(body).hexdigest()}"
    text = b'{"schema": "%s", "checksum": "%s", "body": %s}' % (
        example["schema"].encode(),
        example["checksum"].encode(),
        body,
    )
    published = DocumentDecoder().decode(text)
    assert str(published.world.allocations[ServiceKey("default", "nginx-svc")].addresses[0]) == "192.168.3.170"
    assert set(example["body"]) == {kind.member for kind in KINDS} | {
        PENDING,
        "cluster",
        "ledger",
        "generation",
        "madeUnix",
    }


def _rows() -> dict[str, str]:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", _PAGE, re.MULTILINE)
    return dict(rows)


@pytest.mark.parametrize("kind", [*KINDS], ids=lambda kind: kind.member)
def test_every_member_is_named(kind: Kind) -> None:
    row = _rows()[kind.member]
    members = set(re.findall(r"`(\w+)`", row))
    wanted = {field.encode_name for field in msgspec.structs.fields(kind.wire)}
    assert wanted - members == set()


def test_every_member_of_the_pending_is_named() -> None:
    members = set(re.findall(r"`(\w+)`", _rows()[PENDING]))
    for struct in (schema.PendingWire, schema.RefusalWire):
        assert {field.encode_name for field in msgspec.structs.fields(struct)} <= members


def test_every_trouble_is_explained() -> None:
    assert {trouble.value for trouble in Trouble} <= set(_rows())
