"""Foreign answers: logged once a minute for an address, a trouble for as long as they are seen."""

from __future__ import annotations

from lbctl.speaker import foreign
from lbctl.speaker.foreign import LOG_INTERVAL, TROUBLE_TIME, Answering, ForeignAnswers

VIP = "192.0.2.1"
ONE = Answering(VIP, "02:00:00:00:00:ee", "eth0")


def test_a_trouble_names_address_machine_and_interface_until_a_minute_has_passed() -> None:
    answers = ForeignAnswers()
    assert answers.troubles(0.0) == ()
    answers.see(ONE, 10.0)
    answers.see(ONE, 20.0)
    (line,) = answers.troubles(20.0 + TROUBLE_TIME - 0.1)
    assert line.startswith(f"a foreign machine, 02:00:00:00:00:ee, answers for {VIP} on eth0")
    assert answers.troubles(20.0 + TROUBLE_TIME) == ()


def test_an_address_is_logged_once_a_minute_whoever_answers() -> None:
    answers = ForeignAnswers()
    other = Answering(VIP, "02:00:00:00:00:ef", "eth0")
    at = [0.0, 1.0, 30.0, LOG_INTERVAL - 0.1, LOG_INTERVAL, LOG_INTERVAL + 0.5]
    assert [answers.see(other if n % 2 else ONE, t) for n, t in enumerate(at)] == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]
    assert answers.see(Answering("192.0.2.2", ONE.mac, "eth0"), at[-1])


def test_a_flood_takes_no_more_memory_and_few_lines() -> None:
    answers = ForeignAnswers()
    logged = [answers.see(Answering(f"192.0.2.{n % 200}", f"m{n}", "eth0"), 0.0) for n in range(foreign.MOST + 500)]
    assert sum(logged) == 200
    assert len(answers._seen) == foreign.MOST
    lines = answers.troubles(1.0)
    assert len(lines) == 4
    assert lines[-1].startswith("foreign machines answer for 19")
