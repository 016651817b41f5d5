"""Label selectors (metav1.LabelSelector), MetalLB rule P9."""

from __future__ import annotations

from collections.abc import Iterator

from lbctl.config.schema import Fields, Many, Problem, Record, TextMap
from lbctl.config.value_types import Text
from lbctl.model.selector import LabelSelector, Operator, Requirement


def _values_fit_operator(fields: Fields) -> Iterator[Problem]:
    operator, values = fields.get("operator"), fields.get("values", ())
    if operator in (Operator.IN, Operator.NOT_IN) and not values:
        yield Problem("LB0115", ("operator",), f"{operator} needs at least one value", "add values: [...]")
    if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and values:
        yield Problem("LB0115", ("values",), f"{operator} takes no values", "remove them", at_key=True)


REQUIREMENT = Record(
    "a match expression",
    {"key": Text(empty=False), "operator": Text(Operator), "values": Many(Text(), unique="the value")},
    required=("key", "operator"),
    rules=(_values_fit_operator,),
    build=lambda fields: Requirement(
        key=fields["key"], operator=fields["operator"], values=tuple(sorted(fields.get("values", ())))
    ),
)

SELECTOR = Record(
    "a label selector",
    {"matchLabels": TextMap(), "matchExpressions": Many(REQUIREMENT, unique="expression")},
    strays={"": "put labels under matchLabels:"},
    build=lambda fields: LabelSelector(
        match_labels=fields.get("matchLabels", ()), expressions=fields.get("matchExpressions", ())
    ),
)

SELECTORS = Many(SELECTOR, unique="selector")
