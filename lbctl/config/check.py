"""Rules over all objects together: each one small function in a table.

A finding that is an error refuses the object that it is about: that object is left out of the world, and the one that
was there first stays. Files come in the order of their names, documents in the order of the text. What MetalLB takes is
never an error here, so that its configurations go on working; it may be worth a warning.
"""

from __future__ import annotations

from lbctl.config.checks.advertisements import (
    advertised_peers_exist,
    advertised_pools_exist,
    advertisements_say_something_new,
    aggregates_lie_in_pools,
    community_names_are_known,
    community_names_are_unique,
    local_preferences_agree,
    local_preferences_are_heard,
)
from lbctl.config.checks.endpoints import slices_belong_to_services
from lbctl.config.checks.finding import Finding, Place, Rule, Secrets
from lbctl.config.checks.network import pools_keep_off_cluster_ips, pools_keep_off_hosts, pools_keep_off_pods
from lbctl.config.checks.peers import (
    echo_is_possible,
    minimum_ttl_is_for_many_hops,
    own_as_numbers_agree,
    peer_profiles_exist,
    peer_secrets_hold_passwords,
    router_ids_agree,
    sessions_differ,
)
from lbctl.config.checks.pools import pools_are_announced, pools_are_for_somebody, pools_do_not_overlap
from lbctl.config.checks.selectors import selectors_match_something
from lbctl.config.checks.services import requests_can_be_met

__all__ = ["RULES", "SURE", "Finding", "Place", "Rule", "Secrets"]

RULES: tuple[Rule, ...] = (
    pools_are_announced,
    advertised_pools_exist,
    advertised_peers_exist,
    pools_do_not_overlap,
    community_names_are_unique,
    peer_secrets_hold_passwords,
    sessions_differ,
    echo_is_possible,
    aggregates_lie_in_pools,
    local_preferences_agree,
    pools_are_for_somebody,
    pools_keep_off_hosts,
    pools_keep_off_pods,
    pools_keep_off_cluster_ips,
    advertisements_say_something_new,
    community_names_are_known,
    local_preferences_are_heard,
    selectors_match_something,
    peer_profiles_exist,
    router_ids_agree,
    own_as_numbers_agree,
    minimum_ttl_is_for_many_hops,
    requests_can_be_met,
    slices_belong_to_services,
)
"""In the order they run; what one refuses, the next do not see.

First whether what is named exists, so that nobody is told that an object is missing which is only refused; then the
errors, then what looks at the rest.
"""

SURE = frozenset(
    (
        "LB0205",
        "LB0211",
        "LB0212",
        "LB0214",
        "LB0301",
        "LB0302",
        "LB0305",
        "LB0306",
        "LB0310",
        "LB0407",
        "LB0408",
        "LB0409",
        "LB0506",
        "LB0507",
        "LB0605",
    )
)
"""Findings that follow from one value which is there and right, whatever else is wrong with the object.

The others compare objects as a whole, or rest on what is not given, and that may be just what is misspelt.
"""
