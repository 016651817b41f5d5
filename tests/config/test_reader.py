"""The way in: what is remembered, what is said, and that no bytes whatsoever break it."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbctl.config import assemble
from lbctl.config import reader as reader_module
from lbctl.config.assemble import FileReading
from lbctl.config.block import BlockParser
from lbctl.config.parse import Parsed, parse
from lbctl.config.reader import Reader
from lbctl.model.service import ServiceKey
from tests.config.manifests import COVER, obj, pool, read, service

MANY = ["---\n" + service("  ports: [{port: 80}]", name=f"s{n}") for n in range(50)]


def test_objects_of_unchanged_documents_stay_the_very_same() -> None:
    reader = Reader()
    old = reader.read({"all.yaml": "".join(MANY).encode()}).world
    changed = [*MANY]
    changed[7] = changed[7].replace("80", "81")
    new = reader.read({"all.yaml": "".join(changed).encode()}).world
    assert old.changes_since(new).of("services") == {ServiceKey("default", "s7")}
    assert new.services[ServiceKey("default", "s7")].ports[0].port == 81


def test_a_document_keeps_its_object_where_it_moves() -> None:
    reader = Reader()
    old = reader.read({"a.yaml": MANY[0].encode(), "b.yaml": MANY[1].encode()}).world
    new = reader.read({"c.yaml": (MANY[1] + MANY[0]).encode()}).world
    assert not new.changes_since(old)


def test_unchanged_documents_are_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def counted(raw: bytes, parser: BlockParser) -> Parsed:
        parsed.append(raw)
        return parse(raw, parser)

    monkeypatch.setattr(reader_module, "parse", counted)
    reader = Reader()
    reader.read({"all.yaml": "".join(MANY).encode()})
    assert len(parsed) == 50
    reader.read({"all.yaml": "".join(MANY[1:]).encode(), "one.yaml": MANY[0].encode()})
    assert len(parsed) == 50
    reader.read({"all.yaml": "".join(MANY).encode() + b"# end\n"})
    assert len(parsed) == 51


def test_old_documents_are_forgotten() -> None:
    reader = Reader()
    for n in range(5000):
        reader.read({"a.yaml": service("  ports: [{port: 80}]", name=f"s{n}").encode()})
    assert len(reader._parsed) < 1100


def test_findings_move_with_their_documents() -> None:
    reader = Reader()
    wrong = "---\n" + pool("  adresses: []")
    first = reader.read({"a.yaml": wrong.encode()}).diagnostics
    second = reader.read({"b.yaml": (MANY[0] + wrong).encode()}).diagnostics
    lines = MANY[0].count("\n")
    assert [(d.code, d.span.line + lines) for d in first] == [(d.code, d.span.line) for d in second]
    assert {d.span.file for d in second} == {"b.yaml"}


def test_findings_come_in_the_order_of_the_text_whatever_the_order_of_files() -> None:
    files = {
        "b.yaml": pool("  adresses: []").encode(),
        "a.yaml": (pool("  addresses: [x, y]") + "---\n" + obj("Nothing", "  a: b")).encode(),
        "c.yaml": b"a: b: c\n",
    }
    shuffled = list(files.items())
    random.Random(7).shuffle(shuffled)
    found = Reader().read(files).diagnostics
    assert found == Reader().read(dict(shuffled)).diagnostics
    assert [d.order for d in found] == sorted(d.order for d in found)
    assert [d.code for d in found] == ["LB0202", "LB0202", "LB0103", "LB0105", "LB0004"]


def test_a_list_holds_objects() -> None:
    items = [service("  ports: [{port: 80}]", name="one"), pool("  adresses: []"), obj("Foo", "  a: b"), "just text\n"]
    body = "".join("- " + text.replace("\n", "\n  ").rstrip() + "\n" for text in items)
    found = read("apiVersion: v1\nkind: List\nmetadata: {}\nitems:\n" + body)
    assert list(found.world.services) == [ServiceKey("default", "one")]
    assert [(d.code, d.span.line, d.span.column) for d in found.diagnostics] == [
        ("LB0105", 16, 5),
        ("LB0103", 18, 9),
        ("LB0101", 23, 3),
    ]


def test_places_of_objects_in_a_list() -> None:
    body = "".join(f"- {{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}\n" for name in ("a", "b", "a"))
    (found,) = read("apiVersion: v1\nkind: List\nitems:\n" + body).conflicts
    assert (found.span.line, [label.span.line for label in found.labels]) == (6, [4])


@pytest.mark.parametrize("items", ["", "items: null\n", "items: []\n"])
def test_an_empty_list(items: str) -> None:
    assert read("apiVersion: v1\nkind: List\n" + items).diagnostics == ()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ["LB0009"]),
        ("\n\n", ["LB0009"]),
        ("---\n---\n", ["LB0009"]),
        ("# nothing\n", []),
        ("null\n", []),
        ("- a\n", ["LB0101"]),
        ("text\n", ["LB0101"]),
        ("5\n", ["LB0101"]),
        ("{}\n", ["LB0102"]),
        ("kind: Service\n", ["LB0102"]),
        ("apiVersion: v1\n", ["LB0102"]),
        ("apiVersion: 1\nkind: Service\n", ["LB0102"]),
        ("apiVersion: apps/v1\nkind: Deployment\n", ["LB0104"]),
        ("apiVersion: projectcalico.org/v3\nkind: BGPPeer\n", ["LB0104"]),
        ("apiVersion: v2\nkind: Service\n", ["LB0112"]),
        ("apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\n", ["LB0112"]),
        ("apiVersion: v1\nkind: EndpointSlice\n", ["LB0112"]),
        ("apiVersion: metalb.io/v1beta1\nkind: IPAddressPool\n", ["LB0112"]),
        ("apiVersion: metallb.io/v1beta1\nkind: AddressPool\n", ["LB0103"]),
        ("apiVersion: metallb.io/v1beta2\nkind: IPAddressPool\n", ["LB0103"]),
        ("apiVersion: metallb.io/v1beta1\nkind: IpAddressPool\n", ["LB0103"]),
        ("apiVersion: metallb.io/v1beta1\nkind: ServiceL2Status\n", []),
        ("apiVersion: v1\nkind: List\nitems: x\n", ["LB0107"]),
        ("a: 1\n---\nb: 2\n", ["LB0102", "LB0102"]),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n...\n", []),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, name: b}\n", ["LB0005"]),
        ("apiVersion: v1\nkind: Namespace\nmetadata: [a]\n", ["LB0107"]),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {a: {}}}\n", ["LB0107"]),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, lables: {}}\n", ["LB0106"]),
        ("apiVersion: v1\nkind: Namespace\nname: a\n", ["LB0110", "LB0106"]),
    ],
)
def test_documents(text: str, codes: list[str]) -> None:
    assert [found.code for found in read(text).diagnostics] == codes


def test_one_broken_document_does_not_hide_the_others() -> None:
    found = read("a: b: c\n---\n" + MANY[0] + "---\na: [\n---\n" + pool("  addresses: [x]"))
    assert [d.code for d in found.diagnostics] == ["LB0004", "LB0004", "LB0202"]
    assert list(found.world.services) == [ServiceKey("default", "s0")]


@pytest.mark.parametrize(
    "raw",
    [b"\xff\xfea\x00", b"\xfe\xff\x00a", "a".encode("utf-32"), b"\x00\x01\x02", b"a: \xff\n", b"\x89PNG\r\n\x1a\n"],
)
def test_what_is_no_text(raw: bytes) -> None:
    found = Reader().read({"x.yaml": raw}).diagnostics
    assert found
    assert {d.code for d in found} <= {"LB0001", "LB0002"}
    assert all(d.sensitive for d in found)


def test_a_mark_and_foreign_line_ends_change_nothing() -> None:
    plain = read(pool(), COVER)
    for raw in (b"\xef\xbb\xbf" + pool().encode(), pool().replace("\n", "\r\n").encode()):
        assert Reader().read({"a.yaml": raw, "b.yaml": COVER.encode()}).world.pools == plain.world.pools


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
@example(b"\x00")
@example(b"---\n&a [*a]")
@example(b"[" * 300)
@example(b"{" * 300)
@example(b"- " * 150)
@example(b"? " * 150)
@example(b"a:\n" + b"".join(b" " * n + b"b:\n" for n in range(1, 90)))
@example(b"%YAML 1.2\n%YAML 1.2\n---\n")
@example(b"!!python/object:os.system x")
def test_any_bytes_give_findings_and_no_traceback(raw: bytes) -> None:
    found = Reader().read({"x.yaml": raw})
    lines = raw.count(b"\n") + raw.count(b"\r") + 1
    assert all(1 <= d.span.line <= lines for d in found.diagnostics)


SEEDS = [
    pool("  addresses: [10.0.0.0/24, 10.1.0.1-10.1.0.9]\n  serviceAllocation: {namespaces: [a]}"),
    service("  type: LoadBalancer\n  ports: [{port: 80, name: a}, {port: 81, name: b}]\n  loadBalancerIP: 10.0.0.1"),
    obj("BGPPeer", "  myASN: 1\n  peerASN: 2\n  peerAddress: 10.0.0.1\n  holdTime: 9s", version="metallb.io/v1beta2"),
    obj("L2Advertisement", "  ipAddressPools: [p]\n  nodeSelectors: [{matchExpressions: [{key: a, operator: In}]}]"),
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-1}\naddressType: IPv4\n"
    "endpoints:\n- addresses: [10.0.0.1]\n  conditions: {ready: true}\nports: [{port: 80}]\n",
    "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nstatus: {addresses: [{type: InternalIP, address: 1.2.3.4}]}\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: n}\nstringData: {password: a}\n",
]
junk = st.sampled_from(
    """|null|[]|{}|true|5|-1|1.5|''|x|{a: b}|[a]|*a|&a|!!str|>|\t|\n| |- |a: |: |{|}|[|]|"|'|#|%|---\n|\x00|é
