"""Comments that silence findings: where they speak of, what they cannot silence, and what is said of idle ones."""

from __future__ import annotations

import random

import pytest

from lbctl.config.block import BlockParser, NotSimple
from lbctl.config.reader import Reader
from tests.config.manifests import COVER, Found, at, findings, obj, pool, read, service

OLD = "  annotations: {metallb.universe.tf/allow-shared-ip: x}"
OLD_SERVICE = service("  type: LoadBalancer\n  ports: [{port: 80}]", metadata=OLD + "\n")
LONELY = pool()


def allowed(*texts: str) -> list[Found]:
    return [(found.code, at(found.span, *texts)) for found in read(*texts).allowed]


@pytest.mark.parametrize(
    "text",
    [
        LONELY.replace("name: p", "name: p  # lbctl: allow LB0207"),
        LONELY.replace("  name: p", "  # lbctl: allow LB0207\n  name: p"),
        LONELY.replace("  name: p", "# lbctl: allow LB0207\n  # and that is why\n  name: p"),
        "# lbctl: allow LB0207\n" + LONELY,
        "# Pools of the old site.\n\n#lbctl:allow LB0207 the new one comes in May\n\n" + LONELY,
        "# lbctl: allow LB0207\n---\n" + LONELY,
        "--- # lbctl: allow LB0207\n" + LONELY,
        COVER.replace("{name: all}", "{name: all}\nspec: {ipAddressPools: [q]}  # lbctl: allow LB0301")
        + "---\n# lbctl: allow LB0207\n"
        + LONELY
        + "---\n"
        + pool(name="q", spec="  addresses: [10.1.0.0/24]")
        + "---\n# lbctl: allow LB0011, LB0301\n",
        "# lbctl: allow LB0206, lb0207,LB0508\n" + LONELY.replace("10.0.0.0", "10.0.0.1"),
        "# lbctl: allow LB207\n" + LONELY,
    ],
)
def test_a_finding_is_silenced(text: str) -> None:
    assert ("LB0207", "p") in allowed(text)
    assert "LB0207" not in [code for code, _ in findings(text)]


@pytest.mark.parametrize(
    "text",
    [
        LONELY + "# lbctl: allow LB0207\n",
        LONELY.replace("  name: p", "  # lbctl: allow LB0207\n\n  name: p"),
        LONELY.replace("spec:", "# lbctl: allow LB0207\nspec:"),
        "# lbctl: allow LB0207\n"
        + COVER.replace("{name: all}", "{name: a}\nspec: {ipAddressPools: [q]}\n---\n" + LONELY),
        "# lbctl: allow LB0206\n" + LONELY,
    ],
)
def test_a_comment_elsewhere_does_nothing_and_that_is_noted(text: str) -> None:
    codes = [code for code, _ in findings(text)]
    assert "LB0207" in codes
    assert "LB0011" in codes
    assert allowed(text) == []


def test_what_looks_like_a_comment_and_is_none() -> None:
    text = service(
        "  type: LoadBalancer\n  ports: [{port: 80}]", metadata=OLD.replace("x}", '"x # lbctl: allow LB0508"}\n')
    )
    assert [code for code, _ in findings(text)] == ["LB0508"]
    text = LONELY.replace("  name: p", "  annotations:\n    note: |\n      # lbctl: allow LB0207\n  name: p")
    assert [code for code, _ in findings(text)] == ["LB0207"]


def test_in_a_list_the_head_speaks_of_all() -> None:
    items = "".join(
        "- " + LONELY.replace("name: p", f"name: p{n}").replace("\n", "\n  ").rstrip() + "\n" for n in (1, 2)
    )
    text = "# lbctl: allow LB0207\napiVersion: v1\nkind: List\nitems:\n" + items.replace("10.0.0.0", "10.1.0.0", 1)
    assert [at for _, at in allowed(text)] == ["p1", "p2"]
    assert findings(text) == []


