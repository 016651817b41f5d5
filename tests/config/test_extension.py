"""Annotations under lbctl.io/: every one of docs/extensions.md, accepted and refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.config import extension
from lbctl.config.ranges import covers, merged, read_item
from lbctl.model.advertisement import Failback, L2Advertisement
from lbctl.model.pool import Choice, OnConflict, PoolOptions
from lbctl.model.service import ServiceKey
from tests.config.manifests import COVER, Found, findings, pool, read, service

ADDRESSES = "  addresses: [192.0.2.0/24, '2001:db8::/64']"
ROOT = Path(__file__).parents[2]


def annotated(*lines: str) -> str:
    return pool(ADDRESSES, metadata="  annotations:\n" + "".join(f"    lbctl.io/{line}\n" for line in lines))


def asking(*lines: str) -> str:
    metadata = "  annotations:\n" + "".join(f"    {line}\n" for line in lines)
    return service("  type: LoadBalancer\n  ports: [{port: 80}]", metadata=metadata)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cooling-time: 60s", {}),
        ("cooling-time: 0s", {"cooling_time": 0.0}),
        ('cooling-time: "0"', {"cooling_time": 0.0}),
        ("cooling-time: 1h30m", {"cooling_time": 5400.0}),
        ("cooling-time: 720h", {"cooling_time": 720 * 3600.0}),
        ("choice: lowest", {}),
        ("choice: least-recently-used", {"choice": Choice.LEAST_RECENTLY_USED}),
        ("protect: in-use", {"protected": True}),
        ("on-conflict: quarantine", {}),
        ("on-conflict: reallocate", {"on_conflict": OnConflict.REALLOCATE}),
        ('probe: "true"', {}),
        ('probe: "false"', {"probe": False}),
    ],
)
def test_option_of_a_pool(line: str, expected: dict[str, Any]) -> None:
    found = read(annotated(line), COVER)
    assert not found.diagnostics
    assert found.world.pools["p"].options == replace(PoolOptions(), **expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.13", ["192.0.2.13-192.0.2.13"]),
        ("192.0.2.20-192.0.2.30", ["192.0.2.20-192.0.2.30"]),
        ("192.0.2.20 - 192.0.2.30", ["192.0.2.20-192.0.2.30"]),
        ("192.0.2.0/28", ["192.0.2.0-192.0.2.15"]),
        ("192.0.2.9/28", ["192.0.2.0-192.0.2.15"]),
        ("2001:db8::/120, 192.0.2.13", ["192.0.2.13-192.0.2.13", "2001:db8::-2001:db8::ff"]),
        ("192.0.2.2,192.0.2.1", ["192.0.2.1-192.0.2.2"]),
        ("192.0.2.1, 192.0.2.0/30", ["192.0.2.0-192.0.2.3"]),
        ("192.0.2.1-192.0.2.9, 192.0.2.5-192.0.2.12", ["192.0.2.1-192.0.2.12"]),
        ("192.0.2.200-192.0.3.9", ["192.0.2.200-192.0.3.9"]),
    ],
)
def test_excluded(text: str, expected: list[str]) -> None:
    found = read(annotated(f'exclude: "{text}"'), COVER)
    assert not found.diagnostics
    excluded = found.world.pools["p"].options.excluded
    assert [f"{item.first}-{item.last}" for item in excluded] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cooling-time: soon", [("LB0120", "soon")]),
        ("cooling-time: 721h", [("LB0120", "721h")]),
        ("cooling-time: -5s", [("LB0120", "-5s")]),
        ("cooling-time: 60", [("LB0107", "60")]),
        ('cooling-time: ""', [("LB0120", '""')]),
        ("choice: Lowest", [("LB0120", "Lowest")]),
        ("choice: random", [("LB0120", "random")]),
        ("protect: always", [("LB0120", "always")]),
        ("on-conflict: realocate", [("LB0120", "realocate")]),
        ("probe: false", [("LB0107", "false")]),
        ('probe: "no"', [("LB0120", '"no"')]),
        ('exclude: ""', [("LB0120", '""')]),
        ("exclude: 192.0.2.1,", [("LB0120", "192.0.2.1,")]),
        ("exclude: 192.0.2.1, gateway", [("LB0120", "gateway")]),
        ("exclude: 192.0.2.1, 192.0.2.0/33", [("LB0120", "/33")]),
        ("exclude: 192.0.2.9-192.0.2.1", [("LB0120", "192.0.2.9-192.0.2.1")]),
        ("exclude: 192.0.2.1-20", [("LB0120", "20")]),
        ('exclude: "192.0.2.9-2001:db8::"', [("LB0120", "192.0.2.9-2001:db8::")]),
        ('exclude: "192.0.2.0/24, 2001:db8::/64"', [("LB0209", "lbctl.io/exclude")]),
        ('exclude: "192.0.2.0/25, 192.0.2.128/25, 2001:db8::/32"', [("LB0209", "lbctl.io/exclude")]),
    ],
)
def test_wrong_option_of_a_pool(line: str, expected: list[Found]) -> None:
    assert findings(annotated(line), COVER) == expected
    assert not read(annotated(line), COVER).world.pools


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("exclude: 192.0.3.1", [("LB0208", "192.0.3.1")]),
        ("exclude: 192.0.2.1, 192.0.3.1 , 10.0.0.0/8", [("LB0208", "192.0.3.1"), ("LB0208", "10.0.0.0/8")]),
        ("excludes: 192.0.2.1", [("LB0509", "lbctl.io/excludes")]),
        ("address-pools: a", [("LB0509", "lbctl.io/address-pools")]),
    ],
)
def test_doubtful_option_of_a_pool(line: str, expected: list[Found]) -> None:
    assert findings(annotated(line), COVER) == expected
    assert read(annotated(line), COVER).world.pools


@pytest.mark.parametrize(
    ("lines", "pools", "on_conflict"),
    [
        (["lbctl.io/address-pools: v4,v6"], ("v4", "v6"), None),
        (["lbctl.io/address-pools: ' v4 , v6 '"], ("v4", "v6"), None),
        (["lbctl.io/address-pools: v4"], ("v4",), None),
        (["lbctl.io/on-conflict: reallocate"], (), OnConflict.REALLOCATE),
        (["lbctl.io/on-conflict: quarantine"], (), OnConflict.QUARANTINE),
        (["metallb.io/address-pool: ''", "lbctl.io/address-pools: v4"], ("v4",), None),
    ],
)
def test_wish_of_a_service(lines: list[str], pools: tuple[str, ...], on_conflict: OnConflict | None) -> None:
    found = read(asking(*lines))
    assert not found.diagnostics
    wish = found.world.services[ServiceKey("default", "s")].load_balancer
    assert (wish.pools_by_family, wish.on_conflict) == (pools, on_conflict)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["lbctl.io/address-pools: ''"], [("LB0120", "''")]),
        (["lbctl.io/address-pools: v4,,v6"], [("LB0120", "v4,,v6")]),
        (["lbctl.io/address-pools: v4, v4"], [("LB0120", "v4")]),
        (["lbctl.io/on-conflict: keep"], [("LB0120", "keep")]),
        (["metallb.io/address-pool: v4", "lbctl.io/address-pools: v4"], [("LB0510", "lbctl.io/address-pools")]),
        (["metallb.universe.tf/address-pool: v4", "lbctl.io/address-pools: v4"], [("LB0508", ""), ("LB0510", "")]),
    ],
)
def test_wrong_wish_of_a_service(lines: list[str], expected: list[Found]) -> None:
    found = findings(asking(*lines))
    assert [code for code, _ in found] == [code for code, _ in expected]
    assert all(text == said for (_, text), (_, said) in zip(found, expected, strict=True) if said)


@pytest.mark.parametrize(
    ("line", "help"),
    [
        ("lbctl.io/adress-pools: a", 'did you mean "lbctl.io/address-pools"?'),
        ("lbctl.io/exclude: 192.0.2.1", "it belongs on an IPAddressPool"),
        ("lbctl.io/loadBalancerIPs: 192.0.2.1", "write metallb.io/loadBalancerIPs"),
        ("metallb.io/address-pools: a", "write lbctl.io/address-pools"),
        ("metallb.io/adress-pool: a", 'did you mean "address-pool"?'),
        ("lbctl.io/zebra: a", ""),
    ],
)
def test_unknown_annotation_of_a_service(line: str, help: str) -> None:
    (found,) = read(asking(line)).diagnostics
    assert (found.code, found.help) == ("LB0509", help)


def test_unknown_annotations_are_named_on_every_kind() -> None:
    node = "apiVersion: v1\nkind: Node\nmetadata: {name: n, annotations: {lbctl.io/zebra: x, other.io/y: z}}\n"
    assert findings(node) == [("LB0509", "lbctl.io/zebra")]
    advertisement = COVER.replace("{name: all}", "{name: all, annotations: {lbctl.io/exclude: x}}")
    assert findings(advertisement) == [("LB0509", "lbctl.io/exclude")]


def test_the_new_prefix_wins() -> None:
    text = asking("metallb.universe.tf/allow-shared-ip: old", "metallb.io/allow-shared-ip: new")
    (found,) = read(text).diagnostics
    assert (found.code, found.help) == ("LB0508", "remove the old one")
    assert [label.message for label in found.labels] == ["this one counts"]
    assert read(text).world.services[ServiceKey("default", "s")].load_balancer.sharing_key == "new"


@pytest.mark.parametrize("name", extension.METALLB_ANNOTATIONS)
def test_every_annotation_is_read_under_both_prefixes(name: str) -> None:
    assert findings(asking(f"metallb.io/{name}: 192.0.2.1")) == []
    old = f"metallb.universe.tf/{name}"
    assert findings(asking(f"{old}: 192.0.2.1")) == [("LB0508", old)]


def test_merged_ranges_neither_overlap_nor_touch() -> None:
    items = [read_item(text) for text in ("10.0.0.5", "10.0.0.0/30", "10.0.0.4", "10.0.0.7", "::/127", "::1")]
    assert [f"{item.first}-{item.last}" for item in merged(items)] == [
        "10.0.0.0-10.0.0.5",
        "10.0.0.7-10.0.0.7",
        "::-::1",
    ]
    assert covers([read_item("10.0.0.1-10.0.0.5")], items)
    assert not covers([read_item("10.0.0.1-10.0.0.7")], items)
    assert not covers([read_item("::/64")], items)


def advertising(line: str) -> str:
    metadata = f"metadata:\n  name: l2\n  annotations:\n    lbctl.io/{line}\n"
    return f"apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\n{metadata}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("failback: never", {"failback": Failback.NEVER}),
        ("failback: preferred", {"failback": Failback.PREFERRED}),
        ("failback: always", {"failback": Failback.ALWAYS}),
        ('require-subnet: "true"', {"require_subnet": True}),
        ('require-subnet: "false"', {}),
        ('announce-rate: "15"', {"announce_rate": 15.0}),
        ('announce-rate: "0.5"', {"announce_rate": 0.5}),
        ('announce-rate: "100000"', {"announce_rate": 100_000.0}),
    ],
)
def test_option_of_an_advertisement(line: str, expected: dict[str, Any]) -> None:
    found = read(pool(), advertising(line))
    assert not found.diagnostics
    ad = found.world.l2_advertisements["l2"]
    assert {name: getattr(ad, name) for name in expected} == expected
    assert replace(ad, failback=None, require_subnet=False, announce_rate=None, annotations=()) == L2Advertisement(
        name="l2"
    )


@pytest.mark.parametrize(
    ("line", "code", "help_text"),
    [
        ("failback: prefered", "LB0120", 'did you mean "preferred"?'),
        ("failback: 'true'", "LB0120", ""),
        ('require-subnet: "yes"', "LB0120", ""),
        ('announce-rate: "0"', "LB0120", "it must be from 0.1 to 100000 a second"),
        ('announce-rate: "0.01"', "LB0120", "it must be from 0.1 to 100000 a second"),
        ('announce-rate: "100001"', "LB0120", "it must be from 0.1 to 100000 a second"),
        ('announce-rate: "-1"', "LB0120", 'write it like "15" or "0.5"'),
        ('announce-rate: "nan"', "LB0120", 'write it like "15" or "0.5"'),
        ('announce-rate: "15/s"', "LB0120", 'write it like "15" or "0.5"'),
        ('announce-rate: "\u0661"', "LB0120", 'write it like "15" or "0.5"'),
        ('choice: "lowest"', "LB0509", "it belongs on an IPAddressPool"),
    ],
)
def test_wrong_option_of_an_advertisement(line: str, code: str, help_text: str) -> None:
    (found,) = read(pool(), advertising(line)).diagnostics
    assert found.code == code
    assert help_text in found.help


def test_a_service_may_say_when_it_fails_back() -> None:
    found = read(pool(), COVER, asking("lbctl.io/failback: never"))
    assert not found.diagnostics
    assert found.world.services[ServiceKey("default", "s")].load_balancer.failback is Failback.NEVER


def test_the_page_of_extensions_names_all_and_its_examples_are_right() -> None:
    page = (ROOT / "docs/extensions.md").read_text()
    for name in {name for table in (extension.POOL, extension.SERVICE, extension.L2, extension.NODE) for name in table}:
        assert f"`lbctl.io/{name}`" in page
    known = {*extension.POOL, *extension.SERVICE, *extension.L2, *extension.NODE}
    assert set(re.findall(r"lbctl\.io/([a-z-]+)", page)) <= known
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) >= 3
    assert findings(*examples) == []
