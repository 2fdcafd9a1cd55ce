"""The account of a queue under faults: total-queue, and what empty answers, acknowledgements and leases may say.

Senders, consumers that die, answer late, give back or extend, and retries under a deduplication id, through any node.
What must hold:

- what a send acknowledged comes, at least once, as it was sent; what was refused or never sent does not;
- an empty answer, with no shard out of reach, hides nothing that was acknowledged before it was asked for, but what may
  be leased to somebody;
- once all has healed, nothing comes again of which an acknowledgement was confirmed;
- under one deduplication id there is one message, while its owners can be asked;
- the dead-letter queue has what was delivered often enough, and nothing else; no message is in both for good.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from cluster.errors import ClusterError
from cluster.queues.rows import parse_item_id, parse_key
from cluster.replication.mergeable import TABLE_QUEUES
from cluster.simulation.fleet import Fleet, SimulatedRequest
from cluster.wire.queues import Delivered, Outgoing, QueueAnswered, QueueReceived, QueueSent
from dsectl.load.totalqueue import TotalQueue

JOBS, DEAD = "jobs", "dead"
VISIBILITY_S = 1.0
RECEIVES_MAX = 3
PROMISED = ("ok", "ok-sloppy")
ANSWER_S = 2.5
"""After so long nobody answers any more: the node that was asked is gone."""
LOOK_MAX_S = 0.5
"""So long after an answer it is looked at, at most."""
DRAIN_S = 90.0
"""Of virtual time: long enough for every lease to end again and again."""


@dataclass
class Sent:
    """One message, and all tries to send it."""

    number: int
    dedup_id: str
    tries: list[tuple[SimulatedRequest, int]] = field(default_factory=list)
    """Each with the message's place in it."""
    asked_at: list[float] = field(default_factory=list)

    def verdicts(self) -> list[str]:
        """How each try ended so far: `ok`, `ok-sloppy`, `maybe`, `no`, or `unknown` (its node is gone)."""
        return [verdict_of_send(request, place) for request, place in self.tries]


def verdict_of_send(request: SimulatedRequest, place: int) -> str:
    """How one message of a send ended."""
    if isinstance(request.answer, QueueSent):
        _, outcome, _, _, (code, _) = request.answer.results[place]
        return outcome or ("maybe" if code == "maybe" else "no")
    if isinstance(request.error, ClusterError):
        return "no" if request.error.definite else "maybe"
    return "unknown"


@dataclass
class Came:
    """One message as it was delivered last."""

    message: Delivered
    at: float
    times: int = 1


@dataclass
class Receive:
    """One receive under way."""

    queue: str
    request: SimulatedRequest
    asked_at: float
    promised: frozenset[int]
    """Messages whose send had been acknowledged when it was asked for."""
    acked: frozenset[str]
    """Ids whose acknowledgement had been confirmed then."""


@dataclass
class Emptiness:
    """An empty answer, which is judged once all receives have ended that may have leased what it does not show."""

    hidden: frozenset[int]
    said_at: float
    overlapping: list[Receive]


