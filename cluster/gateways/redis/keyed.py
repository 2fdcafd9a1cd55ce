"""What all commands on keys share: the key that a word names, reads and updates of it, and several keys in one command.

A key `k` of Redis is the key `redis/k` of the cluster, in a bucket where the last write wins.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from cluster.errors import ClusterError, Failed, Usage, WrongType
from cluster.gateways.redis.session import Asking, RedisCall, RedisSession
from cluster.replication.quorum import MAYBE
from cluster.wire.kv import Get, Got, KvOperation, PutDone, Update, Updated

BUCKET = "redis"
PREFIX = f"{BUCKET}/"
KIND_SET = "set"
AT_ONCE = 64
"""Keys of one command that are under way at a time."""
INTEGER_MAX = 2**63

Item = TypeVar("Item")


def key_of(word: bytes) -> str:
    """The cluster's key. Raises Usage: keys are text here."""
    try:
        return PREFIX + word.decode()
    except UnicodeDecodeError:
        raise Usage(f"a key is UTF-8 text here, not {word[:64]!r}") from None


def integer(word: bytes) -> int:
    """A whole number of 64 bits. Raises Failed."""
    digits = word[1:] if word[:1] == b"-" else word
    if digits.isdigit() and len(digits) < 20 and -INTEGER_MAX <= (number := int(word)) < INTEGER_MAX:
        return number
    raise Failed("value is not an integer or out of range")


def read(call: Asking, key: bytes, then: Callable[[Got], None]) -> None:
    """Read a key, whatever it holds."""
    call.ask(Get(key_of(key), cell=True), then)


def read_value(call: Asking, key: bytes, then: Callable[[bytes | None], None]) -> None:
    """Read a string or counter; of a set the call fails."""

    def got(answer: Got) -> None:
        if answer.kind == KIND_SET:
            call.fail(WrongType("a set"))
        else:
            then(answer.siblings[-1] if answer.siblings else None)

    read(call, key, got)


def read_items(call: Asking, key: bytes, then: Callable[[list[bytes]], None]) -> None:
    """Read the members of a set, none if there is nothing; of a string or counter the call fails."""

    def got(answer: Got) -> None:
        if answer.siblings and answer.kind != KIND_SET:
            call.fail(WrongType("no set"))
        else:
            then(answer.siblings)

    read(call, key, got)


def update(
    call: Asking, key: bytes, change: KvOperation, then: Callable[[Updated], None], *, strict: bool = False
) -> None:
    """Change what a key holds. `strict`: only where a quorum says what it holds."""
    body = Update(key_of(key), call.session.gateway.operation_id(), change, strict=strict)

    def updated(answer: Updated) -> None:
        if is_sure(call, answer):
            then(answer)

    call.ask(body, updated)


def is_sure(call: Asking, answer: Updated | PutDone) -> bool:
    """Whether a write is acknowledged; else the call fails."""
    if answer.outcome != MAYBE:
        return True
    call.fail(f"MAYBE the write has {answer.acks} acknowledgements, too few, and may still appear: read the key")
    return False


class CommandPart(Asking):
    """One key's part of a command over several."""

    __slots__ = ("_failed", "answer", "session")

    def __init__(
        self,
        session: RedisSession,
        answer: Callable[[object], None],
        failed: Callable[[ClusterError | str], None],
    ) -> None:
        self.session = session
        self.answer = answer
        self._failed = failed

    def fail(self, error: ClusterError | str) -> None:
        """It fails, and the command with it."""
        self._failed(error)


def for_each(
    call: RedisCall,
    items: Sequence[Item],
    begin: Callable[[CommandPart, Item], None],
    finish: Callable[[list[Any]], None],
) -> None:
    """Begin a part for each item, some at a time; `finish` with what each was answered by, in the order of the items,
    or fail with the first error. What has begun by then is carried out: it is no transaction."""
    answers: list[Any] = [None] * len(items)
    places = iter(range(len(items)))
    left, under_way, over, beginning = len(items), 0, False, False

    def failed(error: ClusterError | str) -> None:
        nonlocal over
        if not over:
            over = True
            call.fail(error)

    def go_on() -> None:
        nonlocal under_way, over, beginning
        if beginning:
            return
        beginning = True
        while not over and under_way < AT_ONCE and (place := next(places, None)) is not None:
            under_way += 1
            part = CommandPart(call.session, partial(answered, place), failed)
            try:
                begin(part, items[place])
            except ClusterError as error:
                failed(error)
        beginning = False
        if not left and not over:
            over = True
            finish(answers)

    def answered(place: int, answer: object) -> None:
        nonlocal left, under_way
        answers[place] = answer
        left, under_way = left - 1, under_way - 1
        go_on()

    go_on()
