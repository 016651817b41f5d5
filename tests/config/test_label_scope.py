"""Selectors against the labels of many objects: the index finds what looking at each would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lbctl.config.checks.selectors import LabelScope
from lbctl.model.selector import Labels, LabelSelector, Operator, Requirement

KEYS, VALUES = st.sampled_from("abc"), st.sampled_from("xyz")
LABELS: st.SearchStrategy[Labels] = st.dictionaries(KEYS, VALUES, max_size=3).map(lambda d: tuple(sorted(d.items())))


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    few = st.lists(VALUES, min_size=1, max_size=3)
    values = tuple(draw(few)) if operator in (Operator.IN, Operator.NOT_IN) else ()
    return Requirement(key=draw(KEYS), operator=operator, values=values)


SELECTORS = st.builds(LabelSelector, match_labels=LABELS, expressions=st.lists(requirements(), max_size=3).map(tuple))


@given(st.lists(LABELS, max_size=6), st.lists(SELECTORS, max_size=4))
def test_the_same_as_looking_at_each(labels: list[Labels], selectors: list[LabelSelector]) -> None:
    scope = LabelScope("node", labels)
    for selector in selectors:
        assert scope.matches(selector) == any(selector.matches(dict(each)) for each in labels)
