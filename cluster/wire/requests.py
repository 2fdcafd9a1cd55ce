"""Messages of the request-reply family: a call through any node to an endpoint of a service."""

from msgspec import Struct


class Call(Struct, array_like=True, gc=False, tag=40):
    """Call `operation` of `service` with a JSON `payload`. `key` is for affinity. `routed`: balanced already, run it
    here, at `endpoint` (empty: in the node itself). `only`: this endpoint, or this node's, and no other. `version`: of
    this version alone; 0 is any. `priority`: 0 is normal, 1 is shed first. `attempt`: of the call above that made this
    one, whose layer tries again; 0 when there is none. `hedge`: the caller asks for a second attempt beside a slow one.
    `stream`: the caller takes a reply in rows; an operation that streams is called by no other. `strict`: arguments
    that the operation does not have are refused, not ignored."""

    service: str
    operation: str
    payload: bytes
    key: str = ""
    routed: bool = False
    only: str = ""
    endpoint: str = ""
    version: int = 0
    priority: int = 0
    attempt: int = 0
    hedge: bool = False
    stream: bool = False
    strict: bool = False


class CallDone(Struct, array_like=True, gc=False, tag=41):
    """The handler's JSON reply, which node ran it, how many endpoints were tried. `hedged`: one beside another.
    `repeatable`: the operation is readonly or idempotent, so that a client may send the next such call twice.
    `endpoint` and `version` ran it; an empty endpoint is the node. `error`: the name of the declared error that the
    handler raised; `payload` is its fields then. A reply in parts has its first bytes in them (see
    `cluster.wire.parts`). `replies`: how many rows a streaming operation gave; None for any other."""

    payload: bytes
    node: str
    attempts: int = 1
    hedged: bool = False
    repeatable: bool = False
    endpoint: str = ""
    version: int = 0
    error: str = ""
    replies: int | None = None


class Register(Struct, array_like=True, gc=False, tag=42):
    """A worker offers one version of a service, and takes at most `concurrency` calls of it at a time on the connection
    that this comes on. `description` is what `describe` shows, as JSON, and `digest` that of the definition. The others
    name operations by their traits; `low` are those of low priority. `number`: to be the node's worker of this number,
    as 3 of n2/3; 0: of the lowest that is free. Without `shedding` calls
    wait for a place until their deadlines. Answered with Registered."""

    service: str
    version: int
    digest: str
    description: bytes
    concurrency: int
    readonly: list[str]
    idempotent: list[str]
    low: list[str] = []
    number: int = 0
    shedding: bool = True


class Registered(Struct, array_like=True, gc=False, tag=43):
    """The name of the endpoint that the worker is from now on, as n2/1."""

    endpoint: str


class Unregister(Struct, array_like=True, gc=False, tag=44):
    """The worker takes no more. Answered with Unregistered."""


class Unregistered(Struct, array_like=True, gc=False, tag=45):
    """All live members have it that the worker takes no more, and nothing is in flight to it."""


RequestBody = Call | CallDone | Register | Registered | Unregister | Unregistered
