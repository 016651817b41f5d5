"""Runs the rules over all objects: what they find, what they refuse, and what else there is to say of that."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Set
from typing import Any, cast

from lbctl.config.cap import HELP, LEFT_OUT, Cap, words
from lbctl.config.check import RULES, SURE, Finding, Place, Rule
from lbctl.config.codes import CODES
from lbctl.config.diagnostic import Severity
from lbctl.config.parse import Draft, Parsed
from lbctl.model.frozen_map import FrozenMap
from lbctl.model.snapshot import World

Maps = dict[str, FrozenMap[Any, Any]]
"""All objects by the name of their map."""
Name = tuple[str, Hashable]
"""An object's map and key."""
Drafts = dict[Name, tuple[str, int, Parsed, Draft]]
"""File, lines before the document, the document, and what could be made of the object."""


class _Looking:
    """Stands in for a World, and notes which of its maps a rule looks at."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self.read: Maps = {}

    def __getattr__(self, name: str) -> FrozenMap[Any, Any]:
        found = self.read[name] = self._maps[name]
        return found


class Rules:
    """Runs the rules. One that looks at nothing that has changed finds what it found last time."""

    def __init__(self) -> None:
        self._found: dict[Rule, tuple[Maps, tuple[Finding, ...]]] = {}
        self.refused: dict[str, dict[Hashable, Any]] = {}
        """The objects that were refused last time, by map and key."""

    def check(self, maps: Maps, broken: Set[Name]) -> list[Finding]:
        """The findings of all rules; the objects that they refuse are taken out of the maps.

        `broken` are objects that are not in the maps for an error in themselves; nobody is told that they are missing.
        """
        self.refused = {}
        absent = set(broken)
        kinds = {name for name, _ in broken}
        crossed = []
        for rule in RULES:
            refused: dict[str, dict[Hashable, Any]] = {}
            for finding in self.run(rule, maps):
                if _is_there(finding, absent, kinds):
                    continue
                crossed.append(finding)
                if CODES[finding.code].severity is Severity.ERROR:
                    name, key, _ = finding.subject
                    refused.setdefault(name, {})[key] = maps[name][key]
            for name, objects in refused.items():
                maps[name] = maps[name].having({}, objects)
                self.refused.setdefault(name, {}).update(objects)
                absent.update((name, key) for key in objects)
                kinds.add(name)
        return crossed

    def run(self, rule: Rule, maps: Maps) -> tuple[Finding, ...]:
        read, findings = self._found.get(rule, ({}, ()))
        if not read or any(maps[name] is not seen for name, seen in read.items()):
            looking = _Looking(maps)
            findings = tuple(_capped(rule(cast("World", looking), maps["secrets"])))
            self._found[rule] = ({**looking.read, "secrets": maps["secrets"]}, findings)
        return findings


class Doubtful:
    """What else there is to say of objects that are refused: all that is wrong is to be said at once.

    The rules are run once more with those objects among the others, and what they find about them counts. Of an object
    with an error in itself only what does not follow from that error: a value that is wrong is not among its values.
    """

    def __init__(self) -> None:
        self._rules = Rules()
        self._with: dict[str, tuple[FrozenMap[Any, Any], dict[Hashable, Any], FrozenMap[Any, Any]]] = {}

    def check(
        self,
        maps: Maps,
        refused: Mapping[str, Mapping[Hashable, Any]],
        drafts: Drafts,
        broken: Set[Name],
        known: Iterable[Finding],
    ) -> list[Finding]:
        """What `known` does not say yet of those that rules refused, and of `drafts`."""
        added: dict[str, dict[Hashable, Any]] = {name: dict(objects) for name, objects in refused.items()}
        own: set[Name] = set()
        for (name, key), (_, _, _, draft) in drafts.items():
            if key not in maps[name] and key not in added.get(name, {}):
                added.setdefault(name, {})[key] = draft.made.value
                own.add((name, key))
        if not added:
            return []
        whole = {name: self._joined(name, objects, added.get(name, {})) for name, objects in maps.items()}
        said = {(finding.code, finding.subject) for finding in known}
        kinds = {name for name, _ in broken}
        found = []
        for rule in RULES:
            for finding in self._rules.run(rule, whole):
                name, key, _ = finding.subject
                if key not in added.get(name, ()) or (finding.code, finding.subject) in said:
                    continue
                if (name, key) in own and not _is_sure(finding):
                    continue
                if not _is_there(finding, broken, kinds):
                    found.append(finding)
        return found

    def _joined(self, name: str, objects: FrozenMap[Any, Any], more: dict[Hashable, Any]) -> FrozenMap[Any, Any]:
        """One map with others in it; the very same as last time where nothing has changed, for the rules to see."""
        if not more:
            return objects
        before = self._with.get(name)
        if before is None or before[0] is not objects or before[1] != more:
            before = self._with[name] = (objects, more, objects.having(more))
        return before[2]


def _capped(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The first of the findings about each object, by code, and then how many are left out."""
    cap: Cap[tuple[str, str, Hashable]] = Cap()
    for finding in findings:
        if cap.admits((finding.code, finding.subject.map, finding.subject.key)):
            yield finding
    for (code, map, key), number in cap.left.items():
        yield Finding(
            code=LEFT_OUT,
            subject=Place(map, key, ("metadata", "name")),
            message=f"{words({code: number})} about this object {'is' if number == 1 else 'are'} left out",
            help=HELP,
            left_out=number,
        )


def _is_there(finding: Finding, absent: Set[Name], kinds: Set[str]) -> bool:
    """Whether what a finding says is missing is there, but refused."""
    return any(lack.map in kinds if lack.key is None else lack[:2] in absent for lack in finding.missing)


def _is_sure(finding: Finding) -> bool:
    """Whether a finding about a draft is true; what an object says of itself was found when it was read."""
    return finding.code in SURE and (finding.other is None or finding.other[:2] != finding.subject[:2])
