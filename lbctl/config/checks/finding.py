"""What rules over all objects are made of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lbctl.config.cluster import Password
from lbctl.config.schema import Path
from lbctl.config.spelling import did_you_mean
from lbctl.model.snapshot import World

_FEW = 20


class Place(NamedTuple):
    """Something within an object: the map and key of the object, and the path of the value."""

    map: str
    key: Hashable
    path: Path = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule found about `subject`; `other` is a second object that belongs to it.

    `missing` is what the subject lacks (any object of the map where the key is None). When it is there, but refused for
    an error in itself, nobody is to be told that it is not: the finding is passed over. `left_out`: it
    stands for so many others that are not told.
    """

    code: str
    subject: Place
    message: str
    help: str = ""
    other: Place | None = None
    other_message: str = ""
    missing: tuple[Place, ...] = ()
    left_out: int = 0


Secrets = Mapping[tuple[str, str], Password]
"""Secrets by namespace and name."""

Rule = Callable[[World, Secrets], Iterator[Finding]]
"""Looks at everything that was read; maps are in the order of the text."""


def missing_names(
    code: str, map: str, known: Mapping[str, object], subject: Place, field: str, names: Iterable[str], noun: str
) -> Iterator[Finding]:
    """A finding for each of the `names` in a list of the spec that nothing has."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name not in known and name not in seen:
            seen.add(name)
            yield Finding(
                code=code,
                subject=subject._replace(path=("spec", field, index)),
                message=f'there is no {noun} "{name}" here',
                help=did_you_mean(name, known) or _those_there_are(known, noun),
                missing=(Place(map, name),),
            )


def near(name: str, known: Iterable[str], missing: Sequence[object]) -> str:
    """A suggestion, as long as it is for some only: looking for one costs more than anything else here."""
    return did_you_mean(name, known) if len(missing) <= _FEW else ""


def _those_there_are(known: Mapping[str, object], noun: str) -> str:
    return f"the {noun}s are {some(sorted(known))}" if known else f"no {noun} at all is here"


def some(names: Sequence[str], most: int = 6) -> str:
    """The first few of many names, for a message."""
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"