class Workload:
    """Users of one queue and its dead letters. `exact`: one message a deduplication id, whatever happens."""

    def __init__(self, fleet: Fleet, random: Random, *, exact: bool = True, promised: Sequence[str] = PROMISED) -> None:
        self.fleet = fleet
        self.random = random
        self.exact = exact
        self.promised = tuple(promised)
        self.sent: list[Sent] = []
        self.receives: list[Receive] = []
        self.acks: list[tuple[list[str], SimulatedRequest, float]] = []
        """The ids, and when it was asked for."""
        self.held: list[Delivered] = []
        """Leased by somebody who has not decided yet."""
        self.came: dict[str, Came] = {}
        """By id."""
        self.ids: dict[int, set[str]] = {}
        """By number."""
        self.asked_for_at: dict[int, float] = {}
        """When the receive was asked for that brought a message first, by number."""
        self.dead_ids: dict[int, set[str]] = {}
        """Of the dead letters, by number."""
        self.suspects: list[Emptiness] = []
        self.acked: set[str] = set()
        self.tainted: set[int] = set()
        """Messages that an unanswered receive may have leased."""
        self.situations: Counter[str] = Counter()
        """What came to pass."""
        self.at_peace = False
        self._came_in_peace: set[str] = set()
        self._create(DEAD)
        self._create(JOBS, max_receives=RECEIVES_MAX, dead_letter=DEAD)

    def _create(self, name: str, **options: object) -> None:
        answer = self.fleet.wait(
            self.fleet.create_queue(self.fleet.up[0], name, visibility_s=VISIBILITY_S, shards=4, **options)
        )
        assert answer.error is None, answer.error

    # -- one step of somebody

    def act(self, via: str) -> None:
        """One operation through a node, of any kind."""
        self.look()
        dice = self.random.random()
        if dice < 0.4:
            self.send(via, self.random.choice((1, 1, 3)))
        elif dice < 0.5:
            self.retry(via)
        elif dice < 0.8:
            self.receive(via, JOBS if self.random.random() < 0.9 else DEAD)
        else:
            self.decide(via)

    def send(self, via: str, count: int = 1, *, dedup: bool | None = None) -> list[Sent]:
        """Send new messages in one go."""
        messages = []
        for _ in range(count):
            number = len(self.sent)
            with_id = self.random.random() < 0.4 if dedup is None else dedup
            self.sent.append(Sent(number, f"once-{number}" if with_id else ""))
            messages.append(self.sent[-1])
        self._try(via, messages)
        return messages

    def retry(self, via: str) -> None:
        """Send again what has a deduplication id and is not known to be there."""
        doubtful = [one for one in self.sent[-60:] if one.dedup_id and one.verdicts()[-1] in ("maybe", "unknown", "no")]
        doubtful = [one for one in doubtful if one.tries[-1][0].ended or self.fleet.world.now > one.asked_at[-1] + 1.0]
        if doubtful:
            self._try(via, [self.random.choice(doubtful)])

    def _try(self, via: str, messages: list[Sent]) -> None:
        outgoing: list[Outgoing] = [(b"message %d" % one.number, None, -1.0, one.dedup_id) for one in messages]
        request = self.fleet.send(via, JOBS, outgoing)
        for place, one in enumerate(messages):
            one.tries.append((request, place))
            one.asked_at.append(self.fleet.world.now)

    def receive(self, via: str, queue: str, wait_s: float | None = None) -> None:
        """Ask for some messages."""
        wait_s = self.random.choice((0.0, 0.0, 0.3)) if wait_s is None else wait_s
        request = self.fleet.receive(via, queue, self.random.choice((1, 3, 10)), wait_s)
        self.receives.append(
            Receive(queue, request, self.fleet.world.now, frozenset(self._promised()), frozenset(self.acked))
        )

    def decide(self, via: str) -> None:
        """Somebody is done with a message, gives it back, needs more time, or has died."""
        if not self.held:
            return
        self.random.shuffle(self.held)
        message, dice = self.held.pop(), self.random.random()
        if dice < 0.6:
            others = [self.held.pop() for _ in range(min(len(self.held), self.random.choice((0, 0, 4))))]
            self.ack(via, [message, *others])
        elif dice < 0.75:
            self.fleet.nack(via, [message.receipt], self.random.choice((0.0, 0.0, 0.5)))
        elif dice < 0.85:
            self.fleet.extend(via, [message.receipt], self.random.choice((0.3, 2.0)))
            self.held.append(message)

    def ack(self, via: str, messages: list[Delivered]) -> None:
        """These are done with."""
        request = self.fleet.ack(via, [one.receipt for one in messages])
        self.acks.append(([one.id for one in messages], request, self.fleet.world.now))

    # -- what came of it

    def _promised(self) -> list[int]:
        return [one.number for one in self.sent if any(verdict in self.promised for verdict in one.verdicts())]

    def look(self) -> None:
        """Take in what has ended."""
        for one in [one for one in self.acks if one[1].ended]:
            self.acks.remove(one)
            ids, request, _ = one
            if isinstance(request.answer, QueueAnswered):
                pairs = zip(ids, request.answer.results, strict=True)
                self.acked |= {id for id, (outcome, _) in pairs if outcome in self.promised}
                self.situations.update(f"acknowledgement: {outcome}" for outcome, _ in request.answer.results)
        now = self.fleet.world.now
        ended = [one for one in self.receives if one.request.ended or now > one.asked_at + ANSWER_S]
        self.receives = [one for one in self.receives if one not in ended]
        for receive in ended:
            answer = receive.request.answer
            if not isinstance(answer, QueueReceived):
                self.tainted.update(one.number for one in self.sent)
                continue
            for message in answer.messages:
                self._deliver(receive, message)
            self.situations["empty is not known"] += bool(answer.shards_unreachable)
            if receive.queue == JOBS and not answer.messages and not answer.shards_unreachable:
                hidden = receive.promised - self.tainted - self.asked_for_at.keys() - self._leased()
                self.situations["empty is said"] += bool(receive.promised)
                self.suspects.append(Emptiness(hidden, now, [*self.receives, *ended]))
        for suspect in [one for one in self.suspects if not any(other in self.receives for other in one.overlapping)]:
            self.suspects.remove(suspect)
            left = {
                number
                for number in suspect.hidden - self.tainted
                if self.asked_for_at.get(number, now) >= suspect.said_at
            }
            assert not left, f"at {suspect.said_at:.3f} the queue said that it is empty, and hid {sorted(left)}"

    def _leased(self) -> set[int]:
        """Messages that are leased, or were a moment ago: those of a take whose answer got lost between two nodes wait
        for the end of their lease, like any others."""
        found: set[int] = set()
        for one in self.sent:
            for request, place in one.tries:
                if isinstance(request.answer, QueueSent) and (id := request.answer.results[place][0]):
                    item = parse_item_id(id)
                    for node in self.fleet.nodes.values():
                        shard = node.shards.get(item.queue, item.shard)
                        block = None if shard is None else shard.find(item.actor, item.number)
                        index = item.number - (0 if block is None else block.first)
                        if block is not None and (note := block.notes.get(index)) is not None:
                            ends = block.noted_at[index] + note.remaining_ms / 1000
                            if ends + LOOK_MAX_S > node.env.clock.now():
                                found.add(one.number)
        return found

    def _deliver(self, receive: Receive, message: Delivered) -> None:
        word, _, digits = message.body.partition(b" ")
        assert word == b"message" and digits.isdigit(), f"{message.id}: {message.body!r} was never sent"
        number = int(digits)
        assert number < len(self.sent), f"message {number} was never sent"
        one = self.sent[number]
        assert set(one.verdicts()) != {"no"} or not all(request.ended for request, _ in one.tries), (
            f"message {number} was refused for certain, and came"
        )
        assert message.attempt >= 1 and message.receipt
        self.situations["delivered again"] += message.attempt > 1
        self.situations["dead letter"] += receive.queue == DEAD
        self.asked_for_at.setdefault(number, receive.asked_at)
        if receive.queue == DEAD:
            self.dead_ids.setdefault(number, set()).add(message.id)
        else:
            assert message.attempt <= RECEIVES_MAX, f"message {number} was delivered {message.attempt} times"
            known = self.came.get(message.id)
            if known is None:
                self.came[message.id] = Came(message, self.fleet.world.now)
            else:
                assert known.message.body == message.body, f"{message.id} has another body now"
                self.came[message.id] = Came(message, self.fleet.world.now, known.times + 1)
            self.ids.setdefault(number, set()).add(message.id)
        assert not self.at_peace or message.id not in receive.acked, (
            f"message {number} ({message.id}) came again, though all has healed and its acknowledgement was confirmed"
        )
        assert message.id not in self._came_in_peace, f"{message.id} came twice, though all has healed"
        if self.at_peace:
            self._came_in_peace.add(message.id)
        self.held.append(message)

    # -- the end

    def drain(self) -> None:
        """Everything has healed: take and acknowledge what there is, until nothing is left anywhere."""
        self.fleet.until(self._nothing_under_way, 5.0)
        self.look()
        self.held.clear()
        self.fleet.world.run_for(2.5)  # leases and delays that began under faults
        self.at_peace = True
        until, quiet_since = self.fleet.world.now + DRAIN_S, self.fleet.world.now
        turn = 0
        while self.fleet.world.now < quiet_since + 4 * VISIBILITY_S:
            assert self.fleet.world.now < until, "the queue does not become empty"
            for queue in (JOBS, DEAD):
                turn += 1
                via = self.fleet.up[turn % len(self.fleet.up)]
                self.receive(via, queue, wait_s=0.3)
                self.fleet.until(partial(self._nothing_under_way), 5.0)
                self.look()
                if self.held:
                    quiet_since = self.fleet.world.now
                    self.ack(via, self.held)
                    self.held = []
                    self.fleet.until(partial(self._nothing_under_way), 5.0)

    def _nothing_under_way(self) -> bool:
        now = self.fleet.world.now
        return all(
            request.ended or now > asked_at + ANSWER_S
            for request, asked_at in (
                *((one.request, one.asked_at) for one in self.receives),
                *((request, asked_at) for _, request, asked_at in self.acks),
            )
        )

    def check(self) -> None:
        """After everything has healed: drain, then compare."""
        self.drain()
        account = self.account()
        lost = [(number, self.sent[number - 1].verdicts()) for number in account.not_come()]
        assert not lost, f"acknowledged and lost: {lost}"
        assert account.unexpected == 0
        if self.exact:
            twice = {
                number: ids
                for number, ids in [*self.ids.items(), *self.dead_ids.items()]
                if self.sent[number].dedup_id and len(ids) > 1
            }
            assert not twice, f"sent under one deduplication id, and there as several messages: {twice}"

    def account(self) -> TotalQueue:
        """Total-queue."""
        account = TotalQueue()
        for one in self.sent:
            number, verdicts = account.begin(), one.verdicts()
            self.situations.update(f"send: {verdict}" for verdict in verdicts)
            if any(verdict in self.promised for verdict in verdicts):
                account.sent_ok(number)
            elif set(verdicts) == {"no"}:
                account.sent_no(number)
            else:
                account.sent_maybe(number)
        for number in self.asked_for_at:
            account.deliver(number + 1)
        return account


def rows(fleet: Fleet, *kinds: str) -> dict[str, list[str]]:
    """The keys of rows of queues that each node has, by node: of these kinds, or all."""
    found: dict[str, list[str]] = {}
    for name, node in fleet.nodes.items():
        for partition in range(256):
            page, _ = node.store.scan(TABLE_QUEUES, partition, "", 10_000)
            found.setdefault(name, []).extend(key for key, _ in page if not kinds or parse_key(key).kind in kinds)
    return found
