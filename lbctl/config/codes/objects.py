"""LB01: codes of findings about objects."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code
from lbctl.config.codes.example import COVER, manifest, peer, pool, service, together

OBJECTS: tuple[Code, ...] = (
    Code(
        "LB0101",
        ERROR,
        "document is not an object",
        "Each document of a manifest is a mapping with apiVersion, kind and metadata. This one is a list or a "
        "single value.",
        example="- apiVersion: v1\n  kind: Namespace\n  metadata: {name: web}\n",
        fix=manifest("Namespace", name="web", version="v1"),
    ),
    Code(
        "LB0102",
        ERROR,
        "apiVersion or kind missing",
        "Without both, nobody can tell what the object is. For lbctl's own kinds write apiVersion: "
        "metallb.io/v1beta1 and, for example, kind: IPAddressPool.",
        example="kind: Namespace\nmetadata: {name: web}\n",
        fix=manifest("Namespace", name="web", version="v1"),
    ),
    Code(
        "LB0103",
        ERROR,
        "unknown kind in metallb.io",
        "The group metallb.io has a small set of kinds, and this is none of them in that version. Objects in "
        "metallb.io configure the load balancer, so an unknown one is an error and not passed over.",
        example=manifest("IPAdressPool", "addresses: [192.0.2.0/24]"),
        fix=pool(),
    ),
    Code(
        "LB0104",
        NOTE,
        "kind is not read",
        "lbctl reads Services, EndpointSlices, Nodes, Namespaces and Secrets beside the kinds of metallb.io. Other "
        "objects may lie in the same file; they are passed over.",
        example=manifest("ConfigMap", version="v1"),
        fix="Nothing, if the object belongs to another program. Otherwise check its kind and apiVersion.",
    ),
    Code(
        "LB0105",
        ERROR,
        "unknown field",
        "An object in metallb.io has a field that its kind does not have. A misspelt field would otherwise leave "
        "its default in force without a word.",
        example=pool("adresses: [192.0.2.0/24]"),
        fix=pool(),
    ),
    Code(
        "LB0106",
        WARNING,
        "unknown field in a Kubernetes object",
        "The kind does not have this field as of Kubernetes 1.36. A newer Kubernetes may have it; more often it is "
        "misspelt or stands at the wrong indentation.",
        example=service("loadBalancerClas: lbctl.io/lbctl"),
        fix=service("loadBalancerClass: lbctl.io/lbctl"),
    ),
    Code(
        "LB0107",
        ERROR,
        "wrong type",
        "The field takes another type of value. Text that looks like a number or a boolean (64512, true, null) "
        "must be quoted where text is wanted. YAML 1.2 rules apply: on, yes and 64512:10 are text.",
        example=pool("addresses: [192.0.2.0/24]\nautoAssign: no"),
        fix=pool("addresses: [192.0.2.0/24]\nautoAssign: false"),
    ),
    Code(
        "LB0108",
        ERROR,
        "number out of range",
        "The field takes numbers of a certain range only.",
        example=manifest("BFDProfile", "detectMultiplier: 1"),
        fix=manifest("BFDProfile", "detectMultiplier: 3"),
    ),
    Code(
        "LB0109",
        ERROR,
        "not one of the allowed values",
        "The field takes one of a few values, written exactly so.",
        example=service("externalTrafficPolicy: local"),
        fix=service("externalTrafficPolicy: Local"),
    ),
    Code(
        "LB0110",
        ERROR,
        "required field missing",
        "The object means nothing without this field.",
        example=pool("autoAssign: true"),
        fix=pool("addresses: [192.0.2.0/24]\nautoAssign: true"),
    ),
    Code(
        "LB0111",
        ERROR,
        "not a valid name",
        "Names of objects are lower-case letters, digits, '-' and '.', beginning and ending with a letter or "
        "digit, 253 characters at most (RFC 1123).",
        example=pool(name="First_Pool"),
        fix=pool(name="first-pool"),
    ),
    Code(
        "LB0112",
        WARNING,
        "apiVersion looks wrong for this kind",
        "The kind is one that lbctl reads, but in another group or version, so the object is passed over. That is "
        "right if it belongs to another program and a mistake if the apiVersion is misspelt or old.",
        example=pool().replace("metallb.io", "metalb.io"),
        fix=pool(),
    ),
    Code(
        "LB0113",
        ERROR,
        "object defined twice",
        "Two objects of one kind have the same name (and namespace). Which of them should count cannot be told. "
        "The first, in the order of file names and lines, is used.",
        "P6",
        example=together(
            manifest("L2Advertisement", "interfaces: [eth1]"), manifest("L2Advertisement", "interfaces: [eth2]")
        ),
        fix=together(
            manifest("L2Advertisement", "interfaces: [eth1]"),
            manifest("L2Advertisement", "interfaces: [eth2]", name="second"),
        ),
    ),
    Code(
        "LB0114",
        ERROR,
        "value given twice",
        "A list that means a set holds the same value twice.",
        "P8, P9, B1",
        example=pool("addresses: [192.0.2.0/24]\nserviceAllocation:\n  namespaces: [web, web]"),
        fix=pool("addresses: [192.0.2.0/24]\nserviceAllocation:\n  namespaces: [web]"),
    ),
    Code(
        "LB0115",
        ERROR,
        "invalid selector",
        "A label selector's expression needs values with In and NotIn and must not have any with Exists and "
        "DoesNotExist.",
        "P9",
        example=manifest("L2Advertisement", "nodeSelectors:\n- matchExpressions:\n  - {key: rack, operator: In}"),
        fix=manifest(
            "L2Advertisement", "nodeSelectors:\n- matchExpressions:\n  - {key: rack, operator: In, values: [a]}"
        ),
    ),
    Code(
        "LB0116",
        ERROR,
        "not an IP address",
        "The field takes one IPv4 or IPv6 address, without prefix length.",
        example=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.256"),
        fix=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.254"),
    ),
    Code(
        "LB0117",
        ERROR,
        "not a CIDR",
        "The field takes an address and a prefix length, such as 192.0.2.0/24.",
        example=service("loadBalancerSourceRanges: [198.51.100.7]"),
        fix=service("loadBalancerSourceRanges: [198.51.100.7/32]"),
    ),
    Code(
        "LB0118",
        ERROR,
        "not a duration",
        "Durations are numbers with units, such as 90s, 1m30s or 500ms (units ns, us, ms, s, m, h).",
        example=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\nholdTime: 90 seconds"),
        fix=peer("myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\nholdTime: 90s"),
    ),
    Code(
        "LB0119",
        WARNING,
        "not a time stamp",
        "metadata.creationTimestamp is a time of RFC 3339 such as 2026-01-31T12:00:00Z. It decides who comes first "
        "when addresses are short; without it the order of first sight does.",
        example=manifest("Namespace", version="v1", metadata="creationTimestamp: yesterday"),
        fix=manifest("Namespace", version="v1", metadata="creationTimestamp: 2026-01-31T12:00:00Z"),
    ),
    Code(
        "LB0120",
        ERROR,
        "invalid value of an annotation",
        "An annotation under lbctl.io/ holds a text that it does not take. docs/extensions.md lists them all, each "
        "with its default and an example. A wrong one is an error: it was written to have an effect.",
        example=together(pool(metadata='annotations: {lbctl.io/choice: "lowset"}'), COVER),
        fix=together(pool(metadata='annotations: {lbctl.io/choice: "lowest"}'), COVER),
    ),
    Code(
        "LB0121",
        NOTE,
        "MetalLB's old ConfigMap",
        "Before its version 0.13 MetalLB was configured by a ConfigMap with address-pools and peers. lbctl does not "
        "read it as configuration; `lbctl convert FILE` writes the same as IPAddressPool, BGPPeer and the other "
        "kinds.",
        example="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config, namespace: metallb-system}\ndata:\n"
        "  config: |\n    address-pools:\n    - name: first\n      protocol: layer2\n      addresses: [192.0.2.0/24]\n",
        fix=together(pool(), COVER),
    ),
    Code(
        "LB0122",
        WARNING,
        "kind looks misspelt",
        "This version of Kubernetes' API has no such kind, and one that lbctl reads has a name almost like it. The "
        "object is passed over. Kinds are written exactly so: Service, EndpointSlice, Node, Namespace, Secret.",
        example=service().replace("kind: Service", "kind: service"),
        fix=service(),
    ),
)
