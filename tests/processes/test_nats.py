"""The NATS gateway on real processes, with nats-py as it is. Tests skip where it is not installed."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes.commands import ask, dsectl
from tests.processes.fleet import Real, real, until

nats = pytest.importorskip("nats")
C = ("-C", "real")
LIMIT_S = 60.0
pytestmark = [  # nats-py leaves its streams to the collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What nats-py left behind is collected within the test, where warnings of it are ignored."""
    yield
    gc.collect()


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("DSECTL_HOME", str(tmp_path / "home"))
    with real(3, gateway="nats") as running:
        yield running


async def connect(running: Real, at: str = "n1", **options: Any) -> Any:
    address = running.files.gateways["nats"][at]
    return await nats.connect(f"nats://{address}", token=running.files.gateway_password, **options)


async def flush(client: Any) -> None:
    """All that the client was given is carried out. Twice: nats-py writes a PING before what it has buffered, so the
    first one may be answered before a subscription has been sent."""
    await client.flush()
    await client.flush()


async def eventually(what: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(LIMIT_S):
        while not what():  # noqa: ASYNC110 - what nats-py does has no event
            await asyncio.sleep(0.01)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_nats_py_works_unchanged(three: Real) -> None:
    assert "export NATS_URL=nats://" in dsectl("env", *C).out
    assert list(ask("env", *C)["gateways"]["nats"])[:3] == ["n1", "n2", "n3"]

    async def test() -> None:
        any_node = await nats.connect(three.files.gateway_variables["NATS_URL"])
        one, other = await connect(three, "n1"), await connect(three, "n3")
        messages = await other.subscribe("orders.*.new")
        await flush(other)
        for number in range(200):
            await one.publish("orders.eu.new", b"%d" % number, headers={"number": str(number)})
        found = [await messages.next_msg(10) for _ in range(200)]
        assert [int(message.data) for message in found] == list(range(200))
        assert [message.headers["number"] for message in found] == [str(number) for number in range(200)]

        async def answer(message: Any) -> None:
            await message.respond(b"re: " + message.data)

        await other.subscribe("time", queue="clocks", cb=answer)
        await one.subscribe("time", queue="clocks", cb=answer)
        await flush(other)
        await flush(one)
        answers = await asyncio.gather(*[any_node.request("time", b"%d" % number, 10) for number in range(100)])
        assert [message.data for message in answers] == [b"re: %d" % number for number in range(100)]
        with pytest.raises(nats.errors.NoRespondersError):
            await one.request("nobody", b"?", timeout=10)
        with pytest.raises(nats.js.errors.ServiceUnavailableError):
            await one.jetstream().account_info()
        for client in (any_node, one, other):
            await client.drain()

    run(test)
    until(lambda: ask("subscriptions", *C) == [])


def test_services_and_programs_of_dsectl_are_reached(three: Real) -> None:
    async def test() -> None:
        client = await connect(three, "n2")
        reply = await client.request("echo.whoami", b"", 10)
        assert json.loads(reply.data)["node"] == reply.headers["Dsectl-Node"]
        messages = await client.subscribe("orders.>")
        await flush(client)
        three.client.topics.publish("orders.new", b"from dsectl", headers={"a": "b"})
        message = await messages.next_msg(10)
        assert (message.data, message.headers) == (b"from dsectl", {"a": "b"})
        await client.close()

    run(test)


def test_clients_go_on_at_other_nodes_after_a_kill(three: Real) -> None:
    """Each is told of all nodes, takes its subscriptions along, and goes on."""

    async def test() -> None:
        back: list[str] = []

        async def reconnected() -> None:
            back.append("")

        fast = {"reconnect_time_wait": 0.05, "reconnected_cb": reconnected, "max_reconnect_attempts": -1}
        listener, publisher = await connect(three, "n2", **fast), await connect(three, "n1")
        got: list[bytes] = []

        async def take(message: Any) -> None:
            got.append(message.data)

        await listener.subscribe("ticks", queue="crew", cb=take)
        await flush(listener)
        three.kill("n2")
        await eventually(lambda: bool(back))
        await flush(listener)
        assert listener.connected_url.port != int(three.files.gateways["nats"]["n2"].split(":")[1])
        await publisher.publish("ticks", b"after")
        await flush(publisher)
        await eventually(lambda: got == [b"after"])
        await listener.close()
        await publisher.close()

    run(test)


def test_a_node_that_drains_is_left_for_another(three: Real) -> None:
    async def test() -> None:
        lame, back = asyncio.Event(), asyncio.Event()

        async def on_lame() -> None:
            lame.set()

        async def on_back() -> None:
            back.set()

        client = await connect(three, "n2", lame_duck_mode_cb=on_lame, reconnected_cb=on_back, reconnect_time_wait=0.05)
        drained = await asyncio.to_thread(dsectl, "drain", "n2", *C)
        assert drained.code == 0, drained.err
        await asyncio.gather(lame.wait(), back.wait())
        assert (await client.request("echo.echo", b"{}", 10)).data == b'{"text":""}'
        await client.close()

    run(test)
