"""Seeds: a test with a `seed` argument runs for a few of them, or for those of `--seed` and `--seeds A..B`.

A failure prints the line that repeats it.
"""

from collections.abc import Generator, Iterator

import pytest

from cluster.simulation import World, parse_seeds
from cluster.simulation.replay import replay_line
from tests.simulation.witness import Witness, install

SEEDS = "1..5"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="the one seed to simulate")
    parser.addoption("--seeds", help="the seeds to simulate: 1..1000, or 1,5,20..30")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        one, many = (metafunc.config.getoption(name, default=None) for name in ("seed", "seeds"))
        metafunc.parametrize("seed", [one] if one is not None else parse_seeds(many or SEEDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    seed = item.callspec.params.get("seed") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    if report.failed and isinstance(seed, int):
        report.sections.append(("replay", replay_line(item.nodeid.partition("[")[0], seed)))
    return report


@pytest.fixture(autouse=True)
def witness(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(monkeypatch)
    yield
    Witness.present = None


@pytest.fixture
def world(seed: int) -> Iterator[World]:
    with World(seed) as made:
        yield made
