"""Receives, at the node that a client asks: take from the givers of all shards, wait for more, and say *empty* only
when it is known.

The giver of a shard is the first owner in rank order that votes and can be reached from here; one that does not vote
refuses, and the next is asked. This node's own shards come first, and now and then those of others, so that none is
left over. Whoever finds nothing waits: each giver sends `ShardReady` once there may be something, and since messages
are lost with a node, all are asked again from time to time.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from cluster.chain.queue import VISIBILITY_MAX_S, Queue
from cluster.env import Timer
from cluster.errors import NotFound, Usage
from cluster.limits import QUEUE_BATCH_MAX, QUEUE_RECEIVE_BYTES_MAX
from cluster.ports import Inbound, Outcome
from cluster.queues.context import ANSWER_S, QueueContext
from cluster.queues.giving import FULL, Giving
from cluster.queues.looking import Looking
from cluster.wire.queues import Delivered, QueueReceive, QueueReceived, ShardRelease, ShardTake, ShardTaken

TAKE_S: Final = 1.0
"""So long a giver has to answer; one that falls silent is known much earlier."""
LOOK_S: Final = 0.5
"""Whoever waits asks all givers again after so long: one may have died with what it was to say, or another gives
now."""
REFUSAL_S: Final = 0.3
"""An owner that does not give is not asked again for so long."""
OTHERS_FIRST: Final = 8
"""One in so many receives begins with the shards of other givers."""

TRIES_MAX: Final = 8
"""So often shards are asked of another owner in one round."""

Group = tuple[str, bool]
"""A giver, and whether it is asked as a last resort."""
Answer = Callable[[QueueReceived], bool]
"""Takes what was received; False where nobody is there any more, and all is to be given again."""


class Receiving:
    """One node's receives."""

    def __init__(self, context: QueueContext, giving: Giving, looking: Looking) -> None:
        self.context = context
        self.giving = giving
        self.looking = looking
        self._parked: dict[int, dict[Receive, None]] = {}
        self._refusing: dict[tuple[str, int, int], float] = {}
        self._usual: dict[int, list[tuple[Group, list[int]]]] = {}
        """Of each queue the groups while all owners can be reached and give."""
        self._turn = 0
        self._timer: Timer | None = None
        self.draining = False
        giving.on_visible = self._visible_here
        context.replication.view.on_change.append(lambda entry: self._usual.clear())
        context.defined.on_change.append(self._defined)

    def receive(self, inbound: Inbound) -> None:
        """Handle a receive. Raises NotFound and Usage."""
        body: QueueReceive = inbound.body
        queue = self.context.defined.get(body.queue)
        if not 0 < body.max <= QUEUE_BATCH_MAX:
            raise Usage(f"1 to {QUEUE_BATCH_MAX} messages are received at once, not {body.max}")
        if not 0 <= body.visibility_s <= VISIBILITY_MAX_S:
            raise Usage(f"the visibility in seconds is up to {VISIBILITY_MAX_S:g}, not {body.visibility_s:g}")

        def answer(received: QueueReceived) -> bool:
            if inbound.link.ended:
                return False
            if not received.messages and self.context.defined.is_deleted(queue.id):
                inbound.fail(NotFound(f"queue {body.queue!r} was deleted"))  # one that is gone is not empty
            else:
                inbound.reply(received)
            return True

        receive = self.begin(queue, body, inbound.arrived, inbound.deadline, answer)
        if not receive.ended:  # what is answered already would be kept for as long as the connection
            inbound.on_cancel(receive.cancel)

    def begin(self, queue: Queue, body: QueueReceive, arrived: float, deadline: float, answer: Answer) -> "Receive":
        """Receive; `answer` may come before this returns."""
        receive = Receive(self, queue, body, arrived, deadline, answer)
        receive.poll()
        return receive

    def groups(self, queue: Queue, shards: Iterable[int] | None = None) -> list[tuple[Group, list[int]]]:
        """The shards of a queue, or these of them, by their givers, in the order in which they are asked. A shard
        without an owner that can be reached is in none."""
        context, usual = self.context, not self._refusing and self.context.replication.reach.all_well()
        self._turn += 1
        if shards is None and usual and (known := self._usual.get(queue.id)) is not None:
            return known if self._turn % OTHERS_FIRST else known[1:] + known[:1]
        now = context.now()
        if self._refusing:
            self._refusing = {key: until for key, until in self._refusing.items() if until > now}
        groups: dict[Group, list[int]] = {}
        for shard in range(queue.shards) if shards is None else shards:
            owners = context.owners(queue.id, shard)
            giver = next((name for name in owners if (name, queue.id, shard) not in self._refusing), None)
            if giver is not None:
                groups.setdefault((giver, False), []).append(shard)
            elif owners:
                groups.setdefault((owners[0], True), []).append(shard)
        found = sorted(groups.items(), key=lambda group: group[0][0] != context.me)
        if shards is None and usual:
            self._usual[queue.id] = found
        return found

    def refused(self, giver: str, queue: Queue, shards: Sequence[int]) -> None:
        """An owner does not give of these shards now."""
        until = self.context.now() + REFUSAL_S
        for shard in shards:
            self._refusing[giver, queue.id, shard] = until

    def drain(self, draining: bool) -> None:
        """Nobody waits here while this node drains: who does is answered as if its time were over."""
        self.draining = draining
        if draining:
            for receive in [receive for parked in self._parked.values() for receive in parked]:
                receive.hurry()

    def _defined(self) -> None:
        """Queues were created, deleted or changed: nobody waits for what is deleted."""
        self._usual.clear()
        for queue in [queue for queue in self._parked if self.context.defined.is_deleted(queue)]:
            for receive in list(self._parked[queue]):
                receive.hurry()

    # -- who waits

    def park(self, receive: "Receive") -> None:
        """Until something may be there for it, or its time is over."""
        queue = receive.queue.id
        self._parked.setdefault(queue, {})[receive] = None
        self.giving.wait(queue)
        if self._timer is None:
            self._timer = self.context.replication.env.clock.call_later(LOOK_S, self._look)

    def unpark(self, receive: "Receive") -> bool:
        """It waits no longer, or is at work. Whether it waited."""
        parked = self._parked.get(receive.queue.id, {})
        if receive not in parked:
            return False
        del parked[receive]
        if not parked:
            del self._parked[receive.queue.id]
        return True

    def on_ready(self, inbound: Inbound) -> None:
        """Another node may have something."""
        self._next(inbound.body.queue, inbound.sender)

    def _next(self, queue: int, giver: str) -> None:
        """The next one that waits asks a giver, and the next after it, until that has no more."""
        receive = next(iter(self._parked.get(queue, {})), None)
        if receive is not None:
            receive.poll(giver, lambda: self._next(queue, giver))

    def _visible_here(self, queue: int) -> bool:
        """There may be something at this node. Whether anybody waits still."""
        for receive in list(self._parked.get(queue, {})):
            if not receive.take_here():
                break
        return queue in self._parked

    def _look(self) -> None:
        """Of each queue the one that has waited longest asks all givers."""
        self._timer = None
        for queue in list(self._parked):
            if (receive := next(iter(self._parked.get(queue, {})), None)) is not None:
                receive.poll()
        if self._parked and self._timer is None:
            self._timer = self.context.replication.env.clock.call_later(LOOK_S, self._look)

    def release(self, giver: str, messages: Sequence[Delivered]) -> None:
        """These were leased for somebody who has gone."""
        receipts = [message.receipt for message in messages]
        if giver == self.context.me:
            self.giving.release(receipts)
        else:
            self.context.replication.messenger.send(giver, ShardRelease(receipts))


