"""What is known of one VIP, from three sides, and whether the sides agree. Pure: values in, a judgement out.

*planned* is what the plan's pure functions say over World and View, *said* what nodes claim in their heartbeats, *seen*
what stations on the wire answered just now. Said counts as evidence beside the plan; seen is the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from lbctl.cli.exit_status import WhereIsStatus


class Verdict(StrEnum):
    OWNED = "owned"
    """One owner, and the wire agrees."""
    OWNED_NOT_SEEN = "owned_not_seen"
    """One owner by its own word; this host could not look."""
    UNOWNED = "unowned"
    MOVING = "moving"
    """On its way from one node to another by plan: for some milliseconds both may say so, or answer."""
    CONFLICT = "conflict"
    UNVERIFIED = "unverified"
    """Nobody could be asked: there is a plan at best."""

    @property
    def status(self) -> WhereIsStatus:
        return _STATUS[self]


_STATUS = {
    Verdict.OWNED: WhereIsStatus.OWNED,
    Verdict.OWNED_NOT_SEEN: WhereIsStatus.OWNED,
    Verdict.UNOWNED: WhereIsStatus.UNOWNED,
    Verdict.MOVING: WhereIsStatus.OWNED,
    Verdict.CONFLICT: WhereIsStatus.CONFLICT,
    Verdict.UNVERIFIED: WhereIsStatus.NOT_ASKED,
}
_WORST_FIRST = (
    Verdict.CONFLICT,
    Verdict.UNVERIFIED,
    Verdict.UNOWNED,
    Verdict.MOVING,
    Verdict.OWNED_NOT_SEEN,
    Verdict.OWNED,
)


class Finding(StrEnum):
    """What does not agree with what."""

    TWO_CLAIMS = "two_claims"
    TWO_ANSWER = "two_answer"
    OTHER_ANSWERS = "other_answers"
    """A member answers that is not the owner by its word."""
    FOREIGN_ANSWERS = "foreign_answers"
    """A station answers that is no member."""
    NOBODY_ANSWERS = "nobody_answers"
    UNCLAIMED_ANSWERS = "unclaimed_answers"
    OWNER_NOT_ALIVE = "owner_not_alive"
    """Its claim stands, but it is suspected or gone."""
    PLANNED_ELSEWHERE = "planned_elsewhere"
    """Said and seen agree, and the plan wants another node: a move is due."""
    HEARS_NOBODY = "hears_nobody"
    """The node that was asked hears none of the speakers that it knows: it may be the one that is cut off."""

    ONE_WAY = "one_way"
    """The node that was asked hears others that do not hear it."""
    STALE_NEIGHBOR = "stale_neighbor"
    """This host itself sent to another station than the one that answers."""


_NOTES = frozenset(
    {
        Finding.PLANNED_ELSEWHERE,
        Finding.OWNER_NOT_ALIVE,
        Finding.HEARS_NOBODY,
        Finding.ONE_WAY,
        Finding.STALE_NEIGHBOR,
    }
)
_OF_A_MOVE = frozenset({Finding.TWO_CLAIMS, Finding.TWO_ANSWER, Finding.OTHER_ANSWERS, Finding.NOBODY_ANSWERS})
"""What a planned move looks like from outside, while it lasts."""
_PLANNED_CAUSES = frozenset({"drained", "moved", "rebalanced", "failback", "stopping"})
MOVE_TIME = 1.0
"""Seconds after a planned move in which old answers may still be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One node that was looked at. `reasons` are why it may not, as sentences with their names."""

    node: str
    eligible: bool
    alive: bool | None
    reasons: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    owner: str | None
    reason: str | None = None
    take: str | None = None
    """It is to take it over from who has it, for this cause."""
    heirs: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One node's claim, as the daemon that was asked knows it."""

    node: str
    epoch: int
    since_unix: float
    cause: str
    incarnation: int = 0
    quorate: bool = True
    heirs: tuple[str, ...] = ()
    previous: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One station that said on the wire that it has the address. `node` None = no member's MAC."""

    mac: str
    node: str | None
    after: float
    asked: bool = True
    hint: str = ""
    """Another address the kernel knows at this MAC, to help find a foreign station."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the wire said; with `unseen` set this host could not look, for that named reason."""

    interface: str | None = None
    window: float = 0.0
    answers: tuple[Answer, ...] = ()
    unseen: str | None = None
    detail: str = ""
    own: bool = False
    """The owner is this very host, which cannot hear itself; silence of the others is then as it should be."""
    cached: Answer | None = None
    """The station that this host's kernel took for it before it was asked (ARP or neighbor cache)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """Why nobody announces an address: a foreign machine answered for it when it was probed, where, and who saw it."""

    mac: str
    interface: str
    node: str
    since_unix: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """All that is known of one address. `planned` or `said` None = could not be asked."""

    address: str
    pool: str | None = None
    allocation_id: int | None = None
    planned: Planned | None = None
    quarantine: Quarantined | None = None
    said: tuple[Said, ...] | None = None
    seen: Seen = field(default_factory=Seen)
    liveness: Mapping[str, str] = field(default_factory=dict)
    """State of each member by name, as far as known."""
    unheard: tuple[str, ...] = ()
    """The other speakers that the node that was asked knows, if it hears none of them."""
    one_way: tuple[str, ...] = ()
    """The speakers that the node that was asked hears, and that do not hear it."""
    at_unix: float = 0.0
    is_vip: bool = True
    """False for an address that is in no pool: whoever answers for it is no matter of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict, who owns it by the best word there is, and every disagreement by name and in words."""

    verdict: Verdict
    owner: str | None
    findings: tuple[tuple[Finding, str], ...] = ()


def judge(whereabouts: Whereabouts) -> Judgement:
    """Compares the three sides of one address."""
    seen, said = whereabouts.seen, whereabouts.said
    owner = _owner(said or ())
    if owner is None and (found := whereabouts.quarantine) is not None:
        # That this one answers is why nobody has it.
        seen = replace(seen, answers=tuple(answer for answer in seen.answers if answer.mac != found.mac))
    of_wire = _of_wire(owner, said, seen) if whereabouts.is_vip else []
    findings = [*_of_claims(said or ()), *of_wire, *_notes(owner, whereabouts)]
    wrong = {finding for finding, _ in findings if finding not in _NOTES}
    if (wrong or _is_under_way(owner, whereabouts)) and wrong <= _OF_A_MOVE and _is_moving(owner, whereabouts):
        verdict = Verdict.MOVING
    elif wrong:
        verdict = Verdict.CONFLICT
    elif said is None:
        verdict = Verdict.UNVERIFIED
    elif owner is None:
        verdict = Verdict.UNOWNED
    elif seen.unseen is not None:
        verdict = Verdict.OWNED_NOT_SEEN
    else:
        verdict = Verdict.OWNED
    return Judgement(verdict=verdict, owner=owner, findings=tuple(findings))


def _is_under_way(owner: str | None, whereabouts: Whereabouts) -> bool:
    planned = whereabouts.planned
    return planned is not None and planned.take is not None and owner not in (None, planned.owner)


def _is_moving(owner: str | None, whereabouts: Whereabouts) -> bool:
    """Whether a planned move is under way, or was a moment ago; those concerned must be members that live."""
    said = whereabouts.said or ()
    if any(whereabouts.liveness.get(claim.node, "alive") not in ("alive", "draining", "left") for claim in said):
        return False
    recent = [claim for claim in said if claim.node == owner and claim.cause in _PLANNED_CAUSES]
    return _is_under_way(owner, whereabouts) or any(
        abs(whereabouts.at_unix - claim.since_unix) < MOVE_TIME for claim in recent
    )


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that decides the exit status of several; UNOWNED of none."""
    return min(verdicts, key=_WORST_FIRST.index, default=Verdict.UNOWNED)