fd00::1|999999999999999999999|10.0.0.1""".replace("é\nfd", "é|fd").split("|")
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3), st.data())
def test_damaged_manifests_give_findings_and_no_traceback(seeds: list[str], data: st.DataObject) -> None:
    text = "---\n".join(seeds)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        text = text[:start] + data.draw(junk) + text[start + data.draw(st.integers(0, 12)) :]
    files = {"x.yaml": text.encode(), "y.yaml": seeds[0].encode()}
    reader = Reader()
    found = reader.read(files)
    assert [d.order for d in found.diagnostics] == sorted(d.order for d in found.diagnostics)
    again = reader.read(copy.copy(files))
    assert again.diagnostics == found.diagnostics
    assert not again.world.changes_since(found.world)
    assert Reader().read(files).diagnostics == found.diagnostics


LETTERS = "abcdefgh"
own = st.lists(
    st.sampled_from(
        [
            service("  ports: [{port: 80}]", name="s-F"),
            service("  loadBalancerIP: 10.1.0.9", name="t-F"),
            pool("  addresses: [10.N.0.0/24]", name="p-F"),
            pool("  addresses: [10.N.0.0/25]", name="p-F"),
            pool("  adresses: []", name="bad-F"),
            obj("L2Advertisement", "  ipAddressPools: [p-F, p-a]", name="l-F"),
            "a: b: c\n",
        ]
    ),
    max_size=3,
    unique=True,
)
shared = st.sampled_from(
    [[]] * 6 + [[pool("  addresses: [10.1.0.128/25]", name="other")], [service("  {}", name="s-a")]]
)
bodies = st.tuples(own, shared).map(lambda parts: "---\n".join([*parts[0], *parts[1]]))


def named(letter: str, body: str) -> str:
    """The body as it stands in the file with this letter: most of what it defines is its own."""
    return body.replace("-F", f"-{letter}").replace("10.N", f"10.{LETTERS.index(letter)}")


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(*[bodies] * len(LETTERS)),
    st.lists(st.tuples(st.sampled_from(LETTERS), st.none() | bodies), min_size=1, max_size=6),
)
def test_one_change_after_another_gives_what_a_fresh_start_gives(
    first: tuple[str, ...], edits: list[tuple[str, str | None]]
) -> None:
    reader = Reader()
    files = {f"{letter}.yaml": named(letter, body).encode() for letter, body in zip(LETTERS, first, strict=True)}
    readings = {name: reader.read_file(name, raw) for name, raw in files.items()}
    reader.assemble(readings)
    for letter, body in edits:
        name = f"{letter}.yaml"
        files.pop(name, None)
        readings.pop(name, None)
        if body is not None:
            files[name] = named(letter, body).encode()
            readings[name] = reader.read_file(name, files[name])
        patched, fresh = reader.assemble(readings), Reader().read(files)
        assert patched.world == fresh.world
        assert patched.diagnostics == fresh.diagnostics
        assert set(patched.conflicts) == set(fresh.conflicts)


def test_the_same_document_in_two_files_is_an_object_defined_twice() -> None:
    reader = Reader()
    readings = {f"{n}.yaml": reader.read_file(f"{n}.yaml", service("  {}", name=f"s{n}").encode()) for n in range(20)}
    reader.assemble(readings)
    readings["20.yaml"] = reader.read_file("20.yaml", service("  {}", name="s7").encode())
    assert [found.code for found in reader.assemble(readings).conflicts] == ["LB0113"]
    del readings["20.yaml"]
    again = reader.assemble(readings)
    assert not again.conflicts
    assert len(again.world.services) == 20


def test_one_change_among_many_files_does_not_put_everything_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[int] = []
    real = assemble._fill

    def counted(maps: dict[str, dict[object, object]], files: Mapping[str, FileReading]) -> list[tuple[str, int]]:
        filled.append(len(files))
        return real(maps, files)

    monkeypatch.setattr(assemble, "_fill", counted)
    reader = Reader()
    texts = {f"{n}.yaml": service("  ports: [{port: 80}]", name=f"s{n}").encode() for n in range(20)}
    readings = {name: reader.read_file(name, raw) for name, raw in texts.items()}
    reader.assemble(readings)
    readings["7.yaml"] = reader.read_file("7.yaml", service("  ports: [{port: 81}]", name="s7").encode())
    assert reader.assemble(readings).world.services[ServiceKey("default", "s7")].ports[0].port == 81
    assert filled == [20]
