"""The load on services: calls of some operations, by their shares. An answer of `echo.echo` must be what was sent; of
others any answer will do. An error that the service declares is `declared`: the cluster did its part.

Its own retries are naive on purpose, as those of many clients are: whatever was no answer is sent again, however little
sense that makes, and no budget bounds it. Many such clients keep a service down that they have overloaded (Bronson et
al., "Metastable Failures in Distributed Systems", HotOS 2021).
"""

import asyncio
from random import Random
from time import monotonic

from msgspec import DecodeError, Struct, json

from cluster.client.aio import Call, CallDone, Calls, Outcome
from cluster.client.requests import call_body
from dsectl.load.generator import FamilyLoad, OfferedOperation
from dsectl.load.plan import ECHO, UNIFORM, KeySpace, LoadPlan, Mix, OfferedRequest, Payloads, key_chooser, kind_chooser
from dsectl.load.tally import KindTally, Tally

LOW = ":low"
"""Behind the name of an operation whose calls have low priority, which are counted by themselves."""
LOW_PRIORITY = 1
BACKOFFS_MAX = 10
"""A pause doubles at most so often."""


class _OfferedCall(OfferedOperation):
    """One call. `text` is what must come back, if anything must; `tried` counts the attempts before this one."""

    __slots__ = ("body", "text", "tried")
    load: "RequestLoad"

    def __init__(self, load: "RequestLoad", kind: KindTally, due: float, body: Call, text: str | None) -> None:
        super().__init__(load, kind, due)
        self.body = body
        self.text = text
        self.tried = 0

    def send(self) -> None:
        self.load.calls.call(self.body, self, self.load.deadline_s)

    def __call__(self, outcome: Outcome) -> None:
        load, kind = self.load, self.kind
        if type(outcome) is not CallDone:
            if self.tried < load.retries:
                self.tried += 1
                kind.load_retries += 1
                load.again(self)
            else:
                load.ended(self.count(outcome, False))
            return
        if outcome.attempts > 1:
            kind.hedged += outcome.hedged
            kind.cluster_retries += outcome.attempts - 1 - outcome.hedged
        if outcome.error:
            load.tally.answered_with_error(kind, outcome.error, self.due, self.sent, monotonic())
        else:
            self.count(outcome, True)
            if self.text is not None:
                load.compare(self.text, outcome.payload)
        load.ended(False)


class _Target(Struct):
    """An operation that is called: what all its calls have, and where those of normal and of low priority count."""

    body: Call
    kinds: tuple[KindTally, KindTally]
    is_echo: bool


class RequestLoad(FamilyLoad):
    """One generator's load."""

    def __init__(self, plan: LoadPlan, calls: Calls, tally: Tally) -> None:
        super().__init__(calls, tally)
        options = plan.requests
        random = Random(plan.seed)
        self.retries = options.retries
        self.deadline_s = options.deadline_s
        self._options = options
        self._name = plan.name
        self._random = random
        self._targets = {one.operation: self._target(one) for one in options.mix}
        self._next = kind_chooser(Mix({one.operation: one.share for one in options.mix}), random)
        keys = KeySpace(plan.keys.count, plan.keys.distribution or UNIFORM)
        self._keys = keys.count
        self._pick = key_chooser(keys, random) if options.keyed else None
        self._payloads = Payloads(plan.sizes)
        self._number = 0

    def _target(self, one: OfferedRequest) -> _Target:
        body = call_body(one.operation, json.decode(one.arguments) if one.arguments else {})
        body.hedge = self._options.hedge
        kind = self.tally.kind(one.operation)
        low = self.tally.kind(one.operation + LOW) if self._options.low else kind
        return _Target(body, (kind, low), one.operation == ECHO and not one.arguments)

    def start(self, due: float) -> None:
        """Call once."""
        target, options = self._targets[self._next()], self._options
        same, text = target.body, None
        priority = LOW_PRIORITY if options.low and self._random.random() < options.low else 0
        body = Call(same.service, same.operation, same.payload, priority=priority, hedge=same.hedge)
        if self._pick is not None:
            body.key = f"{self._name}-{self._pick(self._keys)}"
        if target.is_echo:
            self._number += 1
            text = self._payloads.make(self._name, self._number).decode()
            body.payload = json.encode({"text": text})
        _OfferedCall(self, target.kinds[priority], due, body, text).send()

    def again(self, call: _OfferedCall) -> None:
        """Send a call once more, at once or after a pause."""
        backoff_s = self._options.backoff_s
        if backoff_s:
            doubled = 1 << min(call.tried - 1, BACKOFFS_MAX)
            asyncio.get_running_loop().call_later(self._random.random() * backoff_s * doubled, call.send)
        else:
            call.send()

    def compare(self, text: str, payload: bytes) -> None:
        """Look whether `echo.echo` answered with what was sent."""
        try:
            answer = json.decode(payload)
        except (DecodeError, UnicodeDecodeError):
            answer = None
        if answer != {"text": text}:
            self.found.unexpected += 1
            self.found.example(f"{ECHO} answered {payload[:60]!r} to {text[:40]!r}")

    def end(self) -> None:
        """Every answer was looked at when it came."""
        self.found.checked = sum(kind.ok for kind in self.tally.kinds.values())
