"""Tables of rules: a case is a name, the texts of files, and what is found in them as (code, the text pointed at)."""

from __future__ import annotations

import pytest

from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Severity
from tests.config.manifests import Found, findings, obj, read

Case = tuple[str, list[str], list[Found]]

GOOD: list[Found] = []
PEER_SPEC = "  myASN: 64512\n  peerASN: 64513\n  peerAddress: 10.9.9.1\n"


def cases(*rows: Case) -> pytest.MarkDecorator:
    """Parametrizes `texts` and `expected`, each row under its name."""
    return pytest.mark.parametrize(
        ("texts", "expected"), [pytest.param(texts, expected, id=name) for name, texts, expected in rows]
    )


def check(texts: list[str], expected: list[Found]) -> None:
    """Exactly that is found, and what has an error is not in the world."""
    assert findings(*texts) == expected
    refused = any(CODES[code].severity is Severity.ERROR for code, _ in expected)
    made = sum(text.count("\nkind: ") for text in texts)
    assert (read(*texts).count < made) == refused


def l2(spec: str = "  {}", name: str = "l2") -> str:
    return obj("L2Advertisement", spec, name=name)


def bgp(spec: str = "  {}", name: str = "bgp") -> str:
    return obj("BGPAdvertisement", spec, name=name)


def peer(more: str = "", name: str = "router", spec: str = PEER_SPEC, version: str = "v1beta2") -> str:
    return obj("BGPPeer", spec + more, name=name, version=f"metallb.io/{version}")


def old_peer(more: str = "") -> str:
    return peer(more, version="v1beta1")


def bfd(spec: str = "  {}", name: str = "fast") -> str:
    return obj("BFDProfile", spec, name=name)


def community(spec: str, name: str = "names") -> str:
    return obj("Community", spec, name=name)


def node(name: str, *addresses: str, labels: str = "", annotations: str = "", spec: str = "") -> str:
    items = ", ".join(f"{{type: InternalIP, address: '{address}'}}" for address in addresses)
    return (
        f"apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n"
        f"  labels: {{{labels}}}\n  annotations: {{{annotations}}}\n"
        + (f"spec: {{{spec}}}\n" if spec else "")
        + f"status: {{addresses: [{items}]}}\n"
    )


def namespace(name: str, labels: str = "") -> str:
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n"


def secret(body: str, name: str = "pw", space: str = "n", type: str = "kubernetes.io/basic-auth") -> str:
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {space}}}\ntype: {type}\n{body}\n"
