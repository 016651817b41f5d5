"""What people write for a service or an address, read strictly."""

from __future__ import annotations

import re

from lbctl.model.address import IPAddress
from lbctl.model.service import ServiceKey
from lbctl.sources.published_schema import address_of

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?\Z")


def target_of(text: str) -> ServiceKey | IPAddress:
    """An address or namespace/name. Raises ValueError."""
    if "/" in text:
        return service_of(text)
    try:
        return address_of(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is neither an address nor namespace/name") from None


def service_of(text: str) -> ServiceKey:
    """A service's namespace and name as they could be in Kubernetes. Raises ValueError."""
    namespace, slash, name = text.partition("/")
    if not slash or not is_name(namespace) or not is_name(name):
        raise ValueError(f"{shown(text)} is no namespace/name of a service")
    return ServiceKey(namespace, name)


def is_name(text: str) -> bool:
    """Whether an object may be called so (RFC 1123 subdomain, as manifests are read)."""
    return len(text) <= 253 and _NAME.match(text) is not None


def shown(text: str) -> str:
    """For a message: quoted, and no longer than a line bears."""
    return repr(text[:60] + ("…" if len(text) > 60 else ""))