def _owner(said: tuple[Said, ...]) -> str | None:
    return max(said, key=lambda claim: (claim.quorate, claim.epoch, claim.node)).node if said else None


def _of_claims(said: tuple[Said, ...]) -> list[tuple[Finding, str]]:
    if len({claim.node for claim in said}) < 2:
        return []
    words = _and([f"{claim.node} (epoch {claim.epoch})" for claim in sorted(said, key=lambda claim: -claim.epoch)])
    return [(Finding.TWO_CLAIMS, f"split brain: {words} both say that they have it")]


def _of_wire(owner: str | None, said: tuple[Said, ...] | None, seen: Seen) -> list[tuple[Finding, str]]:
    if seen.unseen is not None:
        return []
    findings: list[tuple[Finding, str]] = []
    stations = {answer.node or answer.mac for answer in seen.answers}
    if len(stations) > 1:
        findings.append((Finding.TWO_ANSWER, f"{_and(sorted(stations))} answer for it"))
    if said is None:
        return findings
    strangers = [answer for answer in seen.answers if answer.node is None]
    for answer in strangers:
        near = f" (also seen as {answer.hint})" if answer.hint else ""
        findings.append((Finding.FOREIGN_ANSWERS, f"{answer.mac}{near} answers and is no member"))
    members = sorted({answer.node for answer in seen.answers if answer.node} - {owner})
    for node in members:
        if owner is None:
            findings.append((Finding.UNCLAIMED_ANSWERS, f"{node} answers without saying that it has it"))
        else:
            findings.append((Finding.OTHER_ANSWERS, f"{node} answers, while {owner} says that it has it"))
    if owner is not None and not seen.own and owner not in stations:
        silent = "nobody answers" if not stations else f"{owner} does not answer"
        findings.append(
            (Finding.NOBODY_ANSWERS, f"{owner} says that it has it, but {silent} on {seen.interface} of this host")
        )
    return findings


