"""The load on services: calls of one operation. An answer of `echo.echo` must be what was sent; of others any answer
will do. An error that the service answers with is `declared`: the cluster did its part.
"""

from collections.abc import Callable
from time import monotonic

from msgspec import DecodeError, json

from cluster.client.aio import CallDone, Calls, Outcome
from dsectl.load.plan import LoadPlan, Payloads
from dsectl.load.tally import EXAMPLES_MAX, KindTally, LoadReport, Tally

ECHO = "echo.echo"


class OfferedCall:
    """One call. `text` is what must come back, if anything must."""

    __slots__ = ("due", "load", "sent", "text")

    def __init__(self, load: "RequestLoad", due: float, text: str | None) -> None:
        self.load = load
        self.due = due
        self.text = text
        self.sent = monotonic()

    def __call__(self, outcome: Outcome) -> None:
        """It was answered, or given up."""
        now = monotonic()
        load, kind = self.load, self.load.kind
        definite: bool | None = False
        if type(outcome) is CallDone:
            kind.ok += 1
            kind.timed(self.due, self.sent, now)
            if self.text is not None:
                load.compare(self.text, outcome.payload)
        else:
            definite = load.tally.went_wrong(kind, outcome, self.due, self.sent, now)
        load.ended(definite is True)


class RequestLoad:
    """One generator's load. `ended(refused)` is to be set before the first `start`."""

    def __init__(self, plan: LoadPlan, calls: Calls, tally: Tally) -> None:
        self.calls = calls
        self.tally = tally
        self.kind: KindTally = tally.kind(plan.operation)
        self.ended: Callable[[bool], None] = lambda refused: None
        self.unexpected = 0
        self.examples: list[str] = []
        self._plan = plan
        self._payloads = Payloads(plan.sizes)
        self._number = 0

    def start(self, due: float) -> None:
        """Call once."""
        plan = self._plan
        self._number += 1
        if plan.arguments or plan.operation != ECHO:
            self.calls.call(plan.operation, plan.arguments.encode() or b"{}", OfferedCall(self, due, None))
            return
        text = self._payloads.make(plan.name, self._number).decode()
        self.calls.call(ECHO, json.encode({"text": text}), OfferedCall(self, due, text))

    def compare(self, text: str, payload: bytes) -> None:
        """The answer must repeat what was sent."""
        try:
            answer = json.decode(payload)
        except (DecodeError, UnicodeDecodeError):
            answer = None
        if answer != {"text": text}:
            self.unexpected += 1
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(f"{ECHO} answered {payload[:60]!r} to {text[:40]!r}")

    async def check(self, patience_s: float) -> None:
        """There is nothing to look at again."""

    def enter(self, report: LoadReport) -> None:
        """Write the findings down."""
        report.unexpected, report.checked = self.unexpected, self.kind.ok
        report.examples += self.examples
