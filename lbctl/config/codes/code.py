"""What a code of a finding is."""

from __future__ import annotations

from dataclasses import dataclass

from lbctl.config.diagnostic import Severity

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means. `rule` names the rule of MetalLB that it keeps, where there is one.

    `example` is a small manifest that this code, and no other, is found in; `fix` the same manifest mended, or, where
    a text cannot show it, a line that says what to do. A text ends with a line end, a line does not. Characters from
    U+DC80 to U+DCFF stand for bytes that are no text (`surrogateescape`).
    """

    code: str
    severity: Severity
    title: str
    explanation: str
    rule: str = ""
    example: str = ""
    fix: str = ""

    @property
    def mended(self) -> str:
        """The example put right, or nothing where `fix` is advice."""
        return self.fix if self.fix.endswith("\n") else ""

    @property
    def advice(self) -> str:
        """What to do, in words, or nothing where `fix` is the mended text."""
        return "" if self.fix.endswith("\n") else self.fix
