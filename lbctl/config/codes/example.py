"""Short manifests for the examples of codes."""

from __future__ import annotations

_LBCTL = "metallb.io/v1beta1"


def manifest(kind: str, spec: str = "", *, name: str = "first", version: str = _LBCTL, metadata: str = "") -> str:
    """An object whose `spec` is given as lines without indentation; `metadata` is further text for `{name: ...}`."""
    head = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}{metadata and ', ' + metadata}}}\n"
    return head + ("spec:\n" + _indented(spec) if spec else "")


def pool(spec: str = "addresses: [192.0.2.0/24]", *, name: str = "first", metadata: str = "") -> str:
    return manifest("IPAddressPool", spec, name=name, metadata=metadata)


def peer(spec: str, *, name: str = "router", version: str = "metallb.io/v1beta2", metadata: str = "") -> str:
    return manifest("BGPPeer", spec, name=name, version=version, metadata=metadata)


def node(address: str, *, annotation: str = "", labels: str = "") -> str:
    """The Node n1 with one address; `annotation` and `labels` are what stands between braces."""
    metadata = ", ".join(
        f"{field}: {{{text}}}" for field, text in (("annotations", annotation), ("labels", labels)) if text
    )
    addresses = f"status: {{addresses: [{{type: InternalIP, address: {address}}}]}}\n"
    return manifest("Node", name="n1", version="v1", metadata=metadata) + addresses


def service(spec: str = "", *, annotation: str = "", ports: str = "ports: [{port: 80}]") -> str:
    """A Service of type LoadBalancer; `annotation` is one line `key: value`."""
    lines = f"  annotations:\n    {annotation}\n" if annotation else ""
    body = _indented("\n".join(filter(None, ("type: LoadBalancer", spec, ports))))
    return f"apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n{lines}spec:\n{body}"


def endpoints(rest: str, *, labels: str = "kubernetes.io/service-name: web") -> str:
    """An EndpointSlice with `rest` as its lines behind metadata."""
    metadata = f"{{name: web-1{labels and f', labels: {{{labels}}}'}}}"
    return f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {metadata}\n{rest}\n"


def together(*texts: str) -> str:
    """Several objects in one file."""
    return "---\n".join(texts)


COVER = manifest("L2Advertisement", name="all")
"""An advertisement that covers every pool."""


def _indented(lines: str) -> str:
    return "".join(f"  {line}\n" for line in lines.split("\n"))
