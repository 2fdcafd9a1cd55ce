"""The story: load, a crash under load, what the survivors notice, the return, and the check of everything promised.

Each step is a short function that does, waits and measures; what it says goes to the narrator. Processes are touched
through `Actions`, so that a test can spoil one and see the verdict change.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from cluster.emulator import cluster as emulator
from cluster.errors import ClusterError
from dsectl.demo.check import compare_owners, read_back
from dsectl.demo.findings import Findings
from dsectl.demo.load import Load
from dsectl.demo.narrator import Narrator, duration

if TYPE_CHECKING:
    from cluster.client.aio import Client

POLL_S = 0.01
WATCH_S = 0.2
WARM_UP_S = 2.0
OUTAGE_S = 2.0
"""How much longer the outage lasts once everybody knows of it."""
AFTER_S = 1.5
NOTICE_S, RESTART_S, RETURN_S, DELIVERY_S = 8.0, 8.0, 5.0, 8.0
PATIENCE_S = 3.0
"""For owners to become equal: a write under way becomes a hint within 1 s, and hints are sent again each 0.25 s."""
SHOWCASE = "cart"


def _restart(name: str, nodes: list[str]) -> object:
    return emulator.restart(name, nodes, RESTART_S)


@dataclass(frozen=True)
class Actions:
    """What is done to processes."""

    kill: Callable[[str, list[str]], object] = emulator.kill
    restart: Callable[[str, list[str]], object] = _restart


class Story:
    """One telling."""

    def __init__(self, client: "Client", found: Findings, narrator: Narrator, actions: Actions) -> None:
        self.client = client
        self.found = found
        self.narrator = narrator
        self.actions = actions
        self.load = Load(client, found)
        self.outage_keys: list[str] = []
        self.killed_at = self.ended_at = 0.0
        self.is_down = False

    async def tell(self) -> None:
        """All of it; findings are filled in on the way."""
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._watch)
            async with self.load.running():
                await self._calm()
                await self._crash()
                await self._outage()
                await self._come_back()
            await self._check()
            watching.cancel_scope.cancel()

    # -- chapters

    async def _calm(self) -> None:
        say, found = self.narrator.say, self.found
        self.narrator.step("Writes, messages and requests flow")
        await self.load.write(SHOWCASE, b"book")
        where = await self.client.admin.explain(SHOWCASE)
        found.victim = where["owners"][0]
        say(f"key {SHOWCASE!r} lives in partition {where['partition']}, owned by {', '.join(where['owners'])}")
        await anyio.sleep(WARM_UP_S)
        say(f"{found.acknowledged} writes acknowledged, coordinated by {len(found.coordinators)} nodes")
        say(f"{found.received} messages delivered by {self.load.subscriber}, {found.received_across} from other nodes")
        say(f"{found.answered} requests answered: {_by_node(found.requests)}")

    async def _crash(self) -> None:
        found, victim = self.found, self.found.victim
        self.narrator.step(f"{victim}, an owner of {SHOWCASE!r}, is killed under load (SIGKILL)")
        self.killed_at = time.monotonic()
        await anyio.to_thread.run_sync(self.actions.kill, self.client.location.name, [victim])
        self.ended_at = time.monotonic()
        self.is_down = True
        found.not_alive_s = await self._believed(lambda state: state != "alive", self.killed_at, NOTICE_S)
        self.narrator.timed("suspected by all survivors", found.not_alive_s)
        found.avoided_s = await self._avoided()
        self.narrator.timed("first write that went round it acknowledged", found.avoided_s)
        found.dead_s = await self._believed(lambda state: state == "dead", self.killed_at, NOTICE_S)
        self.narrator.timed("declared dead by all survivors", found.dead_s)

    async def _outage(self) -> None:
        found, victim, load, say = self.found, self.found.victim, self.load, self.narrator.say
        self.narrator.step(f"The others serve on without {victim}")
        await load.write(SHOWCASE, b"book, pen")
        await anyio.sleep(OUTAGE_S)
        await self._note_hints(self._others())
        now = time.monotonic()
        self.outage_keys = load.keys_written(self.ended_at, now)
        found.outage_s = round(now - self.ended_at, 3)
        found.writes_in_outage = len(self.outage_keys)
        found.received_in_outage = load.received(self.ended_at, now)
        found.requests_in_outage = load.answered_by(self.ended_at, now)
        say(f"{found.writes_in_outage} writes acknowledged without it; {found.hints_peak} hints wait for it")
        answered = sum(found.requests_in_outage.values())
        say(f"{found.received_in_outage} messages delivered by {load.subscriber}")
        say(f"{answered} requests answered: {_by_node(found.requests_in_outage)}")

    async def _come_back(self) -> None:
        found, victim = self.found, self.found.victim
        self.narrator.step(f"{victim} is started again")
        began = time.monotonic()
        await anyio.to_thread.run_sync(self.actions.restart, self.client.location.name, [victim])
        listens = time.monotonic()
        self.is_down = False
        found.restart_s = round(listens - began, 3)
        self.narrator.timed("its process listens", found.restart_s)
        found.longest_gap_s = round(self.load.longest_gap(self.killed_at, listens), 3)
        found.alive_again_s = await self._believed(lambda state: state == "alive", listens, RETURN_S)
        self.narrator.timed("alive again for all others", found.alive_again_s)
        found.hints_delivered_s = await self._delivered(listens)
        self.narrator.timed("all hints delivered", found.hints_delivered_s)
        self.narrator.say(f"longest time without an acknowledged write: {duration(found.longest_gap_s)}")
        await anyio.sleep(AFTER_S)

    async def _check(self) -> None:
        found, say = self.found, self.narrator.say
        self.narrator.step("Everything that was acknowledged is checked")
        began = time.monotonic()
        await self._delivered(began)  # the last writes may have left hints, too
        found.hints_left = await self.hints(None)
        expected = self.load.expected
        say(f"the owners of {len(expected)} keys are asked what they hold")
        comparison = await compare_owners(self.client, list(expected), found, PATIENCE_S)
        if found.keys_compared == len(expected):
            found.owners_equal_s = round(time.monotonic() - began, 3)
        for owner, digest in comparison.equal.get(SHOWCASE, {}).items():
            say(f"{owner} holds {SHOWCASE!r} with digest {digest[:12]}")
        repaired = f" ({found.keys_repaired} after a repairing read)" if found.keys_repaired else ""
        say(f"{found.keys_compared} of {len(expected)} keys equal at all their owners{repaired}")
        owned = [key for key in self.outage_keys if found.victim in comparison.equal.get(key, {})]
        found.keys_caught_up = len(set(owned))
        say(f"{found.victim} owns and holds {found.keys_caught_up} keys that were written while it was away")
        say("every key is read with `strict`")
        await read_back(self.client, expected, found)
        say(
            f"{found.keys_read} of {len(expected)} keys read back: "
            f"{len(found.keys_lost)} lost, {len(found.keys_wrong)} wrong"
        )

    # -- looking

    async def hints(self, nodes: list[str] | None) -> int | None:
        """Copies that wait at `nodes` (all, for None); None when one of them did not say."""
        answers = await self.client.ask_all(nodes, "hints", timeout=1.0)
        if any(isinstance(answer, ClusterError) for answer in answers.values()):
            return None
        return sum(int(answer["pending"]) for answer in answers.values())

    async def _note_hints(self, nodes: list[str]) -> int | None:
        """As `hints`; the most that waited at once during the outage is remembered."""
        hints = await self.hints(nodes)
        if self.is_down:
            self.found.hints_peak = max(self.found.hints_peak, hints or 0)
        return hints

    def _others(self) -> list[str]:
        return [name for name in self.client.router.nodes if name != self.found.victim]

    async def _avoided(self) -> float | None:
        """Seconds from the kill until the first write for which somebody stood in was acknowledged."""
        while time.monotonic() - self.killed_at < NOTICE_S:
            seconds = self.load.avoided(self.killed_at)
            if seconds is not None:
                return round(seconds, 3)
            await anyio.sleep(POLL_S)
        return None

    async def _believed(self, wanted: Callable[[str], bool], since: float, limit_s: float) -> float | None:
        """Seconds from `since` until every other node believes what is wanted of the victim."""
        observers = self._others()
        while time.monotonic() - since < limit_s:
            answers = await self.client.ask_all(observers, "members", timeout=1.0)
            tables = [answer for answer in answers.values() if not isinstance(answer, ClusterError)]
            if len(tables) == len(observers) and all(wanted(table[self.found.victim]["state"]) for table in tables):
                return round(time.monotonic() - since, 3)
            await anyio.sleep(POLL_S)
        return None

    async def _delivered(self, since: float) -> float | None:
        """Seconds from `since` until no hint waits anywhere."""
        while time.monotonic() - since < DELIVERY_S:
            if await self.hints(None) == 0:
                return round(time.monotonic() - since, 3)
            await anyio.sleep(POLL_S)
        return None

    async def _watch(self) -> None:
        """Keep the view of the nodes fresh."""
        while True:
            answers = await self.client.ask_all(None, "members", timeout=0.5)
            matrix = matrix_of(answers)
            self.narrator.teller.states(matrix, await self._note_hints(list(matrix)))
            await anyio.sleep(WATCH_S)


def matrix_of(answers: dict[str, Any]) -> dict[str, dict[str, str]]:
    """observer -> subject -> state; silent observers are left out."""
    return {
        observer: {subject: row["state"] for subject, row in table.items()}
        for observer, table in answers.items()
        if not isinstance(table, ClusterError)
    }


def _by_node(counts: dict[str, int]) -> str:
    """`n1 20, n2 31`, in the order of the nodes' numbers."""
    names = sorted(counts, key=lambda name: (len(name), name))
    return ", ".join(f"{name} {counts[name]}" for name in names) or "nobody answered"
