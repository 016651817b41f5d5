"""LB06: codes of findings about endpoints."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, WARNING, Code
from lbctl.config.codes.example import endpoints, service, together

ENDPOINTS: tuple[Code, ...] = (
    Code(
        "LB0601",
        ERROR,
        "endpoint of another family",
        "All addresses of an EndpointSlice are of the family that its addressType names.",
        example=endpoints('addressType: IPv4\nendpoints:\n- addresses: ["2001:db8::7"]\nports: [{port: 80}]'),
        fix=endpoints('addressType: IPv6\nendpoints:\n- addresses: ["2001:db8::7"]\nports: [{port: 80}]'),
    ),
    Code(
        "LB0602",
        WARNING,
        "endpoints by host name",
        "An EndpointSlice of addressType FQDN has no addresses to forward to and is passed over.",
        example=endpoints("addressType: FQDN\nendpoints:\n- addresses: [web.example.com]\nports: [{port: 80}]"),
        fix=endpoints("addressType: IPv4\nendpoints:\n- addresses: [192.0.2.7]\nports: [{port: 80}]"),
    ),
    Code(
        "LB0603",
        WARNING,
        "endpoints of no service",
        "The label kubernetes.io/service-name joins an EndpointSlice to its service. Without it nothing is "
        "forwarded to these endpoints.",
        example=endpoints("addressType: IPv4\nendpoints:\n- addresses: [192.0.2.7]\nports: [{port: 80}]", labels=""),
        fix=endpoints("addressType: IPv4\nendpoints:\n- addresses: [192.0.2.7]\nports: [{port: 80}]"),
    ),
    Code(
        "LB0604",
        WARNING,
        "endpoint port without number",
        "A port without number means all ports in Kubernetes. lbctl forwards to numbered ports only and passes "
        "over this one.",
        example=endpoints("addressType: IPv4\nendpoints:\n- addresses: [192.0.2.7]\nports: [{name: http}]"),
        fix=endpoints("addressType: IPv4\nendpoints:\n- addresses: [192.0.2.7]\nports: [{name: http, port: 80}]"),
    ),
    Code(
        "LB0605",
        WARNING,
        "endpoints of a missing service",
        "The label kubernetes.io/service-name names a service that is not here. Usually the name or the namespace "
        "is misspelt.",
        example=together(service(), endpoints("addressType: IPv4", labels="kubernetes.io/service-name: wbe")),
        fix=together(service(), endpoints("addressType: IPv4")),
    ),
)
