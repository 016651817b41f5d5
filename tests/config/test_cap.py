"""A document with a million things wrong: so many of a code are told, the others counted, and what follows stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from lbctl.config.assemble import Reading
from lbctl.config.cap import MOST
from lbctl.config.convert import convert
from lbctl.config.reader import Reader
from tests.config.manifests import COVER

HEAD = "apiVersion: metallb.io/v1beta1\nkind: {}\nmetadata: {{name: a, namespace: m}}\nspec:\n"
WRONG_ITEMS = HEAD.format("IPAddressPool") + "  addresses:\n"
TEXTS: dict[str, tuple[str, Callable[[int], str]]] = {
    "wrong items of a list": ("LB0202", lambda n: WRONG_ITEMS + "  - 192.0.2.1\n" * n),
    "keys given twice": ("LB0005", lambda n: WRONG_ITEMS + "  - 192.0.2.0/24\n" + "  autoAssign: true\n" * (n + 1)),
    "names that are not there": (
        "LB0301",
        lambda n: HEAD.format("L2Advertisement") + "  ipAddressPools:\n" + "".join(f"  - q{i}\n" for i in range(n)),
    ),
    "comments": ("LB0013", lambda n: "# lbctl: allow LB9999\n" * n + COVER),
    "comments of no use": ("LB0011", lambda n: "# lbctl: allow LB0207\n" * n + COVER),
    "zeros at the beginning": (
        "LB0015",
        lambda n: HEAD.format("L2Advertisement").replace("spec", "status:\n  x: [" + "01, " * n + "1]\nspec"),
    ),
    "objects of a List": ("LB0102", lambda n: "apiVersion: v1\nkind: List\nitems:\n" + "- {kind: Node}\n" * n),
}


def read(text: str) -> Reading:
    return Reader().read({"a.yaml": text.encode()})


@pytest.mark.parametrize("name", TEXTS)
def test_so_many_are_told_and_the_others_counted(name: str) -> None:
    code, text = TEXTS[name]
    few = read(text(MOST))
    assert Counter(found.code for found in few.diagnostics)[code] == MOST
    assert not any(found.left_out for found in few.diagnostics)
    many = read(text(MOST + 234))
    told = Counter(found.code for found in many.diagnostics)
    assert (told[code], told["LB0016"]) == (MOST, 1)
    (left,) = [found for found in many.diagnostics if found.left_out]
    assert left.code == "LB0016"
    assert left.left_out == 234
    assert left.message.startswith(f"234 more findings ({code} 234) ")


def test_what_is_not_told_is_refused_all_the_same() -> None:
    """The last object has the very error that was told often enough before."""
    many = "---\n".join([WRONG_ITEMS + "  - 192.0.2.1\n" * MOST, COVER])
    listed = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        f"- {{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {{name: p{i}}}, "
        "spec: {addresses: [x]}}\n"
        for i in range(MOST + 1)
    )
    assert not read(many).world.pools
    found = read(listed)
    assert not found.world.pools
    assert sum(each.left_out for each in found.diagnostics) == 1


def test_an_error_is_told_whatever_else_there_is() -> None:
    text = "# lbctl: allow LB9999\n" * (MOST + 9) + WRONG_ITEMS + "  - 192.0.2.1\n"
    assert [found.code for found in read(text).diagnostics if found.severity == "error"] == ["LB0202"]


def test_each_document_and_object_has_its_own_count() -> None:
    item = WRONG_ITEMS + "  - 192.0.2.1\n" * (MOST - 1)
    assert not any(found.left_out for found in read("---\n".join([item] * 3)).diagnostics)


def test_conversion() -> None:
    old = "address-pools:\n- name: p\n  protocol: layer2\n  addresses:\n" + "  - x\n" * (MOST + 5)
    made = convert({"a.yaml": old.encode()})
    assert len(made.diagnostics) == MOST + 1
    assert sum(found.left_out for found in made.diagnostics) == 5


def test_no_more_than_one_left_out_is_one() -> None:
    (left,) = [found for found in read(WRONG_ITEMS + "  - x\n" * (MOST + 1)).diagnostics if found.left_out]
    assert left.message == "1 more finding (LB0202 1) of this document is left out"
