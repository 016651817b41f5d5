"""Did you mean: the known word that a misspelt one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

_MANY = 300
"""Of more known words than this only those are looked at that begin alike and are about as long."""


def nearest(word: str, known: Iterable[str], *, likeness: float = 0.7) -> str | None:
    """The known word nearest to `word`, if one is near at all; capitals count for little. Likeness goes up to 1."""
    import difflib  # only needed once something is misspelt

    lower = word.lower()
    candidates = sorted(known)
    if len(candidates) > _MANY:
        candidates = [each for each in candidates if each[:1] == word[:1] and abs(len(each) - len(word)) <= 2][:_MANY]
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(lower, by_lower, n=1, cutoff=likeness)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A help line, or nothing when no known word is near."""
    found = nearest(word, known)
    return "" if found is None else f'did you mean "{found}"?'
