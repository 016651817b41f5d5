"""One more allocation costs the same beside many as beside few; against what it costs here, not against a clock."""

from __future__ import annotations

import pytest

from bench.allocator import filled, some_more, span
from lbctl.model.address import Family
from lbctl.model.pool import Choice, Pool, PoolOptions
from tests.support.bars import least


@pytest.mark.parametrize(
    ("family", "ranges", "options"),
    [
        (Family.IPV4, ["10.0.0.0/16"], PoolOptions()),
        (Family.IPV6, ["2001:db8::/64"], PoolOptions(choice=Choice.LEAST_RECENTLY_USED)),
        (Family.IPV4, [f"10.{number // 64}.{number % 64 * 4}.0/28" for number in range(2000)], PoolOptions()),
    ],
    ids=["one range", "least recently used", "2,000 ranges"],
)
def test_one_more_beside_many(family: Family, ranges: list[str], options: PoolOptions) -> None:
    """A walk over the used ones would be twenty times as much; a cold cache and a busy machine are less than four."""
    pool = Pool(name="p", ranges=tuple(map(span, ranges)), options=options)
    few, many = (filled(count, family, pool)[0] for count in (1_000, 20_000))
    least(
        lambda: some_more(many, family, 500),
        lambda: some_more(few, family, 500),
        enough=lambda many, few: many < 4 * few,
        at_least=4,
    )
