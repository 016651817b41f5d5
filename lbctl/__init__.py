"""lbctl: addresses for services on bare metal, announced by ARP/NDP or BGP, and proof of who answers."""

__version__ = "0.1.0"
