"""A table of nftables as a value: sets, elements, chains, the text that loads it, and the way from one to another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

TABLE = "inet lbctl"
Elements = Mapping[str, str]
"""Key to data of one map, or member to "" of one set, as nftables writes them."""


class SetSpec(NamedTuple):
    """The declaration of a set, or of a map where `data` is not empty. `dynamic`: filled by the kernel, for a time."""

    keys: tuple[str, ...]
    data: tuple[str, ...] = ()
    interval: bool = False
    dynamic: bool = False

    @property
    def kind(self) -> str:
        return "map" if self.data else "set"

    @property
    def type(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What cannot change while the set lives."""
        return self.keys, self.data


class Chain(NamedTuple):
    """A chain's rules; `hook` is the declaration of a base chain, "" for one that is only jumped to."""

    rules: tuple[str, ...]
    hook: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """All of a table. The elements of dynamic sets belong to the kernel and are not part of it."""

    sets: Mapping[str, SetSpec] = field(default_factory=dict)
    elements: Mapping[str, Elements] = field(default_factory=dict)
    chains: Mapping[str, Chain] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """What leads from one table to another. `chains_set` are the new rules of chains that are there already."""

    sets_added: Mapping[str, SetSpec] = field(default_factory=dict)
    sets_removed: tuple[str, ...] = ()
    chains_added: Mapping[str, Chain] = field(default_factory=dict)
    chains_set: Mapping[str, Chain] = field(default_factory=dict)
    chains_removed: tuple[str, ...] = ()
    elements_removed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elements_added: Mapping[str, Elements] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(
            self.sets_added
            or self.sets_removed
            or self.chains_added
            or self.chains_set
            or self.chains_removed
            or self.elements_removed
            or self.elements_added
        )

    def __str__(self) -> str:
        """For a log: what it touches, in one line."""
        named = [*self.sets_added, *self.sets_removed, *self.chains_added, *self.chains_set, *self.chains_removed]
        named += [f"{name}(-{len(keys)})" for name, keys in self.elements_removed.items()]
        named += [f"{name}(+{len(elements)})" for name, elements in self.elements_added.items()]
        return " ".join(named[:20]) + (f" and {len(named) - 20} more" if len(named) > 20 else "")


def difference(actual: Table, desired: Table) -> Delta | None:
    """From any table to another; None when something must change that cannot, so that only a whole new table helps."""
    for name, spec in desired.sets.items():
        if (there := actual.sets.get(name)) is not None and there.type != spec.type:
            return None
    for name, chain in desired.chains.items():
        if (found := actual.chains.get(name)) is not None and found.hook != chain.hook:
            return None
    return compare(actual, desired)


def compare(old: Table, new: Table) -> Delta:
    """From one table of ours to another; sets and base chains of one name are declared alike in both."""
    removed: dict[str, tuple[str, ...]] = {}
    added: dict[str, Elements] = {}
    for name in {**old.sets, **new.sets}:
        before, after = old.elements.get(name, {}), new.elements.get(name, {})
        # A verdict map's elements hold on to chains, so they go even where the whole map goes.
        if less := tuple(key for key, value in before.items() if after.get(key) != value):
            removed[name] = less
        if more := {key: value for key, value in after.items() if before.get(key) != value}:
            added[name] = more
    return Delta(
        sets_added={name: spec for name, spec in new.sets.items() if name not in old.sets},
        sets_removed=tuple(name for name in old.sets if name not in new.sets),
        chains_added={name: chain for name, chain in new.chains.items() if name not in old.chains},
        chains_set={name: chain for name, chain in new.chains.items() if old.chains.get(name, chain) != chain},
        chains_removed=tuple(name for name in old.chains if name not in new.chains),
        elements_removed=removed,
        elements_added=added,
    )


