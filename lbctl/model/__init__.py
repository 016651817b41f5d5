"""The values everything else is made of: frozen, compared by content, kept by identity while they do not change.

Model names things and holds no policy. Reading order: address, service, endpoint, pool, advertisement, node,
allocation, claim, member, snapshot.
"""