class Receive:
    """One receive under way: asks givers, waits, and in the end looks at all members."""

    def __init__(
        self, receiving: Receiving, queue: Queue, body: QueueReceive, arrived: float, deadline: float, answer: Answer
    ) -> None:
        self.receiving = receiving
        self.context = receiving.context
        self.queue = queue
        self.body = body
        self.deadline = deadline
        self.answer = answer
        self.found: list[Delivered] = []
        self.size = 0
        self.full: dict[int, None] = {}
        """Shards that hold more than may be leased at a time."""
        self.givers: dict[str, list[Delivered]] = {}
        """What was found, by giver."""
        waits = body.wait_s > 0 and not receiving.draining
        self.until = min(arrived + body.wait_s, deadline - TAKE_S) if waits else 0.0
        self.timer: Timer | None = None
        self.left: list[tuple[Group, list[int]]] = []
        self.tries = 0
        self.ended = False
        self.unreachable: list[int] | None = None
        """Once all members were looked at: the shards that may hold something all the same."""
        self.then: Callable[[], None] | None = None

    def poll(self, giver: str = "", then: Callable[[], None] | None = None) -> None:
        """Ask all givers one after the other, or this one alone; `then` where it had something."""
        self.receiving.unpark(self)
        self.left = [group for group in self.receiving.groups(self.queue) if not giver or group[0][0] == giver]
        self.tries = 0
        self.then = then
        self._ask()

    def take_here(self) -> bool:
        """Take what this node gives. Whether that was something."""
        receiving = self.receiving
        for (giver, last_resort), shards in receiving.groups(self.queue):
            if giver == self.context.me:
                self._got(giver, *self._take(shards, last_resort))
        if self.found:
            receiving.unpark(self)
            self._end()
        return self.ended

    def hurry(self) -> None:
        """Its time is over."""
        self.until = 0.0
        if self.timer is not None:
            self.timer.cancel()
            self._time_over()

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if not self.ended:
            self._stop()
            self._give_back()

    # -- asking

    def _take(self, shards: Sequence[int], last_resort: bool) -> tuple[list[Delivered], dict[int, str]]:
        body = self.body
        most, bytes_max = body.max - len(self.found), QUEUE_RECEIVE_BYTES_MAX - self.size
        return self.receiving.giving.take(
            self.queue, shards, most, body.visibility_s, body.receiver, last_resort, bytes_max
        )

    def _ask(self) -> None:
        body = self.body
        while self.left and len(self.found) < body.max and self.size < QUEUE_RECEIVE_BYTES_MAX:
            (giver, last_resort), shards = self.left.pop(0)
            if giver == self.context.me:
                self._got(giver, *self._take(shards, last_resort))
                continue
            most, waits = body.max - len(self.found), self.until > 0 and self.unreachable is None
            take = ShardTake(self.queue.id, shards, most, body.visibility_s, waits, body.receiver, last_resort)
            deadline = min(self.deadline, self.context.now() + TAKE_S)
            self.context.ask(giver, take, deadline, partial(self._answered, giver, shards))
            return
        if self.found or self.unreachable is not None:
            self._end()
        elif self.until > self.context.now():
            if self.timer is None:
                self.timer = self.context.replication.env.clock.call_at(self.until, self._time_over)
            self.receiving.park(self)
        else:
            self._look()

    def _answered(self, giver: str, shards: list[int], outcome: Outcome) -> None:
        if isinstance(outcome, ShardTaken):
            if self.ended:
                self.receiving.release(giver, outcome.messages)
                return
            self._got(giver, outcome.messages, outcome.refused)
        elif not self.ended:
            self._got(giver, [], dict.fromkeys(shards, "no answer"))
        if not self.ended:
            self._ask()

    def _got(self, giver: str, messages: list[Delivered], refused: dict[int, str]) -> None:
        if messages:
            self.found += messages
            self.size += sum(len(message.body) for message in messages)
            self.givers.setdefault(giver, []).extend(messages)
        self.full.update(dict.fromkeys(shard for shard, why in refused.items() if why == FULL))
        elsewhere = [shard for shard, why in refused.items() if why != FULL]
        if elsewhere:
            self.receiving.refused(giver, self.queue, elsewhere)
            self.tries += 1
            if self.tries <= TRIES_MAX:
                self.left += self.receiving.groups(self.queue, elsewhere)

    # -- the end

    def _time_over(self) -> None:
        """Whoever is asked just now answers first."""
        self.timer = None
        if self.receiving.unpark(self):
            self._look()

    def _look(self) -> None:
        now = self.context.now()
        deadline = max(now, min(self.deadline - 2 * ANSWER_S, now + TAKE_S))
        self.receiving.looking.look(self.queue, deadline, self._looked)

    def _looked(self, unreachable: list[int]) -> None:
        if not self.ended:
            self.unreachable = unreachable
            self.full.clear()
            self.poll()

    def _stop(self) -> None:
        self.ended = True
        self.receiving.unpark(self)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _end(self) -> None:
        self._stop()
        unreachable = [] if self.found else sorted({*(self.unreachable or ()), *self.full})
        if not self.answer(QueueReceived(self.found, unreachable)):
            self._give_back()
        if self.found and self.then is not None:
            self.then()

    def _give_back(self) -> None:
        for giver, messages in self.givers.items():
            self.receiving.release(giver, messages)
