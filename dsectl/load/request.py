"""The load on services: calls of one operation. An answer of `echo.echo` must be what was sent; of others any answer
will do. An error that the service answers with is `declared`: the cluster did its part.
"""

from msgspec import DecodeError, json

from cluster.client.aio import CallDone, Calls, Outcome
from dsectl.load.generator import FamilyLoad, OfferedOperation
from dsectl.load.plan import LoadPlan, Payloads
from dsectl.load.tally import Tally

ECHO = "echo.echo"


class _OfferedCall(OfferedOperation):
    """One call. `text` is what must come back, if anything must."""

    __slots__ = ("text",)

    def __init__(self, load: "RequestLoad", due: float, text: str | None) -> None:
        super().__init__(load, load.kind, due)
        self.text = text

    def __call__(self, outcome: Outcome) -> None:
        refused = self.count(outcome, type(outcome) is CallDone)
        if type(outcome) is CallDone and self.text is not None:
            try:
                answer = json.decode(outcome.payload)
            except (DecodeError, UnicodeDecodeError):
                answer = None
            if answer != {"text": self.text}:
                self.load.found.unexpected += 1
                self.load.found.example(f"{ECHO} answered {outcome.payload[:60]!r} to {self.text[:40]!r}")
        self.load.ended(refused)


class RequestLoad(FamilyLoad):
    """One generator's load."""

    def __init__(self, plan: LoadPlan, calls: Calls, tally: Tally) -> None:
        super().__init__(calls, tally)
        self.kind = tally.kind(plan.operation)
        self._plan = plan
        self._payloads = Payloads(plan.sizes)
        self._number = 0

    def start(self, due: float) -> None:
        """Call once."""
        plan = self._plan
        self._number += 1
        if plan.arguments or plan.operation != ECHO:
            self.calls.call(plan.operation, plan.arguments.encode() or b"{}", _OfferedCall(self, due, None))
            return
        text = self._payloads.make(plan.name, self._number).decode()
        self.calls.call(ECHO, json.encode({"text": text}), _OfferedCall(self, due, text))

    def end(self) -> None:
        """Every answer was looked at when it came."""
        self.found.checked = self.kind.ok
