"""LB06: codes of findings about endpoints."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, WARNING, Code

ENDPOINTS: tuple[Code, ...] = (
    Code(
        "LB0601",
        ERROR,
        "endpoint of another family",
        "All addresses of an EndpointSlice are of the family that its addressType names.",
    ),
    Code(
        "LB0602",
        WARNING,
        "endpoints by host name",
        "An EndpointSlice of addressType FQDN has no addresses to forward to and is passed over.",
    ),
    Code(
        "LB0603",
        WARNING,
        "endpoints of no service",
        "The label kubernetes.io/service-name joins an EndpointSlice to its service. Without it nothing is "
        "forwarded to these endpoints.",
    ),
    Code(
        "LB0604",
        WARNING,
        "endpoint port without number",
        "A port without number means all ports in Kubernetes. lbctl forwards to numbered ports only and passes "
        "over this one.",
    ),
    Code(
        "LB0605",
        WARNING,
        "endpoints of a missing service",
        "The label kubernetes.io/service-name names a service that is not here. Usually the name or the namespace "
        "is misspelt.",
    ),
)
