"""What a speaker tells of who had an address: the journal, and what is not written yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lbctl.speaker.owners import Move
from lbctl.speaker.recollection import recollection
from lbctl.speaker.status import Moves
from tests.speaker.test_status import VIP, facts
from tests.support.worlds import address

OTHER = "192.0.2.2"


def row(at_unix: float, owner: str | None, of: str = VIP, epoch: int = 1) -> dict[str, Any]:
    return {"at_unix": at_unix, "address": of, "from": None, "to": owner, "cause": "started", "epoch": epoch}


async def told(journal: Iterable[dict[str, Any]], moves: Moves | None = None, **query: str) -> Any:
    lines = list(journal)
    answer = await recollection(facts(), moves or Moves(), lambda: lines)["/v1/owners"](query)
    return answer.body if answer.status == 200 else answer.status


async def test_the_journal_is_told_by_address_and_by_service() -> None:
    lines = [row(10.0, "a", OTHER), {"at_unix": 11.0, "address": VIP, "mac": "x"}, row(12.0, "a"), row(13.0, "b")]
    found = await told(lines, target=VIP)
    assert [change["to"] for change in found["changes"]] == ["a", "b"], "a conflict is no change of owner"
    assert (found["oldest_unix"], found["addresses"], found["node"]) == (10.0, [VIP], "a")
    assert (await told(lines, target="default/x"))["changes"] == found["changes"]
    assert len((await told(lines, target="default/x", addresses=OTHER))["changes"]) == 3
    assert len((await told(lines))["changes"]) == 3


async def test_what_is_not_written_yet_is_told_and_once() -> None:
    moves = Moves()
    moves.add(
        Move(address=address(VIP), previous=None, owner=node, cause="started", at_unix=at, epoch=1)
        for node, at in (("a", 12.0), ("b", 14.0))
    )
    found = await told([row(12.0, "a")], moves, target=VIP)
    assert [(change["at_unix"], change["to"]) for change in found["changes"]] == [(12.0, "a"), (14.0, "b")]


async def test_the_newest_are_told_and_the_others_counted() -> None:
    lines = [row(float(n), "ab"[n % 2], epoch=n) for n in range(1, 10)]
    found = await told(lines, target=VIP, limit="2", since_unix="3")
    assert [change["epoch"] for change in found["changes"]] == [8, 9]
    assert found["older"] == 5
    assert found["oldest_unix"] == 1.0


async def test_what_is_no_question_is_refused() -> None:
    assert await told([], target="nonsense") == 400
    assert await told([], target=VIP, limit="many") == 400
    assert await told([], target=VIP, addresses="nowhere") == 400
