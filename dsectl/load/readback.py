"""Every acknowledged write is read back, strictly, and until the cluster has had the time to repair itself.

A promise counts as broken only if a strict read that was not degraded misses it after every node has said that it
votes and keeps no hint for anybody: before that, the copy may be on its way. What could not be read so until the
deadline is `unchecked`, which makes a run inconclusive, never green.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic

from cluster.client.aio import Calls, Got, Outcome
from dsectl.load.ledger import Key, Ledger
from dsectl.load.tally import EXAMPLES_MAX, Report

AT_ONCE = 64
PAUSE_S = 0.1
FIRST_S = 2.0


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
        self._begun = False

    async def run(self, patience_s: float) -> None:
        """Read all keys; those in doubt again and again for so long. The first time is given FIRST_S at least. When it
        is cancelled, what was read by then counts."""
        until = monotonic() + patience_s
        self.left, self._begun = self.ledger.written(), True
        settled, at_least = False, monotonic() + FIRST_S
        while True:
            answers: dict[str, Outcome] = {}
            try:
                await read_all(self.calls, self.left, max(until, at_least), answers)
            finally:
                self.left = [key for key in self.left if not self._decide(key, answers.get(key.name), settled)]
            at_least = 0.0
            if not self.left or monotonic() >= until:
                return
            await asyncio.sleep(PAUSE_S)
            settled = await self.is_settled()

    def _decide(self, key: Key, answer: Outcome | None, settled: bool) -> bool:
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
        report.unchecked += len(self.left if self._begun else self.ledger.written())
        report.examples += self.examples


async def read_all(calls: Calls, keys: Iterable[Key], until: float, answers: dict[str, Outcome]) -> None:
    """Read each key strictly, some at a time; its outcome is put among the answers, by name. Those that the time did
    not suffice for are missing."""
    waiting = iter(list(keys))
    idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    under_way = 0

    def next_one() -> None:
        nonlocal under_way
        left_s = until - monotonic()
        key = next(waiting, None) if left_s > 0 else None
        if key is not None:
            under_way += 1
            name = key.name
            calls.get(name, lambda outcome: ended(name, outcome), strict=True, within=min(calls.timeout, left_s))
        elif under_way == 0 and not idle.done():
            idle.set_result(None)

    def ended(name: str, outcome: Outcome) -> None:
        nonlocal under_way
        under_way -= 1
        answers[name] = outcome
        next_one()

    for _ in range(AT_ONCE):
        next_one()
    await idle
