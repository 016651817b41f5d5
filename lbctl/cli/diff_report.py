"""What `lbctl diff` prints for people: what changes, grouped by why, and one line that counts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from lbctl.cli.diff_inputs import Inputs
from lbctl.cli.diff_summary import summary
from lbctl.cli.page import MOST, Page, count
from lbctl.cli.render import WIDTH, Style
from lbctl.plan.diff import Diff
from lbctl.plan.diff_objects import KINDS, Consequence, Edit, ObjectChange, ObjectEvent, Value, shown_part
from lbctl.plan.diff_owners import VIPChange, VIPEvent
from lbctl.plan.diff_routes import RouteChange, RouteEvent, RouteReason
from lbctl.plan.diff_services import PendingService, ServiceChange, ServiceEvent, Stranded
from lbctl.plan.diff_sessions import FieldChange, SessionChange, SessionEvent
from lbctl.plan.reason import Refusal
from lbctl.plan.routes import RouteAttributes

_T = TypeVar("_T")

_GONE, _NEW, _OTHER = Style.BAD, Style.GOOD, Style.DOUBT
_SERVICE_SIGNS = {
    ServiceEvent.LOSES: ("-", _GONE),
    ServiceEvent.CHANGES: ("~", _OTHER),
    ServiceEvent.POOL: ("~", _OTHER),
    ServiceEvent.WAITS: ("!", _OTHER),
    ServiceEvent.GETS: ("+", _NEW),
}
_VIP_SIGNS = {
    VIPEvent.STOPS: ("-", _GONE),
    VIPEvent.SILENT: ("!", _OTHER),
    VIPEvent.MOVES: ("~", _OTHER),
    VIPEvent.STARTS: ("+", _NEW),
}
_SESSION_SIGNS = {
    SessionEvent.CLOSES: ("-", _GONE),
    SessionEvent.RESETS: ("~", _OTHER),
    SessionEvent.OPENS: ("+", _NEW),
}
_ROUTE_SIGNS = {
    RouteEvent.WITHDRAWN: ("-", _GONE),
    RouteEvent.CHANGED: ("~", _OTHER),
    RouteEvent.ANNOUNCED: ("+", _NEW),
}
_OBJECT_SIGNS = {
    ObjectEvent.REMOVED: ("-", _GONE),
    ObjectEvent.CHANGED: ("~", _OTHER),
    ObjectEvent.ADDED: ("+", _NEW),
}
_CONSEQUENCES = {
    Consequence.SESSION_STAYS: "the session stays",
    Consequence.LABELS_UNKNOWN: "what it does depends on the labels of the nodes, which are not known",
    Consequence.INTERFACES_UNKNOWN: (
        "what it does depends on the interfaces of the nodes, which manifests do not have"
    ),
}
_VIP_HEADS = {
    VIPEvent.STOPS: "announced by nobody any more",
    VIPEvent.SILENT: "given, and announced by nobody",
    VIPEvent.MOVES: "announced by another node",
    VIPEvent.STARTS: "announced from now on",
}


def human(told: Diff, inputs: Inputs, *, width: int | None) -> str:
    """The whole answer, without a line end at its end."""
    page = Page(width or WIDTH)
    for error in inputs.manifests.errors[:MOST]:
        page.text(f": {error.message}", indent=2, mark=f"error[{error.code}]", style=Style.BAD)
        page.text(f"--> {error.span}", indent=4, at=2)
    if len(inputs.manifests.errors) > MOST:
        page.line(f"  and {len(inputs.manifests.errors) - MOST:,} more; lbctl validate shows them all")
    for note in inputs.notes:
        page.text(f": {note.message}", indent=2, mark="note", style=Style.STRONG)
    if page.lines:
        page.line("")
    _refused(page, told.refused, inputs)
    _services(page, told.services)
    _stranded(page, told.stranded, inputs)
    _vips(page, told.vips, planned=inputs.owners is None)
    _sessions(page, told.sessions)
    _routes(page, told.routes)
    _objects(page, told.objects)
    _pending(page, told.pending)
    page.text("", indent=2, mark=summary(told, errors=len(inputs.manifests.errors)), style=Style.STRONG)
    return "\n".join(page.lines)


def _grouped(items: Iterable[_T], key: Callable[[_T], Any]) -> dict[Any, list[_T]]:
    """Items by key, in the order in which the keys come first."""
    found: dict[Any, list[_T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def _joined(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _services(page: Page, changes: Sequence[ServiceChange]) -> None:
    if not changes:
        return
    page.head("Services")
    groups = _grouped(changes, lambda item: (item.event, item.reason, item.cause))
    for event, sign in _SERVICE_SIGNS.items():
        for (found, reason, cause), items in groups.items():
            if found is event:
                page.group(sign, _service_head(event, items, reason, cause), [_service_row(item) for item in items])
    page.gap()


def _service_head(event: ServiceEvent, items: Sequence[ServiceChange], reason: object, cause: object) -> str:
    number = count(len(items), "service")
    one = len(items) == 1
    match event:
        case ServiceEvent.LOSES:
            return f"{number} {'loses' if one else 'lose'} what {'it has' if one else 'they have'}: {reason}"
        case ServiceEvent.CHANGES:
            why = cause if reason is None or str(reason) == "superseded" else f"{reason}, then {cause}"
            return f"{number} {'changes' if one else 'change'} address: {why}"
        case ServiceEvent.POOL:
            return f"{number} {'keeps its' if one else 'keep their'} address, which is another pool's"
        case ServiceEvent.WAITS:
            return f"{number} would wait for an address"
        case ServiceEvent.GETS:
            return f"{number} {'gets' if one else 'get'} an address: {cause}"


def _service_row(item: ServiceChange) -> list[str]:
    before, after = _joined(item.before) or "nothing", _joined(item.after) or "nothing"
    match item.event:
        case ServiceEvent.GETS:
            return [str(item.service), after, f"pool {_joined(item.pools_after)}"]
        case ServiceEvent.POOL:
            return [str(item.service), after, f"pool {_joined(item.pools_before)} -> {_joined(item.pools_after)}"]
        case ServiceEvent.WAITS:
            return [str(item.service), "; ".join(map(str, item.pending))]
        case _:
            detail = item.detail or ("; ".join(map(str, item.pending)) if item.event is ServiceEvent.LOSES else "")
            return [str(item.service), f"{before} -> {after}", detail]


def _where(pool: str, inputs: Inputs) -> str:
    place = inputs.manifests.place_of("pools", pool)
    return f" ({place})" if place is not None else ", which NEW does not have"


def _refused(page: Page, found: Sequence[Refusal], inputs: Inputs) -> None:
    if not found:
        return
    page.head("Edits that would be held back (protect: in-use)")
    for item in found:
        page.group(("!", _GONE), f"pool {item.subject}{_where(item.subject, inputs)}: {item.detail}", [])
    page.gap()


def _stranded(page: Page, found: Sequence[Stranded], inputs: Inputs) -> None:
    if not found:
        return
    page.head("Addresses in use that their pool would give up")
    for (pool, reason), items in _grouped(found, lambda item: (item.pool, item.reason)).items():
        rows = [[str(item.address), _joined(item.services)] for item in items]
        page.group(("-", _GONE), f"pool {pool}{_where(pool, inputs)}: {reason.value}", rows)
    page.gap()


def _vips(page: Page, changes: Sequence[VIPChange], *, planned: bool) -> None:
    if not changes:
        return
    page.head("VIPs by ARP and NDP" + (" (planned owners)" if planned else ""))
    groups = _grouped(changes, lambda item: (item.event, item.before, item.after, item.reason, _details(item.refusals)))
    for event, sign in _VIP_SIGNS.items():
        for (found, before, after, reason, details), items in groups.items():
            if found is not event:
                continue
            way = f": {before} -> {after}" if event is VIPEvent.MOVES else f": {after}" if after else ""
            why = f": {reason.value}{details}" if reason is not None else ""
            rows = [[str(item.address), _joined(item.services)] for item in items]
            page.group(sign, f"{count(len(items), 'VIP')} {_VIP_HEADS[event]}{way}{why}", rows)
    page.gap()


def _details(refusals: Sequence[Refusal]) -> str:
    """What the refusals of the first reason say more, each once; subjects differ from VIP to VIP."""
    details = dict.fromkeys(refusal.detail for refusal in refusals if refusal.reason is refusals[0].reason)
    return f" ({'; '.join(filter(None, details))})" if any(details) else ""


def _sessions(page: Page, changes: Sequence[SessionChange]) -> None:
    if not changes:
        return
    page.head("BGP sessions")
    for event, sign in _SESSION_SIGNS.items():
        for item in changes:
            if item.event is not event:
                continue
            nodes = f" on {_few(item.nodes)}" if item.nodes else " on the nodes that it selects"
            fields = [[f"{part.field.value}:", _change_of(part)] for part in item.fields]
            page.group(sign, f"{item.peer} {event.value}{nodes}: {item.reason.value}", fields)
    page.gap()


def _change_of(part: FieldChange) -> str:
    if part.before == part.after:
        return "another one"
    before, after = shown_part(part.field, part.before), shown_part(part.field, part.after)
    return f"{before or 'none'} -> {after or 'none'}"


def _routes(page: Page, changes: Sequence[RouteChange]) -> None:
    if not changes:
        return
    page.head("BGP prefixes")
    groups = _grouped(changes, lambda i: (i.peer, i.event, i.reason, i.refusal and i.refusal.reason, i.nodes))
    for event, sign in _ROUTE_SIGNS.items():
        for (peer, found, reason, refused, nodes), items in groups.items():
            if found is not event:
                continue
            on = f" by {_few(nodes)}" if nodes else ""
            why = reason.value
            if refused is not None:
                why = f"until now {refused.value}" if reason is RouteReason.FIT else refused.value
            head = f"{count(len(items), 'prefix', 'prefixes')} {event.value} {_TOWARDS[event]} {peer}{on}: {why}"
            page.group(sign, head, [_route_row(item) for item in items])
    page.gap()


_TOWARDS = {RouteEvent.WITHDRAWN: "from", RouteEvent.CHANGED: "for", RouteEvent.ANNOUNCED: "to"}


def _route_row(item: RouteChange) -> list[str]:
    if item.event is RouteEvent.CHANGED:
        assert item.before is not None
        assert item.after is not None
        return [str(item.prefix), f"{_attributes(item.before)} -> {_attributes(item.after)}"]
    services = _joined(item.services[:3]) + (f" and {len(item.services) - 3} more" if len(item.services) > 3 else "")
    attributes = item.after or item.before
    told = _attributes(attributes) if attributes is not None and attributes != RouteAttributes() else ""
    return [str(item.prefix), services, told]


def _attributes(attributes: RouteAttributes) -> str:
    told = [f"local-pref {attributes.local_pref}"] if attributes.local_pref else []
    told += [f"communities {' '.join(attributes.communities)}"] if attributes.communities else []
    return ", ".join(told) or "no attributes"


def _few(names: Sequence[str]) -> str:
    return _joined(names) if len(names) <= 6 else f"{_joined(names[:5])} and {len(names) - 5} more"


def _objects(page: Page, changes: Sequence[ObjectChange]) -> None:
    """A line for each edit that is said nothing else of would do; all are listed, since none is without effect."""
    if not changes:
        return
    page.head("Configuration")
    groups = _grouped(changes, lambda item: (item.event, item.kind))
    for event, sign in _OBJECT_SIGNS.items():
        for (found, kind), items in groups.items():
            if found is not event:
                continue
            if event is not ObjectEvent.CHANGED:
                page.group(sign, f"{kind} {_few([item.name for item in items])} {event.value}", [])
                continue
            for item in items[:MOST]:
                page.group(sign, _object(item), [])
            if len(items) > MOST:
                page.group(sign, f"and {count(len(items) - MOST, kind)} more (-o json has them all)", [])
    page.gap()


def _object(item: ObjectChange) -> str:
    told = "; ".join(f"{edit.field} {_edit(edit)}" for edit in item.edits)
    if item.kind == KINDS["bfd_profiles"]:
        told += f"; used by {_few(item.used_by)}" if item.used_by else "; no peer uses it"
    more = "".join(f"; {_CONSEQUENCES[each]}" for each in item.consequences)
    return f"{item.kind} {item.name}: {told}{more}"


def _edit(edit: Edit) -> str:
    before, after = edit.before, edit.after
    if isinstance(before, str) or isinstance(after, str):
        return f"{_shown(before)} -> {_shown(after)}" if before != after else "another one"
    if set(before) == set(after):
        return "in another order"
    if len(before) + len(after) <= 4:
        return f"{_shown(before)} -> {_shown(after)}"
    gone, new = [each for each in before if each not in after], [each for each in after if each not in before]
    parts = [f"without {_few(gone)}"] if gone else []
    parts += [f"with {_few(new)}"] if new else []
    return " and ".join(parts)


def _shown(value: Value) -> str:
    return (value or "none") if isinstance(value, str) else f"[{_joined(value)}]"


def _pending(page: Page, waiting: Sequence[PendingService]) -> None:
    if not waiting:
        return
    page.head("As now")
    groups = _grouped(waiting, lambda item: tuple((r.subject, r.reason) for r in item.refusals))
    for items in groups.values():
        why = (
            "; ".join(map(str, items[0].refusals))
            if len(items) == 1
            else "; ".join(f"{refusal.subject}: {refusal.reason.value}" for refusal in items[0].refusals)
        )
        one = len(items) == 1
        held = any(item.holds for item in items)
        verb = ("waits" if one else "wait") + (" for a second address" if held else "")
        rows = [[str(item.service), _joined(item.holds)] for item in items]
        page.group((" ", Style.FAINT), f"{count(len(items), 'service')} {verb}: {why}", rows)
    page.gap()
