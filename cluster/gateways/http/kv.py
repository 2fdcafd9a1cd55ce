"""Keys over HTTP. The ETag is the context of what was read or written; with it as If-Match a write replaces just that.

Without If-Match a write replaces what a read finds just before it, as that of `dsectl put` does; `blind` reads nothing.
Siblings are all shown (300), and a write with their ETag settles them. What the write cannot promise is refused.
"""

import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from cluster.errors import ClusterError, Maybe, NotFound, WrongType
from cluster.gateways.http.call import BYTES, HttpCall, Value, as_value
from cluster.gateways.http.parameters import HEADER, PATH, QUERY, Parameter
from cluster.gateways.http.routes import ETAG, HttpReply, HttpRoute
from cluster.limits import KEY_BYTES_MAX
from cluster.replication.quorum import MAYBE, OK
from cluster.versions.context import NOTHING, encode_context, make_token, open_token
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone, Remove, Update, Updated

PAGE_KEYS_MAX: Final = 1000
READ_SHARE: Final = 0.5
"""Of the time of a write, for the read before it: the client's own."""
COUNTER, SET = "counter", "set"
DEGRADED, COORDINATOR, EXPIRES = "Dsectl-Degraded", "Dsectl-Coordinator", "Dsectl-Expires-Ms"
_NOTHING: Final = encode_context(NOTHING)
_TAG: Final = '^("[A-Za-z0-9_-]+"|[A-Za-z0-9_-]+)$'
_TAGS: Final = re.compile(r'(?:W/)?"([A-Za-z0-9_-]*)"')


class Siblings(Struct):
    """Concurrent values of a key: write one value with this ETag as If-Match to settle them."""

    siblings: list[Value]
    context: str


class Counter(Struct):
    """What a counter has come to."""

    counter: int


class Items(Struct):
    """What a set holds."""

    items: list[Value]


class Written(Struct):
    """How a write ended: `ok`, or `ok-sloppy` where `hints` of its copies wait with a fallback. `context` is that of
    the ETag, empty when no context covers the write alone."""

    outcome: str
    coordinator: str
    acks: int
    hints: int
    durability: str
    context: str


class KeysPage(Struct, omit_defaults=True):
    """Keys in order. There may be more behind `after`, also where the page is short; without it these were the last."""

    keys: list[str]
    after: str = ""


def get(call: HttpCall) -> None:
    """Read a key: a value as it is, a counter or a set as JSON, siblings as a list."""
    key, values = call.values["key"], call.values
    call.ask(Get(key, values["r"], values["strict"], cell=True), partial(_got, call, key))


def _got(call: HttpCall, key: str, got: Got) -> None:
    if not got.siblings:
        raise NotFound(f"there is no key {key[:64]!r}", help="`GET /kv` lists the keys.")
    token = make_token(key, got.context)
    headers = {ETAG: f'"{token}"', COORDINATOR: got.coordinator}
    if got.degraded:
        headers[DEGRADED] = "true"
    if got.expires_ms:
        headers[EXPIRES] = str(got.expires_ms)
    seen = call.request.headers.get("if-none-match", "")
    if seen and token in _TAGS.findall(seen):
        call.reply(HTTPStatus.NOT_MODIFIED, headers, b"")
    elif got.kind == COUNTER:
        call.json(Counter(int(got.siblings[0])), headers=headers)
    elif got.kind == SET:
        call.json(Items([as_value(bytes(item)) for item in got.siblings]), headers=headers)
    elif len(got.siblings) > 1:
        shown = Siblings([as_value(value) for value in got.siblings], token)
        call.json(shown, HTTPStatus.MULTIPLE_CHOICES, headers)
    else:
        call.reply(HTTPStatus.OK, BYTES | headers, got.siblings[0])


def put(call: HttpCall) -> None:
    """Write the body of the request as the value of a key."""
    body = Put(call.values["key"], call.request.body, call.gateway.operation_id())
    _write(call, body, lambda found, limit_s: call.ask(body, partial(_written, call, body.key), limit_s))


def delete(call: HttpCall) -> None:
    """Delete a key, whatever it holds."""
    body = Put(call.values["key"], b"", call.gateway.operation_id(), deleted=True)

    def remove(limit_s: float) -> None:
        change = Update(body.key, body.operation, Remove(), body.context, body.w, body.strict)
        call.ask(change, partial(_written, call, body.key), limit_s)

    def begin(found: Got | None, limit_s: float) -> None:
        def ended(outcome: PutDone | ClusterError) -> None:
            if isinstance(outcome, WrongType):  # it became a counter or a set meanwhile
                remove(limit_s)
            else:
                call.answered(partial(_written, call, body.key), outcome)

        if found is not None and found.kind in (COUNTER, SET):
            remove(limit_s)
        else:
            call.attempt(body, ended, limit_s)

    _write(call, body, begin)