def test_errors_cannot_be_allowed() -> None:
    text = "# lbctl: allow LB0105, LB0207\n" + LONELY.replace("addresses", "adresses")
    assert findings(text) == [("LB0012", "LB0105"), ("LB0105", "adresses")]


def test_nothing_is_said_of_an_idle_comment_where_an_error_may_hide_its_finding() -> None:
    text = LONELY.replace("name: p", "name: p  # lbctl: allow LB0207")
    broken = text.replace("addresses", "adresses")
    assert [code for code, _ in findings(broken)] == ["LB0105"]
    assert [code for code, _ in findings(pool(), text)] == ["LB0207", "LB0113"]


@pytest.mark.parametrize(
    ("comment", "place", "help"),
    [
        ("# lbctl: alow LB0207", "alow", "write # lbctl: allow LB0207, then, if you like, why"),
        ("# lbctl: ignore LB0207", "ignore", "write # lbctl: allow LB0207, then, if you like, why"),
        ("# lbctl: allow", "allow", "write # lbctl: allow LB0207, then, if you like, why"),
        ("# lbctl: allow everything", "everything", "write # lbctl: allow LB0207, then, if you like, why"),
        ("# lbctl: allow LB" + "9" * 5000, "LB" + "9" * 5000, "`lbctl explain` lists all codes"),
    ],
)
def test_what_is_not_understood(comment: str, place: str, help: str) -> None:
    text = comment + "\n" + COVER
    assert findings(text) == [("LB0013", place)]
    assert read(text).diagnostics[0].help == help


@pytest.mark.parametrize(
    "comment", ["# lbctl: reads this file", "# lbctl", "# see lbctl: allow LB0207", "# allow LB0207"]
)
def test_a_sentence_is_no_concern(comment: str) -> None:
    assert findings(comment + "\n" + COVER) == []


def test_nothing_is_shown_of_a_secret() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: x} # lbctl: allow LB0207\n"
    (found,) = read(text).diagnostics
    assert (found.code, found.sensitive) == ("LB0011", True)


def test_both_parsers_give_the_same() -> None:
    simple = "# lbctl: allow LB0508\n" + OLD_SERVICE
    exact = simple.replace("kind: Service", "kind: &a Service")
    BlockParser().parse(simple)
    with pytest.raises(NotSimple):
        BlockParser().parse(exact)
    for text in (simple, exact):
        assert findings(text) == []
        assert [code for code, _ in allowed(text)] == ["LB0508"]


def test_comments_before_the_first_marker_cost_no_exact_parser() -> None:
    BlockParser().parse("# license\n\n# text\n---\n" + OLD_SERVICE)


def test_a_reader_that_remembers_says_what_a_new_one_says() -> None:
    """Also where the comment and what it silences are in files that change one by one."""
    advertisement = COVER.replace("{name: all}", "{name: all}\nspec:\n  ipAddressPools: [p]")
    choices = [
        LONELY,
        "# lbctl: allow LB0207\n" + LONELY,
        COVER,
        advertisement,
        "# lbctl: allow LB0301\n" + advertisement,
    ]
    choices += [obj("BFDProfile", "  detectMultiplier: 3", name=str(n)) for n in range(3)]
    chance = random.Random(1)
    reader = Reader()
    files: dict[str, bytes] = {
        f"{n}.yaml": obj("BFDProfile", "  echoMode: true", name=f"n{n}").encode() for n in range(9)
    }
    readings = {name: reader.read_file(name, raw) for name, raw in files.items()}
    reader.assemble(readings)
    for _ in range(200):
        name = f"{chance.randrange(9)}.yaml"
        files[name] = chance.choice(choices).encode()
        readings = {**readings, name: reader.read_file(name, files[name])}
        old, new = reader.assemble(readings, [name]), Reader().read(files)
        assert (old.diagnostics, old.allowed) == (new.diagnostics, new.allowed)
