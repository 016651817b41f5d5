"""Why: every refusal, every loss and every move has a name here, and the same value feeds log, status and commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lbctl.model.service import ServiceKey


class Reason(StrEnum):
    """Why not."""

    # allocation: why a service is pending
    NO_POOLS = "no_pools"
    UNKNOWN_POOL = "unknown_pool"
    POOL_NOT_COMPATIBLE = "pool_not_compatible"
    POOL_NOT_AUTO = "pool_not_auto_assign"
    POOL_EXHAUSTED = "pool_exhausted"
    POOL_LACKS_FAMILY = "pool_lacks_family"
    ADDRESS_IN_NO_POOL = "address_in_no_pool"
    ADDRESS_NOT_IN_REQUESTED_POOL = "address_not_in_requested_pool"
    ADDRESS_TAKEN = "address_taken"
    ADDRESS_BUGGY = "address_buggy"
    ADDRESS_WRONG_FAMILY = "address_wrong_family"
    SHARING_NOT_ALLOWED = "sharing_not_allowed"
    SHARING_KEY_DIFFERS = "sharing_key_differs"
    SHARING_BACKENDS_DIFFER = "sharing_backends_differ"
    SHARING_PORT_IN_USE = "sharing_port_in_use"
    OTHER_CLASS = "other_load_balancer_class"
    NOT_LOAD_BALANCER = "not_load_balancer"
    NO_CLUSTER_IP = "no_cluster_ip"
    NOT_ENOUGH_FAMILIES = "not_enough_families"
    ADDRESSES_IN_DIFFERENT_POOLS = "addresses_in_different_pools"
    EXCLUDED = "excluded"
    RESERVED = "reserved_for_another"
    QUARANTINED = "quarantined"
    PROXY_ARP = "looks_like_proxy_arp"
    POOL_PROTECTED = "pool_protected"
    # allocation: why a service lost what it had
    SERVICE_DELETED = "service_deleted"
    REQUESTED_ADDRESS_CHANGED = "requested_address_changed"
    REQUESTED_POOL_CHANGED = "requested_pool_changed"
    FAMILIES_CHANGED = "families_changed"
    ADDRESS_CONFLICT = "address_conflict"
    SUPERSEDED = "superseded"
    OTHER = "other"
    # announcement: why a node may not announce a group
    NO_ADVERTISEMENT = "no_advertisement"
    NODE_NOT_SELECTED = "node_not_selected"
    NODE_EXCLUDED = "node_excluded"
    NODE_DRAINED = "node_drained"
    NODE_NOT_ALIVE = "node_not_alive"
    NODE_UNKNOWN = "node_unknown"
    NETWORK_UNAVAILABLE = "network_unavailable"
    NO_ENDPOINTS = "no_endpoints"
    NO_LOCAL_ENDPOINTS = "no_local_endpoints"
    NO_INTERFACE = "no_interface"
    NO_CARRIER = "no_carrier"
    SHARED_WITH_SERVICE_SELECTOR = "shared_ip_with_service_selector"
    NOT_ALLOCATED = "not_allocated"
    CONFLICTING_ADVERTISEMENTS = "conflicting_advertisements"
    NO_PEER = "no_peer"
    NOT_CLAIMED = "not_claimed"
    NO_SUBNET_ADDRESS = "no_subnet_address"
    STALE_WORLD = "stale_world"
    WAITING_FOR_START = "waiting_for_start"
    PROVISIONAL = "provisional"
    ONE_WAY = "one_way"
    DEAF = "deaf"
    ANSWERED_ON_THE_WIRE = "answered_on_the_wire"
    UNREADABLE_MEMBER = "unreadable_member"
    # election: why a candidate is not the owner
    NOT_INCUMBENT = "not_incumbent"
    LOWER_PREFERENCE = "lower_preference"
    LOWER_RENDEZVOUS = "lower_rendezvous"
    MORE_LOADED = "more_loaded"
    NODE_DRAINING = "node_draining"
    HELD_DOWN = "held_down"
    PINNED_ELSEWHERE = "pinned_elsewhere"
    CLAIMED_BY_OTHER = "claimed_by_other"
    VIEW_NOT_SYNCED = "claims_not_synced"
    # orders: why one is refused
    NO_OTHER_NODE = "no_other_node"


class GrantCause(StrEnum):
    """Why a service was given the addresses it has."""

    REQUESTED_ADDRESS = "requested_address"
    REQUESTED_POOL = "requested_pool"
    RESERVED = "reserved"
    RETURNED = "returned"
    PINNED_POOL = "pinned_pool"
    AUTOMATIC = "automatic"
    SECOND_FAMILY = "second_family"
    FAMILY_DROPPED = "family_dropped"
    ADOPTED = "adopted"


class Cause(StrEnum):
    """Why an address has the owner it has, or lost the one it had."""

    STARTED = "started"
    FIRST_ANNOUNCED = "first_announced"
    OWNER_GONE = "owner_gone"
    OWNER_LEFT = "owner_left"
    OWNER_NOT_ELIGIBLE = "owner_not_eligible"
    RELEASED = "released"
    LOST_TO_BETTER_CLAIM = "lost_to_better_claim"
    NOT_ELIGIBLE = "not_eligible"
    NO_LONGER_ALLOCATED = "no_longer_allocated"
    STOPPING = "stopping"
    DRAINED = "drained"
    MOVED = "moved"
    REBALANCED = "rebalanced"
    FAILBACK = "failback"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that was tried (a pool, an address, a node) and why it would not do; `detail` says more."""

    subject: str
    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason.value}" + (f" ({self.detail})" if self.detail else "")


def waiting(pending: Mapping[ServiceKey, tuple[Refusal, ...]]) -> int:
    """How many wait for an address. Those of another class do not: they are somebody else's."""
    return sum(any(refusal.reason is not Reason.OTHER_CLASS for refusal in refusals) for refusals in pending.values())
