"""The answer of `where-is` for people: three lines of evidence and one sentence, in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lbctl.cli.render import WIDTH, Style, age, clock, paint, table, terminal_width, wrap
from lbctl.cli.where_report import Report
from lbctl.cli.whereabouts import Answer, Finding, Judgement, Planned, Said, Verdict, Whereabouts

_STYLES = {
    Verdict.OWNED: Style.GOOD,
    Verdict.OWNED_NOT_SEEN: Style.GOOD,
    Verdict.UNOWNED: Style.DOUBT,
    Verdict.MOVING: Style.DOUBT,
    Verdict.CONFLICT: Style.BAD,
    Verdict.UNVERIFIED: Style.DOUBT,
}


_TOLD = frozenset({Finding.OWNER_NOT_ALIVE, Finding.HEARS_NOBODY, Finding.ONE_WAY, Finding.STALE_NEIGHBOR})
"""What people are told of though it is no conflict, a sentence each."""


def text(report: Report, *, wide: bool = False, why: bool = False) -> str:
    """The whole answer; `why` adds every candidate with its reasons, `wide` the same in columns, and epochs."""
    full = WIDTH if terminal_width() is None else min(terminal_width() or WIDTH, WIDTH)
    width = max(full, terminal_width() or 2 * WIDTH) if wide else full
    blocks = [_address(report, known, judgement, width=width, wide=wide, why=why) for known, judgement in report.vips]
    if not blocks:
        words = _error(report) or f"Unverified: {_why_not_told(report)}."
        blocks.append(_sentence(words, Style.DOUBT, width))
    if report.told.role is not None and (wide or not report.told.no_reason):
        blocks.append([paint(line, Style.FAINT) for line in wrap(_asked(report), indent=2, width=width)])
    return "\n\n".join("\n".join(block) for block in blocks)


def _address(
    report: Report, known: Whereabouts, judgement: Judgement, *, width: int, wide: bool, why: bool
) -> list[str]:
    services = ", ".join(report.told.document.get("services", ()))
    head = (paint(known.address, Style.STRONG), services, f"pool {known.pool}" if known.pool else "")
    lines = ["  ".join(filter(None, head)), ""]
    lines += _labelled("planned", _planned(report, known, judgement), width)
    for said in _said(report, known, wide=wide):
        lines += _labelled("said", said, width)
    for seen in _seen(known):
        lines += _labelled("seen", seen, width)
    if judgement.owner is not None and (line := _next(known, judgement.owner)) is not None:
        lines += _labelled("next", line, width)
    if known.planned is not None and known.planned.candidates:
        if wide:
            lines += ["", *_candidates(known.planned)]
        elif why:
            lines += ["", *_each_why(known.planned, judgement.owner, _heirs(known, judgement.owner), width)]
    lines += ["", *_sentence(_verdict(report, known, judgement), _STYLES[judgement.verdict], width)]
    for finding, message in judgement.findings:
        if judgement.verdict is Verdict.CONFLICT:
            lines += _labelled(finding.value, message, width, label_width=19)
        elif finding in _TOLD:
            lines += _sentence(f"{_capital(message)}.", Style.DOUBT, width)
    if judgement.verdict is Verdict.CONFLICT and (error := _error(report)):
        lines += _sentence(error, Style.DOUBT, width)
    if report.told.knows_claims and not report.told.synced:
        lines += _sentence(f"{_teller(report)} has not heard everybody's claims yet.", Style.DOUBT, width)
    if stale := (report.told.document.get("world") or {}).get("stale"):
        lines += _sentence(f"The plan is made of an old world: {stale}.", Style.DOUBT, width)
    return lines


def _labelled(label: str, words: str, width: int, *, label_width: int = 9) -> list[str]:
    head = f"  {label:<{label_width}}"
    first, *rest = wrap(words, indent=0, width=width - len(head))
    return [head + first, *(" " * len(head) + line for line in rest)]


def _sentence(words: str, style: Style, width: int) -> list[str]:
    return [paint(line, style) for line in wrap(words, indent=0, width=width)]


def _planned(report: Report, known: Whereabouts, judgement: Judgement) -> str:
    planned = known.planned
    if planned is None:
        return "nothing" if report.told.no_reason else "unknown"
    if planned.owner is not None:
        return planned.owner
    eligible = [candidate.node for candidate in planned.candidates if candidate.eligible]
    if eligible and judgement.verdict is Verdict.UNVERIFIED:
        return ("one of " if len(eligible) > 1 else "") + ", ".join(eligible)
    return f"nobody: {_why_nobody(planned)}"


def _why_nobody(planned: Planned) -> str:
    """Nodes with the same reasons together; the reason of the whole where no node has one of its own."""
    nodes: dict[str, list[str]] = {}
    for each in planned.candidates:
        if each.reasons:
            nodes.setdefault(_reasons(each.reasons), []).append(each.node)
    refused = [f"{why}: {', '.join(sorted(names))}" for why, names in nodes.items()]
    return "; ".join(refused) or planned.reason or "no node may announce it"


def _reasons(reasons: Sequence[Mapping[str, str]]) -> str:
    words = (each["reason"] + (f" ({each['detail']})" if each.get("detail") else "") for each in reasons)
    return ", ".join(words)


def _heirs(known: Whereabouts, owner: str | None) -> tuple[str, ...]:
    """By the owner's own word, which is what they act on; else by the plan."""
    claim = next((claim for claim in known.said or () if claim.node == owner), None)
    heirs = claim.heirs if claim is not None and claim.heirs else known.planned.heirs if known.planned else ()
    return tuple(node for node in heirs if node != owner)


