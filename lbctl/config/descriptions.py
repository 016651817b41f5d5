"""What fields are for, in a sentence that an editor shows beside them. By the noun of the record, then the field."""

from __future__ import annotations

from collections.abc import Mapping

_SELECTED_NODES = "Only nodes that one of these selectors matches; without any, all nodes."
_SELECTED_SERVICES = "Only services that one of these selectors matches; without any, all services."
_POOLS = "Names of the pools that are announced; without names and selectors, all pools."
_POOL_SELECTORS = "Pools that one of these selectors matches are announced too."

_PEER: Mapping[str, str] = {
    "myASN": "AS number of the speakers.",
    "peerASN": "AS number of the router; or else dynamicASN.",
    "dynamicASN": "Accept whatever AS number the router has: internal (ours) or external (any other).",
    "localASN": "Another AS number to show this peer, in place of myASN.",
    "peerAddress": "The router's address; or else interface.",
    "interface": "The interface behind which the router is, whatever its address (unnumbered); or else peerAddress.",
    "peerPort": "The router's TCP port; 179 by default.",
    "sourceAddress": "The address that the session comes from.",
    "holdTime": "After so long without a message the session ends: 0s (never) or at least 3s; 90s by default.",
    "keepaliveTime": "How often to say that we are alive; a third of the hold time by default.",
    "connectTime": "How long to wait before connecting again: whole seconds.",
    "routerID": "BGP identifier of the speakers; by default made out of the node's address.",
    "nodeSelectors": _SELECTED_NODES,
    "password": "Password of the session (RFC 2385); better kept in a Secret, see passwordSecret.",
    "passwordSecret": "The Secret of type kubernetes.io/basic-auth that holds the password.",
    "bfdProfile": "Name of the BFDProfile that the session runs with; without it BFD is off.",
    "ebgpMultiHop": "The router of another AS is more than one hop away.",
    "enableGracefulRestart": "Ask the router to keep our routes while a speaker restarts (RFC 4724).",
    "vrf": "The VRF that the session runs in.",
    "disableMP": "Announce each family in a session of that family only.",
    "dualStackAddressFamily": "Announce IPv4 and IPv6 in this one session.",
}


def of_fields(noun: str) -> Mapping[str, str]:
    """What the fields of a record are for, as far as it is said."""
    return DESCRIPTIONS.get(noun.removesuffix(" v1beta1"), {})


DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "metadata": {
        "name": "The object's name: lower-case letters, digits, '-' and '.'.",
        "namespace": "The namespace; default where there is none.",
        "labels": "What selectors look at.",
        "creationTimestamp": "When it was made; the older one comes first when addresses are short.",
    },
    "the spec of an IPAddressPool": {
        "addresses": "CIDRs (192.0.2.0/24) and ranges (192.0.2.10-192.0.2.20) that services get addresses from.",
        "autoAssign": "false: only services that ask for this pool or for an address of it get one; true by default.",
        "avoidBuggyIPs": "true: addresses that end in .0 or .255 are given to nobody.",
        "serviceAllocation": "Whom the pool is for, and which of several pools comes first.",
    },
    "serviceAllocation": {
        "priority": "The pool with the least number is tried first; 0, the default, is tried last.",
        "namespaces": "Only services of these namespaces.",
        "namespaceSelectors": "Only services of namespaces that one of these selectors matches.",
        "serviceSelectors": _SELECTED_SERVICES,
    },
    "a label selector": {
        "matchLabels": "Labels that must be there with these values.",
        "matchExpressions": "Conditions that must all hold.",
    },
    "a match expression": {
        "key": "The label that is looked at.",
        "operator": "What must hold of it.",
        "values": "The values, for In and NotIn.",
    },
    "the spec of an L2Advertisement": {
        "ipAddressPools": _POOLS,
        "ipAddressPoolSelectors": _POOL_SELECTORS,
        "nodeSelectors": _SELECTED_NODES,
        "interfaces": "Only these interfaces answer; without any, all that fit.",
        "serviceSelectors": _SELECTED_SERVICES,
        "preferredNodeSelectors": "Nodes that should announce rather than others, by weight.",
    },
    "a preferred node selector": {
        "weight": "How much a match counts, 1 to 100; the weights of all that match are added up.",
        "preference": "The nodes that are preferred.",
    },
    "the spec of a BGPAdvertisement": {
        "aggregationLength": "Prefix length of what is announced for IPv4 addresses; 32 by default.",
        "aggregationLengthV6": "Prefix length of what is announced for IPv6 addresses; 128 by default.",
        "localPref": "LOCAL_PREF of the routes within our AS.",
        "communities": "Communities of the routes: 64512:10, large:64512:1:10, or a name that a Community gives.",
        "ipAddressPools": _POOLS,
        "ipAddressPoolSelectors": _POOL_SELECTORS,
        "nodeSelectors": _SELECTED_NODES,
        "serviceSelectors": _SELECTED_SERVICES,
        "peers": "Names of the BGPPeers that hear of it; without any, all.",
    },
    "the spec of a BGPPeer": _PEER,
    "passwordSecret": {
        "name": "Name of the Secret.",
        "namespace": "Its namespace; without it a Secret of that name in any namespace.",
    },
    "the spec of a BFDProfile": {
        "receiveInterval": "Milliseconds between packets that we can take; 300 by default.",
        "transmitInterval": "Milliseconds between packets that we send; 300 by default.",
        "detectMultiplier": "After so many missed packets the session is down; 3 by default.",
        "echoInterval": "Milliseconds between echo packets; 50 by default.",
        "echoMode": "true: send echo packets.",
        "passiveMode": "true: wait for the other side to begin.",
        "minimumTtl": "The least TTL that a packet over several hops may arrive with.",
    },
    "the spec of a Community": {"communities": "Names for communities, to be used in BGPAdvertisements."},
    "a community": {"name": "The name.", "value": "What it stands for: 64512:10 or large:64512:1:10."},
    "the spec of a Service": {
        "type": "LoadBalancer: the service gets an address of a pool.",
        "ports": "The ports that clients use.",
        "loadBalancerIP": "The address that is wanted; the annotation metallb.io/loadBalancerIPs can ask for two.",
        "loadBalancerClass": "Who should serve it; without it, whoever is there.",
        "loadBalancerSourceRanges": "Only clients in these networks.",
        "externalTrafficPolicy": "Local: only nodes with an endpoint announce, and the client's address is kept.",
        "ipFamilyPolicy": "Whether the service has addresses of one family or of both.",
        "ipFamilies": "Which families, the first one first.",
        "sessionAffinity": "ClientIP: the same client reaches the same endpoint.",
    },
    "a port of a Service": {
        "name": "Needed where there are several ports; endpoints are joined to ports by it.",
        "port": "The port that clients use.",
        "targetPort": "The endpoint's port, by number or name.",
        "nodePort": "The port on every node.",
    },
}

ANNOTATIONS: Mapping[str, str] = {
    "metallb.io/address-pool": "The pool that the addresses must come from.",
    "metallb.io/loadBalancerIPs": "The addresses that are wanted: one, or one of each family with a comma between.",
    "metallb.io/allow-shared-ip": "Services with the same text here may share one address.",
    "lbctl.io/exclude": "Addresses, ranges and CIDRs, with commas between, that are given to nobody.",
    "lbctl.io/cooling-time": "For so long a freed address is the last choice; 60s by default.",
    "lbctl.io/choice": "Which free address is given: lowest (the default) or least-recently-used.",
    "lbctl.io/protect": "in-use: an edit of the pool takes no address away that is in use.",
    "lbctl.io/on-conflict": "When another machine answers for a new address: quarantine (the default) or reallocate.",
    "lbctl.io/probe": '"false": addresses are not probed before their first use.',
    "lbctl.io/failback": "When a well owner yields to a node wanted more: never, preferred (the default) or always.",
    "lbctl.io/require-subnet": '"true": only nodes with an address in the subnet of the VIP announce it.',
    "lbctl.io/announce-rate": "Addresses a second that one node announces at most, for switches that limit ARP.",
    "lbctl.io/address-pools": "Pools that the addresses may come from, in order, with commas between.",
    "lbctl.io/networks": "Networks that the node is in, as CIDRs with commas between, for checks of pools.",
    "lbctl.io/gateways": "Addresses of the node's gateways, with commas between, for checks of pools.",
}
