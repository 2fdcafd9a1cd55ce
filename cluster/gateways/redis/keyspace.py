"""Keys themselves: whether they are there, when they end, which there are, and that all of them go."""

from collections.abc import Callable

from cluster.errors import ClusterError, Failed
from cluster.gateways.redis.glob import compile_glob, literal_prefix
from cluster.gateways.redis.keyed import BUCKET, PREFIX, CommandPart, for_each, integer, read, update
from cluster.gateways.redis.resp import Simple
from cluster.gateways.redis.session import REPLY_BYTES_MAX, RedisCall, syntax_error
from cluster.gateways.redis.strings import now_ms
from cluster.gateways.redis.table import ALL_KEYS, ONE_KEY, CommandTable
from cluster.wire.kv import Expire, Got, Keys, KeysFound, Remove

KEYSPACE = CommandTable("generic")
PAGE_KEYS = 4096
SCAN_COUNT = 10
"""Keys that a SCAN looks at unless COUNT says otherwise."""
CURSORS_MAX = 1024
"""Positions of SCAN that a node remembers: the oldest is forgotten first."""
EMPTY_S = 5.0
WALKS = "Walks over all keys, a page at a time; other clients are served meanwhile."
UNITS = {b"expire": (1000, True), b"pexpire": (1, True), b"expireat": (1000, False), b"pexpireat": (1, False)}


@KEYSPACE.add("del", -2, "Deletes keys.", ALL_KEYS, "write", limits="Each by itself.")
@KEYSPACE.add("unlink", -2, "As DEL.", ALL_KEYS, "write fast", limits="Each by itself.")
def del_(call: RedisCall) -> None:
    """DEL key…: how many were there."""

    def begin(part: CommandPart, key: bytes) -> None:
        update(part, key, Remove(), lambda done: part.answer(done.changed))

    for_each(call, call.words[1:], begin, lambda counts: call.reply(sum(counts)))


@KEYSPACE.add("exists", -2, "How many of these keys there are.", ALL_KEYS, "readonly fast")
@KEYSPACE.add("touch", -2, "As EXISTS: nothing is evicted by use.", ALL_KEYS, "readonly fast")
def exists(call: RedisCall) -> None:
    """EXISTS key…: one that is named twice counts twice."""

    def begin(part: CommandPart, key: bytes) -> None:
        read(part, key, lambda got: part.answer(bool(got.siblings)))

    for_each(call, call.words[1:], begin, lambda there: call.reply(sum(there)))


@KEYSPACE.add(
    "type", 2, "What a key holds: string, set or none.", ONE_KEY, "readonly fast", limits="A counter is a string."
)
def type_(call: RedisCall) -> None:
    """TYPE key."""
    read(call, call.words[1], lambda got: call.reply(Simple(type_of(got))))


def type_of(got: Got) -> str:
    """As Redis names it."""
    return "none" if not got.siblings else "set" if got.kind == "set" else "string"


# -- when they end


@KEYSPACE.add("expire", -3, "A key ends after seconds: NX, XX, GT, LT.", ONE_KEY, "write fast")
@KEYSPACE.add("pexpire", -3, "A key ends after milliseconds.", ONE_KEY, "write fast")
@KEYSPACE.add("expireat", -3, "A key ends at a Unix time in seconds.", ONE_KEY, "write fast")
@KEYSPACE.add("pexpireat", -3, "A key ends at a Unix time in milliseconds.", ONE_KEY, "write fast")
def expire(call: RedisCall) -> None:
    """EXPIRE key time [NX | XX | GT | LT]: 1 when that is set."""
    name, key, time, *options = (call.words[0].lower(), *call.words[1:])
    unit_ms, relative = UNITS[name]
    ends_ms = integer(time) * unit_ms + (now_ms(call) if relative else 0)
    if abs(ends_ms) >= 2**63:
        raise Failed(f"invalid expire time in '{name.decode()}' command")
    conditions = {option.lower().decode(errors="replace") for option in options}
    unknown = conditions - {"nx", "xx", "gt", "lt"}
    if unknown:
        raise Failed(f"Unsupported option {unknown.pop()}")
    if "nx" in conditions and len(conditions) > 1:
        raise Failed("NX and XX, GT or LT options at the same time are not compatible")
    if {"gt", "lt"} <= conditions:
        raise Failed("GT and LT options at the same time are not compatible")
    # XX with GT says no more than GT; with LT it says that what never ends stays so, which LT alone would end.
    if conditions == {"xx", "lt"}:
        raise Failed("XX and LT together are not offered: use one of them")
    condition = next((one for one in ("nx", "gt", "lt", "xx") if one in conditions), "")
    change = Expire(max(1, ends_ms), condition)
    update(call, key, change, lambda done: call.reply(done.changed), strict=True)


