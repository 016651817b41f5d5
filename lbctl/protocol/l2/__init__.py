"""ARP and NDP: answering for addresses that stand on no interface, announcing them, and noticing who else does.

Addresses are packed bytes here (4 for IPv4, 16 for IPv6) and MACs 6 bytes, because that is how frames carry them.
"""
