"""The interfaces that wire speaks on, as work tells them: sockets, the table's ports, groups, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lbctl.net.channel import Message
from lbctl.net.icmpv6 import SolicitedNodeGroups
from lbctl.net.packed_address import packed
from lbctl.net.packet_socket import PacketSockets
from lbctl.protocol.l2.ethernet import mac_from_text
from lbctl.protocol.l2.solicitor import Footing
from lbctl.speaker.wire_reports import WireReports
from lbctl.speaker.wire_rights import WireRights


class WirePorts:
    """Sockets for the usable interfaces and for no other; the table and the groups follow."""

    def __init__(
        self, sockets: PacketSockets, groups: SolicitedNodeGroups, rights: WireRights, reports: WireReports
    ) -> None:
        self._sockets = sockets
        self._groups = groups
        self._rights = rights
        self._reports = reports
        self._wanted: Sequence[Message] = ()
        self._links: dict[int, Any] = {}
        self._refused: dict[int, str] = {}
        self._groupless: dict[int, str] = {}
        self.footings: dict[int, Footing] = {}

    @property
    def refused(self) -> bool:
        """Whether an interface that should be used could not be: try again."""
        return bool(self._refused)

    def use(self, interfaces: Sequence[Message] | None, now: float) -> list[int]:
        """The whole list, None = the same again. Returns those whose MAC is the same and the link behind it another."""
        if interfaces is not None:
            self._wanted = interfaces
        footings: dict[int, Footing] = {}
        names: dict[int, str] = {}
        links: dict[int, Any] = {}
        refused: dict[int, str] = {}
        for interface in self._wanted:
            ifindex = interface["ifindex"]
            names[ifindex] = interface["name"]
            if interface["usable"]:
                try:
                    footings[ifindex] = _footing(interface)
                    links[ifindex] = interface.get("link")
                except ValueError as error:
                    refused[ifindex] = str(error)
        for ifindex, reason in self._sockets.use(footings).items():
            del footings[ifindex]
            refused[ifindex] = reason
        for ifindex, reason in refused.items():
            if self._refused.get(ifindex) != reason:
                self._reports.note("interface_refused", interface=names[ifindex], reason=reason)
        self._refused = refused
        self.footings = footings
        # A bond that failed over, a carrier that blinked: the clients' frames go to another switch port.
        relinked = [ifindex for ifindex, link in self._links.items() if ifindex in footings and links[ifindex] != link]
        self._links = {ifindex: links[ifindex] for ifindex in footings}
        self._rights.use_ports({ifindex: footing.mac for ifindex, footing in footings.items()}, now)
        return relinked

    def retry_groups(self) -> None:
        """What the kernel would not join, because IPv6 is off there, is heard by hearing every group meanwhile."""
        if not self._groups.refused:
            return
        for ifindex, reason in self._groups.refused.items():
            if self._groupless.get(ifindex) != reason:
                self._sockets.all_multicast(ifindex)
                self._reports.note("groups_refused", ifindex=ifindex, reason=reason)
        self._groupless = dict(self._groups.refused)
        self._groups.retry()


def _footing(interface: Message) -> Footing:
    """Raises ValueError without a MAC, as on a tunnel."""
    own = [interface["link_local"]] if interface.get("link_local") else []
    own += [text for text in interface.get("addresses", ()) if text not in own]
    return Footing(
        mac=mac_from_text(interface["mac"]),
        addresses=tuple(map(packed, own)),
        routers=tuple(map(packed, interface.get("gateways", ()))),
    )
