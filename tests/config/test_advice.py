"""What a finding says to do: about what people really get wrong."""

from __future__ import annotations

import pytest

from lbctl.config.diagnostic import Diagnostic
from tests.config.manifests import COVER, findings, obj, pool, read, service
from tests.config.rules import l2, peer

LB = "  type: LoadBalancer\n  ports: [{port: 80}]"


def only(*texts: str) -> Diagnostic:
    (found,) = read(*texts).diagnostics
    return found


@pytest.mark.parametrize(
    ("text", "code", "message", "help"),
    [
        (
            service(LB + "\n  externalTrafficpolicy: Local\n  externalTrafficPolicy: Local"),
            "LB0106",
            "externalTrafficpolicy",
            'given twice, differing in case: keep "externalTrafficPolicy"',
        ),
        (l2("  ipAddressPool: []\n  ipAddressPools: []"), "LB0105", "ipAddressPool", '"ipAddressPools"? It is given'),
        (l2("  ipAddressPool: []"), "LB0105", "ipAddressPool", 'did you mean "ipAddressPools"?'),
        (
            l2("  nodeSelectors:\n  - kubernetes.io/hostname: n1"),
            "LB0105",
            "a label selector has no field",
            "put labels under matchLabels:",
        ),
        (
            pool("  addresses: [10.0.0.0/24]\n  protocol: layer2") + "---\n" + COVER,
            "LB0105",
            "protocol",
            "L2Advertisement",
        ),
        (pool(""), "LB0110", '"spec" is empty', "indented"),
        (
            pool("  addresses:\n  - 10.0.0.0/24\n   - 10.1.0.0/24") + "---\n" + COVER,
            "LB0202",
            'this line and the next are one value: "10.0.0.0/24 - 10.1.0.0/24"',
            "indentation",
        ),
        (
            pool("  addresses: [10.0.0.0/24]\n  autoAssign: off") + "---\n" + COVER,
            "LB0107",
            "off",
            "write false; YAML 1.1",
        ),
        (
            pool("  addresses: [10.0.0.0/24]\n  autoAssign: 'true'") + "---\n" + COVER,
            "LB0107",
            "true",
            "write true without quotes",
        ),
        ("kind: Service\nmetadata: {name: x}\n", "LB0102", "no apiVersion", "apiVersion: v1"),
        ("kind: BGPPeer\nmetadata: {name: x}\n", "LB0102", "no apiVersion", "apiVersion: metallb.io/v1beta2"),
        (pool("  addresses: [10.0.0.0/24]]"), "LB0004", "this ] closes nothing", "remove it"),
        (pool("  addresses: [10.0.0.0/24, ::/0]"), "LB0004", "cannot begin with ':'", '"::/0"'),
        ("a: &x {b: 1}\n---\nb: *x\n", "LB0006", "names no anchor", "the next ---"),
    ],
)
def test_advice(text: str, code: str, message: str, help: str) -> None:
    found = next(each for each in read(text).diagnostics if each.code == code)
    assert message in found.message
    assert help in found.help


@pytest.mark.parametrize(
    "items",
    ["[${LB_RANGE}]", "[{{ .Values.range }}]", "{{ .Values.ranges }}", "\n  - ${LB_RANGE}", "['${A}-${B}', '${C}']"],
)
def test_a_template_is_called_one(items: str) -> None:
    found = only(pool(f"  addresses: {items}"), COVER)
    assert found.code == "LB0014"
    assert "is not filled in" in found.message
    assert "helm template" in found.help


def test_a_placeholder_where_text_is_wanted_is_text() -> None:
    assert findings(peer("  password: ${PW}\n")) == []


def test_a_placeholder_in_a_secret_line_is_not_repeated() -> None:
    found = only(peer("  password: {{ .pw }}\n"))
    assert (found.code, found.message, found.sensitive) == ("LB0014", "a placeholder is not filled in", True)


ALLOCATION = "  addresses: [10.0.0.0/24]\n  serviceAllocation:\n    priority: "


@pytest.mark.parametrize(
    ("text", "message"), [("010", "010 means 10 here"), ("09", "an error"), ("00", "it is 0, octal")]
)
def test_a_number_with_a_leading_zero(text: str, message: str) -> None:
    found = only(pool(ALLOCATION + text), COVER)
    assert (found.code, found.severity) == ("LB0015", "note")
    assert message in found.message


def test_what_is_no_number_may_begin_with_zeros() -> None:
    for text in ("0", "'010'"):
        assert "LB0015" not in [code for code, _ in findings(pool(ALLOCATION + text), COVER)]
    assert findings(peer("  password: 0123\n")) == [("LB0107", "0123")]
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {pin: 0123 }\n"
    assert findings(secret) == []


def test_an_annotation_far_from_all_is_not_suggested_for() -> None:
    text = pool(metadata="  annotations: {lbctl.io/foo: x}\n")
    assert [found.help for found in read(text, COVER).diagnostics] == [""]
    text = pool(metadata="  annotations: {lbctl.io/prob: x}\n")
    assert [found.help for found in read(text, COVER).diagnostics] == ['did you mean "lbctl.io/probe"?']


def test_one_misspelt_field_is_one_finding() -> None:
    """What was meant by it is not called missing."""
    spec = "  my-asn: 64512\n  peer-asn: 64513\n  peer-address: 10.9.9.1\n"
    assert [code for code, _ in findings(obj("BGPPeer", spec, version="metallb.io/v1beta2"))] == ["LB0105"] * 3
