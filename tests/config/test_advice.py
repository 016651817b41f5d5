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


@pytest.mark.parametrize(
    ("item", "help"),
    [
        ("192.168.1.10-20", "write 192.168.1.10-192.168.1.20"),
        ("192.168.1.10 - 2.20", "write 192.168.1.10-192.168.2.20"),
        ("192.168.1.10-300", "write a range like"),
        ("192.168.01.1/32", "write 192.168.1.1/32: "),
        ("192.168.01.1", "write 192.168.1.1: "),
        ("192.168.1.1-192.168.1.09", "write 192.168.1.9: "),
        ("10.0.0.0\u201310.0.0.9", "write 10.0.0.0-10.0.0.9, with a plain hyphen"),
        ("10.0.0.0 \u2014 10.0.0.9", "write 10.0.0.0-10.0.0.9, with a plain hyphen"),
    ],
)
def test_an_item_of_a_pool_is_answered_with_its_own_numbers(item: str, help: str) -> None:
    found = only(pool(f"  addresses: ['{item}']"), COVER)
    assert found.code == "LB0202"
    assert found.help.startswith(help)


@pytest.mark.parametrize(
    ("field", "help"),
    [
        ("myASN: AS65001", "write 65001"),
        ("myASN: 'asn 65001'", "write 65001"),
        ("myASN: '65001'", "write it without quotes"),
        ("myASN: 150ms", ""),
    ],
)
def test_an_as_number(field: str, help: str) -> None:
    found = only(peer(spec=f"  {field}\n  peerASN: 64513\n  peerAddress: 10.9.9.1\n"))
    assert (found.code, found.help) == ("LB0107", help)


@pytest.mark.parametrize(
    ("text", "help"), [("150ms", "write 150: it counts"), ("1s", "write 1000: it counts"), ("1h", "")]
)
def test_an_interval_of_bfd(text: str, help: str) -> None:
    found = only(obj("BFDProfile", f"  receiveInterval: {text}"))
    assert found.help.startswith(help)
    assert bool(found.help) == bool(help)


def test_a_short_word_for_the_choice() -> None:
    text = pool(metadata="  annotations: {lbctl.io/choice: lru}\n")
    assert only(text, COVER).help == 'did you mean "least-recently-used"?'


def test_namespaces_do_not_tell_pools_apart() -> None:
    texts = [pool(metadata=f"  namespace: {space}\n") for space in "ab"]
    assert "whatever namespaces" in only(*texts, COVER).help
    nodes = ["apiVersion: v1\nkind: Node\nmetadata: {name: n}\n"] * 2
    assert "namespaces" not in only(*nodes).help


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ("205", [('"205" is not a code', "write LB0205")]),
        ("205, 9999", [('"205" is not a code', "write LB0205"), ('"9999" is not a code', "write # lbctl")]),
        ("LB0207, 206", [('"206" is not a code', "write LB0206")]),
        ("LB0207, LX0206, 205", [('"LX0206" is not a code', "write #"), ('"205" is not a code', "write LB0205")]),
        ("LB0207, legacy", []),
        ("LB0207 3 pools are for later", []),
        ("LB9999, LB8888", [("there is no code LB9999", ""), ("there is no code LB8888", "")]),
    ],
)
def test_all_bad_codes_of_a_comment_are_named(codes: str, said: list[tuple[str, str]]) -> None:
    found = [each for each in read(f"# lbctl: allow {codes}\n" + pool()).diagnostics if each.code == "LB0013"]
    assert [each.message for each in found] == [message for message, _ in said]
    assert all(each.help.startswith(help) for each, (_, help) in zip(found, said, strict=True))
