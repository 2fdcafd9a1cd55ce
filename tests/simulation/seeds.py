"""Many seeds of one scenario, and the way back to the one that failed.

A scenario is a function of a seed that raises when something is wrong. Under pytest the options `--seed` and `--seeds`
(conftest.py) do the same for any test with a `seed` argument.
"""

from collections.abc import Callable, Iterable


def parse_seeds(text: str) -> list[int]:
    """`7`, `1..100` (both included) and `1,5,20..30` as the seeds that they mean. Raises ValueError."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dots, last = part.partition("..")
        seeds.update(dict.fromkeys(range(int(first), int(last if dots else first) + 1)))
    if not seeds:
        raise ValueError(f"no seeds in {text!r}")
    return list(seeds)


def replay_line(test: str, seed: int) -> str:
    """What to type to run one seed of a test again. `test` is the file, or the file and the test's name."""
    return f"python -m pytest {test} --seed {seed}"


def run_seeds(scenario: Callable[[int], object], seeds: Iterable[int], test: str = "") -> int:
    """Run the scenario for each seed; returns how many. The first failure comes out, with a note of its replay."""
    count = 0
    for seed in seeds:
        try:
            scenario(seed)
        except Exception as error:
            error.add_note(f"replay with: {replay_line(test, seed) if test else f'{scenario.__qualname__}({seed})'}")
            raise
        count += 1
    return count
