"""No form of output of any command that reads manifests shows a password, wherever one was put."""

from __future__ import annotations

import contextlib
import io

import pytest

from lbctl.cli.diagnostics import human, shown_lines
from lbctl.cli.validate import Form, Told, show
from lbctl.config.convert import convert
from lbctl.config.reader import Reader
from lbctl.config.secret_lines import HiddenLines, ShownLines

SECRET = "hunter2x"
PEER = """\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: p, namespace: m}
"""
ONE_LINE = PEER + "spec: {myASN: 1, peerASN: 2, peerAddress: 1.1.1.1, password: SECRET}\n"
SPEC = (
    PEER
    + """\
spec:
  myASN: 1
  peerASN: 2
  peerAddress: 1.1.1.1
"""
)
PLACEMENTS = {
    "plain": SPEC
    + """\
  password: SECRET
  pasword: SECRET
""",
    "typo": SPEC
    + """\
  passwrd: SECRET
  Password: SECRET
  pass: SECRET
""",
    "flow": """\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: p, namespace: m}
spec: {myASN: x, peerASN: 2, peerAddress: 1.1.1.1, password: SECRET, zz: 1}
""",
    "flowml": """\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: p, namespace: m}
spec: {myASN: x, peerASN: 2,
 password:

   SECRET, zz: 1, holdTime: bad}
""",
    "anchor": """\
x: 1
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: p, namespace: m}
zz: &pw SECRET
spec: {myASN: 2, peerASN: 2, peerAddress: 1.1.1.1,
 password: *pw}
""",
    "anchorann": """\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: p, namespace: m, annotations: {lbctl.io/foo: &a SECRET}}
spec: {myASN: 1, peerASN: 2, peerAddress: 1.1.1.1, password: *a}
""",
    "esckey": SPEC
    + """\
  "pass\\u0077ord": SECRET
  "pass\\u0077ordd": SECRET
""",
    "list": SPEC
    + """\
  password: [SECRET]
""",
    "map": SPEC
    + """\
  password: {SECRET: SECRET}
""",
    "mapml": SPEC
    + """\
  password:
    SECRET: SECRET
    b: c
""",
    "dup": SPEC
    + """\
  password: a
  password: SECRET
""",
    "block": SPEC
    + """\
  password: |
    SECRET
    \x07SECRET
""",
    "block2": SPEC
    + """\
  password: |
    SECRET
   bad: SECRET
  - SECRET
""",
    "quoted": SPEC
    + """\
  password: 'SECRET
    # lbctl: allow LB0207 SECRET
""",
    "toolong": SPEC
    + """\
  password: SECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRET
""",
    "tag": SPEC
    + """\
  password: !foo SECRET
""",
    "tag2": SPEC
    + """\
  password: !SECRET x
""",
    "alias": SPEC
    + """\
  password: *SECRET
""",
    "nul": SPEC
    + """\
  password: "SECRET\\0"
""",
    "comment": SPEC
    + """\
  password: a # lbctl: allow SECRET SECRET
""",
    "commented": SPEC
    + """\
  # password: SECRET \x01
""",
    "secret": """\
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: m}
type: kubernetes.io/basic-auth
stringData:
  password: SECRET
  zz: [SECRET]
  SECRET: 1
data:
  password: SECRET!!
  username: SECRET
""",
    "secret2": """\
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: m}
type: kubernetes.io/basic-auth
stringDat:
  password: SECRET
stringdata: {password: SECRET}
password: SECRET
""",
    "secret3": """\
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: m}
type: kubernetes.io/basic-auth
stringData: SECRET
data: [SECRET]
""",
    "secret4": """\
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: m}
type: kubernetes.io/basic-auth
data: {password: aHVudGVyMng, x: SECRET}
stringData:
  ? SECRET
  : SECRET
  ? [SECRET]
  : x
""",
    "secretkindtypo": """\
apiVersion: v1
kind: Secrt
metadata: {name: s, namespace: m}
type: kubernetes.io/basic-auth
stringData: {password: SECRET}
""",
    "secretver": """\
apiVersion: v2
kind: Secret
metadata: {name: s, namespace: m}
type: kubernetes.io/basic-auth
stringData: {password: SECRET}
""",
    "lastapplied": """\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata:
  name: p
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"password":"SECRET"}}'
    lbctl.io/zz: 1
spec: {myASN: 1, peerASN: 2, peerAddress: 1.1.1.1}
""",
    "lastapplied2": """\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata:
  name: p
  annotations: {a: '{"spec":{"password":"SECRET"}}', lbctl.io/zz: 1}
spec: {myASN: 1, peerASN: 2, peerAddress: 1.1.1.1}
""",
    "onefile_json": """\
{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"p"},"spec":{"myASN":"x","peerASN":2,"peerAddress":"1.1.1.1","password":"SECRET"}}""",
    "cm": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  config: |
    peers:
    - my-asn: x
      peer-asn: 2
      peer-address: 1.1.1.1
      password: SECRET
      pasword: SECRET
    - {my-asn: q, password: SECRET, zz: [1]}
""",
    "cmq": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  config: "peers:\\n- my-asn: x\\n  password: SECRET\\n  zz: *q\\n"
""",
    "cmbroken": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  config: |
    peers:
    - password: SECRET
     my-asn: x
""",
    "peer_v1": """\
apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: p}
spec: {myASN: 1, peerASN: 2, peerAddress: 1.1.1.1, password: SECRET, bfdProfile: [1],
  passwordSecret: {name: other, password: SECRET}}
