"""Calls of services through the asyncio client: by name with JSON, or typed by the service's class."""

from collections.abc import Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any

from msgspec import DecodeError, ValidationError, json

from cluster.client.results import CallResult, call_body, call_result, expect
from cluster.errors import BadMessage, Usage
from cluster.wire.requests import CallDone

if TYPE_CHECKING:
    from cluster.client.aio_session import AioSession
    from cluster.requests.service import Definition


class Requests:
    """Request and reply; the node that is asked balances over the endpoints."""

    def __init__(self, client: "AioSession") -> None:
        self._client = client

    async def call(
        self, operation: str, arguments: Any = None, *, deadline: float | None = None, only: str | None = None
    ) -> CallResult:
        """Call `SERVICE.OPERATION` with arguments that can be JSON. `deadline` in seconds; `only` names the node
        whose endpoint is to answer, and no other. Raises ServiceError for what the service refuses, Maybe when the
        deadline passes after the call was sent."""
        call = call_body(operation, arguments, only)
        began = monotonic()
        done = expect(CallDone, await self._client.call(call, deadline))
        return call_result(call, done, monotonic() - began, "")

    async def call_raw(self, operation: str, arguments: Any, deadline: float | None, only: str | None) -> bytes:
        """The JSON of the reply, as the service sent it."""
        return expect(CallDone, await self._client.call(call_body(operation, arguments, only), deadline)).payload

    def client(self, service: Any, *, deadline: float | None = None) -> "TypedClient":
        """A client whose methods are the operations of `service`, a class made with `@service`. Raises Usage."""
        from cluster.requests.service import definition_of

        return TypedClient(self, definition_of(service), deadline)


class TypedClient:
    """`await client.quote(Quote(sku="x"), deadline=0.5)`: a msgspec Struct in, the operation's Struct out."""

    def __init__(self, requests: Requests, definition: "Definition", deadline: float | None) -> None:
        self._requests = requests
        self._definition = definition
        self._deadline = deadline

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        definition = self._definition
        found = definition.operations.get(name)
        if found is None:
            raise AttributeError(f"service {definition.name} has no operation {name!r}")
        operation = found

        async def call(request: Any = None, *, deadline: float | None = None, only: str | None = None) -> Any:
            if request is None:
                request = operation.request()
            if not isinstance(request, operation.request):
                wanted, given = operation.request.__name__, type(request).__name__
                raise Usage(f"{definition.name}.{name} takes {wanted}, not {given}")
            limit = self._deadline if deadline is None else deadline
            payload = await self._requests.call_raw(f"{definition.name}.{name}", request, limit, only)
            try:
                return json.decode(payload, type=operation.reply)
            except (DecodeError, ValidationError, UnicodeDecodeError) as error:
                raise BadMessage(f"{definition.name}.{name} replied with something else: {error}") from None

        call.__name__, call.__doc__ = name, operation.summary
        return call

    def __dir__(self) -> list[str]:
        return sorted(self._definition.operations)