def _notes(owner: str | None, whereabouts: Whereabouts) -> list[tuple[Finding, str]]:
    findings: list[tuple[Finding, str]] = []
    planned = whereabouts.planned
    if owner is not None and (state := whereabouts.liveness.get(owner, "alive")) != "alive":
        findings.append((Finding.OWNER_NOT_ALIVE, f"{owner} is {state} by the word of the node that was asked"))
    if owner is not None and planned is not None and planned.owner not in (None, owner):
        findings.append((Finding.PLANNED_ELSEWHERE, f"the plan wants {planned.owner}, so it may move there"))
    if whereabouts.unheard:
        words = f"the node that was asked hears nothing of {_and(sorted(whereabouts.unheard))}"
        findings.append((Finding.HEARS_NOBODY, f"{words}: if it is cut off, they may see it differently"))
    if whereabouts.one_way:
        words = f"the node that was asked hears {_and(sorted(whereabouts.one_way))}, and is not heard there"
        findings.append((Finding.ONE_WAY, f"{words}: packets get through one way only, look at the links between them"))
    seen = whereabouts.seen
    if (cached := seen.cached) is not None and seen.answers and cached.mac not in {each.mac for each in seen.answers}:
        whose = f"{cached.mac} ({cached.node})" if cached.node else f"{cached.mac}, which is no member,"
        words = f"this host itself still sent to {whose} on {seen.interface}, by its neighbor cache"
        remedy = f"`ip neigh flush to {whereabouts.address}` mends that at once"
        findings.append((Finding.STALE_NEIGHBOR, f"{words}; {remedy}"))
    return findings


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 2 else words)


def planned_from(value: Mapping[str, Any]) -> Planned:
    """`planned` of the status API's answer."""
    return Planned(
        owner=value.get("owner"),
        reason=value.get("reason"),
        take=value.get("take"),
        heirs=tuple(value.get("heirs") or ()),
        candidates=tuple(
            Candidate(
                node=each["node"],
                eligible=bool(each["eligible"]),
                alive=each.get("alive"),
                reasons=tuple(each.get("reasons", ())),
            )
            for each in value.get("candidates", ())
        ),
    )


def quarantined_from(value: Mapping[str, Any] | None) -> Quarantined | None:
    """`quarantine` of the status API's answer."""
    if not value:
        return None
    return Quarantined(
        mac=value["mac"], interface=value["interface"], node=value["node"], since_unix=value.get("since_unix")
    )


def said_from(value: Mapping[str, Any]) -> Said:
    """One element of `said` of the status API's answer."""
    return Said(
        node=value["node"],
        epoch=int(value["epoch"]),
        since_unix=float(value["since_unix"]),
        cause=value.get("cause") or "",
        incarnation=int(value.get("incarnation") or 0),
        quorate=bool(value.get("quorate", True)),
        heirs=tuple(value.get("heirs") or ()),
        previous=value.get("previous"),
    )
