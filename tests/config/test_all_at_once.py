"""All that is wrong is said at once: an object that is refused is still checked for what else there is to say."""

from __future__ import annotations

from lbctl.config.reader import Reader
from tests.config.manifests import COVER, Found, findings, obj, pool, read, service
from tests.config.rules import bgp, cases, l2, node, peer, secret

LB = "  type: LoadBalancer\n  ports: [{port: 80}]\n"
BAD = ("LB0105", "bad")


@cases(
    ("profile", [peer("  bfdProfile: nope\n  bad: 1\n")], [("LB0407", "nope"), BAD]),
    ("secret", [peer("  passwordSecret: {name: nix}\n  bad: 1\n")], [("LB0408", "nix"), BAD]),
    ("pool", [pool(), l2("  ipAddressPools: [q]\n  bad: 1")], [("LB0301", "q"), BAD]),
    ("peer", [peer(), bgp("  peers: [q]\n  bad: 1")], [("LB0302", "q"), BAD]),
    ("alias", [bgp("  communities: [gold]\n  bad: 1")], [("LB0305", "gold"), BAD]),
    (
        "special-range",
        [pool("  addresses: [224.0.2.0/24]\n  bad: 1"), COVER],
        [("LB0214", "224.0.2.0/24"), BAD],
    ),
    (
        "overlap-with-a-good-one",
        [pool(name="q"), COVER, pool("  addresses: [10.0.0.0/25]\n  bad: 1")],
        [("LB0205", "10.0.0.0/25"), BAD],
    ),
    (
        "service-pool",
        [pool(), COVER, service(LB + "  sessionAffinity: x", metadata="  annotations: {metallb.io/address-pool: q}\n")],
        [("LB0506", "q"), ("LB0109", "x")],
    ),
    (
        "after-a-wrong-item",
        [pool("  addresses: [10.0.0.0/33, 10.0.1.0/24, 10.0.0.300-10.0.0.301, 224.0.0.0/24]"), COVER],
        [("LB0202", "/33"), ("LB0202", "10.0.0.300"), ("LB0214", "224.0.0.0/24")],
    ),
    (
        "in-a-list-object",
        [
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: metallb.io/v1beta2\n  kind: BGPPeer\n"
            "  metadata: {name: x}\n  spec: {myASN: 1, peerASN: 2, peerAddress: 10.9.9.1, bfdProfile: nope, bad: 1}\n"
        ],
        [("LB0407", "nope"), BAD],
    ),
)
def test_what_else_is_wrong_with_a_refused_object(texts: list[str], expected: list[Found]) -> None:
    assert findings(*texts) == expected


@cases(
    (
        "no-profile-after-a-secret-that-is-none",
        [peer("  passwordSecret: {name: pw}\n  bfdProfile: nope\n"), secret("stringData: {x: y}", type="Opaque")],
        [("LB0409", "pw"), ("LB0407", "nope")],
    ),
    (
        "special-range-after-an-overlap",
        [pool("  addresses: [224.0.0.0/24]"), COVER, pool("  addresses: [224.0.0.0/25]", name="q")],
        [("LB0214", "224.0.0.0/24"), ("LB0205", "224.0.0.0/25"), ("LB0214", "224.0.0.0/25")],
    ),
)
def test_what_one_rule_refuses_the_others_still_check(texts: list[str], expected: list[Found]) -> None:
    assert findings(*texts) == expected


@cases(
    # The selector that is misspelt may be what tells the two apart.
    ("sessions", [peer(), peer("  nodeSelector: []\n", name="again")], [("LB0105", "nodeSelector")]),
    # What the pool excludes is not known, since it is wrong.
    (
        "exclusion",
        [
            pool(metadata="  annotations: {lbctl.io/exclude: x}\n"),
            COVER,
            node("n", "10.0.0.3"),
        ],
        [("LB0120", "x")],
    ),
    ("type", [service("  type: Balancer\n  ports: []")], [("LB0109", "Balancer")]),
    # A pool that is refused for its overlap is not called missing.
    (
        "overlap",
        [
            pool(),
            COVER,
            pool("  addresses: [10.0.0.0/25]", name="q"),
            service(LB, metadata="  annotations: {metallb.io/address-pool: q}\n"),
        ],
        [("LB0205", "10.0.0.0/25")],
    ),
)
def test_nothing_is_said_that_only_follows_from_the_error(texts: list[str], expected: list[Found]) -> None:
    assert findings(*texts) == expected


def test_a_draft_is_never_used() -> None:
    reading = read(peer("  bfdProfile: nope\n  bad: 1\n"), pool("  addresses: [10.0.0.0/33, 10.0.1.0/24]"), COVER)
    assert not reading.world.bgp_peers
    assert not reading.world.pools
    assert reading.conflicts == ()


def test_it_is_the_same_whether_read_at_once_or_bit_by_bit() -> None:
    bad = peer("  bfdProfile: nope\n  bad: 1\n")
    files = {f"{n}.yaml": obj("BFDProfile", "  {}", name=f"b{n}").encode() for n in range(9)}
    reader = Reader()
    reader.read(files)
    files["peer.yaml"] = bad.encode()
    step = reader.read(files).diagnostics
    assert [found.code for found in step] == ["LB0407", "LB0105"]
    assert step == Reader().read(files).diagnostics
    files["profile.yaml"] = obj("BFDProfile", "  {}", name="nope").encode()
    assert [found.code for found in reader.read(files).diagnostics] == ["LB0105"]
    del files["peer.yaml"]
    assert reader.read(files).diagnostics == ()
