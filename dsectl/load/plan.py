"""What one load shall do, and the choices that it makes: which operations, on which keys, with which values. Pure.

A plan is a plain value, so that it can be handed to another process. Workloads are those of Cooper et al.
("Benchmarking Cloud Serving Systems with YCSB", SoCC 2010, table 2): rank r of the zipfian keys is met in proportion to
1 / r ** 0.99, drawn by the method of Gray et al. ("Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994,
section 3.2), and ranks are scattered over the keys, so that the popular ones are no neighbours. Payloads are
self-describing: a name, a number, and filling, so that a reader can check, to the last byte, whether it was sent.
"""

import re
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate
from random import Random
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

from cluster.errors import Usage
from cluster.limits import CLIENT_TIMEOUT_S, VALUE_BYTES_MAX
from dsectl.ui.units import size

SIZE_BYTES_DEFAULT = 100
SIZE_BYTES_MIN = 48
"""Room for the longest name and number."""
_FILLING = bytes(33 + (17 * at + at // 94) % 94 for at in range(4096))
"""Printable, and without a blank."""


class Sizes(Struct, frozen=True):
    """From `least` to `most` bytes, evenly."""

    least: int = SIZE_BYTES_DEFAULT
    most: int = SIZE_BYTES_DEFAULT

    def of(self, head: bytes) -> int:
        """The size of the payload that begins so: always the same for the same beginning."""
        return self.least + crc32(head) % (self.most - self.least + 1)


def parse_sizes(text: str) -> Sizes:
    """`100B`, or `64B..4KiB`. Raises Usage."""
    first, dots, last = text.partition("..")
    least = size(first)
    most = size(last) if dots else least
    if not SIZE_BYTES_MIN <= least <= most <= VALUE_BYTES_MAX:
        help = "Write a size, or a range of sizes from small to large: 100B, 64B..4KiB."
        raise Usage(f"a value has {SIZE_BYTES_MIN} bytes to 1 MiB here, not {text}", help=help)
    return Sizes(least, most)


class Payloads:
    """Makes payloads and recognizes them."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._size = sizes.least if sizes.least == sizes.most else 0  # 0: ask
        self._filling = _FILLING * (sizes.most // len(_FILLING) + 1)

    def make(self, name: str, number: int) -> bytes:
        """The payload of `name` with a number."""
        head = f"{name} {number} ".encode()
        return head + self._filling[: max(0, (self._size or self._sizes.of(head)) - len(head))]

    def number(self, name: str, payload: bytes) -> int | None:
        """The number of a payload of `name`; None when it is not one, to the last byte."""
        parts = payload.split(b" ", 2)
        if len(parts) != 3 or not parts[1].isdigit() or len(parts[1]) > 18:
            return None
        number = int(parts[1])
        return number if payload == self.make(name, number) else None


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


_KEYS = re.compile(rf"(?=.)(?:({'|'.join(DISTRIBUTIONS)})(?::(?=[0-9])|$))?([0-9]*)")


def parse_keys(text: str) -> KeySpace:
    """`1000`, `zipfian` or `zipfian:1000`. Raises Usage."""
    found = _KEYS.fullmatch(text)
    if found is None:
        help = "Write how many, how they are chosen, or both: 1000, zipfian, uniform:5000, latest:1000."
        raise Usage(f'invalid keys "{text}": expected 1000, zipfian, uniform:5000', help=help)
    count = int(found[2] or KEYS_DEFAULT)
    if not 1 <= count <= KEYS_MAX:
        raise Usage(f"there can be 1 to {KEYS_MAX} keys, not {count}")
    return KeySpace(count, found[1] or "")


class Zipf:
    """Ranks from 0, the most popular, to `count` - 1. `count` may grow."""

    def __init__(self, count: int) -> None:
        assert count >= 1
        self.count = 0
        self._zeta = 0.0
        self._zeta_two = 1 + 0.5**THETA
        self._alpha = 1 / (1 - THETA)
        self._eta = 0.0
        self.grow(count)

    def grow(self, count: int) -> None:
        """There are `count` ranks now, not fewer than before."""
        assert count >= self.count
        for rank in range(self.count + 1, count + 1):
            self._zeta += 1 / rank**THETA
        self.count = count
        if count > 2:  # the first two ranks are drawn without it
            self._eta = (1 - (2 / count) ** (1 - THETA)) / (1 - self._zeta_two / self._zeta)

    def rank(self, uniform: float) -> int:
        """The rank for a number drawn evenly from 0 up to 1."""
        scaled = uniform * self._zeta
        if scaled < 1:
            return 0
        if scaled < self._zeta_two or self.count <= 2:
            return min(1, self.count - 1)
        return min(self.count - 1, int(self.count * (self._eta * uniform - self._eta + 1) ** self._alpha))


def key_chooser(space: KeySpace, random: Random) -> Callable[[int], int]:
    """Picks the index of a key below the number of those that there are at that moment. Keys that were inserted
    meanwhile are met by `uniform` and `latest`; `zipfian` keeps to those of the beginning, whose popularity is settled.
    """
    draw, scattered = random.random, list(range(space.count))
    random.shuffle(scattered)
    if space.distribution == UNIFORM:
        return lambda count: int(draw() * count)
    zipf = Zipf(space.count)

    def latest(count: int) -> int:
        if count != zipf.count:
            zipf.grow(count)
        return count - 1 - zipf.rank(draw())

    return latest if space.distribution == LATEST else lambda count: scattered[zipf.rank(draw())]


READ, WRITE, INSERT, SCAN, RMW, INCR, SADD = "read", "write", "insert", "scan", "rmw", "incr", "sadd"
KINDS = (READ, WRITE, INSERT, SCAN, RMW, INCR, SADD)
"""`write` meets a key that exists, `insert` makes one, `scan` lists keys in order, `rmw` reads, then writes; `incr` and
`sadd` meet counters and sets, as many as there are keys."""


class Mix(Struct, frozen=True):
    """Shares of the kinds, which need not add up to anything, and the distribution of keys that goes with them."""

    shares: dict[str, float]
    distribution: str = ZIPFIAN

    @property
    def reads(self) -> bool:
        """Whether keys must be there before it begins."""
        return any(self.shares.get(kind) for kind in (READ, SCAN, RMW))


PRESETS = {
    "A": Mix({READ: 50, WRITE: 50}),
    "B": Mix({READ: 95, WRITE: 5}),
    "C": Mix({READ: 100}),
    "D": Mix({READ: 95, INSERT: 5}, LATEST),
    "E": Mix({SCAN: 95, INSERT: 5}),
    "F": Mix({READ: 50, RMW: 50}),
}
_MIX_HELP = (
    "Write shares, as in read=50,write=50 (kinds: read, write, insert, scan, rmw, incr, sadd), or the letter of a YCSB "
    "workload: "
    "A read/write 50/50, B 95/5, C read only, D read/insert 95/5 of the latest, E scan/insert 95/5, F read/rmw 50/50."
)


def parse_share(kind: str, text: str, help: str) -> float:
    """How large a part of a mix is, `80` or `80%`; shares need not add up to anything. Raises Usage."""
    try:
        share = float(text.removesuffix("%"))
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise Usage(f"the share of {kind} is a number from 0, not {text!r}", help=help)
    return share


def parse_mix(text: str) -> Mix:
    """A letter from A to F, or shares. Raises Usage."""
    preset = PRESETS.get(text.strip().upper())
    if preset is not None:
        return preset
    shares: dict[str, float] = {}
    for part in text.split(","):
        kind, equals, number = part.strip().partition("=")
        if kind not in KINDS or not equals:
            raise Usage(f'invalid mix "{part.strip()}": expected read=50,write=50, or A to F', help=_MIX_HELP)
        if kind in shares:
            raise Usage(f"the mix names {kind} twice", help=_MIX_HELP)
        shares[kind] = parse_share(kind, number, _MIX_HELP)
    if not any(shares.values()):
        raise Usage(f"the mix {text!r} has no operation at all", help=_MIX_HELP)
    return Mix({kind: share for kind, share in shares.items() if share})


def kind_chooser(mix: Mix, random: Random) -> Callable[[], str]:
    """Picks what to do next, of the mix's kinds by their shares. `random.choices` would cost a microsecond more."""
    kinds, draw = list(mix.shares), random.random
    *bounds, total = accumulate(mix.shares.values())
    return lambda: kinds[bisect(bounds, draw() * total)]


KV, PUBLISH, REQUEST, QUEUE = "kv", "publish", "request", "queue"
ECHO = "echo.echo"


class OfferedRequest(Struct, frozen=True):
    """An operation of a service that a load calls, and its share of the calls. `arguments` is JSON; empty for none, or
    of `echo.echo` for a text of its own with each call."""

    operation: str = ECHO
    share: float = 1.0
    arguments: str = ""


class RequestOptions(Struct, frozen=True):
    """How a load calls services. The retries are the load's own, beside those of the nodes: `retries` more attempts
    after whatever was no answer, each with the whole deadline, at once or after a pause of up to `backoff_s`, which
    doubles each time (full jitter)."""

    mix: tuple[OfferedRequest, ...] = (OfferedRequest(),)
    deadline_s: float | None = None
    """Of each attempt; None: that of the client."""
    retries: int = 0
    backoff_s: float = 0.0
    keyed: bool = False
    """Each call has one of the plan's keys, for affinity."""
    low: float = 0.0
    """The part of the calls, from 0 to 1, that has low priority."""
    hedge: bool = False
    """Each call asks for a hedge."""


IN_FLIGHT_MAX = 20_000
"""Of an open loop, over all processes: half a second of the most that one process offers. What is due beyond that
waits, and its waiting counts."""
SETTLE_S = 10.0


class LoadPlan(Struct, frozen=True):
    """One load, or one process's share of it. Times in seconds."""

    family: str
    cluster: str
    run: str
    """Distinguishes this run's keys and subjects from those of all others."""
    rate: float | None = None
    """Operations a second on schedule (an open loop); None lets each client go on when it is answered (closed)."""
    seconds: float = 10.0
    clients: int | None = None
    """How many operations are under way at once at most."""
    mix: Mix = PRESETS["A"]
    keys: KeySpace = KeySpace()
    sizes: Sizes = Sizes()
    requests: RequestOptions = RequestOptions()
    subscribers: int = 1
    consumers: int = 1
    """Of each generator's queue."""
    via: str | None = None
    timeout_s: float = CLIENT_TIMEOUT_S
    settle_s: float = SETTLE_S
    """How long the account waits for what is still on its way, or for a cluster that must be repaired first."""
    seed: int = 0
    processes: int = 1
    process: int = 0

    @property
    def name(self) -> str:
        """What this share's keys and payloads begin with."""
        return f"load-{self.run}-{self.process}"

    @property
    def limit(self) -> int:
        """How many operations may be under way."""
        return self.clients or max(1, IN_FLIGHT_MAX // self.processes)

    def share(self, process: int) -> "LoadPlan":
        """The part of process number `process`, from 0."""

        def part(whole: int) -> int:
            return whole // self.processes + (process < whole % self.processes)

        return replace(
            self,
            rate=None if self.rate is None else self.rate / self.processes,
            clients=None if self.clients is None else part(self.clients),
            keys=KeySpace(max(1, part(self.keys.count)), self.keys.distribution),
            seed=self.seed + process,
            process=process,
        )
