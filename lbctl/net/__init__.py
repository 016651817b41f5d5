"""The kernel: sockets, netlink, nftables and the channels between processes.

Effects only; what to do is decided elsewhere: channel (messages between a speaker's processes), packet_socket and
icmpv6 (ARP/NDP frames), udp and member (heartbeats), interfaces (links by netlink), netlink (asked by hand: rtnetlink,
nftables, conntrack and forwarding for the service proxy), probe (what the wire says), status_server and status_client
(JSON over a unix socket), systemd.
"""
