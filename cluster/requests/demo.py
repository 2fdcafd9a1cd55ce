"""Two services that every node hosts, to look at and to try faults on."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from cluster.limits import VALUE_BYTES_MAX
from cluster.requests.service import CallContext, operation, service

if TYPE_CHECKING:
    from random import Random

LATENCY_MS_MAX = 60_000.0


class Text(Struct):
    """Some text."""

    text: Annotated[str, Meta(max_length=VALUE_BYTES_MAX // 2)] = ""


class Repeat(Struct, forbid_unknown_fields=True):
    """A text, and how often to say it."""

    text: Annotated[str, Meta(max_length=VALUE_BYTES_MAX)]
    times: Annotated[int, Meta(ge=0, le=VALUE_BYTES_MAX)] = 2


class Repeated(Struct):
    """The text, so often."""

    text: str


class Range(Struct, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """Where to begin, where to end, and how long to wait between two numbers."""

    last: int
    first: int = 1
    every_ms: Annotated[float, Meta(ge=0, le=LATENCY_MS_MAX)] = 0.0


class Number(Struct):
    """One of the numbers, and the node that counts."""

    number: int
    node: str


class Whoami(Struct):
    """Which node ran the call."""

    node: str
    remaining_ms: float


class TooLong(Exception):
    """More text than a reply may have."""


@service(name="echo", version=1)
class Echo:
    """Says what it is told, and who it is."""

    @operation(readonly=True)
    def echo(self, request: Text) -> Text:
        """Answer with the same text."""
        return request

    @operation(readonly=True, errors=[TooLong])
    def repeat(self, request: Repeat) -> Repeated:
        """Answer with the text several times over: a reply as large as you like, up to 1 MiB."""
        if len(request.text) * request.times > VALUE_BYTES_MAX:
            raise TooLong(f"{len(request.text)} characters, {request.times} times")
        return Repeated(request.text * request.times)

    @operation(readonly=True)
    async def count(self, request: Range, call: CallContext) -> AsyncIterator[Number]:
        """Count up, a reply for each number."""
        for number in range(request.first, request.last + 1):
            if request.every_ms and number > request.first:
                await call.sleep(request.every_ms / 1000)
            yield Number(number, call.node)

    @operation(readonly=True)
    def whoami(self, call: CallContext) -> Whoami:
        """Answer with the node's name and the time that is left."""
        return Whoami(call.node, round(call.remaining() * 1000, 3))


class Work(Struct):
    """Nothing to say: the node's behaviour decides."""


class Worked(Struct):
    """Which node worked, how long it waited on purpose, and how many calls it has served in this boot."""

    node: str
    latency_ms: float
    count: int


class Change(Struct):
    """What to change; what is left out stays."""

    latency_ms: Annotated[float, Meta(ge=0, le=LATENCY_MS_MAX)] | None = None
    failure_rate: Annotated[float, Meta(ge=0, le=1)] | None = None


class Behaviour(Struct):
    """How a node serves `work` from now on."""

    node: str
    latency_ms: float
    failure_rate: float


class Unlucky(Exception):
    """The call was among those that fail."""


@service(name="flaky", version=1)
class Flaky:
    """Is as slow and as unreliable as it is told to be, on each node for itself."""

    def __init__(self, random: "Random") -> None:
        self._random = random
        self._latency_ms = 0.0
        self._failure_rate = 0.0
        self._count = 0

    @operation(readonly=True, errors=[Unlucky])
    async def work(self, request: Work, call: CallContext) -> Worked:
        """Wait for the node's latency, then succeed or fail by its failure rate."""
        latency_ms, fails = self._latency_ms, self._random.random() < self._failure_rate
        if latency_ms:
            await call.sleep(latency_ms / 1000)
        if fails:
            raise Unlucky(f"{call.node} fails {self._failure_rate:.0%} of its calls")
        self._count += 1
        return Worked(call.node, latency_ms, self._count)

    @operation(idempotent=True)
    def set(self, request: Change, call: CallContext) -> Behaviour:
        """Change how the node that runs this serves `work`."""
        if request.latency_ms is not None:
            self._latency_ms = request.latency_ms
        if request.failure_rate is not None:
            self._failure_rate = request.failure_rate
        return Behaviour(call.node, self._latency_ms, self._failure_rate)


def demo_services(random: "Random") -> list[object]:
    """One of each."""
    return [Echo(), Flaky(random)]
