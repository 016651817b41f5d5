"""Did you mean: the known word that a misspelt one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to `word`, if one is near at all; capitals count for little."""
    import difflib  # only needed once something is misspelt

    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A help line, or nothing when no known word is near."""
    found = nearest(word, known)
    return "" if found is None else f'did you mean "{found}"?'
