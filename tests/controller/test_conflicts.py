"""What probes found becomes a quarantine, and stops being one; who is heard, and what wins."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from lbctl.controller.conflicts import quarantine_changes
from lbctl.controller.kept import ClearCause
from lbctl.controller.records import LedgerState
from lbctl.controller.recover import recover, without_ours
from lbctl.model.claim import Claim
from lbctl.model.member import Conflict, Liveness, Member, Role
from lbctl.model.pool import OnConflict, PoolOptions
from lbctl.sources.published_document import Published
from tests.controller.test_step import Life, member, said
from tests.plan.allocation_worlds import key, pool, service

FOREIGN = "02:00:00:00:00:66"
ADDRESS = ip_address("192.0.2.0")


def prober(name: str, *found: tuple[str, str], state: Liveness = Liveness.ALIVE, role: Role = Role.SPEAKER) -> Member:
    conflicts = tuple(Conflict(address=ip_address(text), mac=mac, interface="eth1") for text, mac in found)
    return replace(member(name, state, role=role), conflicts=conflicts, macs=((f"02:00:00:00:01:{name[-1]}0", "eth1"),))


def life() -> Life:
    made = Life(service("x"))
    made.step()
    assert ADDRESS in made.state.users
    return made


def test_an_address_that_a_foreign_machine_answers_for_is_quarantined_published_and_said() -> None:
    one = life()
    one.members = {"n1": prober("n1", ("192.0.2.0", FOREIGN.upper()))}
    decision = one.step()
    (event,) = (event for event in decision.events if event.name == "quarantined")
    assert (event.fields["mac"], event.fields["node"], event.fields["interface"]) == (FOREIGN, "n1", "eth1")
    assert (event.fields["services"], event.warns) == ("default/x", True)
    assert decision.world is not None
    assert decision.world.quarantined[ADDRESS].mac == FOREIGN
    assert decision.world.allocations[key("x")].addresses == (ADDRESS,), "it keeps the address"
    again = one.step()
    assert (bool(again.batch), again.world, again.events) == (False, None, ())


def test_it_ends_when_nobody_answers_any_more() -> None:
    one = life()
    one.members = {"n1": prober("n1", ("192.0.2.0", FOREIGN))}
    one.step()
    one.members = {"n2": prober("n2", ("192.0.2.0", ""))}
    decision = one.step()
    (cleared,) = decision.batch.kept.cleared
    assert (cleared.cause, cleared.by, cleared.quarantine.mac) == (ClearCause.CLEAN, "n2", FOREIGN)
    assert said(decision)[0] == "quarantine_cleared"
    assert decision.world is not None
    assert not decision.world.quarantined
    assert not one.step().batch


def test_one_who_sees_it_wins_over_those_who_do_not() -> None:
    one = life()
    one.members = {
        "n1": prober("n1", ("192.0.2.0", "")),
        "n2": prober("n2", ("192.0.2.0", FOREIGN)),
        "n3": prober("n3", ("192.0.2.0", "")),
    }
    one.step()
    assert one.state.remembered.quarantined[ADDRESS].node == "n2"
    assert not one.step().batch.kept


def test_an_address_that_a_living_speaker_announces_is_not_quarantined_for_what_another_sees() -> None:
    one = life()
    one.members = {"n1": prober("n1", ("192.0.2.0", FOREIGN)), "n2": prober("n2")}
    claim = Claim(address=ADDRESS, node="n2", incarnation=1, epoch=1, quorate=True, since_unix=0.0, cause="started")
    assert not quarantine_changes(one.state, one.members, 1.0, {"n2": {ADDRESS: claim}}).quarantined
    gone = one.members | {"n2": prober("n2", state=Liveness.GONE)}
    assert quarantine_changes(one.state, gone, 1.0, {"n2": {ADDRESS: claim}}).quarantined


def test_another_machine_that_answers_as_well_changes_nothing() -> None:
    one = life()
    one.members = {"n1": prober("n1", ("192.0.2.0", FOREIGN))}
    one.step()
    one.members = {"n2": prober("n2", ("192.0.2.0", "02:00:00:00:00:77"))}
    assert not one.step().batch.kept
    assert one.state.remembered.quarantined[ADDRESS].mac == FOREIGN


def test_who_is_not_heard_and_what_is_not_foreign() -> None:
    one = life()
    found = ("192.0.2.0", FOREIGN)
    one.members = {
        "n1": prober("n1", found, state=Liveness.GONE),
        "n2": prober("n2", found, state=Liveness.LEFT),
        "n3": prober("n3", found, role=Role.OBSERVER),
        "n4": prober("n4", ("192.0.2.0", "02:00:00:00:01:10")),
        "n5": prober("n5", ("192.0.2.1", FOREIGN)),
    }
    assert not one.step().batch.kept, "gone, left, no speaker, a member's own MAC, an address that nobody uses"


def test_a_service_that_asks_for_it_is_given_another_address() -> None:
    one = life()
    elsewhere = replace(pool("p", "192.0.2.0/30"), options=PoolOptions(on_conflict=OnConflict.REALLOCATE))
    one.world = replace(one.world, pools={"p": elsewhere})
    one.step()
    one.members = {"n1": prober("n1", ("192.0.2.0", FOREIGN))}
    for _ in range(3):
        one.step()
    (address,) = one.state.allocations[key("x")].addresses
    assert address != ADDRESS
    assert ADDRESS in one.state.remembered.quarantined, "nobody else is given it"


def test_a_ledger_that_was_lost_takes_quarantines_from_what_was_published() -> None:
    one = life()
    one.members = {"n1": prober("n1", ("192.0.2.0", FOREIGN))}
    published = one.step().world
    assert published is not None
    empty = LedgerState(ledger="new")
    batch = recover(empty, Published(world=published, pending={}, cluster="c", ledger="l"), 5.0)
    assert empty.after(batch).remembered.quarantined == published.quarantined
    assert not without_ours(published).quarantined
