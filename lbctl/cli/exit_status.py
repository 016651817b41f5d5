"""What a command's exit status means. Scripts may rely on every number here."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Every command but `where-is`."""

    OK = 0
    FOUND = 1
    """Something was found that is not as it should be; said on stdout or stderr."""
    UNAVAILABLE = 2
    """The question could not be asked, or the daemon could not start."""
    USAGE = 64
    """The command line is wrong (EX_USAGE of sysexits.h, so that a typo never looks like a finding)."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """The reader of the output went away, as in `lbctl services | head -1`."""


class WhereIsStatus(IntEnum):
    """`where-is` alone: what the evidence says, worst address of several."""

    OWNED = 0
    """One owner, and what was planned, said and seen agree as far as each could be asked."""
    UNOWNED = 1
    """Nobody announces it; the answer says why."""
    CONFLICT = 2
    """More than one node, or another than planned or said; the disagreement is named."""
    NOT_ASKED = 3
    """No speaker could be asked and nothing was seen: what is known is at best the plan."""
