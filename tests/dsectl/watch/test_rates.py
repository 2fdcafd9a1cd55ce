"""From totals to rates: the node's own time, boots, and what is not known."""

import pytest

from cluster.client.vitals import Vitals
from dsectl.watch.rates import Rates, average, rates, together
from tests.dsectl.watch.sights import FAST, SLOW, vitals


@pytest.mark.parametrize(
    "before,after,writes_per_s",
    [
        (None, vitals(10.0, 500), None),
        (vitals(10.0, 500), vitals(10.5, 550), 100.0),
        (vitals(10.0, 500), vitals(20.0, 550), 5.0),  # it was silent for a while
        (vitals(10.0, 500), vitals(10.0, 500), None),  # the same answer twice
        (vitals(10.0, 500), vitals(2.0, 50, epoch=2), 25.0),  # it booted: from zero, over its new life
        (vitals(10.0), vitals(10.5), 0.0),
    ],
)
def test_rates(before: Vitals | None, after: Vitals, writes_per_s: float | None) -> None:
    found = rates(before, after)
    assert (None if found is None else found.writes) == writes_per_s


def test_everything_that_is_counted() -> None:
    before = vitals(10.0, 10, published=5, delivered=7, dropped=1, served=4, writes_failed=1)
    after = vitals(12.0, 30, published=9, delivered=17, dropped=3, served=8, writes_failed=3, calls_failed=2)
    found = rates(before, after)
    assert found is not None
    assert (found.kv, found.published, found.delivered, found.dropped, found.served) == (10.0, 2.0, 5.0, 1.0, 2.0)
    assert found.failed == 2.0
    assert found.kv_s == {FAST: 20} and (found.kv_quantile_s(0.99) or 0) < 0.001


def test_together_and_average() -> None:
    one, two = Rates(writes=2.0, kv_s={FAST: 1}), Rates(writes=4.0, served=1.0, kv_s={FAST: 1, SLOW: 2})
    summed = together([one, two])
    assert summed == Rates(writes=6.0, served=1.0, kv_s={FAST: 2, SLOW: 2})
    assert average([one, None, two]) == Rates(writes=3.0, served=0.5, kv_s={FAST: 2, SLOW: 2})
    assert together([]) is None and average([None]) is None
