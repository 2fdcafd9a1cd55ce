"""The load on services: calls of some operations, by their shares. An answer of `echo.echo` must be what was sent; of
others any answer will do. An error that the service declares is `declared`: the cluster did its part. A stream is read
to its end as fast as it comes, and must have as many replies as it says at its end; its latency is the time to the
first of them.

Its own retries are naive on purpose, as those of many clients are: whatever was no answer is sent again, however little
sense that makes, and no budget bounds it. Many such clients keep a service down that they have overloaded (Bronson et
al., "Metastable Failures in Distributed Systems", HotOS 2021).
"""

import asyncio
from collections.abc import Collection
from random import Random
from time import monotonic

from msgspec import DecodeError, Struct, json

from cluster.client.aio import Call, CallDone, Calls, Outcome
from cluster.client.dispatch import StreamDispatch
from cluster.client.requests import call_body
from cluster.limits import PARTS_WINDOW_BYTES
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
            load.tally.answered_with_error(kind, outcome.error, self.due, self.sent, self.answered_at())
        else:
            self.count(outcome, True)
            if self.text is not None:
                load.compare(self.text, outcome.payload)
        load.ended(False)


class _OfferedStream(_OfferedCall):
    """One call that is answered with a stream, and how many replies of it have come."""

    __slots__ = ("_dispatch", "_due_bytes", "_first_at", "_replies")
    _dispatch: StreamDispatch

    def send(self) -> None:
        self._replies = self._due_bytes = 0
        self._first_at: float | None = None
        self._dispatch = self.load.calls.stream(self.body, self, self._take, self.load.deadline_s)

    def answered_at(self) -> float:
        """When the first reply came, if any did."""
        return monotonic() if self._first_at is None else self._first_at

    def _take(self, data: bytes) -> None:
        if self._first_at is None:
            self._first_at = monotonic()
        lines = data.count(b"\n")
        self._replies += lines
        self.kind.replies += lines
        self._due_bytes += len(data)
        if self._due_bytes >= PARTS_WINDOW_BYTES // 2:
            count, self._due_bytes = self._due_bytes, 0
            self._dispatch.credit(count)

    def __call__(self, outcome: Outcome) -> None:
        if type(outcome) is CallDone and not outcome.error and outcome.replies != self._replies:
            told = f"{self.body.service}.{self.body.operation} ended a stream of {self._replies} with {outcome.replies}"
            self.load.unexpected(told)
        super().__call__(outcome)


class _Target(Struct):
    """An operation that is called: what all its calls have, and where those of normal and of low priority count."""

    body: Call
    kinds: tuple[KindTally, KindTally]
    is_echo: bool
    offered: type[_OfferedCall]


class RequestLoad(FamilyLoad):
    """One generator's load."""

    def __init__(self, plan: LoadPlan, calls: Calls, tally: Tally, streams: Collection[str] = ()) -> None:
        """`streams` are the operations that reply with one."""
        super().__init__(calls, tally)
        options = plan.requests
        random = Random(plan.seed)
        self.retries = options.retries
        self.deadline_s = options.deadline_s
        self._options = options
        self._name = plan.name
        self._random = random
        self._targets = {one.operation: self._target(one, one.operation in streams) for one in options.mix}
        self._next = kind_chooser(Mix({one.operation: one.share for one in options.mix}), random)
        keys = KeySpace(plan.keys.count, plan.keys.distribution or UNIFORM)
        self._keys = keys.count
        self._pick = key_chooser(keys, random) if options.keyed else None
        self._payloads = Payloads(plan.sizes)
        self._number = 0

    def _target(self, one: OfferedRequest, streams: bool) -> _Target:
        body = call_body(one.operation, json.decode(one.arguments) if one.arguments else {})
        body.hedge, body.stream = self._options.hedge, streams
        kind = self.tally.kind(one.operation)
        low = self.tally.kind(one.operation + LOW) if self._options.low else kind
        is_echo = one.operation == ECHO and not one.arguments
        return _Target(body, (kind, low), is_echo, _OfferedStream if streams else _OfferedCall)

    def start(self, due: float) -> None:
        """Call once."""
        target, options = self._targets[self._next()], self._options
        same, text = target.body, None
        priority = LOW_PRIORITY if options.low and self._random.random() < options.low else 0
        body = Call(same.service, same.operation, same.payload, priority=priority, hedge=same.hedge, stream=same.stream)
        if self._pick is not None:
            body.key = f"{self._name}-{self._pick(self._keys)}"
        if target.is_echo:
            self._number += 1
            text = self._payloads.make(self._name, self._number).decode()
            body.payload = json.encode({"text": text})
        target.offered(self, target.kinds[priority], due, body, text).send()

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
            self.unexpected(f"{ECHO} answered {payload[:60]!r} to {text[:40]!r}")

    def unexpected(self, what: str) -> None:
        """An answer was not what it must be."""
        self.found.unexpected += 1
        self.found.example(what)

    def end(self) -> None:
        """Every answer was looked at when it came."""
        self.found.checked = sum(kind.ok for kind in self.tally.kinds.values())
