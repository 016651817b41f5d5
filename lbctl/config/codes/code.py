"""What a code of a finding is."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.config.diagnostic import Severity

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means. `rule` names the rule of MetalLB that it keeps, where there is one."""

    code: str
    severity: Severity
    title: str
    explanation: str
    rule: str = ""