@KEYSPACE.add("persist", 2, "A key ends no more by itself.", ONE_KEY, "write fast")
def persist(call: RedisCall) -> None:
    """PERSIST key: 1 when it would have ended."""
    update(call, call.words[1], Expire(0), lambda done: call.reply(done.changed), strict=True)


@KEYSPACE.add("ttl", 2, "In how many seconds a key ends.", ONE_KEY, "readonly fast")
def ttl(call: RedisCall) -> None:
    """TTL key: -1 never, -2 it is not there."""
    _ends(call, lambda ends_ms: max(0, ends_ms - now_ms(call) + 500) // 1000)


@KEYSPACE.add("pttl", 2, "In how many milliseconds a key ends.", ONE_KEY, "readonly fast")
def pttl(call: RedisCall) -> None:
    """PTTL key."""
    _ends(call, lambda ends_ms: max(0, ends_ms - now_ms(call)))


@KEYSPACE.add("expiretime", 2, "The Unix time in seconds at which a key ends.", ONE_KEY, "readonly fast")
def expiretime(call: RedisCall) -> None:
    """EXPIRETIME key."""
    _ends(call, lambda ends_ms: (ends_ms + 500) // 1000)


@KEYSPACE.add("pexpiretime", 2, "The Unix time in milliseconds at which a key ends.", ONE_KEY, "readonly fast")
def pexpiretime(call: RedisCall) -> None:
    """PEXPIRETIME key."""
    _ends(call, lambda ends_ms: ends_ms)


def _ends(call: RedisCall, shown: Callable[[int], int]) -> None:
    def found(got: Got) -> None:
        call.reply(-2 if not got.siblings else shown(got.expires_ms) if got.expires_ms else -1)

    read(call, call.words[1], found)


# -- which there are


@KEYSPACE.add("keys", 2, "All keys that match a pattern.", flags="readonly", limits=WALKS)
def keys(call: RedisCall) -> None:
    """KEYS pattern."""
    glob = call.words[1].decode(errors="replace")
    meant = compile_glob(glob)
    found: list[str] = []
    size = 0

    def page(names: list[str]) -> bool:
        nonlocal size
        new = [name for name in names if meant.fullmatch(name)]
        found.extend(new)
        size += sum(map(len, new))
        return size <= REPLY_BYTES_MAX

    def end() -> None:
        if size > REPLY_BYTES_MAX:
            call.fail(f"ERR the keys have over {REPLY_BYTES_MAX} bytes together: use SCAN")
        else:
            call.reply(found)

    walk(call, literal_prefix(glob), page, end)


@KEYSPACE.add("dbsize", 1, "How many keys there are.", flags="readonly", limits=WALKS)
def dbsize(call: RedisCall) -> None:
    """DBSIZE."""
    count = 0

    def page(names: list[str]) -> bool:
        nonlocal count
        count += len(names)
        return True

    walk(call, "", page, lambda: call.reply(count))


@KEYSPACE.add(
    "scan", -2, "A page of keys: MATCH, COUNT, TYPE.", flags="readonly",
    limits="In order. A cursor is known to the node that gave it, among its last 1,024.",
)  # fmt: skip
def scan(call: RedisCall) -> None:
    """SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]."""
    cursor, options = call.words[1], call.words[2:]
    gateway, count, glob, kind = call.session.gateway, SCAN_COUNT, "*", ""
    if not cursor.isdigit():
        raise Failed("invalid cursor")
    while options:
        if len(options) < 2:
            raise syntax_error()
        option, value, *options = options
        match option.lower():
            case b"match":
                glob = value.decode(errors="replace")
            case b"count":
                count = integer(value)
                if count < 1:
                    raise syntax_error()
            case b"type":
                kind = value.lower().decode(errors="replace")
            case _:
                raise syntax_error()
    after = gateway.cursors.get(int(cursor), "") if cursor != b"0" else ""
    if cursor != b"0" and not after:
        raise Failed("this node knows no such cursor (any more): begin again with 0")
    meant = compile_glob(glob)

    def found(page: KeysFound) -> None:
        next_cursor = 0
        if page.after:
            next_cursor = 1 + gateway.host.random.randrange(2**48)
            gateway.cursors[next_cursor] = page.after
            if len(gateway.cursors) > CURSORS_MAX:
                del gateway.cursors[next(iter(gateway.cursors))]
        names = [name for name in (key[len(PREFIX) :] for key in page.keys) if meant.fullmatch(name)]
        if not kind:
            call.reply([str(next_cursor), names])
            return

        def begin(part: CommandPart, name: str) -> None:
            read(part, name.encode(), lambda got: part.answer(type_of(got)))

        def end(kinds: list[str]) -> None:
            call.reply([str(next_cursor), [name for name, one in zip(names, kinds, strict=True) if one == kind]])

        for_each(call, names, begin, end)

    list_keys(call, literal_prefix(glob), after, min(count, PAGE_KEYS), found)


@KEYSPACE.add("randomkey", 1, "Some key.", flags="readonly", limits="Not each is equally likely.")
def randomkey(call: RedisCall) -> None:
    """RANDOMKEY."""
    random = call.session.gateway.host.random

    def found(page: KeysFound, wrapped: bool = False) -> None:
        if page.keys:
            call.reply(random.choice(page.keys)[len(PREFIX) :])
        elif page.after or not wrapped:
            list_keys(call, "", page.after, SCAN_COUNT, lambda next_: found(next_, wrapped or not page.after))
        else:
            call.reply(None)

    list_keys(call, "", PREFIX + chr(random.randrange(33, 127)), SCAN_COUNT, found)


def walk(call: RedisCall, prefix: str, page: Callable[[list[str]], bool], end: Callable[[], None]) -> None:
    """Give all keys to `page`, some at a time, until it says that it has enough; then `end`."""

    def found(answer: KeysFound) -> None:
        if page([key[len(PREFIX) :] for key in answer.keys]) and answer.after and not call.session.ended:
            list_keys(call, prefix, answer.after, PAGE_KEYS, found)
        else:
            end()

    list_keys(call, prefix, "", PAGE_KEYS, found)


def list_keys(call: RedisCall, prefix: str, after: str, limit: int, then: Callable[[KeysFound], None]) -> None:
    """A page of keys out of those of all live nodes, in order; without enough of them the call fails."""

    def listed(outcome: KeysFound | ClusterError) -> None:
        if isinstance(outcome, ClusterError):
            call.fail(outcome)
        else:
            then(outcome)

    call.session.gateway.list_keys(call.session, Keys(PREFIX + prefix, after, limit), listed)


# -- that all go


@KEYSPACE.add(
    "flushdb", -1, "Deletes all keys.", flags="write",
    limits="An entry of the chain, which needs a majority: at once, however many there are.",
)  # fmt: skip
@KEYSPACE.add("flushall", -1, "As FLUSHDB.", flags="write", limits="The keys of Redis alone.")
def flushdb(call: RedisCall) -> None:
    """FLUSHDB [ASYNC | SYNC]."""
    if len(call.words) > 2 or (len(call.words) == 2 and call.words[1].lower() not in (b"async", b"sync")):
        raise syntax_error()

    def done(error: ClusterError | None) -> None:
        if error is None:
            call.ok()
        else:
            call.fail(error)

    host = call.session.gateway.host
    host.empty_bucket(BUCKET, host.clock.now() + EMPTY_S, done)