def _next(known: Whereabouts, owner: str) -> str | None:
    """Who takes it when the owner dies, or why nobody could; None where that is not known."""
    if heirs := _heirs(known, owner):
        return ", then ".join(heirs)
    others = [each for each in known.planned.candidates if each.node != owner] if known.planned else []
    if not others:
        return "nobody: there is no other node" if known.planned and known.planned.candidates else None
    if any(each.eligible and each.alive for each in others):
        return None
    return f"nobody: {_why_nobody(Planned(owner=None, candidates=tuple(others)))}"


def _each_why(planned: Planned, owner: str | None, heirs: Sequence[str], width: int) -> list[str]:
    """A node a line, the owner and its heirs first: what it is, and every reason why it is not the owner."""
    longest = min(max(len(each.node) for each in planned.candidates), width // 3)
    lines: list[str] = []
    line = {node: place for place, node in enumerate((owner, *heirs))}
    for each in sorted(planned.candidates, key=lambda each: line.get(each.node, len(line))):
        if each.node == owner:
            words = "has it"
        elif not each.eligible:
            words = "may not"
        elif each.alive is False:
            words = "may, and is not alive"
        elif each.node in heirs:
            words = "may, next in line" if each.node == heirs[0] else "may, in line behind that"
        else:
            words = "may"
        why = _reasons(each.reasons)
        lines += _labelled(each.node, f"{words}: {why}" if why else words, width, label_width=longest + 2)
    return lines


def _said(report: Report, known: Whereabouts, *, wide: bool) -> list[str]:
    if known.said is None:
        return [f"unknown: {_why_not_told(report)}"]
    if not known.said:
        return [f"nobody, by the word of {_teller(report)}"]
    return [_claim(claim, report.at_unix, wide=wide) for claim in known.said]


def _claim(claim: Said, now: float, *, wide: bool) -> str:
    words = f"{claim.node}, since {clock(claim.since_unix, now=now)} ({age(now - claim.since_unix)})"
    words += f": {claim.cause}" if claim.cause else ""
    words += f", before it {claim.previous}" if claim.previous else ""
    if wide:
        words += f"; epoch {claim.epoch}, incarnation {claim.incarnation}"
        words += "" if claim.quorate else ", without a majority"
        words += f"; next in line {', '.join(claim.heirs)}" if claim.heirs else "; nobody next in line"
    return words


def _seen(known: Whereabouts) -> list[str]:
    seen = known.seen
    if seen.unseen is not None:
        return [f"not looked: {seen.detail or seen.unseen}"]
    if seen.answers:
        stranger = "somebody" if known.said is None else "a stranger"
        return [_answer(answer, stranger, seen.interface or "?") for answer in seen.answers]
    window = f"within {seen.window * 1000:g} ms on {seen.interface}"
    return [f"nobody else {window} (this host is the owner)" if seen.own else f"nobody {window}"]


def _answer(answer: Answer, stranger: str, interface: str) -> str:
    verb = "answers" if answer.asked else "announces it"
    also = f" (also {answer.hint})" if answer.hint and answer.node is None else ""
    after = f" after {answer.after * 1000:.1f} ms" if answer.asked else ""
    return f"{answer.node or stranger}, {answer.mac}{also} {verb} on {interface}{after}"


def _candidates(planned: Planned) -> list[str]:
    rows = [
        (
            each.node,
            "yes" if each.eligible else "no",
            "?" if each.alive is None else "yes" if each.alive else "no",
            _reasons(each.reasons) or ("owner" if each.node == planned.owner else "-"),
        )
        for each in planned.candidates
    ]
    return ["  " + line for line in table(("NODE", "ELIGIBLE", "ALIVE", "REASON"), rows).splitlines()]


def _verdict(report: Report, known: Whereabouts, judgement: Judgement) -> str:
    address, owner, seen = known.address, judgement.owner, known.seen
    agree = "planned, said and seen agree"
    for finding, message in judgement.findings:
        if finding is Finding.PLANNED_ELSEWHERE:
            agree = f"said and seen agree; {message}"
    match judgement.verdict:
        case Verdict.OWNED if seen.own:
            return f"{owner} (this host) has {address}: {agree.replace('seen', 'seen (nobody else)')}."
        case Verdict.OWNED:
            return f"{owner} has {address}: {agree}."
        case Verdict.OWNED_NOT_SEEN:
            return f"{owner} has {address} by its own word; not looked for on the wire."
        case Verdict.MOVING:
            return _moving(known, owner)
        case Verdict.UNOWNED:
            return _error(report) or f"Nobody has {address}{_why_unowned(known, report.at_unix)}."
        case Verdict.CONFLICT:
            return f"Conflict over {address}:"
        case Verdict.UNVERIFIED:
            if seen.answers:
                return f"Unverified: somebody answers for {address}, and no speaker could be asked whether it should."
            return "Unverified: no speaker could be asked."


def _moving(known: Whereabouts, owner: str | None) -> str:
    """A planned move, seen while it happens."""
    if known.planned is not None and known.planned.take is not None and known.planned.owner != owner:
        return f"{known.address} is moving from {owner} to {known.planned.owner}: {known.planned.take}."
    claim = next((claim for claim in known.said or () if claim.node == owner), None)
    before = f" from {claim.previous}" if claim is not None and claim.previous else ""
    why = f": {claim.cause}" if claim is not None else ""
    return f"{known.address} is moving{before} to {owner}{why}."


def _why_unowned(known: Whereabouts, now: float) -> str:
    if (found := known.quarantine) is not None:
        if any(answer.mac == found.mac for answer in known.seen.answers):
            return f": quarantined, {found.mac} answers on {found.interface} (seen by {found.node})"
        at = f" at {clock(found.since_unix, now=now)}" if found.since_unix else ""
        return (
            f": quarantined, {found.mac} answered on {found.interface}{at} (seen by {found.node}); it is asked again "
            f"every 60 s, `lbctl quarantine --clear {known.address}` does not wait for that"
        )
    if known.planned is None:
        return ""
    if known.planned.owner is None:
        return f": {known.planned.reason}" if known.planned.reason else ""
    return f": {known.planned.owner} should, and has not claimed it"


def _teller(report: Report) -> str:
    told = report.told
    return f"the controller on {told.node}" if told.role == "controller" else told.node or "the speaker"


def _why_not_told(report: Report) -> str:
    if report.told.role == "published":
        why = "; ".join(report.told.failures) or "ask a speaker with --via HOST"
        return f"the published file knows the plan only; {why}"
    if report.told.role is not None:
        return f"{_teller(report)} hears no speaker; ask one with --via HOST"
    return "; ".join(report.told.failures) or "no speaker could be asked"


def _asked(report: Report) -> str:
    told = report.told
    world = told.document.get("world") or {}
    made = f", world {world['generation']}, {age(world.get('age') or 0)} old" if "generation" in world else ""
    who = f"{told.role} {told.node}".rstrip() if told.role != "published" else "published file"
    return f"asked: {who} ({told.address}){made}"


def _error(report: Report) -> str | None:
    """Why there is no such VIP or service, as a sentence."""
    error = report.told.document.get("error")
    if not error:
        return None
    return f"{_capital(error['message'])}."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
