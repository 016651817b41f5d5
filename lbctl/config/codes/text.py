"""LB00: codes of findings about text."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code
from lbctl.config.codes.example import COVER, manifest, pool, together

TEXT: tuple[Code, ...] = (
    Code(
        "LB0001",
        ERROR,
        "not UTF-8 text",
        "Manifests are UTF-8. The file starts with the mark of another encoding, or holds bytes that are no UTF-8 "
        "text at all (a binary file under a manifest's name). Save it as UTF-8.",
        example=pool() + "# caf\udce9\n",
        fix=pool() + "# café\n",
    ),
    Code(
        "LB0002",
        ERROR,
        "forbidden character",
        "YAML allows printable characters, line ends and tabs. A NUL or another control character usually means "
        "that the file is damaged or was cut off while being written. Line separators such as U+2028 are refused "
        "because YAML 1.1 and 1.2 disagree on them; write them as \\u2028 in double quotes.",
        example=pool() + "# a form feed: \f\n",
        fix=pool(),
    ),
    Code(
        "LB0003",
        ERROR,
        "tab used for indentation",
        "YAML indents with spaces only, since the width of a tab is not defined. Replace the tabs at the beginning "
        "of the line by spaces; most editors can do it for the whole file.",
        example=manifest("L2Advertisement", "interfaces:\n\t- eth1").replace("  \t", "\t"),
        fix=manifest("L2Advertisement", "interfaces:\n  - eth1"),
    ),
    Code(
        "LB0004",
        ERROR,
        "not valid YAML",
        "The text cannot be understood as YAML. The position is where reading failed; the mistake is there or "
        "just before it. Other documents of the file are still read and checked.",
        example="apiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n  labels: team: a\n",
        fix="apiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n  labels:\n    team: a\n",
    ),
    Code(
        "LB0005",
        ERROR,
        "key given twice",
        "A mapping holds the same key twice. Many readers silently keep one of the two; lbctl refuses, because the "
        "other one was written with an intention as well.",
        example=manifest("L2Advertisement", "interfaces: [eth1]\ninterfaces: [eth2]"),
        fix=manifest("L2Advertisement", "interfaces: [eth1, eth2]"),
    ),
    Code(
        "LB0006",
        ERROR,
        "alias that cannot be followed",
        "A YAML alias (*name) must name an anchor (&name) that stands before it, must not contain itself, and must "
        "not multiply the document beyond reason. Write the value out instead.",
        example=manifest("L2Advertisement", "interfaces: *uplinks"),
        fix=manifest("L2Advertisement", "interfaces: [eth1]"),
    ),
    Code(
        "LB0007",
        ERROR,
        "nested too deeply",
        "The document nests lists and mappings deeper than any manifest does. lbctl stops reading there, so that "
        "no text can exhaust its memory.",
        example=manifest("L2Advertisement", "interfaces: " + 70 * "[" + 70 * "]"),
        fix=manifest("L2Advertisement", "interfaces: []"),
    ),
    Code(
        "LB0008",
        ERROR,
        "YAML feature that manifests do not use",
        "Custom tags (!name), mappings as keys and merge keys (<<) have no meaning in a manifest or differ between "
        "YAML versions. Write the value out plainly.",
        example=manifest("L2Advertisement", "interfaces: !uplinks [eth1]"),
        fix=manifest("L2Advertisement", "interfaces: [eth1]"),
    ),
    Code(
        "LB0009",
        NOTE,
        "nothing in it",
        "The file holds no document, or the folder no manifest (*.yaml, *.yml, *.json). That is allowed, and often "
        "a file that was cut off.",
        example="---\n",
        fix=COVER,
    ),
    Code(
        "LB0010",
        ERROR,
        "cannot be read",
        "The file or folder is missing or may not be read. Check the path and its permissions.",
        fix="Check the path with ls -l, and run lbctl as a user who may read it.",
    ),
    Code(
        "LB0011",
        NOTE,
        "allow comment that silences nothing",
        "The comment allows a finding that is not there, or not where the comment speaks of: its own line, or the one "
        "below it where it stands alone; at the head of a document, before any of its content, the whole document. "
        "Left in place it would hide that finding on the day it comes.",
        example="# lbctl: allow LB0207\n" + COVER,
        fix=COVER,
    ),
    Code(
        "LB0012",
        WARNING,
        "errors cannot be allowed",
        "The comment allows a code that is an error. What an error is about is not used, whether anybody hears of it "
        "or not; so it is said. Only warnings and notes can be allowed.",
        example=manifest("L2Advertisement", "interfaces: [eth1]  # lbctl: allow LB0105"),
        fix=manifest("L2Advertisement", "interfaces: [eth1]"),
    ),
    Code(
        "LB0013",
        WARNING,
        "allow comment that is not understood",
        "A comment that begins with lbctl: says allow and one or more codes: # lbctl: allow LB0207, LB0206. This one "
        "has another word there, or a code that does not exist, and silences nothing.",
        example="# lbctl: ignore LB0207\n" + COVER,
        fix=COVER,
    ),
    Code(
        "LB0014",
        ERROR,
        "placeholder of a template",
        "The text is a template that nobody has filled in: {{ ... }} is Helm's, ${...} the shell's or envsubst's. To "
        "YAML it is a mapping, a broken list or just text. Fill it in first, by helm template for example, and "
        "check what comes out.",
        example=together(pool("addresses: ['${LB_RANGE}']"), COVER),
        fix=together(pool(), COVER),
    ),
    Code(
        "LB0015",
        NOTE,
        "number with a leading zero",
        "YAML 1.1, which kubectl reads, takes 010 for an octal number, which is 8; YAML 1.2, which lbctl reads, takes "
        "it for 10. Without the zero both read the same.",
        example=together(pool("addresses: [192.0.2.0/24]\nserviceAllocation:\n  priority: 010"), COVER),
        fix=together(pool("addresses: [192.0.2.0/24]\nserviceAllocation:\n  priority: 10"), COVER),
    ),
    Code(
        "LB0016",
        NOTE,
        "findings left out",
        "Of one code 1,000 findings are told in a document, and 1,000 between one object and the others; this says how "
        "many more there are. Nothing else depends on them: what has an error is refused, told or not.",
        fix="Mend those that are told, and look again.",
    ),
)
