"""What operations return: small frozen values with the field names of the JSON output, and how wire bodies become them.

Shared by both clients, pure. A reply that is not of the expected kind is BadMessage. Context tokens are made here, at
the edge, and nowhere on the way.
"""

from typing import Any, TypeVar

from msgspec import DecodeError, Struct, json

from cluster.config import KEY_BYTES_MAX, SUBJECT_BYTES_MAX, VALUE_BYTES_MAX
from cluster.errors import BadMessage, ClusterError, Maybe, TooLarge, Usage
from cluster.versions.context import make_token
from cluster.wire.frames import Body
from cluster.wire.kv import Got, PutDone
from cluster.wire.requests import Call, CallDone
from cluster.wire.topics import Message, Published


class PutResult(Struct, frozen=True):
    """A write that is `ok` or `ok-sloppy`; `hints` of its copies wait with a fallback. `ms` is as the caller saw it."""

    key: str
    outcome: str
    coordinator: str
    acks: int
    hints: int
    context: str
    durability: str
    siblings: int
    ms: float


class GetResult(Struct, frozen=True):
    """A read. `siblings` are all values; `value` is the only one, None when there is none or more than one."""

    key: str
    value: bytes | None
    siblings: list[bytes]
    context: str
    answered: int
    repaired: int
    degraded: bool
    coordinator: str
    ms: float

    @property
    def found(self) -> bool:
        """Whether the key holds any value."""
        return bool(self.siblings)


class KeysResult(Struct, frozen=True):
    """One page of keys, in order. `more`: ask again with `after` the last. `silent` nodes gave no answer, so that keys
    may be missing when they are as many as a key has replicas."""

    keys: list[str]
    more: bool
    silent: list[str]


class PublishResult(Struct, frozen=True):
    """A message that was sent towards `subscribers` subscriptions and taken by `queues` queues."""

    subject: str
    id: str
    subscribers: int
    queues: int


class TopicMessage(Struct, frozen=True):
    """A message of a subscription. `gap`: the subscription moved to another node before it, so some may be missing."""

    subject: str
    payload: bytes
    id: str
    node: str
    headers: dict[str, str]
    gap: bool = False


class CallResult(Struct, frozen=True):
    """A reply of a service: `reply` is the decoded JSON, `attempts` how many endpoints were tried."""

    service: str
    operation: str
    reply: Any
    node: str
    attempts: int
    hedged: bool
    ms: float
    trace: str


Expected = TypeVar("Expected", bound=Struct)


def expect(kind: type[Expected], body: Body) -> Expected:
    """`body`, which must be a `kind`. Raises BadMessage."""
    if isinstance(body, kind):
        return body
    raise BadMessage(f"expected {kind.__name__} in reply, got {type(body).__name__}")


def check_key(key: str) -> None:
    """Raises TooLarge or Usage for what cannot be a key."""
    if not key:
        raise Usage("a key has at least one character")
    if len(key) > KEY_BYTES_MAX // 4 and len(key.encode()) > KEY_BYTES_MAX:
        raise TooLarge(f"the key has {len(key.encode())} bytes; {KEY_BYTES_MAX} are allowed")


class tell_key:
    """Adds `key`, and for a write its `outcome`, to the detail of an error on its way out."""

    def __init__(self, key: str, refused: str = "") -> None:
        self.key = key
        self.refused = refused

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClusterError):
            error.detail.setdefault("key", self.key)
            if self.refused:
                error.detail.setdefault("outcome", self.refused if error.definite else "maybe")


def check_value(value: bytes) -> None:
    """Raises TooLarge for a value or payload over the limit."""
    if len(value) > VALUE_BYTES_MAX:
        raise TooLarge(f"the value has {len(value)} bytes; {VALUE_BYTES_MAX} are allowed")


def check_subject(subject: str) -> None:
    """Raises TooLarge for a subject or pattern over the limit; its syntax is checked by the node."""
    if len(subject.encode()) > SUBJECT_BYTES_MAX:
        raise TooLarge(f"the subject has {len(subject.encode())} bytes; {SUBJECT_BYTES_MAX} are allowed")


def put_result(key: str, done: PutDone, seconds: float) -> PutResult:
    """The result of a write; raises Maybe, with the same fields in its detail, when that is its outcome."""
    ms = _ms(seconds)
    token = make_token(key, done.context)
    if done.outcome == "maybe":
        raise Maybe(
            f"the write of {key!r} has {done.acks} acknowledgements, too few, and may still appear",
            key=key,
            outcome="maybe",
            coordinator=done.coordinator,
            acks=done.acks,
            hints=done.hints,
            context=token,
            durability=done.durability,
            ms=ms,
        )
    return PutResult(
        key, done.outcome, done.coordinator, done.acks, done.hints, token, done.durability, done.siblings, ms
    )


def get_result(key: str, got: Got, seconds: float) -> GetResult:
    """The result of a read."""
    value = got.siblings[0] if len(got.siblings) == 1 else None
    token = make_token(key, got.context)
    return GetResult(
        key, value, got.siblings, token, got.answered, got.repaired, got.degraded, got.coordinator, _ms(seconds)
    )


def publish_result(subject: str, done: Published) -> PublishResult:
    """The result of a publication."""
    return PublishResult(subject, done.id, done.subscribers, done.queues)


def topic_message(message: Message, gap: bool) -> TopicMessage:
    """A message as its reader sees it."""
    return TopicMessage(message.subject, message.payload, message.id, message.node, message.headers or {}, gap)


def call_body(target: str, arguments: Any, only: str | None = None) -> Call:
    """The request for `service.operation`; the operation is what follows the last dot. Raises Usage."""
    service, _, operation = target.rpartition(".")
    if not service or not operation:
        raise Usage(f"{target!r} does not name an operation: SERVICE.OPERATION")
    payload = json.encode({} if arguments is None else arguments)
    check_value(payload)
    return Call(service, operation, payload, only=only or "")


def call_result(call: Call, done: CallDone, seconds: float, trace: str) -> CallResult:
    """The result of a request. Raises BadMessage when the reply is not JSON."""
    try:
        reply = json.decode(done.payload)
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadMessage(f"{call.service}.{call.operation} did not reply with JSON: {error}") from None
    hedged = bool(getattr(done, "hedged", False))
    return CallResult(call.service, call.operation, reply, done.node, done.attempts, hedged, _ms(seconds), trace)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
