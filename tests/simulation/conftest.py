"""Seeds: a test with a `seed` argument runs for a few of them, or for those of `--seed` and `--seeds A..B`.

A failure prints the line that repeats it. With `--seeds-s SECONDS` only tests with seeds run, one seed of all of them
before the next, and none begins once the time is up: however many seeds are named, a run takes so long.
"""

import time
from collections.abc import Generator, Iterator

import pytest

from cluster.simulation import World
from tests.simulation.seeds import parse_seeds, replay_line
from tests.simulation.witness import Witness, install

SEEDS = "1..5"
ENDS_AT = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="the one seed to simulate")
    parser.addoption("--seeds", help="the seeds to simulate: 1..1000, or 1,5,20..30")
    parser.addoption("--seeds-s", type=float, help="run tests with seeds only, and begin none after so many seconds")


def pytest_configure(config: pytest.Config) -> None:
    budget_s = config.getoption("--seeds-s", default=None)
    if budget_s is not None:
        config.stash[ENDS_AT] = time.monotonic() + budget_s


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        one, many = (metafunc.config.getoption(name, default=None) for name in ("seed", "seeds"))
        metafunc.parametrize("seed", [one] if one is not None else parse_seeds(many or SEEDS))


def seed_of(item: pytest.Item) -> int | None:
    """The seed that a test runs for."""
    seed = item.callspec.params.get("seed") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    return seed if isinstance(seed, int) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if ENDS_AT in config.stash:
        seeded = [(number, item) for item in items if (number := seed_of(item)) is not None]
        order = {number: place for place, number in enumerate(dict.fromkeys(number for number, _ in seeded))}
        items[:] = [item for _, item in sorted(seeded, key=lambda pair: order[pair[0]])]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    is_over = time.monotonic() >= item.config.stash.get(ENDS_AT, float("inf"))
    return True if is_over else None  # True: nobody runs it, and nothing is reported


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    seed = seed_of(item)
    if report.failed and seed is not None:
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
