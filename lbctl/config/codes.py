"""Every diagnostic lbctl knows: code, severity, title and a paragraph that explains it.

Codes are stable: a code is never given another meaning and never used again. LB00 text, LB01 objects, LB02 pools,
LB03 advertisements, LB04 BGP peers, LB05 services, LB06 endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap

from lbctl.config.diagnostic import Severity


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means. `rule` names the rule of MetalLB that it keeps, where there is one."""

    code: str
    severity: Severity
    title: str
    explanation: str
    rule: str = ""


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE


def _table(codes: Iterable[Code]) -> dict[str, Code]:
    table: dict[str, Code] = {}
    for code in codes:
        assert code.code not in table, f"{code.code} is given twice"
        table[code.code] = code
    return table


CODES: dict[str, Code] = _table(
    (
        # ---- LB00: text -----------------------------------------------------------------------------------------
        Code(
            "LB0001",
            _E,
            "not UTF-8 text",
            "Manifests are UTF-8. The file starts with the mark of another encoding, or holds bytes that are no UTF-8 "
            "text at all (a binary file under a manifest's name). Save it as UTF-8.",
        ),
        Code(
            "LB0002",
            _E,
            "forbidden character",
            "YAML allows printable characters, line ends and tabs. A NUL or another control character usually means "
            "that the file is damaged or was cut off while being written. Line separators such as U+2028 are refused "
            "because YAML 1.1 and 1.2 disagree on them; write them as \\u2028 in double quotes.",
        ),
        Code(
            "LB0003",
            _E,
            "tab used for indentation",
            "YAML indents with spaces only, since the width of a tab is not defined. Replace the tabs at the beginning "
            "of the line by spaces; most editors can do it for the whole file.",
        ),
        Code(
            "LB0004",
            _E,
            "not valid YAML",
            "The text cannot be understood as YAML. The position is where reading failed; the mistake is there or "
            "just before it. Other documents of the file are still read and checked.",
        ),
        Code(
            "LB0005",
            _E,
            "key given twice",
            "A mapping holds the same key twice. Many readers silently keep one of the two; lbctl refuses, because the "
            "other one was written with an intention as well.",
        ),
        Code(
            "LB0006",
            _E,
            "alias that cannot be followed",
            "A YAML alias (*name) must name an anchor (&name) that stands before it, must not contain itself, and must "
            "not multiply the document beyond reason. Write the value out instead.",
        ),
        Code(
            "LB0007",
            _E,
            "nested too deeply",
            "The document nests lists and mappings deeper than any manifest does. lbctl stops reading there, so that "
            "no text can exhaust its memory.",
        ),
        Code(
            "LB0008",
            _E,
            "YAML feature that manifests do not use",
            "Custom tags (!name), mappings as keys and merge keys (<<) have no meaning in a manifest or differ between "
            "YAML versions. Write the value out plainly.",
        ),
        Code(
            "LB0009",
            _N,
            "nothing in it",
            "The file holds no document, or the folder no manifest (*.yaml, *.yml, *.json). That is allowed, and often "
            "a file that was cut off.",
        ),
        Code(
            "LB0010",
            _E,
            "cannot be read",
            "The file or folder is missing or may not be read. Check the path and its permissions.",
        ),
        # ---- LB01: objects --------------------------------------------------------------------------------------
        Code(
            "LB0101",
            _E,
            "document is not an object",
            "Each document of a manifest is a mapping with apiVersion, kind and metadata. This one is a list or a "
            "single value.",
        ),
        Code(
            "LB0102",
            _E,
            "apiVersion or kind missing",
            "Without both, nobody can tell what the object is. For lbctl's own kinds write apiVersion: "
            "metallb.io/v1beta1 and, for example, kind: IPAddressPool.",
        ),
        Code(
            "LB0103",
            _E,
            "unknown kind in metallb.io",
            "The group metallb.io has a small set of kinds, and this is none of them in that version. Objects in "
            "metallb.io configure the load balancer, so an unknown one is an error and not passed over.",
        ),
        Code(
            "LB0104",
            _N,
            "kind is not read",
            "lbctl reads Services, EndpointSlices, Nodes, Namespaces and Secrets beside the kinds of metallb.io. Other "
            "objects may lie in the same file; they are passed over.",
        ),
        Code(
            "LB0105",
            _E,
            "unknown field",
            "An object in metallb.io has a field that its kind does not have. A misspelt field would otherwise leave "
            "its default in force without a word.",
        ),
        Code(
            "LB0106",
            _W,
            "unknown field in a Kubernetes object",
            "The kind does not have this field as of Kubernetes 1.36. A newer Kubernetes may have it; more often it is "
            "misspelt or stands at the wrong indentation.",
        ),
        Code(
            "LB0107",
            _E,
            "wrong type",
            "The field takes another type of value. Text that looks like a number or a boolean (64512, true, null) "
            "must be quoted where text is wanted. YAML 1.2 rules apply: on, yes and 64512:10 are text.",
        ),
        Code("LB0108", _E, "number out of range", "The field takes numbers of a certain range only."),
        Code("LB0109", _E, "not one of the allowed values", "The field takes one of a few values, written exactly so."),
        Code("LB0110", _E, "required field missing", "The object means nothing without this field."),
        Code(
            "LB0111",
            _E,
            "not a valid name",
            "Names of objects are lower-case letters, digits, '-' and '.', beginning and ending with a letter or "
            "digit, 253 characters at most (RFC 1123).",
        ),
        Code(
            "LB0112",
            _W,
            "apiVersion looks wrong for this kind",
            "The kind is one that lbctl reads, but in another group or version, so the object is passed over. That is "
            "right if it belongs to another program and a mistake if the apiVersion is misspelt or old.",
        ),
        Code(
            "LB0113",
            _E,
            "object defined twice",
            "Two objects of one kind have the same name (and namespace). Which of them should count cannot be told. "
            "The first, in the order of file names and lines, is used.",
            "P6",
        ),
        Code(
            "LB0114",
            _E,
            "value given twice",
            "A list that means a set holds the same value twice.",
            "P8, P9, B1",
        ),
        Code(
            "LB0115",
            _E,
            "invalid selector",
            "A label selector's expression needs values with In and NotIn and must not have any with Exists and "
            "DoesNotExist.",
            "P9",
        ),
        Code("LB0116", _E, "not an IP address", "The field takes one IPv4 or IPv6 address, without prefix length."),
        Code("LB0117", _E, "not a CIDR", "The field takes an address and a prefix length, such as 192.0.2.0/24."),
        Code(
            "LB0118",
            _E,
            "not a duration",
            "Durations are numbers with units, such as 90s, 1m30s or 500ms (units ns, us, ms, s, m, h).",
        ),
        Code(
            "LB0119",
            _W,
            "not a time stamp",
            "metadata.creationTimestamp is a time of RFC 3339 such as 2026-01-31T12:00:00Z. It decides who comes first "
            "when addresses are short; without it the order of first sight does.",
        ),
        # ---- LB02: pools ----------------------------------------------------------------------------------------
        Code(
            "LB0201",
            _E,
            "pool without addresses",
            "A pool needs at least one CIDR or range to give addresses from.",
            "P2",
        ),
        Code(
            "LB0202",
            _E,
            "not a CIDR or a range",
            "An item of a pool is a CIDR such as 192.0.2.0/24 or a range such as 192.0.2.10-192.0.2.20. A single "
            "address is written with /32 (IPv4) or /128 (IPv6).",
            "P3, P4",
        ),
        Code("LB0203", _E, "range ends before it starts", "The first address of a range is the lower one.", "P5"),
        Code(
            "LB0204",
            _E,
            "range of two families",
            "Both ends of a range are IPv4 or both are IPv6. A pool may hold ranges of both families, as separate "
            "items.",
        ),
        Code(
            "LB0205",
            _E,
            "pools overlap",
            "An address lies in two items, of one pool or of two. It could be given away twice, or by rules that "
            "contradict each other.",
            "P7",
        ),
        Code(
            "LB0206",
            _N,
            "bits behind the prefix length",
            "198.51.100.10/24 means the whole of 198.51.100.0/24, as in MetalLB. Write the network address to make "
            "that clear, or a range if it was not meant.",
        ),
        Code(
            "LB0207",
            _W,
            "pool that nothing announces",
            "Services get addresses from this pool, but no L2Advertisement or BGPAdvertisement covers it, so that no "
            "client ever reaches them.",
        ),
        # ---- LB03: advertisements -------------------------------------------------------------------------------
        Code(
            "LB0301",
            _W,
            "advertisement names a missing pool",
            "ipAddressPools holds a name that no IPAddressPool has. The advertisement does nothing for it; usually "
            "the name is misspelt.",
        ),
        Code(
            "LB0302",
            _W,
            "advertisement names a missing peer",
            "peers holds a name that no BGPPeer has. Nothing is announced there; usually the name is misspelt.",
        ),
        Code(
            "LB0303",
            _E,
            "aggregation together with serviceSelectors",
            "An aggregate stands for all services in it and cannot be announced for some of them only. Leave "
            "aggregationLength at 32 and aggregationLengthV6 at 128, or leave serviceSelectors out.",
            "B2",
        ),
        Code(
            "LB0304",
            _E,
            "invalid BGP community",
            "A community is two numbers up to 65535 (64512:10), or large: and three numbers up to 4294967295 "
            "(large:64512:1:10), or the name given to one by a Community object.",
            "B4",
        ),
        Code(
            "LB0305",
            _W,
            "unknown community name",
            "No Community object gives this name to a community. The prefix is announced without it until one does.",
            "B4",
        ),
        Code(
            "LB0306",
            _E,
            "community name given twice",
            "Two entries of Community objects give the same name, so that it cannot be told which value is meant.",
        ),
        # ---- LB04: BGP peers ------------------------------------------------------------------------------------
        Code("LB0401", _E, "own AS number missing", "myASN is the AS number of the speakers and cannot be 0.", "R1"),
        Code(
            "LB0402",
            _E,
            "peer's AS number",
            "A peer has either peerASN, the router's AS number, or dynamicASN, which accepts any internal or external "
            "one.",
            "R2",
        ),
        Code(
            "LB0403",
            _E,
            "multihop within one AS",
            "ebgpMultiHop is for sessions to another AS. Sessions within one AS (peerASN equal to myASN) may always "
            "cross routers.",
            "R4",
        ),
        Code(
            "LB0404",
            _E,
            "peer's address",
            "A peer has either peerAddress, the router's address, or interface, for a session with whoever is there.",
            "R5",
        ),
        Code(
            "LB0405",
            _E,
            "hold time and keepalive time",
            "The hold time is 0 (never) or at least 3 seconds, and the keepalive time not longer than it; a third is "
            "usual (RFC 4271 section 4.2). If one is left out it follows from the other.",
            "R6",
        ),
        Code(
            "LB0406",
            _E,
            "two passwords",
            "The password stands in the peer or in a Secret that passwordSecret names, not in both.",
            "R9",
        ),
        Code(
            "LB0407",
            _W,
            "peer names a missing BFDProfile",
            "The session runs without BFD, and so fails over slowly, until the profile exists.",
            "R11",
        ),
        Code(
            "LB0408",
            _W,
            "peer names a missing Secret",
            "The session stays down until the Secret that holds its password exists.",
            "R10",
        ),
        Code(
            "LB0409",
            _E,
            "Secret is no password",
            "The password of a BGP session is the key password of a Secret of type kubernetes.io/basic-auth.",
            "R10",
        ),
        Code(
            "LB0410",
            _N,
            "old version of BGPPeer",
            "BGPPeer v1beta1 is read and converted. Fields added since exist in metallb.io/v1beta2 only.",
        ),
        # ---- LB05: services -------------------------------------------------------------------------------------
        Code(
            "LB0501",
            _E,
            "port given twice",
            "Two ports of a service have the same number and protocol, or the same name.",
        ),
        Code(
            "LB0502",
            _E,
            "ports without names",
            "A service with several ports names each of them; endpoints are joined to ports by that name.",
        ),
        Code(
            "LB0503",
            _E,
            "service without ports",
            "A load balancer forwards ports; a service of type LoadBalancer that has none can do nothing.",
        ),
        Code(
            "LB0504",
            _E,
            "addresses requested twice",
            "A service asks for addresses by spec.loadBalancerIP or by the annotation metallb.io/loadBalancerIPs, not "
            "by both.",
        ),
        Code(
            "LB0505",
            _E,
            "invalid address request",
            "The annotation loadBalancerIPs takes one address, or one of each family, separated by a comma.",
        ),
        Code(
            "LB0506",
            _W,
            "service names a missing pool",
            "The annotation address-pool names no pool here. The service waits until there is one.",
        ),
        Code(
            "LB0507",
            _W,
            "requested address in no pool",
            "No pool here holds the address that the service asks for. The service waits until one does.",
        ),
        Code(
            "LB0508",
            _N,
            "old annotation prefix",
            "Annotations under metallb.universe.tf/ are still read; the prefix is metallb.io/ now, which wins where "
            "both are given.",
        ),
        Code(
            "LB0509",
            _W,
            "unknown annotation",
            "The prefix belongs to the load balancer, but it knows no annotation of this name; usually it is misspelt.",
        ),
        # ---- LB06: endpoints ------------------------------------------------------------------------------------
        Code(
            "LB0601",
            _E,
            "endpoint of another family",
            "All addresses of an EndpointSlice are of the family that its addressType names.",
        ),
        Code(
            "LB0602",
            _W,
            "endpoints by host name",
            "An EndpointSlice of addressType FQDN has no addresses to forward to and is passed over.",
        ),
        Code(
            "LB0603",
            _W,
            "endpoints of no service",
            "The label kubernetes.io/service-name joins an EndpointSlice to its service. Without it nothing is "
            "forwarded to these endpoints.",
        ),
        Code(
            "LB0604",
            _W,
            "endpoint port without number",
            "A port without number means all ports in Kubernetes. lbctl forwards to numbered ports only and passes "
            "over this one.",
        ),
        Code(
            "LB0605",
            _W,
            "endpoints of a missing service",
            "The label kubernetes.io/service-name names a service that is not here. Usually the name or the namespace "
            "is misspelt.",
        ),
    )
)

_CHAPTERS = {
    "LB00": "Text",
    "LB01": "Objects",
    "LB02": "Pools",
    "LB03": "Advertisements",
    "LB04": "BGP peers",
    "LB05": "Services",
    "LB06": "Endpoints",
}


def as_markdown() -> str:
    """The page of all codes, docs/diagnostics.md."""
    lines = [
        "# What lbctl finds in manifests",
        "",
        "`lbctl validate PATH...` prints these, and the controller logs them. An **error** keeps the object from being",
        "used, a **warning** is probably a mistake, a **note** is for knowing. A code always means the same. This page",
        "is made out of `lbctl/config/codes.py`.",
    ]
    chapter = ""
    for code in CODES.values():
        if code.code[:4] != chapter:
            chapter = code.code[:4]
            lines += ["", f"## {_CHAPTERS[chapter]}"]
        rule = f" (MetalLB rule {code.rule})" if code.rule else ""
        text = f"*{code.severity}*{rule}. {code.explanation}"
        lines += ["", f"### {code.code}: {code.title}", "", *wrap(text, 118, break_on_hyphens=False)]
    return "\n".join(lines) + "\n"
