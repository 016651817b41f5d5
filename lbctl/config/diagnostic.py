"""A finding about text: a stable code, where it is, what is wrong and what to do. Rendering lives in cli."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    """An error keeps the text from being used; a warning is probably a mistake; a note is for knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of text. Lines and columns count from 1, columns in characters; the end is just behind the last one."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def moved(self, file: str, lines: int) -> Span:
        """The same stretch when the document begins `lines` lines into `file`."""
        return Span(file, self.line + lines, self.column, self.end_line + lines, self.end_column)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that belongs to a finding, and what is to be seen there."""

    span: Span
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding. `sensitive`: the line may hold a secret and must not be shown.

    `left_out`: it stands for so many others that are not told.
    """

    code: str
    severity: Severity
    message: str
    span: Span
    help: str = ""
    labels: tuple[Label, ...] = ()
    sensitive: bool = False
    left_out: int = 0

    def moved(self, file: str, lines: int) -> Diagnostic:
        """The same finding when its document begins `lines` lines into `file`."""
        return replace(
            self,
            span=self.span.moved(file, lines),
            labels=tuple(Label(label.span.moved(file, lines), label.message) for label in self.labels),
        )

    @property
    def of_file(self) -> bool:
        """Whether it is about a file as such, with no place in its text."""
        return (self.span.line, self.span.column) == (self.span.end_line, self.span.end_column)

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """Sorts findings the way a person reads files; the same findings always come in the same order."""
        return (self.span.file, self.span.line, self.span.column, self.code, self.message)

    def __str__(self) -> str:
        return f"{self.span}: {self.severity}[{self.code}]: {self.message}"
