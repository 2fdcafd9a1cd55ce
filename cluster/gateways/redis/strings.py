"""Strings and counters: registers whose last write wins, and increments, of which none is lost."""

from collections.abc import Callable

from cluster.errors import Failed, Usage
from cluster.gateways.redis.keyed import (
    INTEGER_MAX,
    CommandPart,
    for_each,
    integer,
    is_sure,
    key_of,
    read,
    read_value,
    update,
)
from cluster.gateways.redis.refused import TWO_WRITERS
from cluster.gateways.redis.session import REPLY_BYTES_MAX, RedisCall, syntax_error
from cluster.gateways.redis.table import ALL_KEYS, ONE_KEY, PAIRS, CommandTable
from cluster.limits import VALUE_BYTES_MAX
from cluster.wire.kv import Append, Expire, Got, Increment, Put, PutDone, SetRange, SetValue, Updated

STRINGS = CommandTable("string")
ENDS = {b"ex": (1000, True), b"px": (1, True), b"exat": (1000, False), b"pxat": (1, False)}
"""Options that say when a key ends: milliseconds in their unit, and whether they count from now."""
NOT_TOGETHER = "Not all at once: readers may see some, and an error may leave some written."
CONCURRENT = "Two at once may be answered with the same number; both are counted."


def ends_at(call: RedisCall, unit_ms: int, relative: bool, word: bytes) -> int:
    """When a key ends, in milliseconds since 1970. Raises Failed."""
    number = integer(word)
    ends_ms = number * unit_ms + (now_ms(call) if relative else 0)
    if number <= 0 or ends_ms >= INTEGER_MAX:
        raise Failed(f"invalid expire time in '{call.words[0].decode(errors='replace').lower()}' command")
    return ends_ms


def now_ms(call: RedisCall) -> int:
    """Milliseconds since 1970, by this node's clock."""
    return int(call.session.gateway.host.clock.wall() * 1000)


@STRINGS.add("get", 2, "The value of a key.", ONE_KEY, "readonly fast")
def get(call: RedisCall) -> None:
    """GET key."""
    read_value(call, call.words[1], call.reply)


@STRINGS.add(
    "set", -3, "Sets a key: EX, PX, EXAT, PXAT, KEEPTTL, GET.", ONE_KEY, "write denyoom",
    limits=f"No NX, no XX: {TWO_WRITERS}.",
)  # fmt: skip
def set_(call: RedisCall) -> None:
    """SET key value [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] [GET]."""
    _, key, value, *options = call.words
    ends_ms, keep, get_before = 0, False, False
    while options:
        option = options.pop(0).lower()
        if option in (b"nx", b"xx"):
            raise Failed(f"SET {option.decode().upper()} is not offered here: {TWO_WRITERS}")
        if option in ENDS and options and not ends_ms and not keep:
            ends_ms = ends_at(call, *ENDS[option], options.pop(0))
        elif option == b"keepttl" and not ends_ms:
            keep = True
        elif option == b"get":
            get_before = True
        else:
            raise syntax_error()
    if not (ends_ms or keep or get_before):
        put(call, key, value, call.ok)
    elif get_before:
        update(call, key, SetValue(value, ends_ms, keep, True), lambda done: call.reply(done.value), strict=True)
    else:
        update(call, key, SetValue(value, ends_ms, keep), lambda done: call.ok(), strict=keep)


def put(call: RedisCall | CommandPart, key: bytes, value: bytes, then: Callable[[], None]) -> None:
    """Set a key, whatever it holds: unlike an update it reads nothing before."""

    def done(answer: PutDone) -> None:
        if is_sure(call, answer):
            then()

    call.ask(Put(key_of(key), value, call.session.gateway.operation_id()), done)


@STRINGS.add("setex", 4, "Sets a key that ends after seconds.", ONE_KEY, "write denyoom")
@STRINGS.add("psetex", 4, "Sets a key that ends after milliseconds.", ONE_KEY, "write denyoom")
def setex(call: RedisCall) -> None:
    """SETEX key seconds value; PSETEX key milliseconds value."""
    name, key, time, value = call.words
    ends_ms = ends_at(call, 1 if name.lower() == b"psetex" else 1000, True, time)
    update(call, key, SetValue(value, ends_ms), lambda done: call.ok())


@STRINGS.add("getset", 3, "Sets a key and answers with its value before.", ONE_KEY, "write denyoom fast")
def getset(call: RedisCall) -> None:
    """GETSET key value."""
    change = SetValue(call.words[2], get=True)
    update(call, call.words[1], change, lambda done: call.reply(done.value), strict=True)


