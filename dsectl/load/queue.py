"""The load on work queues: messages to a queue of this generator's own, and consumers that take them off again.

At least once: a message whose send was acknowledged is delivered until somebody acknowledges it. After the last send
the consumers drain the queue, and `totalqueue` compares. The queue counts as drained when everything acknowledged has
come, or when it has answered that it is empty for longer than a lease lasts: a receive whose answer got lost leaves its
messages leased, and until that lease ends an empty answer says nothing about them.
"""

import asyncio
from functools import partial
from time import monotonic

from cluster.client.aio import Calls, Client, Outcome, QueueAnswered, QueueReceived, QueueSent
from cluster.errors import ClusterError, from_code
from dsectl.load.generator import FamilyLoad, OfferedOperation
from dsectl.load.plan import LoadPlan, Payloads
from dsectl.load.tally import US, Latency, Tally
from dsectl.load.totalqueue import TotalQueue

VISIBILITY_S = 5.0
"""Of the load's leases: a consumer acknowledges at once, and a drain waits this long for those of lost answers."""
RECEIVE_MAX = 64
WAIT_S = 0.5
"""Of a receive; the drain looks as often whether it is complete."""
PAUSE_S = 0.05
"""After a receive that failed."""
MARGIN_S = 1.0
"""A lease ends by its giver's timer, and a new one may begin a little later."""


class _OfferedSend(OfferedOperation):
    """One message on its way into the queue."""

    __slots__ = ("number",)
    load: "QueueLoad"
    number: int

    def __call__(self, outcome: Outcome) -> None:
        load, account = self.load, self.load.account
        if type(outcome) is QueueSent:
            _, verdict, _, _, (code, message) = outcome.results[0]
            if code:
                outcome = from_code(code, message)
            elif verdict in ("ok", "ok-sloppy"):
                account.sent_ok(self.number)
                load.ended(self.count(outcome, True))
                return
        refused = self.count(outcome, False)
        if isinstance(outcome, ClusterError) and outcome.definite:
            account.sent_no(self.number)
        else:
            account.sent_maybe(self.number)
        load.ended(refused)


class QueueLoad(FamilyLoad):
    """One generator's load."""

    def __init__(self, plan: LoadPlan, calls: Calls, tally: Tally, client: Client) -> None:
        super().__init__(calls, tally)
        self.kind = tally.kind("send")
        self.queue = plan.name
        self.account = TotalQueue()
        self.delivery = Latency()
        """From when a message was due until it was delivered first."""
        self.due = [0.0]
        """By number."""
        self._payloads = Payloads(plan.sizes)
        self._client = client
        self._consumers = plan.consumers
        self._over = False
        self._changed_at = 0.0
        """When a message was last delivered, or something was last in doubt."""
        self._said_empty_at = -1.0
        """When the queue last answered that it is empty, if nothing was delivered since."""

    async def prepare(self) -> int:
        """Make the queue, and begin to consume. Returns how many consumers there are."""
        await self._client.admin.create_queue(self.queue, visibility=VISIBILITY_S)
        for number in range(self._consumers):
            self._receive(f"{self.queue}-{number}")
        return self._consumers

    def start(self, due: float) -> None:
        """Send one message."""
        message = _OfferedSend(self, self.kind, due)
        message.number = number = self.account.begin()
        self.due.append(due)
        self.calls.send(self.queue, [(self._payloads.make(self.queue, number), None, -1.0, "")], message)

    # -- consumers

    def _receive(self, receiver: str) -> None:
        if not self._over:
            took = partial(self._received, receiver, monotonic())
            self.calls.receive(self.queue, RECEIVE_MAX, WAIT_S, 0.0, receiver, took)

    def _received(self, receiver: str, asked_at: float, outcome: Outcome) -> None:
        if self._over:
            return
        now = monotonic()
        if type(outcome) is not QueueReceived:
            self._failed(outcome)
            asyncio.get_running_loop().call_later(PAUSE_S, self._receive, receiver)
            return
        numbers: list[int | None] = []
        for message in outcome.messages:
            number = self._payloads.number(self.queue, message.body)
            numbers.append(number)
            if self.account.deliver(number) and number is not None:
                self.delivery.fresh.append(int((now - self.due[number]) * US))
            elif number is None:
                self.found.example(f"{message.id} held {message.body[:40]!r}, which was never sent")
        if outcome.messages:
            self._changed_at = now
            self.calls.ack([message.receipt for message in outcome.messages], partial(self._acked, numbers))
        elif not outcome.shards_unreachable and asked_at >= self._changed_at:
            self._said_empty_at = now
        self._receive(receiver)

    def _acked(self, numbers: list[int | None], outcome: Outcome) -> None:
        if type(outcome) is not QueueAnswered:
            self._failed(outcome)
            return
        for number, (verdict, (code, _)) in zip(numbers, outcome.results, strict=True):
            if code:
                self.found.errors[code] = self.found.errors.get(code, 0) + 1
            elif verdict in ("ok", "ok-sloppy") and number is not None:
                self.account.ack(number)

    def _failed(self, outcome: Outcome) -> None:
        """A receive or an acknowledgement: nothing is lost by it, but some messages may be leased to nobody."""
        self._changed_at = monotonic()
        code = outcome.code if isinstance(outcome, ClusterError) else "maybe"
        self.found.errors[code] = self.found.errors.get(code, 0) + 1

    # -- the end

    @property
    def is_drained(self) -> bool:
        """Whether what has not come by now is not in the queue."""
        return self._said_empty_at > self._changed_at + (VISIBILITY_S + MARGIN_S if self.account.missing else 0.0)

    async def check(self, patience_s: float) -> None:
        """Let the consumers drain the queue."""
        until = monotonic() + patience_s
        self._changed_at = monotonic()
        while not self.is_drained and monotonic() < until:  # noqa: ASYNC110 - emptiness has no event
            await asyncio.sleep(PAUSE_S)

    def end(self) -> None:
        """Compare."""
        self._over = True
        account, found = self.account, self.found
        found.checked = account.sent
        found.delivered, found.acked, found.recovered = account.came, account.acked, account.recovered
        found.duplicated, found.unexpected = account.duplicated, account.unexpected
        if self.is_drained:
            found.lost = account.missing
            for number in account.not_come():
                found.example(f"{self.queue}: message {number} was acknowledged and never came")
        else:
            found.unchecked = account.missing or 1
        found.delivery = self.delivery.encode()

    async def remove(self) -> None:
        """The queue goes with its load; where no node decides that now, it stays."""
        try:
            await self._client.admin.delete_queue(self.queue)
        except ClusterError as error:
            self.found.errors[error.code] = self.found.errors.get(error.code, 0) + 1
