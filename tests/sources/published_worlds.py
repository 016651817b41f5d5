"""A World with one object of each kind in which no field is at its default."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from lbctl.model.address import AddressRange, Family
from lbctl.model.advertisement import BGPAdvertisement, Failback, L2Advertisement, PreferredNodes
from lbctl.model.allocation import Allocation
from lbctl.model.endpoint import Endpoint, EndpointPort, EndpointSlice, SliceKey
from lbctl.model.node import Namespace, Node
from lbctl.model.peer import (
    BFDProfile,
    BGPPeer,
    CommunityAliases,
    PeerAddress,
    PeerSession,
    PeerTimers,
    SecretReference,
)
from lbctl.model.pool import Choice, OnConflict, Pool, PoolOptions, ServiceAllocation
from lbctl.model.reservation import Quarantine
from lbctl.model.selector import LabelSelector, Operator, Requirement
from lbctl.model.service import (
    FamilyPolicy,
    FamilySpec,
    LoadBalancerSpec,
    Port,
    Service,
    ServiceKey,
    ServiceType,
    TrafficPolicy,
    TrafficSpec,
    Transport,
)
from lbctl.model.snapshot import World
from lbctl.plan.reason import Reason, Refusal

LABELS = (("a", "1"), ("b", "zwölf"))
SELECTOR = LabelSelector(
    match_labels=LABELS, expressions=(Requirement(key="tier", operator=Operator.NOT_IN, values=("x", "y")),)
)
KEY = ServiceKey("ns", "web")

SERVICE = Service(
    key=KEY,
    type=ServiceType.LOAD_BALANCER,
    ports=(
        Port(name="dns", protocol=Transport.UDP, port=53, target_port="dns", node_port=30053),
        Port(port=80, target_port=8080),
    ),
    load_balancer=LoadBalancerSpec(
        load_balancer_class="example.com/lb",
        requested=(ip_address("192.0.2.1"), ip_address("2001:db8::1")),
        requested_pool="pool",
        pools_by_family=("pool", "other"),
        on_conflict=OnConflict.REALLOCATE,
        failback=Failback.NEVER,
        sharing_key="key",
        allocate_node_ports=False,
    ),
    family=FamilySpec(
        cluster_ips=("10.96.0.1", "fd96::1"), ip_families=(Family.IPV6, Family.IPV4), policy=FamilyPolicy.REQUIRE
    ),
    traffic=TrafficSpec(
        external_policy=TrafficPolicy.LOCAL,
        client_ip_affinity=True,
        affinity_time=60,
        source_ranges=(ip_network("198.51.100.0/24"), ip_network("2001:db8:1::/48")),
        publish_not_ready=True,
        health_check_node_port=32000,
    ),
    selector=LABELS,
    labels=LABELS,
    annotations=(("text", 'with "quotes",\nlines and \u20ac'),),
    uid="0000-1111",
    created_unix=1700000000.25,
)
SLICE = EndpointSlice(
    key=SliceKey("ns", "web-1"),
    service=KEY,
    family=Family.IPV6,
    ports=(EndpointPort(name="dns", protocol=Transport.UDP, port=5353),),
    endpoints=(
        Endpoint(addresses=(ip_address("2001:db8::a"),), node="n1", ready=False, serving=True, terminating=True),
        Endpoint(addresses=(ip_address("2001:db8::b"),)),
    ),
)
POOL = Pool(
    name="pool",
    ranges=(
        AddressRange(ip_address("192.0.2.0"), ip_address("192.0.2.255"), "192.0.2.0/24"),
        AddressRange(ip_address("2001:db8::1"), ip_address("2001:db8::5"), "2001:db8::1-2001:db8::5"),
    ),
    auto_assign=False,
    avoid_buggy_ips=True,
    service_allocation=ServiceAllocation(
        priority=7, namespaces=("ns",), namespace_selectors=(SELECTOR,), service_selectors=(SELECTOR, SELECTOR)
    ),
    options=PoolOptions(
        excluded=(AddressRange(ip_address("192.0.2.13"), ip_address("192.0.2.14"), "192.0.2.13-192.0.2.14"),),
        cooling_time=2.5,
        choice=Choice.LEAST_RECENTLY_USED,
        protected=True,
        on_conflict=OnConflict.REALLOCATE,
        probe=False,
    ),
    labels=LABELS,
    annotations=LABELS,
)
L2 = L2Advertisement(
    name="l2",
    pools=("pool",),
    pool_selectors=(SELECTOR,),
    node_selectors=(SELECTOR,),
    interfaces=("eth1",),
    service_selectors=(SELECTOR,),
    preferred_nodes=(PreferredNodes(weight=50, preference=SELECTOR),),
    failback=Failback.NEVER,
    require_subnet=True,
    announce_rate=15.0,
    annotations=LABELS,
)
BGP = BGPAdvertisement(
    name="bgp",
    pools=("pool",),
    pool_selectors=(SELECTOR,),
    node_selectors=(SELECTOR,),
    service_selectors=(SELECTOR,),
    peers=("peer",),
    communities=("64512:10", "large:1:2:3"),
    local_pref=200,
    aggregation_length=24,
    aggregation_length_v6=64,
    annotations=LABELS,
)
PEER = BGPPeer(
    name="peer",
    my_asn=65001,
    peer_asn=65000,
    dynamic_asn="external",
    local_asn=65002,
    router_id="192.0.2.9",
    address=PeerAddress(
        address=ip_address("192.0.2.10"),
        interface="eth0",
        port=1179,
        source=ip_address("192.0.2.11"),
        vrf="red",
        multihop=True,
    ),
    timers=PeerTimers(hold_time=90.0, keepalive_time=30.0, connect_time=5.0),
    session=PeerSession(
        graceful_restart=True,
        dual_stack=True,
        disable_mp=True,
        bfd_profile="fast",
        password_secret=SecretReference(name="secret", namespace="metallb-system"),
    ),
    node_selectors=(SELECTOR,),
    annotations=LABELS,
)
BFD = BFDProfile(
    name="fast",
    receive_interval=100,
    transmit_interval=110,
    detect_multiplier=5,
    echo_interval=60,
    echo_mode=True,
    passive_mode=True,
    minimum_ttl=254,
)
ALLOCATION = Allocation(
    service=KEY,
    addresses=(ip_address("192.0.2.1"), ip_address("2001:db8::1")),
    pool="pool",
    id=12345678901,
    since_unix=1700000001.5,
    second_pool="other",
)
QUARANTINE = Quarantine(
    address=ip_address("192.0.2.7"), mac="02:00:00:00:00:07", node="n1", interface="eth1", since_unix=1700000001.75
)
WORLD = World(
    generation=42,
    made_unix=1700000002.125,
    services={KEY: SERVICE},
    slices={SLICE.key: SLICE},
    nodes={
        "n1": Node(
            name="n1",
            labels=LABELS,
            addresses=(ip_address("192.0.2.20"), ip_address("2001:db8::20")),
            network_unavailable=True,
            registered=True,
        )
    },
    namespaces={"ns": Namespace(name="ns", labels=LABELS)},
    pools={"pool": POOL},
    l2_advertisements={"l2": L2},
    bgp_advertisements={"bgp": BGP},
    bgp_peers={"peer": PEER},
    bfd_profiles={"fast": BFD},
    communities={"names": CommunityAliases(name="names", aliases=(("gold", "64512:1"), ("iron", "large:1:2:3")))},
    allocations={KEY: ALLOCATION},
    quarantined={QUARANTINE.address: QUARANTINE},
)
PENDING = {
    ServiceKey("ns", "waits"): (
        Refusal("pool", Reason.POOL_EXHAUSTED, "all 2 IPv4 addresses in use"),
        Refusal("other", Reason.POOL_NOT_AUTO),
    )
}
