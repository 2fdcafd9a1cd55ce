"""The demo: a cluster of its own on a leash, load, a crash under load, what the survivors notice, the return, and the
check of everything promised; then the verdict, and nothing is left running, whatever happens.

The load is that of `dsectl load`, one session for each family. Waiting is for conditions, bounded by the time that is
left, so that a busy machine tells the same story, only later. Processes are killed and restarted by functions that a
test can spoil, to see the verdict change.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import cluster
from cluster.emulator import cluster as emulator
from cluster.emulator.spec import ClusterSpec, timestamp
from cluster.errors import ClusterError
from dsectl.cli.loop import run_loop
from dsectl.demo.findings import Findings, Step, judge
from dsectl.demo.witness import Witness, WitnessedCalls, within
from dsectl.load.account import account_of, promises
from dsectl.load.plan import KV, PUBLISH, QUEUE, READ, REQUEST, UNIFORM, WRITE, KeySpace, LoadPlan, Mix
from dsectl.load.session import Hooks, run_session
from dsectl.load.tally import LoadReport
from dsectl.snapshot.observer import Observer, Poller
from dsectl.snapshot.snapshot import Snapshot
from dsectl.ui.text import count
from dsectl.ui.units import show_duration
from dsectl.ui.verdicts import Verdict

LIMIT_S = 30.0
"""The story is cut short at this age; with a restart that is under way and the end, the whole takes at most 40 s."""
UP_S = 15.0
LOOK_S = 0.02
"""Between two looks at all nodes: times of what they notice are as exact as this."""
ANSWER_S = 1.0
POLL_S = 0.01
WARM_UP_S = 2.0
OUTAGE_S = 2.0
"""How much longer the outage lasts once all survivors have noticed it."""
AFTER_S = 1.5
NOTICE_S, RESTART_S, RETURN_S, DELIVERY_S = 10.0, 10.0, 10.0, 8.0
"""Several times what they take on two busy cores: a crash is known in 2 s, a node listens in 1 s."""
PATIENCE_S = 3.0
"""For owners to become equal: a write under way becomes a hint within 1 s, and hints are sent again each 0.25 s."""
SHOWCASE = "cart"
BEFORE, DURING = b"book", b"book, pen"
RATES = {KV: 400.0, PUBLISH: 80.0, REQUEST: 80.0, QUEUE: 80.0}
"""Operations a second: well below what two busy cores do."""
MIX = Mix({WRITE: 3, READ: 1}, UNIFORM)
KEYS = 500
AT_ONCE = 32


class Teller:
    """Keeps the story as the steps of the findings; how it is shown is up to its children."""

    def __init__(self, found: Findings) -> None:
        self.found = found
        self.began = time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self.began

    def step(self, title: str) -> None:
        """A new chapter."""
        self.found.steps.append(Step(round(self.age_s, 3), title))
        self.show(title, is_title=True)

    def say(self, text: str) -> None:
        """Something was seen or measured in this chapter."""
        self.found.steps[-1].seen.append(text)
        self.show(text)

    def timed(self, what: str, seconds: float | None) -> None:
        """Something that was waited for happened, or did not."""
        self.say(f"{what}: not in the time allowed" if seconds is None else f"{what} after {show_duration(seconds)}")

    def show(self, text: str, is_title: bool = False) -> None:
        """The title of a chapter, or a line of it."""

    def states(self, matrix: dict[str, dict[str, str]], hints: int | None) -> None:
        """How each node sees the others now (observer -> subject -> state, silent ones left out), and how many hints
        wait, if all that run have answered."""


RESTART = partial(emulator.restart, wait_s=RESTART_S)
Action = Callable[[str, list[str]], object]
"""What is done to processes of a cluster."""


def run_demo(
    teller: Teller,
    *,
    keep: bool = False,
    kill: Action = emulator.kill,
    restart: Action = RESTART,
    limit_s: float = LIMIT_S,
) -> Verdict:
    """Tell the story with a fresh cluster of so many nodes as the teller's findings say, and judge. They fill on the
    way, for a live view.

    With `keep` the cluster stays, unless the story was interrupted. Raises what `up`, a restart or the client raises.
    """
    found = teller.found
    found.cluster = f"demo-{os.urandom(3).hex()}"
    teller.step(f"A cluster of {found.nodes} nodes starts")
    with emulator.fresh(ClusterSpec(name=found.cluster, nodes=found.nodes), UP_S, keeps=keep) as report:
        found.ready_s = round(report.ready_s, 3)
        teller.timed("all see all", found.ready_s)
        teller.say(f"processes {', '.join(str(process.pid) for process in report.nodes.values())}")
        run_loop(DemoStory(teller, kill, restart).tell(limit_s - teller.age_s))
    if keep:
        teller.say(f"the cluster stays: `dsectl -C {found.cluster} status`")
    found.took_s = round(teller.age_s, 3)
    return judge(found)


class DemoStory:
    """One telling. Chapters do, wait and measure; `found` fills on the way."""

    def __init__(self, teller: Teller, kill: Action, restart: Action) -> None:
        self.teller = teller
        self.found = teller.found
        self.kill = kill
        self.restart = restart
        self.client = cluster.connect(self.found.cluster)
        self.witness = Witness(self.found)
        self.killed_at = self.ended_at = 0.0
        self.seen: Snapshot | None = None
        self.is_down = False
        self.outage_keys: set[str] = set()
        self._stopping = False
        self._began_at = timestamp()
        self._loads: dict[str, asyncio.Task[LoadReport]] = {}
        self._plans: dict[str, LoadPlan] = {}

    async def tell(self, limit_s: float) -> None:
        """All of it, or as much as there is time for."""
        async with self.client:
            looking = asyncio.create_task(self._look())
            try:
                async with asyncio.timeout(limit_s):
                    for chapter in (self._calm, self._crash, self._outage, self._come_back, self._check):
                        await chapter()
            except TimeoutError:
                self.found.cut_short = True
                self.teller.say("the time is up")
                await self._end_loads()
            finally:  # what still runs in the background
                tasks = [looking, *self._loads.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _end_loads(self) -> None:
        """Offer nothing more; each load checks what it was promised, and gives its account."""
        self._stopping = True
        for family, load in self._loads.items():
            await asyncio.wait([load])  # which, unlike awaiting it, does not cancel it when the time is up
            self.found.load[family] = account_of(self._plans[family], load.result(), self._began_at)

    # -- chapters

    async def _calm(self) -> None:
        found, witness, say = self.found, self.witness, self.teller.say
        self.teller.step("Writes, messages, requests and jobs of a queue flow")
        await self.client.kv.put(SHOWCASE, BEFORE)
        where = await self.client.admin.explain(SHOWCASE)
        found.victim = where["owners"][0]
        say(f"key {SHOWCASE!r} is in partition {where['partition']}, owned by {', '.join(where['owners'])}")
        began = time.monotonic()
        calls = partial(WitnessedCalls, witness=witness)
        hooks = Hooks(is_stopped=lambda: self._stopping, interrupts=lambda: 2 if found.cut_short else 0, calls=calls)
        for family, rate in RATES.items():
            self._plans[family] = plan = LoadPlan(
                family, found.cluster, os.urandom(3).hex(), rate, LIMIT_S, mix=MIX, keys=KeySpace(KEYS),
                settle_s=DELIVERY_S,
            )  # fmt: skip
            self._loads[family] = asyncio.create_task(run_session(plan, hooks))
        await asyncio.sleep(WARM_UP_S)
        await self._when(
            lambda: len(found.coordinators) > 1 and found.messages_across > 0 and len(found.answered_by) > 1,
            began,
            NOTICE_S,
        )
        say(f"{count(found.writes, 'write')} acknowledged, coordinated by {len(found.coordinators)} nodes")
        say(
            f"{count(found.messages, 'message')} delivered by {witness.subscriber}, "
            f"{found.messages_across} published at other nodes"
        )
        say(f"{count(found.requests, 'request')} answered: {_counts(found.answered_by)}")
        say(f"{count(found.jobs, 'job')} taken from the queue and done")

    async def _crash(self) -> None:
        found, victim, timed = self.found, self.found.victim, self.teller.timed
        self.teller.step(f"{victim}, an owner of {SHOWCASE!r}, is killed under load (SIGKILL)")
        self.killed_at = time.monotonic()
        await asyncio.to_thread(self.kill, found.cluster, [victim])
        self.ended_at = time.monotonic()
        self.is_down = True
        found.not_alive_s = await self._seen(lambda state: state != "alive", self.killed_at, NOTICE_S)
        timed("suspected by all survivors", found.not_alive_s)
        await self._when(lambda: self.witness.avoided_at(self.killed_at) is not None, self.killed_at, NOTICE_S)
        avoided_at = self.witness.avoided_at(self.killed_at)
        found.avoided_s = None if avoided_at is None else round(avoided_at - self.killed_at, 3)
        timed("first write with a hint for it acknowledged", found.avoided_s)
        found.dead_s = await self._seen(lambda state: state == "dead", self.killed_at, NOTICE_S)
        timed("declared dead by all survivors", found.dead_s)

    async def _outage(self) -> None:
        found, witness, say = self.found, self.witness, self.teller.say
        self.teller.step(f"The others serve on without {found.victim}")
        seen = await self.client.kv.get(SHOWCASE)
        await self.client.kv.put(SHOWCASE, DURING, context=seen.context)
        say(f"{SHOWCASE!r} is written again, {DURING.decode()!r} instead of {BEFORE.decode()!r}")
        began = time.monotonic()
        await asyncio.sleep(OUTAGE_S)
        answered = (witness.writes, witness.messages, witness.requests, witness.jobs)
        await self._when(
            lambda: found.hints_peak > 0 and all(one and one[-1].began >= self.ended_at for one in answered),
            began,
            NOTICE_S,
        )
        now = time.monotonic()
        found.outage_s = round(now - self.ended_at, 3)
        found.writes_in_outage = len(within(witness.writes, self.ended_at, now))
        found.messages_in_outage = len(within(witness.messages, self.ended_at, now))
        found.requests_in_outage = dict(Counter(one.node for one in within(witness.requests, self.ended_at, now)))
        found.jobs_in_outage = len(within(witness.jobs, self.ended_at, now))
        self.outage_keys = {one.key for one in within(witness.writes, self.ended_at, now)} | {SHOWCASE}
        say(
            f"{count(found.writes_in_outage, 'write')} acknowledged without it; "
            f"{count(found.hints_peak, 'hint waits', 'hints wait')} for it"
        )
        say(f"{count(found.messages_in_outage, 'message')} delivered by {witness.subscriber}")
        say(f"{count(sum(found.requests_in_outage.values()), 'request')} answered: {_counts(found.requests_in_outage)}")
        say(f"{count(found.jobs_in_outage, 'job')} taken from the queue and done")

    async def _come_back(self) -> None:
        found, timed = self.found, self.teller.timed
        self.teller.step(f"{found.victim} is started again")
        began = time.monotonic()
        await asyncio.to_thread(self.restart, found.cluster, [found.victim])
        self.is_down, listens = False, time.monotonic()
        found.restart_s = round(listens - began, 3)
        timed("its process listens", found.restart_s)
        found.longest_gap_s = round(self.witness.longest_gap_s(self.killed_at, listens), 3)
        found.alive_again_s = await self._seen(lambda state: state == "alive", listens, RETURN_S)
        timed("considered alive by all others", found.alive_again_s)
        found.hints_delivered_s = await self._when(lambda: self._hints_after(listens) == 0, listens, DELIVERY_S)
        timed("all hints delivered", found.hints_delivered_s)
        self.teller.say(f"longest time without an acknowledged write: {show_duration(found.longest_gap_s)}")
        await asyncio.sleep(AFTER_S)

    async def _check(self) -> None:
        found, say = self.found, self.teller.say
        self.teller.step("Everything that was acknowledged is checked")
        say("the loads end, every key is read back strictly, and the queue is drained")
        await self._end_loads()
        for family, account in found.load.items():
            say(f"load {family}: {promises(account)}")
        ended = time.monotonic()
        await self._when(lambda: self._hints_after(ended) == 0, ended, DELIVERY_S)  # the last writes may leave hints
        found.hints_left = self._hints_after(ended)
        await self._compare_owners()
        try:
            found.showcase_kept = (await self.client.kv.get(SHOWCASE, strict=True)).siblings == [DURING]
        except ClusterError:
            pass  # it was not read: nothing is known
        say(f"{SHOWCASE!r} holds {'what was written' if found.showcase_kept else 'not what was written'} meanwhile")

    # -- looking

    async def _look(self) -> None:
        """Take the snapshots of a poller, for as long as the story lasts."""
        poller = Poller(Observer(lambda: self.client.location.name, events=False), LOOK_S, lambda: None)
        poller.start()
        try:
            while True:
                for seen in poller.take():
                    self.seen = seen
                    if self.is_down:
                        self.found.hints_peak = max(self.found.hints_peak, seen.hints().get(self.found.victim, 0))
                    self.teller.states(seen.matrix, self._hints_after(0.0))
                await asyncio.sleep(LOOK_S)
        finally:
            poller.stop()

    def _hints_after(self, since: float) -> int | None:
        """The hints that wait anywhere, by a look that began after `since`; None when one that runs did not answer."""
        seen = self.seen
        if seen is None or seen.at < since or seen.answering < self.found.nodes - self.is_down:
            return None
        return sum(seen.hints().values())

    async def _seen(self, wanted: Callable[[str], bool], since: float, limit_s: float) -> float | None:
        """Seconds from `since` until each other node has the victim in a wanted state."""

        def all_see() -> bool:
            seen = self.seen
            if seen is None or seen.at < since:
                return False
            states = [row.get(victim, "") for name, row in seen.matrix.items() if name != victim]
            return len(states) == self.found.nodes - 1 and all(map(wanted, states))

        victim = self.found.victim
        return await self._when(all_see, since, limit_s)

    async def _when(self, condition: Callable[[], bool], since: float, limit_s: float) -> float | None:
        """Seconds from `since` until a condition holds; None if it does not in time."""
        while not condition():
            if time.monotonic() - since >= limit_s:
                return None
            await asyncio.sleep(POLL_S)
        return round(time.monotonic() - since, 3)

    async def _compare_owners(self) -> None:
        """Ask the owners of each acknowledged key for the digests of their copies, for a while where they differ."""
        found, say, free = self.found, self.teller.say, asyncio.Semaphore(AT_ONCE)

        async def held(key: str) -> dict[str, str] | None:
            """The digest of each owner's copy, empty where there is none; None when an owner did not answer, or they do
            not agree who they are."""
            async with free:
                answers = await self.client.ask_all(None, "explain", {"key": key}, timeout=ANSWER_S)
            answered = {name: answer for name, answer in answers.items() if not isinstance(answer, ClusterError)}
            owners: list[str] = next((answer["owners"] for answer in answered.values()), [])
            if not owners or any(owner not in answered or answered[owner]["owners"] != owners for owner in owners):
                return None
            return {owner: answered[owner]["held"]["digest"] if answered[owner]["held"] else "" for owner in owners}

        keys = sorted({one.key for one in self.witness.writes} | {SHOWCASE})
        equal: dict[str, dict[str, str]] = {}
        say(f"the owners of {count(len(keys), 'key')} are asked what they hold")
        until, unsure = time.monotonic() + PATIENCE_S, keys
        while unsure and time.monotonic() < until:
            copies = dict(zip(unsure, await asyncio.gather(*map(held, unsure)), strict=True))
            equal |= {
                key: one for key, one in copies.items() if one and len(set(one.values())) == 1 and all(one.values())
            }
            unsure = [key for key in keys if key not in equal]
            found.keys_unequal = [key for key in unsure if copies[key] is not None]
        found.keys_acknowledged, found.keys_compared = len(keys), len(equal)
        found.keys_caught_up = len([key for key in self.outage_keys if found.victim in equal.get(key, {})])
        for owner, digest in equal.get(SHOWCASE, {}).items():
            say(f"{owner} holds {SHOWCASE!r} with digest {digest[:12]}")
        say(f"{len(equal)} of {len(keys)} keys equal at all their owners")
        say(f"{found.victim} owns and holds {found.keys_caught_up} keys that were written while it was away")


def _counts(nodes: dict[str, int]) -> str:
    """`n1 20, n2 31`, in the order of the nodes' numbers."""
    names = sorted(nodes, key=lambda name: (len(name), name))
    return ", ".join(f"{name} {nodes[name]}" for name in names) or "none"
