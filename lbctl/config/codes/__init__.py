"""Every diagnostic lbctl knows: code, severity, title and a paragraph that explains it.

Codes are stable: a code is never given another meaning and never used again. LB00 text, LB01 objects, LB02 pools,
LB03 advertisements, LB04 BGP peers, LB05 services, LB06 endpoints,
LB07 conversion.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from lbctl.config.codes.advertisements import ADVERTISEMENTS
from lbctl.config.codes.code import Code
from lbctl.config.codes.conversion import CONVERSION
from lbctl.config.codes.endpoints import ENDPOINTS
from lbctl.config.codes.objects import OBJECTS
from lbctl.config.codes.peers import PEERS
from lbctl.config.codes.pools import POOLS
from lbctl.config.codes.services import SERVICES
from lbctl.config.codes.text import TEXT

__all__ = ["CODES", "Code", "as_markdown"]


def _table(codes: Iterable[Code]) -> dict[str, Code]:
    table: dict[str, Code] = {}
    for code in codes:
        assert code.code not in table, f"{code.code} is given twice"
        table[code.code] = code
    return table


CODES: dict[str, Code] = _table((*TEXT, *OBJECTS, *POOLS, *ADVERTISEMENTS, *PEERS, *SERVICES, *ENDPOINTS, *CONVERSION))

_CHAPTERS = {
    "LB00": "Text",
    "LB01": "Objects",
    "LB02": "Pools",
    "LB03": "Advertisements",
    "LB04": "BGP peers",
    "LB05": "Services",
    "LB06": "Endpoints",
    "LB07": "Conversion",
}


def as_markdown() -> str:
    """The page of all codes, docs/diagnostics.md."""
    lines = [
        "# What lbctl finds in manifests",
        "",
        "`lbctl validate PATH...` prints these, and the controller logs them. An **error** keeps the object from being",
        "used, a **warning** is probably a mistake, a **note** is for knowing. A code always means the same. This page",
        "is made out of `lbctl/config/codes/`; `lbctl explain CODE` shows an example and the fix. How to check,",
        "and how to allow what is meant: [validate.md](validate.md).",
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
