"""The published file as bytes: everything there and back, no secrets, and nothing that is torn is believed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.frozen_map import FrozenMap, changed_keys
from lbctl.model.peer import PeerSession
from lbctl.model.pool import PoolOptions
from lbctl.model.service import Service, ServiceKey
from lbctl.model.snapshot import MAPS, World
from lbctl.plan.reason import Reason, Refusal
from lbctl.sources.published_document import (
    DocumentDecoder,
    DocumentEncoder,
    PublishedError,
    Trouble,
)
from tests.sources.published_worlds import ALLOCATION, KEY, PEER, PENDING, QUARANTINE, SERVICE, WORLD


def document(world: World = WORLD, pending: Any = PENDING) -> bytes:
    return b"".join(DocumentEncoder(cluster="c", ledger="l").encode(world, pending))


def sealed(body: bytes, schema: str = "lbctl.io/published/v1") -> bytes:
    """A document with this body, as somebody with another program would write it."""
    digest = hashlib.sha256(body).hexdigest()
    return b'{"schema": "%s", "checksum": "sha256:%s", "body": %s}' % (schema.encode(), digest.encode(), body)


def test_everything_comes_back() -> None:
    published = DocumentDecoder().decode(document())
    assert published.world == WORLD
    assert published.pending == PENDING
    assert (published.cluster, published.ledger) == ("c", "l")


def _at_default(value: Any, path: str) -> Iterator[str]:
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if inner == default:
            yield f"{path}.{field.name}"
        for number, item in enumerate(inner if isinstance(inner, tuple) else [inner]):
            if dataclasses.is_dataclass(item) and number == 0:
                yield from _at_default(item, f"{path}.{field.name}")


def test_the_example_leaves_no_field_out() -> None:
    """A field that is added to the model and forgotten here, or in the schema, is found."""
    left_out = [path for name in MAPS for item in getattr(WORLD, name).values() for path in _at_default(item, name)]
    for_checks_alone = ["nodes.networks", "nodes.gateways", "nodes.pod_cidrs"]
    assert left_out == [*for_checks_alone, "bgp_peers.session.password"]


def test_a_file_of_before_the_options_is_read() -> None:
    """What an older controller did not know has its default."""
    body = json.loads(document())["body"]
    del body["quarantined"], body["allocations"][0]["secondPool"]
    for member in ("excluded", "coolingTime", "choice", "protected", "onConflict", "probe"):
        del body["pools"][0][member]
    for member in ("poolsByFamily", "onConflict", "failback"):
        del body["services"][0][member]
    world = DocumentDecoder().decode(sealed(json.dumps(body).encode())).world
    assert (world.quarantined, world.pools["pool"].options) == ({}, PoolOptions())
    assert world.allocations[KEY] == replace(ALLOCATION, second_pool="")
    asked = replace(SERVICE.load_balancer, pools_by_family=(), on_conflict=None, failback=None)
    assert world.services[KEY] == replace(SERVICE, load_balancer=asked)


def test_addresses_of_both_families_are_in_one_order() -> None:
    texts = ["2001:db8::1", "192.0.2.10", "192.0.2.9"]
    found = {item: replace(QUARANTINE, address=item) for item in map(ip_address, texts)}
    read = json.loads(document(World(quarantined=found)))
    assert [item["address"] for item in read["body"]["quarantined"]] == texts[::-1]


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")),
        st.tuples(st.text(max_size=5), st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)),
    )
)
def test_any_text_comes_back(found: dict[tuple[str, str], tuple[str, dict[str, str]]]) -> None:
    services = {
        ServiceKey(*key): Service(key=ServiceKey(*key), uid=uid, annotations=tuple(sorted(texts.items())))
        for key, (uid, texts) in found.items()
    }
    assert DocumentDecoder().decode(document(World(services=services))).world.services == services


def test_it_is_one_json_document_for_any_reader() -> None:
    read = json.loads(document())
    assert read["schema"] == "lbctl.io/published/v1"
    assert read["body"]["allocations"][0]["addresses"] == ["192.0.2.1", "2001:db8::1"]
    assert read["body"]["generation"] == 42


def test_members_at_their_default_are_left_out() -> None:
    key = ServiceKey("a", "b")
    read = json.loads(document(World(services={key: Service(key=key)})))
    assert read["body"]["services"] == [{"namespace": "a", "name": "b"}]


def test_a_password_becomes_a_reference() -> None:
    peer = replace(PEER, session=PeerSession(password="hunter2"))
    text = document(replace(WORLD, bgp_peers={"peer": peer}))
    assert b"hunter2" not in text
    session = DocumentDecoder().decode(text).world.bgp_peers["peer"].session
    assert session.password_secret is not None
    assert session.password_secret.name == "inline:peer"


def test_only_some_maps_are_read_where_only_those_are_wanted() -> None:
    world = DocumentDecoder().decode(document(), only=("services", "allocations")).world
    assert (world.services, world.allocations) == (WORLD.services, WORLD.allocations)
    assert not world.slices
    assert not world.pools


# Nothing that is torn -------------------------------------------------------------------------------------------------


def trouble(content: bytes) -> Trouble:
    with pytest.raises(PublishedError) as caught:
        DocumentDecoder().decode(content)
    assert "\n" not in str(caught.value)
    return caught.value.trouble


def test_a_document_cut_anywhere_is_torn() -> None:
    content = document()
    whole = len(content.rstrip())
    assert {trouble(content[:length]) for length in range(0, whole, 7)} == {Trouble.TORN}
    assert DocumentDecoder().decode(content[:whole]).world == WORLD


def test_half_old_and_half_new_is_torn() -> None:
    newer = replace(WORLD, services={KEY: replace(SERVICE, uid="2222-3333")})
    old, new = document(), document(newer)
    assert len(old) == len(new)
    start = next(at for at, (one, two) in enumerate(zip(old, new, strict=True)) if one != two)
    end = len(old) - next(at for at, (one, two) in enumerate(zip(old[::-1], new[::-1], strict=True)) if one != two)
    assert start < end - 1, "the checksum is before what changed"
    for cut in range(start + 1, end):
        assert trouble(new[:cut] + old[cut:]) is Trouble.TORN
        assert trouble(old[:cut] + new[cut:]) is Trouble.TORN


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"[]", b"{}", b'{"schema": 1}', b"\xff\xfe", b"null"])
def test_what_is_no_document_is_torn(content: bytes) -> None:
    assert trouble(content) is Trouble.TORN


def test_a_newer_schema_is_said_so() -> None:
    assert trouble(sealed(b"{}", schema="lbctl.io/published/v2")) is Trouble.NEWER_SCHEMA


@pytest.mark.parametrize(
    "section",
    [
        b'"services": [{"namespace": "a"}]',
        b'"services": {}',
        b'"allocations": [{"namespace":"a","name":"b","addresses":["no address"],"pool":"p","id":1,"sinceUnix":1}]',
        b'"pools": [{"name": "p", "ranges": [{"first": "1.2.3.4", "last": "::x", "text": ""}]}]',
    ],
)
def test_a_whole_document_that_makes_no_sense_is_unreadable(section: bytes) -> None:
    head = b'"cluster": "c", "ledger": "l", "generation": 1, "madeUnix": 1'
    assert trouble(sealed(b"{%s, %s}" % (head, section))) is Trouble.UNREADABLE


def test_a_newer_controller_may_say_more() -> None:
    body = json.loads(document())["body"]
    body["services"][0]["aNewMember"] = {"x": 1}
    body["aNewSection"] = [1, 2]
    body["pending"][0]["refusals"][0]["reason"] = "a_new_reason"
    published = DocumentDecoder().decode(sealed(json.dumps(body).encode()))
    assert published.world == WORLD
    first, _ = published.pending[ServiceKey("ns", "waits")]
    assert first == Refusal("pool", Reason.OTHER, "a_new_reason")


# No work for what did not change --------------------------------------------------------------------------------------


def test_objects_and_maps_that_did_not_change_are_the_same_again() -> None:
    decoder = DocumentDecoder()
    other = Service(key=ServiceKey("ns", "other"))
    before = decoder.decode(document()).world
    after = decoder.decode(document(replace(WORLD, generation=43, services={**WORLD.services, other.key: other}))).world
    assert after.services[KEY] is before.services[KEY]
    assert after.changes_since(before).maps == (("services", frozenset([other.key])),)
    assert after.slices is before.slices


def test_a_bad_document_in_between_costs_nothing() -> None:
    decoder = DocumentDecoder()
    before = decoder.decode(document()).world
    with pytest.raises(PublishedError):
        decoder.decode(sealed(b'{"cluster":"c","ledger":"l","generation":1,"madeUnix":1,"services":[{"name":1}]}'))
    assert not decoder.decode(document()).world.changes_since(before)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz")), min_size=1, max_size=6))
def test_an_encoder_with_a_past_writes_what_a_new_one_writes(story: list[dict[str, str]]) -> None:
    encoder = DocumentEncoder(cluster="c", ledger="l")
    objects: dict[tuple[str, str], Service] = {}
    for services in story:
        world = World(
            services={
                ServiceKey("ns", name): objects.setdefault((name, uid), Service(key=ServiceKey("ns", name), uid=uid))
                for name, uid in services.items()
            }
        )
        pending = {key: (Refusal(item.uid, Reason.NO_POOLS),) for key, item in world.services.items()}
        assert b"".join(encoder.encode(world, pending)) == document(world, pending)


@settings(max_examples=20, deadline=None)
@given(
    story=st.lists(
        st.tuples(st.lists(st.integers(0, 399), max_size=9), st.lists(st.integers(0, 399), max_size=9)), max_size=5
    ),
    begin=st.integers(0, 400),
)
def test_many_objects_are_written_and_read_in_parts_as_they_are_in_one(
    story: list[tuple[list[int], list[int]]], begin: int
) -> None:
    """Large maps are kept in blocks, of which a change touches some; nothing of that is seen."""
    encoder, decoder = DocumentEncoder(cluster="c", ledger="l"), DocumentDecoder()
    services: FrozenMap[ServiceKey, Service] = FrozenMap(
        {key: replace(SERVICE, key=key) for key in map(_numbered, range(begin))}
    )
    world = replace(WORLD, services=services)
    for generation, (put, dropped) in enumerate(story, 1):
        seen = decoder.decode(b"".join(encoder.encode(world, PENDING))).world
        changed = {key: replace(SERVICE, key=key, uid=f"{generation}") for key in map(_numbered, put)}
        before, services = services, services.having(changed, map(_numbered, dropped))
        world = replace(world, services=services, generation=generation)
        written = encoder.encode(world, PENDING)
        assert b"".join(written) == document(world)
        after = decoder.decode(b"".join(written)).world
        assert after == world
        assert changed_keys(seen.services, after.services) == changed_keys(before, services)


def _numbered(number: int) -> ServiceKey:
    return ServiceKey(f"ns-{number % 7}", f"s{number}")
