"""Remove a safeguard and a seed finds it: the checks are sharp enough to need what they check.

One area alone: `pytest tests/simulation/safeguards -k hints`. With `--seed N` the scenarios run for that seed.
"""

from collections import Counter

import pytest

from tests.simulation.safeguards.registry import UNPROVEN, Safeguard, all_safeguards, first_red

ENTRIES = all_safeguards()
EACH = pytest.mark.parametrize("entry", [pytest.param(one, id=f"{area}: {one.name}") for area, one in ENTRIES])


@EACH
def test_holds(entry: Safeguard, request: pytest.FixtureRequest) -> None:
    one = request.config.getoption("--seed", default=None)
    for number in entry.seeds if one is None else [one]:
        entry.scenario(number)


@EACH
def test_is_missed_when_it_is_removed(entry: Safeguard, monkeypatch: pytest.MonkeyPatch) -> None:
    entry.remove(monkeypatch)
    found = first_red(entry.scenario, entry.seeds)
    assert found is not None, f"no seed of {entry.seeds} needs it, and it is to keep: {entry.promise}"


def test_names_are_unique_and_promises_are_sentences() -> None:
    counted = Counter([one.name for _, one in ENTRIES] + list(UNPROVEN))
    assert [name for name, count in counted.items() if count > 1] == []
    assert [one.name for _, one in ENTRIES if len(one.promise.split()) < 4] == []
    assert [name for name, why in UNPROVEN.items() if len(why.split()) < 6] == []
