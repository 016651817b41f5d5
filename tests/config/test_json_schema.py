"""JSON Schema of the kinds: takes all that lbctl takes, and refuses what it can of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from lbctl.cli.exit_status import ExitStatus
from lbctl.cli.main import run
from lbctl.config.codes import CODES, Code
from lbctl.config.compose import compose, value_of
from lbctl.config.descriptions import ANNOTATIONS, DESCRIPTIONS, of_fields
from lbctl.config.diagnostic import Severity
from lbctl.config.document import split
from lbctl.config.extension import METALLB_ANNOTATIONS
from lbctl.config.json_schema import everything, of_kind
from lbctl.config.kind import Kind
from lbctl.config.kinds import KINDS
from lbctl.config.metadata import OWN_PREFIX, PREFIX
from lbctl.config.reader import Reader
from lbctl.config.schema import Many, Record, Type
from tests.config.manifests import obj, pool, service

ROOT = Path(__file__).parents[2]
WHOLE = Draft202012Validator(everything())

REFUSED_BY_SHAPE = {
    "LB0101", "LB0102", "LB0103", "LB0105", "LB0107", "LB0108", "LB0109", "LB0110", "LB0111", "LB0117", "LB0118",
    "LB0201", "LB0114",
}  # fmt: skip
"""Codes whose finding needs one value alone to be looked at, so that the schema must refuse it too."""


def documents(text: str) -> Iterator[Any]:
    """The documents of a file as an editor sees them: with the scalars of YAML 1.2."""
    for _, raw in split(text.encode()):
        root = compose(raw.decode()).root
        if root is not None:
            yield value_of(root)


def refusals(text: str) -> list[str]:
    return [error.message for document in documents(text) for error in WHOLE.iter_errors(document)]


def records(type_: Type, seen: dict[int, Record]) -> None:
    if isinstance(type_, Many):
        records(type_.item, seen)
    if isinstance(type_, Record) and id(type_) not in seen:
        seen[id(type_)] = type_
        for field in type_.fields.values():
            records(field, seen)


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """The fields of all records, by the noun of the record."""
    seen: dict[int, Record] = {}
    for kind in KINDS.values():
        records(kind.record, seen)
    fields: dict[str, set[str]] = {}
    for record in seen.values():
        fields.setdefault(record.noun, set()).update(record.fields)
    return fields


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.name)
def test_what_ships_is_taken(path: Path) -> None:
    assert refusals(path.read_text()) == []


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_no_schema_refuses_what_lbctl_takes(code: Code) -> None:
    """Examples that have no error, and all mended ones."""
    if code.severity is not Severity.ERROR and code.code not in ("LB0106", "LB0119"):
        assert refusals(code.example) == []
    assert refusals(code.mended) == []


@pytest.mark.parametrize("code", sorted(REFUSED_BY_SHAPE))
def test_what_one_value_shows_is_refused(code: str) -> None:
    assert refusals(CODES[code].example)


@pytest.mark.parametrize(
    "text",
    [
        pool("  adresses: [10.0.0.0/24]"),
        pool("  addresses: 10.0.0.0/24"),
        pool("  addresses: [10.0.0.1]"),
        pool("  addresses: [10.0.0.0/24]\n  autoAssign: 'true'"),
        pool("  addresses: [10.0.0.0/24]\n  serviceAllocation: {priority: -1}"),
        pool("  addresses: [10.0.0.0/24]\n  serviceAllocation: {priorty: 1}"),
        pool(name="A"),
        pool().replace("spec:", "spce:"),
        pool().replace("IPAddressPool", "AddressPool"),
        pool().replace("v1beta1", "v1"),
        obj("L2Advertisement", "  preferredNodeSelectors: [{weight: 101, preference: {}}]"),
        obj("L2Advertisement", "  nodeSelectors: [{matchExpressions: [{key: a, operator: Is}]}]"),
        obj("L2Advertisement", "  interfaces: [1]"),
        obj("L2Advertisement", "  ipAddressPools: [a, a]"),
        obj("BGPAdvertisement", "  communities: ['1:2:3']"),
        obj("BGPAdvertisement", "  aggregationLength: 33"),
        obj("BFDProfile", "  receiveInterval: 9"),
        obj("BGPPeer", "  myASN: 4294967296", version="metallb.io/v1beta2"),
        obj("BGPPeer", "  {myASN: 1, holdTime: 90}", version="metallb.io/v1beta2"),
        obj("BGPPeer", "  {myASN: 1, peerASN: 2, peerAddress: router1}", version="metallb.io/v1beta2"),
        obj("BGPPeer", "  {myASN: 1, peerASN: 2}"),
        service("  ports: [{port: 0}]"),
        service("  ports: [{port: 80, targetPort: '8080'}]"),
        service("  type: Loadbalancer"),
        service("  loadBalancerSourceRanges: [10.0.0.1]"),
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: x}\naddressType: ipv4\n",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n",
        "- a\n",
        "kind: Service\n",
    ],
)
def test_broken_documents_are_refused_by_both(text: str) -> None:
    assert refusals(text)
    found = Reader().read({"a.yaml": text.encode()}).diagnostics
    assert any(each.severity is Severity.ERROR for each in found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {anything: [1]}\n",
        "apiVersion: metallb.io/v1beta1\nkind: ServiceL2Status\nmetadata: {name: x}\n",
        pool(metadata="  creationTimestamp: null\n  labels: null\n"),
        service("  type: null\n  ports: [{port: 80, targetPort: http, nodePort: null}]\n  newField: 1"),
        service("  loadBalancerIP: ''\n  ports: null"),
        "apiVersion: v1\nkind: List\nitems: null\n",
    ],
)
def test_what_lbctl_passes_over_is_taken(text: str) -> None:
    assert refusals(text) == []
    found = Reader().read({"a.yaml": text.encode()}).diagnostics
    assert not any(each.severity is Severity.ERROR for each in found)


def test_every_field_described_exists(known: dict[str, set[str]]) -> None:
    assert {noun: set(fields) - known.get(noun, set()) for noun, fields in DESCRIPTIONS.items()} == {
        noun: set() for noun in DESCRIPTIONS
    }


def test_every_field_of_metallb_is_described() -> None:
    seen: dict[int, Record] = {}
    for kind in KINDS.values():
        if kind.strict:
            records(kind.record.fields["spec"], seen)
    missing = {
        f"{record.noun}: {field}"
        for record in seen.values()
        for field in record.fields
        if field not in of_fields(record.noun)
    }
    assert missing == set()


def test_every_annotation_is_described() -> None:
    known = {OWN_PREFIX + name for kind in KINDS.values() for name in kind.extensions}
    assert known - ANNOTATIONS.keys() == set()
    assert ANNOTATIONS.keys() - known - {PREFIX + name for name in METALLB_ANNOTATIONS} == set()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: f"{kind.api_version}/{kind.name}")
def test_each_kind_alone(kind: Kind) -> None:
    schema = of_kind(kind)
    Draft202012Validator.check_schema(schema)
    text = (ROOT / "configs" / "layer2.yaml").read_text()
    fitting = [d for d in yaml.safe_load_all(text) if (d["apiVersion"], d["kind"]) == (kind.api_version, kind.name)]
    for document in yaml.safe_load_all(text):
        assert Draft202012Validator(schema).is_valid(document) == (document in fitting)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == ExitStatus.OK
    whole = json.loads(capsys.readouterr().out)
    assert whole == everything()
    Draft202012Validator.check_schema(whole)
    assert run(["schema", "bgppeer"]) == ExitStatus.OK
    assert json.loads(capsys.readouterr().out)["$ref"] == "#/$defs/metallb.io.v1beta2.BGPPeer"
    assert run(["schema", "metallb.io/v1beta1/BGPPeer"]) == ExitStatus.OK
    assert json.loads(capsys.readouterr().out)["$ref"] == "#/$defs/metallb.io.v1beta1.BGPPeer"
    assert run(["schema", "Servcie"]) == ExitStatus.USAGE
    assert "no kind 'Servcie'; did you mean \"Service\"?" in capsys.readouterr().err
