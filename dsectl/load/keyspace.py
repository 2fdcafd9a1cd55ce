"""Which key an operation meets: uniform, zipfian, or the latest ones. Pure; randomness is passed in.

Zipfian as in YCSB (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010): rank r is met in
proportion to 1 / r ** 0.99, drawn by the method of Gray et al. ("Quickly Generating Billion-Record Synthetic
Databases", SIGMOD 1994, section 3.2). Ranks are scattered over the keys, so that the popular ones are no neighbours.
"""

from random import Random

from msgspec import Struct

from cluster.errors import Usage

UNIFORM, ZIPFIAN, LATEST = "uniform", "zipfian", "latest"
DISTRIBUTIONS = (UNIFORM, ZIPFIAN, LATEST)
KEYS_DEFAULT = 1000
KEYS_MAX = 1_000_000
"""Each key is an object of some hundred bytes in the ledger, and is read back at the end."""
THETA = 0.99
"""YCSB's skew: of 1,000 keys the most popular one takes 13 % of the operations."""


class KeySpace(Struct, frozen=True):
    """How many keys there are at first, and how they are chosen; an empty distribution is the mix's own."""

    count: int = KEYS_DEFAULT
    distribution: str = ""


def parse_keys(text: str) -> KeySpace:
    """`1000`, `zipfian` or `zipfian:1000`. Raises Usage."""
    name, colon, number = text.partition(":")
    if not colon and name not in DISTRIBUTIONS:
        name, number = "", name
    if name and name not in DISTRIBUTIONS:
        raise Usage(f"unknown distribution {name!r}: one of {', '.join(DISTRIBUTIONS)}", help=_HELP)
    if name and not colon:
        return KeySpace(distribution=name)
    if not (number.isascii() and number.isdigit()):
        raise Usage(f"{text!r} is no set of keys", help=_HELP)
    if not 1 <= int(number) <= KEYS_MAX:
        raise Usage(f"there can be 1 to {KEYS_MAX} keys, not {number}")
    return KeySpace(int(number), name)


_HELP = "Write how many, how they are chosen, or both: 1000, zipfian, uniform:5000, latest:1000."


class Zipf:
    """Ranks from 0, the most popular, to `count` - 1. `count` may grow."""

    def __init__(self, count: int, theta: float = THETA) -> None:
        assert count >= 1 and 0 < theta < 1
        self.count = 0
        self._theta = theta
        self._zeta = 0.0
        self._zeta_two = 1 + 0.5**theta
        self._alpha = 1 / (1 - theta)
        self._eta = 0.0
        self.grow(count)

    def grow(self, count: int) -> None:
        """There are `count` ranks now, not fewer than before."""
        assert count >= self.count
        for rank in range(self.count + 1, count + 1):
            self._zeta += 1 / rank**self._theta
        self.count = count
        if count > 2:  # the first two ranks are drawn without it
            self._eta = (1 - (2 / count) ** (1 - self._theta)) / (1 - self._zeta_two / self._zeta)

    def rank(self, uniform: float) -> int:
        """The rank for a number drawn evenly from 0 up to 1."""
        scaled = uniform * self._zeta
        if scaled < 1:
            return 0
        if scaled < self._zeta_two or self.count <= 2:
            return min(1, self.count - 1)
        return min(self.count - 1, int(self.count * (self._eta * uniform - self._eta + 1) ** self._alpha))


class Chooser:
    """Picks the index of a key, of those that there are at that moment."""

    def __init__(self, space: KeySpace, random: Random) -> None:
        self._random = random.random
        self._distribution = space.distribution or ZIPFIAN
        self._zipf = Zipf(space.count) if self._distribution != UNIFORM else None
        self._scattered = list(range(space.count))
        random.shuffle(self._scattered)

    def pick(self, count: int) -> int:
        """An index below `count`. Keys that were inserted meanwhile are met by `uniform` and `latest`; `zipfian` keeps
        to those of the beginning, whose popularity is settled."""
        zipf = self._zipf
        if zipf is None:
            return int(self._random() * count)
        if self._distribution == LATEST:
            if count != zipf.count:
                zipf.grow(count)
            return count - 1 - zipf.rank(self._random())
        return self._scattered[zipf.rank(self._random())]
