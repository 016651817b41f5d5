"""Where I stand: everything besides the claims themselves that decides whether I may claim and answer, in one place.

It joins what is known of my ears and voice (contact), of the start, of the World (start) and of my name (namesake), and
says each standing trouble once when it begins and once when it ends.
"""

from __future__ import annotations

from lbctl.protocol.heartbeat.contact import Contact
from lbctl.protocol.heartbeat.membership import Membership
from lbctl.protocol.heartbeat.namesake import Namesake
from lbctl.protocol.heartbeat.rights import Refusal
from lbctl.protocol.heartbeat.segments import Audience, Settings
from lbctl.protocol.heartbeat.start import Start, Worlds
from lbctl.protocol.heartbeat.voice import Voice


class Standing:
    """Reviewed with the membership. `deaf`: nothing may be answered, for my ears or my voice are dead."""

    def __init__(self, settings: Settings, membership: Membership, audience: Audience, voice: Voice) -> None:
        self.contact = Contact(settings.interval, settings.detection)
        self.start = Start(settings.start_wait)
        self.worlds = Worlds()
        self.namesake = Namesake(membership.me, settings.detection)
        self.deaf = False
        self.unreadable: list[str] = []
        self._membership = membership
        self._audience = audience
        self._voice = voice
        self._troubles: dict[str, str] = {}
        self.hidden = False
        self._quorate = False

    def review(self, now: float, *, listened: bool) -> bool:
        """Settles all of it as of `now`; true when my name turned out to be another's, or mine again."""
        membership, contact = self._membership, self.contact
        instances = membership.instances.values()
        contact.review(membership.current.values(), now)
        alone = membership.configured() <= 1
        voters = list(membership.voters())
        self.start.review(contact=alone or bool(voters), met_all=alone or self._audience.all_met())
        newest = max((i.world for i in membership.current.values() if i.was_two_way), default=0)
        self.worlds.review(newest, now)
        self.deaf = not alone and (contact.is_deaf(now) or contact.is_mute(now))
        self.unreadable = contact.unreadable_nodes(instances, now)
        self._quorate = membership.quorate
        self.hidden = membership.safety and not membership.is_majority_with_none_hidden(now)
        turned = self.namesake.review(membership.current.values(), now, listened=listened)
        self._tell()
        return turned

    def refusal(self, now: float) -> Refusal | None:
        """Why nothing new may be claimed, apart from what listening and segments forbid."""
        stale_at = self.worlds.stale_at()
        if self.namesake.silent:
            return Refusal.DUPLICATE_NAME
        if self.deaf:
            return Refusal.DEAF
        if self.unreadable and not self._quorate:
            return Refusal.UNREADABLE
        if stale_at is not None and now >= stale_at:
            return Refusal.STALE_WORLD
        return Refusal.HIDDEN if self.hidden else None

    def next_timeout(self, now: float) -> float | None:
        times = (
            self.namesake.listened_at,
            self.contact.next_timeout(),
            self.contact.unreadable_until(),
            self.worlds.stale_at(),
        )
        return min((at for at in times if at is not None and at > now), default=None)

    def _tell(self) -> None:
        troubles: dict[str, str] = {}
        if self.deaf:
            why = "nobody hears this node" if not self.contact.alone else "no frame arrives on any segment"
            troubles["deaf"] = f"{why}: it claims and answers nothing; look at its port and cable"
        if self.unreadable:
            names = ", ".join(self.unreadable)
            troubles["unreadable_member"] = f"heartbeats of {names} cannot be read: compare key, cluster and version"
        if self.namesake.silent:
            troubles["duplicate_name"] = "another node speaks under this name: rename one of the two, then restart it"
        for name in self._troubles.keys() | troubles.keys():
            before, text = self._troubles.get(name), troubles.get(name)
            if before != text:
                self._voice.report("trouble", {"name": name, "text": text or "", "on": text is not None})
        self._troubles = troubles