""",
    "seckey": """\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: p, namespace: m}
spec: {myASN: 1, peerASN: 2, peerAddress: 1.1.1.1, passwordSecret: {name: a, key: b}, password: SECRET}
""",
    "svcann": """\
apiVersion: v1
kind: Service
metadata: {name: p, annotations: {lbctl.io/password: SECRET}}
spec: {type: LoadBalancer}
""",
    "twopeers": ONE_LINE + "---\n" + ONE_LINE.replace("name: p", "name: q").replace("SECRET", "otherSECRET"),
    "doubled": ONE_LINE + "\n---\n" + ONE_LINE,
    "next_line": SPEC
    + """\
  password:
    SECRET
  holdTime: bad
""",
    "next_line_broken": SPEC
    + """\
  password:
    SECRET
  holdTime: [
""",
    "octal": SPEC
    + """\
  pasword: 0SECRET
""",
    "pword_alias": SPEC
    + """\
  pword: *SECRET
""",
    "octal_digits": SPEC
    + """\
  holdTime: 09
  pword: SECRET # lbctl: allow SECRET
""",
}
"""Manifests with SECRET where a password is, or where somebody may have put one by mistake."""


def told(text: str) -> Told:
    contents = {"a.yaml": text.replace("SECRET", SECRET).encode()}
    reading = Reader().read(contents)
    return Told(reading.diagnostics, reading.allowed, contents, reading.count, True)


@pytest.mark.parametrize("name", PLACEMENTS)
@pytest.mark.parametrize("form", Form)
def test_no_form_of_the_findings_shows_a_password(name: str, form: Form) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        show(told(PLACEMENTS[name]), form)
    assert SECRET not in out.getvalue()


@pytest.mark.parametrize("name", PLACEMENTS)
def test_what_is_said_of_a_conversion_shows_no_password(name: str) -> None:
    contents = {"a.yaml": PLACEMENTS[name].replace("SECRET", SECRET).encode()}
    lines = shown_lines(contents)
    for found in convert(contents).diagnostics:
        assert SECRET not in human(found, lines)


@pytest.mark.parametrize("name", PLACEMENTS)
def test_no_line_with_a_password_is_to_be_had(name: str) -> None:
    lines = ShownLines(PLACEMENTS[name].replace("SECRET", SECRET).encode())
    assert not any(SECRET in line for line in lines if line is not None)


def test_what_holds_no_password_is_shown() -> None:
    peer = "kind: BGPPeer\nspec:\n  peerASN: x\n  passwordSecret: {name: a}\n"
    assert not HiddenLines(peer).any
    hidden = HiddenLines(peer + "  password: x\n  holdTime: 3s\n")
    assert [line for line in range(1, 7) if line in hidden] == [5]
    assert 1 in HiddenLines("kind: Secret\nmetadata: {name: a}\n")


def test_lines_of_another_document_are_shown() -> None:
    peer = "kind: BGPPeer\nspec: {password: x}\n"
    lines = ShownLines(f"a: 1\n---\n{peer}---\nb: 1\n".encode())
    assert list(lines) == ["a: 1", "---", "kind: BGPPeer", None, "---", "b: 1", ""]


def test_a_line_in_the_text_of_a_config_map_is_hidden_alone() -> None:
    text = "kind: ConfigMap\ndata:\n  config: |\n    peers:\n    - my-asn: x\n      password: y\n      peer-asn: 1\n"
    assert [line for line in range(1, 8) if line in HiddenLines(text)] == [6]
