"""One process's load, from the connection to its report: prepare, offer, wait for the last answers, check.

Coroutines at the edge alone: one for the clock of the whole; operations are callbacks.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from time import monotonic, process_time
from typing import Any, TypeVar

import cluster
from cluster.client.aio import Calls, Client
from cluster.errors import ClusterError, NotFound
from dsectl.load.generator import ArrivalSchedule, FamilyLoad, Generator
from dsectl.load.kv import KvLoad
from dsectl.load.ledger import Ledger, prepare_keys
from dsectl.load.plan import KV, PUBLISH, QUEUE, LoadPlan, Payloads
from dsectl.load.publish import PublishLoad
from dsectl.load.queue import QueueLoad
from dsectl.load.request import RequestLoad
from dsectl.load.tally import Interval, LoadReport, Tally
from dsectl.snapshot.observer import Observer
from dsectl.ui.text import count

POLL_S = 0.05
"""How often it looks whether it shall end, and takes in fresh latencies."""
INTERVAL_S = 1.0
ASK_S = 1.0
WIND_UP_S = 5.0
"""From an interrupt to the account at most, but for REMOVE_S: who sends SIGTERM sends SIGKILL next, Docker after 10 s.
"""
REMOVE_S = 1.0
"""What a load made for itself may take so long to remove, however soon it is to end: nobody else knows of it."""


CHECKS = {KV: "reading acknowledged writes back", PUBLISH: "waiting for the last messages", QUEUE: "draining the queue"}
T = TypeVar("T")


@dataclass
class Hooks:
    """What others do, or are called with, while a load goes on."""

    begin: Callable[[], Awaitable[float]] | None = None
    """Called when all is prepared; returns the time (`monotonic`) to begin at."""
    on_first: Callable[[], object] = lambda: None
    on_interval: Callable[[Interval], object] = lambda interval: None
    on_phase: Callable[[str], object] = lambda phase: None
    """What begins now, in words."""
    is_stopped: Callable[[], bool] = lambda: False
    interrupts: Callable[[], int] = lambda: 0
    """How many signals have asked it to end: after one it ends with its whole account, after two with what is known."""
    calls: Callable[[Client, float], Calls] = Calls
    """Makes what the operations are sent with: somebody may want to see each answer."""


async def run_session(plan: LoadPlan, hooks: Hooks) -> LoadReport:
    """Carry out one process's share. Raises what connecting raises, or the reason why nothing could be prepared."""
    async with cluster.connect(plan.cluster, via=plan.via, timeout=plan.timeout_s, seed=plan.seed) as client:
        session, before = _Session(plan, hooks, client), gc.get_threshold()
        gc.set_threshold(50_000, 50, 100)  # references are counted; looking for cycles would only cost pauses
        try:
            return await session.run()
        finally:
            session.close()
            gc.set_threshold(*before)


