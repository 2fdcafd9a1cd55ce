"""Calls of services through the blocking client."""

from time import monotonic
from typing import TYPE_CHECKING, Any

from cluster.client.results import CallResult, call_body, call_result, expect
from cluster.wire.requests import CallDone

if TYPE_CHECKING:
    from cluster.client.blocking_session import BlockingSession


class BlockingRequests:
    """Request and reply; the node that is asked balances over the endpoints."""

    def __init__(self, cluster: "BlockingSession") -> None:
        self._cluster = cluster

    def call(
        self, operation: str, arguments: Any = None, *, deadline: float | None = None, only: str | None = None
    ) -> CallResult:
        """Call `SERVICE.OPERATION` with arguments that can be JSON. `deadline` in seconds; `only` names the node
        whose endpoint is to answer, and no other. Raises ServiceError for what the service refuses, Maybe when the
        deadline passes after the call was sent."""
        call = call_body(operation, arguments, only)
        began = monotonic()
        done = expect(CallDone, self._cluster.call(call, deadline))
        return call_result(call, done, monotonic() - began, "")
