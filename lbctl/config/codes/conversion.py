"""Findings of `lbctl convert`: what is old, and what has no place in the kinds of today."""

from __future__ import annotations

from lbctl.config.codes.code import ERROR, NOTE, WARNING, Code

CONVERSION = (
    Code(
        "LB0701",
        ERROR,
        "peer-autodiscovery cannot be converted",
        "The old format could read peers from labels and annotations of nodes. No kind of today does, so whoever used "
        "it has to write a BGPPeer for each router. Nothing of this section is converted.",
        fix="Write one BGPPeer for each router, with nodeSelectors where only some nodes speak to it.",
    ),
    Code(
        "LB0702",
        WARNING,
        "name changed",
        "Names in the old format were free text; names of objects are made of lower-case letters, digits, dashes and "
        "dots (RFC 1123), and no two objects of one kind share one. References within the text follow; services that "
        "ask for the pool by its name have to be changed by hand.",
        fix="Change the annotation address-pool of the services that ask for the pool by its old name.",
    ),
    Code(
        "LB0703",
        NOTE,
        "password in plain text",
        "The password stands in the manifest, as it did in the old format. A Secret of type kubernetes.io/basic-auth, "
        "named by passwordSecret, is read by fewer people.",
        fix="Put it into a Secret of type kubernetes.io/basic-auth and name that under passwordSecret.",
    ),
    Code(
        "LB0704",
        ERROR,
        "not an old configuration",
        "The document is none that lbctl convert reads: a ConfigMap with the key config, the text that such a key "
        "holds, or an AddressPool or BGPPeer of metallb.io/v1beta1.",
        fix="Give the ConfigMap as kubectl get configmap -o yaml prints it, or the text of its key config.",
    ),
    Code(
        "LB0705",
        NOTE,
        "object left out",
        "The object is of a kind that needs no conversion, and is not part of what is printed.",
        fix="Keep it as it is, beside what is printed.",
    ),
)
