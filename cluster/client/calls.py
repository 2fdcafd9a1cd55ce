"""Operations by callback: no future and no task for any, so that one process can offer tens of thousands a second.

The surface for load generators over the callback core (`router`). `done` is called once, never before the method
returns, with the body of the reply (`PutDone`, `Got`, `KeysFound`, `Published`, `CallDone`) or with a ClusterError,
whose `definite` says whether the operation surely did not happen. Contexts are encoded clocks, and the caller keeps
them. Nothing is checked here that a node checks too.
"""

from collections.abc import Callable

from cluster.client.channel import Done, Outcome
from cluster.client.operations import operation_ids
from cluster.client.results import call_body
from cluster.client.router import Router
from cluster.client.subscription import Subscription
from cluster.wire.kv import Get, Got, Keys, KeysFound, Put, PutDone
from cluster.wire.requests import CallDone
from cluster.wire.topics import Message, Publish, Published

__all__ = ["CallDone", "Calls", "Done", "Got", "KeysFound", "Message", "Outcome", "Published", "PutDone"]


class Calls:
    """Over the router of an open client. `timeout` in seconds bounds each operation, as told to the node."""

    def __init__(self, router: Router, timeout: float) -> None:
        self.router = router
        self.timeout = timeout
        self._time = router.loop.time
        self._call = router.call
        self._operations = operation_ids()

    def put(self, key: str, value: bytes, context: bytes | None, done: Done) -> None:
        """Write; the value replaces what `context` covers, and nothing for None."""
        self._call(Put(key, value, next(self._operations), context), self._time() + self.timeout, done, key)

    def get(self, key: str, done: Done, strict: bool = False, within: float | None = None) -> None:
        """Read. `within` so many seconds, when that is not the `timeout`."""
        self._call(Get(key, 0, strict), self._time() + (self.timeout if within is None else within), done, key)

    def keys(self, node: str, prefix: str, after: str, limit: int, done: Done) -> None:
        """The keys that one node owns, in order, behind `after`."""
        self._call(Keys(prefix, after, limit), self._time() + self.timeout, done, None, node)

    def publish(self, subject: str, payload: bytes, done: Done) -> None:
        """Send a message towards every matching subscription."""
        self._call(Publish(subject, payload), self._time() + self.timeout, done)

    def call(self, operation: str, payload: bytes, done: Done) -> None:
        """Call `SERVICE.OPERATION` with arguments that are JSON already."""
        body = call_body(operation, None)
        body.payload = payload
        self._call(body, self._time() + self.timeout, done)

    def subscription(self, pattern: str, take: Callable[[Message], None]) -> Subscription:
        """A subscription, to be started, that hands each message to `take` as it comes, and keeps none."""
        return Subscription(self.router, pattern, "", 1, self.timeout, take)
