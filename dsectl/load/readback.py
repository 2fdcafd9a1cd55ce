"""Every acknowledged write is read back, strictly, and until the cluster has had the time to repair itself.

A promise counts as broken only if a strict read that was not degraded misses it after every node has said that it
votes and keeps no hint for anybody: before that, the copy may be on its way. What could not be read so until the
deadline is `unchecked`, which makes a run inconclusive, never green.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

from cluster.client.calls import Calls, Got, Outcome
from dsectl.load.ledger import Key, Ledger
from dsectl.load.tally import EXAMPLES_MAX, Report

AT_ONCE = 64
PAUSE_S = 0.1


class ReadBack:
    """`is_settled` asks all nodes, and says whether nothing is on its way any more."""

    def __init__(self, calls: Calls, ledger: Ledger, is_settled: Callable[[], Awaitable[bool]]) -> None:
        self.calls = calls
        self.ledger = ledger
        self.is_settled = is_settled
        self.examples: list[str] = []
        self.lost = self.unexpected = self.checked = 0
        self.left: list[Key] = []
        """Keys of which nothing can be said yet."""

    async def run(self, patience_s: float) -> None:
        """Read all keys; those in doubt again and again for so long."""
        until = monotonic() + patience_s
        self.left = self.ledger.written()
        settled = False
        while True:
            answers = await read_all(self.calls, self.left)
            self.left = [key for key, answer in answers if not self._decide(key, answer, settled)]
            if not self.left or monotonic() >= until:
                return
            await asyncio.sleep(PAUSE_S)
            settled = await self.is_settled()

    def _decide(self, key: Key, answer: Outcome, settled: bool) -> bool:
        """Whether all is said about a key now."""
        if not isinstance(answer, Got):
            return False
        values = answer.siblings
        kept, risen = self.ledger.is_kept(key, values), self.ledger.risen(key, values)
        strange = self.ledger.unexpected(key, values)
        sure = settled and not answer.degraded
        if not sure and not strange and (risen or not kept):
            return False
        self.checked += 1
        self.lost += sure and not kept
        self.unexpected += len(strange) + (len(risen) if sure else 0)
        if sure and not kept:
            self._say(f"{key.name}: write {key.acknowledged} was acknowledged and is lost")
        for value in strange:
            self._say(f"{key.name} holds {value[:40]!r}, which was never written")
        for value in risen if sure else ():
            self._say(f"{key.name} holds {value[:40]!r} beside the write that replaced it")
        return True

    def _say(self, text: str) -> None:
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(text)

    def enter(self, report: Report) -> None:
        """Write the findings down."""
        report.lost += self.lost
        report.unexpected += self.unexpected
        report.checked += self.checked
        report.unchecked += len(self.left)
        report.examples += self.examples


async def read_all(calls: Calls, keys: Iterable[Key]) -> list[tuple[Key, Outcome]]:
    """Each key with the outcome of a strict read, some at a time."""
    waiting = iter(list(keys))
    answers: list[tuple[Key, Outcome]] = []
    idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    under_way = 0

    def next_one() -> None:
        nonlocal under_way
        key = next(waiting, None)
        if key is None:
            if under_way == 0 and not idle.done():
                idle.set_result(None)
            return
        under_way += 1
        calls.get(key.name, lambda outcome: ended(key, outcome), strict=True)

    def ended(key: Key, outcome: Outcome) -> None:
        nonlocal under_way
        under_way -= 1
        answers.append((key, outcome))
        next_one()

    for _ in range(AT_ONCE):
        next_one()
    await idle
    return answers