def _write(call: HttpCall, body: Put, begin: Callable[[Got | None, float], None]) -> None:
    """Give the write its options and its context, which may need a read; then `begin` it, with what was read and the
    time that is left."""
    values, key = call.values, body.key
    body.w, body.strict = values["w"], values["strict"]
    if values["If-Match"] is not None:
        body.context = open_token(key, values["If-Match"].strip('"'))
    if body.context is not None or values["blind"]:
        begin(None, call.limit_s)
        return
    clock = call.gateway.host.clock
    ends_at = clock.now() + call.limit_s

    def found(outcome: Got | ClusterError) -> None:
        if call.is_over:
            return
        got = outcome if isinstance(outcome, Got) else None  # a write may succeed where a read cannot
        if got is not None and got.context != _NOTHING:
            body.context = got.context or None
        begin(got, max(0.001, ends_at - clock.now()))

    call.attempt(Get(key, cell=True), found, call.limit_s * READ_SHARE)


def _written(call: HttpCall, key: str, done: PutDone | Updated) -> None:
    token = make_token(key, done.context) if done.context and done.context != _NOTHING else ""
    if done.outcome == MAYBE:
        what = f"the write of {key[:64]!r} has {done.acks} acknowledgements, too few, and may still appear"
        raise Maybe(what, help="GET the key before you repeat it.")
    body = Written(done.outcome, done.coordinator, done.acks, done.hints, done.durability, token)
    status = HTTPStatus.OK if done.outcome == OK else HTTPStatus.ACCEPTED
    call.json(body, status, {ETAG: f'"{token}"'} if token else None)


def list_keys(call: HttpCall) -> None:
    """A page of the keys of all nodes."""
    values = call.values

    def listed(outcome: KeysFound | ClusterError) -> None:
        call.answered(lambda page: call.json(KeysPage(page.keys, page.after)), outcome)

    call.gateway.list_keys(call.session, Keys(values["prefix"], values["after"], values["limit"]), listed)


def _key(place: str, name: str, summary: str, bytes_min: int = 0, **options: Any) -> Parameter:
    return Parameter(name, place, summary, bytes_min=bytes_min, bytes_max=KEY_BYTES_MAX, **options)


KEY: Final = _key(PATH, "key", "Percent-encoded UTF-8; a slash may stand as it is. BUCKET/KEY in a bucket.", 1)
STRICT: Final = Parameter("strict", QUERY, "Count owners alone, no fallbacks.", "boolean", default=False)
R: Final = Parameter("r", QUERY, "Owners that are asked; 0: as the bucket says.", "integer", default=0, low=0)
W: Final = Parameter("w", QUERY, "Copies that are waited for; 0: as the bucket says.", "integer", default=0, low=0)
BLIND: Final = Parameter(
    "blind", QUERY, "Read nothing before; without If-Match it becomes a sibling of what is there.", "boolean",
    default=False,
)  # fmt: skip
IF_MATCH: Final = Parameter(
    "If-Match",
    HEADER,
    "The ETag of what is to be replaced; what it does not cover stays.",
    pattern=_TAG,
    form="one ETag",
)
IF_NONE_MATCH: Final = Parameter("If-None-Match", HEADER, "An ETag: 304 while nothing has changed.")
WRITES: Final = {200: HttpReply("W owners have it.", Written, (ETAG,)),
                 202: HttpReply("W nodes have it, fallbacks among them.", Written, (ETAG,))}  # fmt: skip
ROUTES: Final = (
    HttpRoute(
        "GET", "/kv", list_keys, "kv.list", "List keys, in order.",
        (_key(QUERY, "prefix", "What the keys begin with.", default=""),
         _key(QUERY, "after", "The key behind which the page begins.", default=""),
         Parameter("limit", QUERY, "Keys of a page.", "integer", default=100, low=1, high=PAGE_KEYS_MAX)),
        replies={200: HttpReply("A page of keys.", KeysPage)}, readonly=True,
    ),
    HttpRoute(
        "GET", "/kv/{key}", get, "kv.get", "Read a key.", (KEY, R, STRICT, IF_NONE_MATCH),
        replies={
            200: HttpReply("The value; of a counter or a set, JSON.", Counter | Items | None, (ETAG,)),
            300: HttpReply("Siblings.", Siblings, (ETAG,)),
            304: HttpReply("Nothing has changed."),
        },
        problems=(404,), readonly=True,
    ),
    HttpRoute(
        "PUT", "/kv/{key}", put, "kv.put", "Write a key; the body is the value.", (KEY, W, STRICT, BLIND, IF_MATCH),
        body="The value.", replies=WRITES, problems=(409, 412, 413),
    ),
    HttpRoute(
        "DELETE", "/kv/{key}", delete, "kv.delete", "Delete a key.", (KEY, W, STRICT, BLIND, IF_MATCH),
        replies=WRITES, problems=(409, 412),
    ),
)  # fmt: skip
