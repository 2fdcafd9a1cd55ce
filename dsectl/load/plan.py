"""What one load shall do. A plain value, so that it can be handed to another process."""

from msgspec import Struct

from cluster.limits import CLIENT_TIMEOUT_S
from dsectl.load.keyspace import KeySpace
from dsectl.load.mix import PRESETS, Mix
from dsectl.load.payload import Sizes

KV, PUBLISH, REQUEST = "kv", "publish", "request"
IN_FLIGHT_MAX = 20_000
"""Of an open loop, over all processes: half a second of the most that one process offers. What is due beyond that
waits, and its waiting counts."""
SETTLE_S = 10.0


class Plan(Struct, frozen=True):
    """One load, or one process's share of it. Times in seconds."""

    family: str
    cluster: str
    run: str
    """Tells this run's keys and subjects from those of all others."""
    rate: float | None = None
    """Operations a second on schedule (an open loop); None lets each client go on when it is answered (closed)."""
    seconds: float = 10.0
    clients: int | None = None
    """How many operations are under way at once at most."""
    mix: Mix = PRESETS["A"]
    keys: KeySpace = KeySpace()
    sizes: Sizes = Sizes()
    operation: str = "echo.echo"
    arguments: str = ""
    """JSON; empty for a text of its own with each call."""
    subscribers: int = 1
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

    def share(self, process: int) -> "Plan":
        """The part of process number `process`, from 0."""
        from msgspec.structs import replace

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
