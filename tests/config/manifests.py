"""What the tests of config share: text in, findings out as (code, the text that they point at)."""

from __future__ import annotations

from lbctl.config.diagnostic import Span
from lbctl.config.reader import Reader, Reading

Found = tuple[str, str]


def read(*texts: str) -> Reading:
    """Files a.yaml, b.yaml, ... read together."""
    return Reader().read({f"{chr(ord('a') + n)}.yaml": text.encode() for n, text in enumerate(texts)})


def at(span: Span, *texts: str) -> str:
    """The text within a span of one of those files; only its first line when it has several."""
    lines = texts[ord(span.file[0]) - ord("a")].split("\n")
    line = lines[span.line - 1]
    return line[span.column - 1 : span.end_column - 1 if span.end_line == span.line else None]


def findings(*texts: str) -> list[Found]:
    return [(found.code, at(found.span, *texts)) for found in read(*texts).diagnostics]


def pool(spec: str = "  addresses: [10.0.0.0/24]", *, name: str = "p", metadata: str = "") -> str:
    """An IPAddressPool; `spec` is its body, indented by two."""
    return f"""apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: {name}
{metadata}spec:
{spec}
"""


def obj(kind: str, spec: str, *, name: str = "x", metadata: str = "", version: str = "metallb.io/v1beta1") -> str:
    """Any object; `spec` is the body of its spec, indented by two."""
    return f"""apiVersion: {version}
kind: {kind}
metadata:
  name: {name}
{metadata}spec:
{spec}
"""


def service(spec: str, *, name: str = "s", metadata: str = "") -> str:
    return obj("Service", spec, name=name, metadata=metadata, version="v1")


COVER = "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: all}\n"
"""An advertisement that covers every pool."""