@STRINGS.add(
    "getex", -2, "The value of a key, and when it ends from now on: EX, PX, EXAT, PXAT, PERSIST.", ONE_KEY,
    "write fast", limits="Two steps: the value, then the end.",
)  # fmt: skip
def getex(call: RedisCall) -> None:
    """GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]."""
    _, key, *options = call.words
    ends_ms: int | None = None
    match [option.lower() for option in options[:1]], len(options):
        case [], 0:
            pass
        case [b"persist"], 1:
            ends_ms = 0
        case [option], 2 if option in ENDS:
            ends_ms = ends_at(call, *ENDS[option], options[1])
        case _:
            raise syntax_error()

    def found(value: bytes | None) -> None:
        if value is None or ends_ms is None:
            call.reply(value)
        else:
            update(call, key, Expire(ends_ms), lambda done: call.reply(value), strict=True)

    read_value(call, key, found)


@STRINGS.add("mget", -2, "The values of keys; nothing for one that holds a set.", ALL_KEYS, "readonly fast",
             limits="Each is read by itself.")  # fmt: skip
def mget(call: RedisCall) -> None:
    """MGET key…."""
    size = 0

    def begin(part: CommandPart, key: bytes) -> None:
        def got(answer: Got) -> None:
            nonlocal size
            value = answer.siblings[-1] if answer.siblings and answer.kind != "set" else None
            size += len(value or b"")
            if size > REPLY_BYTES_MAX:
                part.fail(f"ERR the values have over {REPLY_BYTES_MAX} bytes together: read fewer at a time")
            else:
                part.answer(value)

        read(part, key, got)

    for_each(call, call.words[1:], begin, call.reply)


@STRINGS.add("mset", -3, "Sets keys.", PAIRS, "write denyoom", limits=NOT_TOGETHER)
def mset(call: RedisCall) -> None:
    """MSET key value [key value…]."""
    if len(call.words) % 2 == 0:
        raise Failed("wrong number of arguments for 'mset' command")
    pairs = dict(zip(call.words[1::2], call.words[2::2], strict=True))  # of the same key the last one

    def begin(part: CommandPart, pair: tuple[bytes, bytes]) -> None:
        put(part, *pair, lambda: part.answer(None))

    for_each(call, list(pairs.items()), begin, lambda answers: call.ok())


@STRINGS.add("append", 3, "Puts bytes behind the value of a key.", ONE_KEY, "write denyoom fast",
             limits="Of two at once one may be lost: the last write of the whole value wins.")  # fmt: skip
def append(call: RedisCall) -> None:
    """APPEND key value."""
    update(call, call.words[1], Append(call.words[2]), lambda done: call.reply(done.changed), strict=True)


@STRINGS.add("strlen", 2, "The length of a value.", ONE_KEY, "readonly fast")
def strlen(call: RedisCall) -> None:
    """STRLEN key."""
    read_value(call, call.words[1], lambda value: call.reply(len(value or b"")))


@STRINGS.add("getrange", 4, "A part of a value.", ONE_KEY, "readonly")
@STRINGS.add("substr", 4, "As GETRANGE, its older name.", ONE_KEY, "readonly")
def getrange(call: RedisCall) -> None:
    """GETRANGE key start end, both included, negative from the end."""
    first, last = integer(call.words[2]), integer(call.words[3])

    def found(value: bytes | None) -> None:
        value = value or b""
        begin, end = (max(place + len(value) if place < 0 else place, 0) for place in (first, last))
        call.reply(b"" if last < first < 0 else value[begin : end + 1])

    read_value(call, call.words[1], found)


@STRINGS.add("setrange", 4, "Overwrites a part of a value.", ONE_KEY, "write denyoom",
             limits="Of two at once one may be lost: the last write of the whole value wins.")  # fmt: skip
def setrange(call: RedisCall) -> None:
    """SETRANGE key offset value."""
    _, key, offset, value = call.words
    at = integer(offset)
    if at < 0:
        raise Failed("offset is out of range")
    if at + len(value) > VALUE_BYTES_MAX:
        raise Usage(f"string exceeds maximum allowed size ({VALUE_BYTES_MAX} bytes)")
    update(call, key, SetRange(at, value), lambda done: call.reply(done.changed), strict=True)


@STRINGS.add("incr", 2, "Counts one up.", ONE_KEY, "write denyoom fast", limits=CONCURRENT)
def incr(call: RedisCall) -> None:
    """INCR key."""
    _count(call, 1)


@STRINGS.add("decr", 2, "Counts one down.", ONE_KEY, "write denyoom fast", limits=CONCURRENT)
def decr(call: RedisCall) -> None:
    """DECR key."""
    _count(call, -1)


@STRINGS.add("incrby", 3, "Counts up.", ONE_KEY, "write denyoom fast", limits=CONCURRENT)
def incrby(call: RedisCall) -> None:
    """INCRBY key increment."""
    _count(call, integer(call.words[2]))


@STRINGS.add("decrby", 3, "Counts down.", ONE_KEY, "write denyoom fast", limits=CONCURRENT)
def decrby(call: RedisCall) -> None:
    """DECRBY key decrement."""
    _count(call, -integer(call.words[2]))


def _count(call: RedisCall, by: int) -> None:
    if abs(by) >= INTEGER_MAX:
        raise Failed("increment or decrement would overflow")

    def counted(done: Updated) -> None:
        call.reply(int(done.value or b"0"))

    update(call, call.words[1], Increment(by), counted)
