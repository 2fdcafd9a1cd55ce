"""Consumers in virtual time: the asyncio client's own, over a simulated session."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from random import Random
from typing import Any, cast

from cluster.client.aio import AioSession
from cluster.client.aio_queues import AioWorkQueue, Consumer
from cluster.client.locate import Location, addresses
from cluster.client.operation import Send, Steps
from cluster.client.queues import QueueMessage
from cluster.errors import ClusterError
from cluster.simulation.client import SimulatedClient
from cluster.simulation.fleet import SECRET, Fleet
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.caller import Outcome


class AwaitingClient(SimulatedClient):
    """A simulated client whose operations are awaited, as those of the asyncio client are."""

    is_open = True

    def run(self, steps: Steps[Any]) -> Any:
        """See AioSession."""
        return self._run(steps)

    async def _run(self, steps: Steps[Any]) -> Any:
        try:
            step = next(steps)
            while True:
                assert isinstance(step, Send)
                outcome = await self._send(step)
                step = steps.throw(outcome) if isinstance(outcome, ClusterError) else steps.send(outcome)
        except StopIteration as stop:
            return stop.value

    async def _send(self, send: Send) -> Outcome:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        deadline = self.now() + (self.timeout if send.timeout is None else send.timeout)
        dispatch = self.router.call(
            send.body, deadline, lambda outcome: None if future.done() else future.set_result(outcome), node=send.node
        )
        try:
            return await future
        except asyncio.CancelledError:
            dispatch.cancel()
            raise

    async def ask(self, node: str | None, what: str, arguments: dict[str, Any]) -> Any:  # type: ignore[override]
        """See Questions."""
        outcome = await self._send(Send(AdminQuery(what, arguments), None, None, node))
        if isinstance(outcome, ClusterError):
            raise outcome
        assert isinstance(outcome, AdminAnswer)
        return outcome.value


class Worker:
    """A process that consumes the queue `jobs`: `begun` counts how often the work of each message was begun, `worked`
    how often it was done."""

    def __init__(self, fleet: Fleet, name: str, *, seed: int, work_max_s: float, fails: float = 0.0) -> None:
        where = Location(fleet.entry.cluster, SECRET, addresses(fleet.entry), fleet.entry)
        env = fleet.world.env(name)
        client = AwaitingClient(env, where)
        client.start()
        self.begun: Counter[bytes] = Counter()
        self.worked: Counter[bytes] = Counter()
        self.drained = False
        self.most = 0
        """That it held at once."""
        self._random = Random(f"{seed}/{name}")
        self._work_max_s = work_max_s
        self._fails = fails
        self.consumer: Consumer | None = None
        env.spawn(self._consume(AioWorkQueue(cast(AioSession, client), "jobs")))

    async def _consume(self, queue: AioWorkQueue) -> None:
        async with queue.consume(concurrency=8, backoff=0.2) as consumer:
            self.consumer = consumer
            await asyncio.gather(*(self._loop(consumer) for _ in range(8)))
        self.drained = True

    async def _loop(self, consumer: Consumer) -> None:
        while not consumer._stopping:
            messages = cast(AsyncGenerator[QueueMessage, None], aiter(consumer))
            try:  # the loop of a real process ends what is left; this one has no such hook
                async with aclosing(messages):
                    async for message in messages:
                        await self._work(message)
            except ArithmeticError:
                pass

    async def _work(self, message: QueueMessage) -> None:
        self.begun[message.body] += 1
        assert self.consumer is not None
        self.most = max(self.most, len(self.consumer._held))
        await asyncio.sleep(self._random.uniform(0.0, self._work_max_s))
        if self._random.random() < self._fails:
            raise ArithmeticError
        self.worked[message.body] += 1
