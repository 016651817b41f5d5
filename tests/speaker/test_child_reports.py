"""What children report beside the View, and how it reaches the log."""

from __future__ import annotations

import logging

import pytest

from lbctl.speaker.child_reports import ChildReports


@pytest.mark.parametrize("what", ["defended", "yielded"])
def test_how_a_stranger_was_met_is_logged_with_its_mac(what: str, caplog: pytest.LogCaptureFixture) -> None:
    reports = ChildReports({})
    reports.interfaces = {2: "eth0"}
    with caplog.at_level(logging.INFO):
        reports.hear(
            "wire", {"op": what, "address": "192.0.2.1", "mac": "02:00:00:00:00:ee", "ifindex": 2, "at_unix": 1.0}
        )
    (record,) = caplog.records
    assert record.name == "lbctl.wire"
    assert record.getMessage() == f"address_{what}"
    assert "02:00:00:00:00:ee" in str(record.__dict__)
    assert "eth0" in str(record.__dict__)


def test_an_unknown_word_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    ChildReports({}).hear("wire", {"op": "of a later version"})
    assert not caplog.records
