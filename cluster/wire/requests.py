"""Messages of the request-reply family: a call through any node to an endpoint of a service."""

from msgspec import Struct


class Call(Struct, array_like=True, gc=False, tag=40):
    """Call `operation` of `service` with a JSON `payload`. `routed`: balanced already, run it here. `key` is for
    affinity. `only`: this node's endpoint and no other."""

    service: str
    operation: str
    payload: bytes
    key: str = ""
    routed: bool = False
    only: str = ""


class CallDone(Struct, array_like=True, gc=False, tag=41):
    """The handler's JSON reply, which node ran it, how many endpoints were tried. `hedged`: one beside another.
    `repeatable`: the operation is readonly or idempotent, so that a client may send the next such call twice."""

    payload: bytes
    node: str
    attempts: int = 1
    hedged: bool = False
    repeatable: bool = False


RequestBody = Call | CallDone