def patched(old: Table, delta: Delta) -> Table:
    """The table after a delta, as the kernel would have it."""
    sets = {n: s for n, s in {**old.sets, **delta.sets_added}.items() if n not in delta.sets_removed}
    chains = {**old.chains, **delta.chains_added, **delta.chains_set}
    chains = {name: chain for name, chain in chains.items() if name not in delta.chains_removed}
    elements: dict[str, Elements] = {}
    for name in sets:
        gone = frozenset(delta.elements_removed.get(name, ()))
        kept = {key: value for key, value in old.elements.get(name, {}).items() if key not in gone}
        if now := {**kept, **delta.elements_added.get(name, {})}:
            elements[name] = now
    return Table(sets, elements, chains)


def stages(delta: Delta) -> tuple[Delta, ...]:
    """The transactions for a delta, one or two: what elements are to lead to is there before any of them does.

    A packet keeps to the rules of the generation in which it entered the hook, but each look-up is answered by the
    elements of that very moment. In one transaction an element could send a packet that is underway into a chain which
    in that packet's generation has no rules yet, and it would fall out of it untranslated.
    """
    first = Delta(sets_added=delta.sets_added, chains_added=delta.chains_added)
    rest = replace(delta, sets_added={}, chains_added={})
    return tuple(stage for stage in (first, rest) if stage)


def load_text(table: Table) -> str:
    """The transaction that replaces whatever `inet lbctl` is there by this table."""
    lines = [f"add table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    for name, spec in table.sets.items():
        elements = table.elements.get(name)
        listed = f" elements = {{ {', '.join(_texts(elements))} }};" if elements else ""
        lines.append(f"{spec.kind} {name} {{ {_declaration(spec)}{listed} }}")
    for name, chain in table.chains.items():
        lines.append(f"chain {name} {{")
        if chain.hook:
            lines.append(f"{chain.hook};")
        lines.extend(_commented(rule) for rule in chain.rules)
        lines.append("}")
    lines.append("}")
    return "\n".join(lines) + "\n"


def delta_text(delta: Delta) -> str:
    """The transaction for a delta, or a stage of one. What is referred to comes before, and goes after, what refers."""
    lines = [f"add {spec.kind} {TABLE} {name} {{ {_declaration(spec)} }}" for name, spec in delta.sets_added.items()]
    written = {**delta.chains_added, **delta.chains_set}
    for name, chain in written.items():
        lines.append(f"add chain {TABLE} {name}" + (f" {{ {chain.hook}; }}" if chain.hook else ""))
    lines.extend(f"flush chain {TABLE} {name}" for name in (*written, *delta.chains_removed))
    for name, chain in written.items():
        lines.extend(f"add rule {TABLE} {name} {_commented(rule)}" for rule in chain.rules)
    for name, keys in delta.elements_removed.items():
        lines.append(f"delete element {TABLE} {name} {{ {', '.join(keys)} }}")
    for name, elements in delta.elements_added.items():
        lines.append(f"add element {TABLE} {name} {{ {', '.join(_texts(elements))} }}")
    lines.extend(f"delete chain {TABLE} {name}" for name in delta.chains_removed)
    lines.extend(f"delete set {TABLE} {name}" for name in delta.sets_removed)
    return "\n".join(lines) + "\n"


def digest(rule: str) -> str:
    """The comment of a rule, by which a listing is compared with what was meant: nft spells rules its own way."""
    return hashlib.blake2s(rule.encode(), digest_size=6).hexdigest()


def _commented(rule: str) -> str:
    return f'{rule} comment "{digest(rule)}"'


def _declaration(spec: SetSpec) -> str:
    text = f"type {' . '.join(spec.keys)}" + (f" : {' . '.join(spec.data)};" if spec.data else ";")
    if spec.dynamic:
        # No size: the kernel stops at 65,535 members by itself, and allocates a megabyte for a size that is written.
        text += " flags dynamic,timeout;"
    if spec.interval:
        text += " flags interval;"
    return text


def _texts(elements: Elements) -> Iterator[str]:
    return (f"{key} : {value}" if value else key for key, value in elements.items())