class _Session:
    def __init__(self, plan: LoadPlan, hooks: Hooks, client: Client) -> None:
        self.plan = plan
        self.hooks = hooks
        self.client = client
        self.tally = Tally()
        self.found = self.tally.found
        self.calls = hooks.calls(client, plan.timeout_s)
        self._told_at = 0.0
        self._wound_up_at = float("inf")
        self._offered_before = 0
        self._observer = Observer(lambda: plan.cluster, events=False, answer_s=ASK_S)

    async def run(self) -> LoadReport:
        plan, hooks = self.plan, self.hooks
        load = await self._prepare()
        await self._offer(load)
        if plan.family in CHECKS:
            hooks.on_phase(CHECKS[plan.family] + (", Ctrl-C again stops that" if hooks.interrupts() else ""))
        await self._unless_cut(load.check(plan.settle_s))
        load.end()
        await self._unless_cut(load.remove(), REMOVE_S)
        return self.tally.report()

    async def _prepare(self) -> FamilyLoad:
        plan, calls, tally = self.plan, self.calls, self.tally
        if plan.family == PUBLISH:
            publish = PublishLoad(plan, calls, tally)
            self.found.prepared = await publish.prepare()
            return publish
        if plan.family == QUEUE:
            consumed = QueueLoad(plan, calls, tally, self.client)
            self.found.prepared = await consumed.prepare()
            return consumed
        if plan.family != KV:
            streams = [one.operation for one in plan.requests.mix if await streams_replies(self.client, one.operation)]
            return RequestLoad(plan, calls, tally, streams)
        ledger = Ledger(f"{plan.name}-", plan.keys.count, Payloads(plan.sizes))
        entry = self.client.location.entry
        copies = 1 if entry is None else min(entry.n, len(entry.members))
        if plan.mix.reads:
            self.hooks.on_phase(f"writing {count(plan.keys.count, 'key')}")
            self.found.prepared = await self._unless_cut(prepare_keys(calls, ledger, self._is_stopped)) or 0

        async def is_settled() -> bool:
            """Whether all nodes of the cluster run and no hint waits, whichever of them the operations go through."""
            return (await asyncio.to_thread(self._observer.look)).settled

        return KvLoad(plan, calls, tally, ledger, copies, is_settled)

    def close(self) -> None:
        self._observer.close()

    def _is_stopped(self) -> bool:
        self.found.stopped = self.found.stopped or self.hooks.is_stopped() or self.hooks.interrupts() > 0
        return self.found.stopped

    async def _unless_cut(self, work: Coroutine[Any, Any, T], least_s: float = 0.0) -> T | None:
        """What `work` returns; None when it was cancelled, because all must end. It has `least_s` in any case."""
        task, not_before = asyncio.ensure_future(work), monotonic() + least_s
        try:
            while not task.done():
                interrupts = self.hooks.interrupts()
                if interrupts:
                    left_s = WIND_UP_S if interrupts == 1 else 0.0
                    self._wound_up_at = min(self._wound_up_at, monotonic() + left_s)
                if monotonic() >= max(self._wound_up_at, not_before):
                    break
                await asyncio.wait([task], timeout=POLL_S)
            return task.result() if task.done() else None
        finally:
            if task.cancel():
                await asyncio.wait([task])

    async def _offer(self, load: FamilyLoad) -> None:
        """Offer operations as long as planned, report the first answer and intervals, and wait for the last answers."""
        plan = self.plan
        began = monotonic() if self.hooks.begin is None else await self.hooks.begin()
        await asyncio.sleep(max(0.0, began - monotonic()))
        ends = began + plan.seconds
        schedule = None if plan.rate is None else ArrivalSchedule(plan.rate, began, ends, plan.process / plan.processes)
        generator = Generator(load.start, self.tally, plan.limit, schedule)
        load.ended = generator.ended
        self.hooks.on_phase("")
        worked_s = process_time()
        generator.begin()
        first, self._told_at = False, began
        while (now := monotonic()) < ends and not self._is_stopped():
            await asyncio.sleep(min(POLL_S, ends - now))
            self.tally.count_fresh()
            if not first and any(kind.ok for kind in self.tally.kinds.values()):
                first = True
                self.hooks.on_first()
            now = monotonic()
            if now >= self._told_at + INTERVAL_S:
                self._tell_interval(generator, began, now)
        worked_s, now = process_time() - worked_s, min(monotonic(), ends)
        generator.end(now)
        await self._unless_cut(generator.idle())
        if self.tally.offered > self._offered_before:
            self._tell_interval(generator, began, monotonic())
        self.found.busy = worked_s / (now - began) if now > began else 0.0
        self.found.sending_s = now - began

    def _tell_interval(self, generator: Generator, began: float, now: float) -> None:
        self.hooks.on_interval(self.tally.interval(now - began, now - self._told_at, generator.in_flight))
        self._told_at, self._offered_before = now, self.tally.offered


async def streams_replies(client: Client, target: str) -> bool:
    """Whether the operation replies with a stream. Raises NotFound when no node offers it; what no node can say now is
    taken for one that does not."""
    service, _, operation = target.rpartition(".")
    answers = await client.ask_all(None, "describe", {"service": service}, timeout=ASK_S)
    found = [answer for answer in answers.values() if not isinstance(answer, ClusterError)]
    offered = [answer["operations"][operation] for answer in found if operation in answer["operations"]]
    if offered:
        return any(one.get("streams", False) for one in offered)
    if found or all(isinstance(answer, NotFound) for answer in answers.values()):
        raise NotFound(f"no live node offers {target}", help="`dsectl services` lists services, `dsectl describe` one.")
    return False
