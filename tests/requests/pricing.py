"""A service for tests, with every form that an operation can have."""

from typing import Annotated

from msgspec import Meta, Struct

from cluster.requests import CallContext, operation, service


class Item(Struct):
    """What is asked for."""

    sku: str
    count: Annotated[int, Meta(ge=1)] = 1


class Order(Struct):
    items: list[Item]


class Price(Struct):
    """What it costs."""

    cents: int


class UnknownItem(Exception):
    """There is no such item."""


@service(name="pricing", version=3)
class Pricing:
    """What things cost.

    And more.
    """

    def __init__(self) -> None:
        self.log: list[str] = []

    @operation(readonly=True, errors=[UnknownItem])
    def quote(self, request: Item) -> Price:
        """The price of an item."""
        if request.sku == "none":
            raise UnknownItem("none")
        if request.sku == "bug":
            raise ZeroDivisionError("bug")
        if request.sku == "exit":
            raise SystemExit(3)
        if request.sku == "close":
            raise GeneratorExit("close")
        if request.sku == "interrupt":
            raise KeyboardInterrupt
        return Price(request.count * 10)

    @operation(idempotent=True, timeout_s=2.0, errors=[UnknownItem])
    async def order(self, call: CallContext, request: Order) -> Price:
        """Take some seconds."""
        for item in request.items:
            self.log.append(f"start {item.sku}")
            if item.sku == "none":
                raise UnknownItem("none")
            if item.sku == "bug":
                raise ZeroDivisionError("bug")
            if item.sku == "exit":
                raise SystemExit(3)
            if item.sku == "close":
                raise GeneratorExit("close")
            await call.sleep(item.count)
            self.log.append(f"end {item.sku}")
        return Price(len(request.items))

    @operation(readonly=True)
    async def look(self, request: Item, call: CallContext) -> Price:
        await call.sleep(request.count)
        return Price(1)

    @operation()
    async def stubborn(self, request: Item, call: CallContext) -> None:
        """Does not let itself be cancelled."""
        try:
            await call.sleep(request.count)
        except BaseException:
            await call.sleep(request.count)

    @operation()
    def reset(self) -> None:
        """Empty the log."""
        self.log.clear()

    @operation()
    def wrong(self) -> Price:
        """Does not keep its word."""
        return "text"  # type: ignore[return-value]

    def not_offered(self) -> None:
        """Is an ordinary method."""
