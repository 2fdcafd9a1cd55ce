"""The story: load, a crash under load, what the survivors notice, the return, and the check of everything promised.

Each step is a short function that does, waits and measures; what it says goes to `Teller`. The processes are touched
through `Actions`, so that a test can spoil one and see the verdict change.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.to_thread

from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from dsectl.demo.check import compare_owners, read_back
from dsectl.demo.findings import Findings
from dsectl.demo.load import Load

if TYPE_CHECKING:
    from cluster.client.aio import Client

POLL_S = 0.01
WARM_UP_S = 2.0
OUTAGE_S = 1.0
"""How much longer the outage lasts once everybody knows of it."""
AFTER_S = 1.0
NOTICE_S, RETURN_S, DELIVERY_S = 8.0, 5.0, 8.0
SHOWCASE = "cart"


class Teller(Protocol):
    """Who shows the story."""

    def step(self, title: str) -> None:
        """A new chapter."""

    def say(self, text: str) -> None:
        """Something was seen or measured."""

    def states(self, matrix: dict[str, dict[str, str]], hints: int) -> None:
        """What each node believes of the others now, and how many copies wait."""


@dataclass(frozen=True)
class Actions:
    """What is done to processes."""

    kill: Callable[[str, list[str]], object] = emulator.kill
    restart: Callable[[str, list[str]], object] = emulator.restart


class Story:
    """One telling."""

    def __init__(self, name: str, client: "Client", found: Findings, teller: Teller, actions: Actions) -> None:
        self.name = name
        self.client = client
        self.found = found
        self.teller = teller
        self.actions = actions
        self.load = Load(client, found)

    async def tell(self) -> None:
        """All of it; findings are filled in on the way."""
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._watch)
            async with self.load.running():
                await self._calm()
                await self._crash()
                await self._come_back()
            await self._check()
            watching.cancel_scope.cancel()

    # -- chapters

    async def _calm(self) -> None:
        self.teller.step("Data, messages and requests flow")
        await self.client.kv.put(SHOWCASE, b"book")
        where = await self.client.admin.explain(SHOWCASE)
        self.found.victim = where["owners"][0]
        self.teller.say(f"key {SHOWCASE!r} lives in partition {where['partition']}, on {', '.join(where['owners'])}")
        await anyio.sleep(WARM_UP_S)
        found = self.found
        self.teller.say(f"{found.acknowledged} writes acknowledged, {found.received} messages received")
        self.teller.say(f"{found.answered} requests answered by {len(found.requests)} nodes")

    async def _crash(self) -> None:
        found, victim = self.found, self.found.victim
        self.teller.step(f"{victim}, an owner, is killed under load (SIGKILL)")
        before = found.acknowledged
        self.killed_at = time.monotonic()
        await anyio.to_thread.run_sync(self.actions.kill, self.name, [victim])
        found.not_alive_s = await self._believed(lambda state: state != "alive", self.killed_at, NOTICE_S)
        self.teller.say(_timed("not alive for any survivor", found.not_alive_s))
        found.dead_s = await self._believed(lambda state: state == "dead", self.killed_at, NOTICE_S)
        self.teller.say(_timed("dead for all survivors", found.dead_s))
        await anyio.sleep(OUTAGE_S)
        found.acknowledged_in_outage = found.acknowledged - before
        found.hints_peak = max(found.hints_peak, await self.hints())
        self.teller.say(f"{found.acknowledged_in_outage} writes acknowledged without it")
        self.teller.say(f"{found.hints_peak} copies wait for it")

    async def _come_back(self) -> None:
        found, victim = self.found, self.found.victim
        self.teller.step(f"{victim} is started again")
        await anyio.to_thread.run_sync(self.actions.restart, self.name, [victim])
        listens = time.monotonic()
        found.longest_gap_s = round(self.load.longest_gap(self.killed_at, listens), 3)
        self.teller.say(
            f"longest time without an acknowledged write since the kill: {found.longest_gap_s * 1000:.0f} ms"
        )
        found.alive_again_s = await self._believed(lambda state: state == "alive", listens, RETURN_S)
        self.teller.say(_timed("alive again for all", found.alive_again_s))
        found.hints_delivered_s = await self._delivered(listens)
        self.teller.say(_timed("all hints delivered", found.hints_delivered_s))
        await anyio.sleep(AFTER_S)

    async def _check(self) -> None:
        found = self.found
        self.teller.step("Everything that was acknowledged is checked")
        await self._delivered(time.monotonic())  # the last writes may have left hints, too
        found.hints_left = await self.hints()
        await compare_owners(self.client, list(self.load.values), found)
        note = f", {found.keys_repaired} of them after a repairing read" if found.keys_repaired else ""
        self.teller.say(f"{found.keys_compared} keys compared at their owners: {len(found.keys_unequal)} differ{note}")
        await read_back(self.client, self.load.values, self.load.written, found)
        self.teller.say(
            f"{found.keys_read} writes read back: {len(found.keys_lost)} lost, {len(found.keys_wrong)} wrong"
        )

    # -- looking

    async def hints(self) -> int:
        """Copies that wait anywhere."""
        answers = await self.client.ask_all(None, "hints", timeout=1.0)
        return sum(answer["pending"] for answer in answers.values() if not isinstance(answer, ClusterError))

    async def _believed(self, wanted: Callable[[str], bool], since: float, limit_s: float) -> float | None:
        """Seconds from `since` until every other running node believes what is wanted of the victim."""
        observers = [name for name in self.client.router.nodes if name != self.found.victim]
        while time.monotonic() - since < limit_s:
            answers = await self.client.ask_all(observers, "members", timeout=1.0)
            tables = [answer for answer in answers.values() if not isinstance(answer, ClusterError)]
            if len(tables) == len(observers) and all(wanted(table[self.found.victim]["state"]) for table in tables):
                return round(time.monotonic() - since, 3)
            await anyio.sleep(POLL_S)
        return None

    async def _delivered(self, since: float) -> float | None:
        """Seconds from `since` until no hint waits."""
        while time.monotonic() - since < DELIVERY_S:
            if await self.hints() == 0:
                return round(time.monotonic() - since, 3)
            await anyio.sleep(POLL_S)
        return None

    async def _watch(self) -> None:
        """Keep the view of the nodes fresh."""
        while True:
            answers = await self.client.ask_all(None, "members", timeout=0.5)
            self.teller.states(matrix_of(answers), await self.hints())
            await anyio.sleep(0.2)


def matrix_of(answers: dict[str, Any]) -> dict[str, dict[str, str]]:
    """observer -> subject -> state; silent observers are left out."""
    return {
        observer: {subject: row["state"] for subject, row in table.items()}
        for observer, table in answers.items()
        if not isinstance(table, ClusterError)
    }


def _timed(what: str, seconds: float | None) -> str:
    return f"{what}: not within the time allowed" if seconds is None else f"{what} after {seconds * 1000:.0f} ms"
