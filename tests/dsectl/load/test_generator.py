"""The generator on a real loop with operations that a test answers: rates, limits, and who is to blame for waiting."""

import asyncio
import time
from collections.abc import Callable

from dsectl.load.account import account_of
from dsectl.load.generator import BURST, Generator
from dsectl.load.plan import Plan
from dsectl.load.schedule import Schedule
from dsectl.load.tally import Tally
from dsectl.load.verdict import judge
from dsectl.ui.verdict import INCONCLUSIVE

SECONDS = 0.3


class Rig:
    """A generator, and what it started."""

    def __init__(self, limit: int, rate: float | None, on_start: Callable[["Rig"], None]) -> None:
        self.tally = Tally()
        self.due: list[float] = []
        self.most = 0
        self.on_start = on_start
        self.began = time.monotonic()
        schedule = None if rate is None else Schedule(rate, self.began, self.began + SECONDS)
        self.generator = Generator(self.start, self.tally, limit, schedule)

    def start(self, due: float) -> None:
        self.due.append(due)
        self.most = max(self.most, self.generator.in_flight)
        self.on_start(self)

    def answer(self, after_s: float) -> None:
        kind = self.tally.kind("x")
        kind.ok += 1
        asyncio.get_running_loop().call_later(after_s, self.generator.ended, False)


def run(limit: int, rate: float | None, on_start: Callable[[Rig], None], seconds: float = SECONDS) -> Rig:
    async def offer() -> Rig:
        rig = Rig(limit, rate, on_start)
        rig.generator.begin()
        await asyncio.sleep(seconds)
        rig.generator.end(time.monotonic())
        await asyncio.wait_for(rig.generator.idle(), 5)
        return rig

    return asyncio.run(offer())


def test_an_open_loop_keeps_its_rate_whatever_is_answered() -> None:
    rig = run(10_000, 1000, lambda rig: rig.answer(0.2))
    assert rig.tally.offered == len(rig.due) == 300 - rig.generator.missed
    assert rig.generator.unsent == 0 and rig.most > 20, "it did not wait for answers"
    assert rig.due == sorted(rig.due)


def test_a_full_house_makes_operations_wait_and_their_wait_counts() -> None:
    rig = run(2, 1000, lambda rig: rig.answer(0.05))
    assert rig.most == 2
    assert rig.generator.unsent > 200 and rig.generator.missed == 0, "the answers were late, not the generator"
    assert rig.tally.unsent.count == rig.generator.unsent
    longest = rig.tally.unsent.max_ms()
    assert longest is not None and longest > 200
    assert rig.tally.offered + rig.generator.unsent == 300


def test_a_slow_generator_is_found_out_and_the_cluster_is_not_blamed() -> None:
    def slowly(rig: Rig) -> None:
        time.sleep(0.002)  # each start takes 2 ms, so that 1,000 a second cannot be kept
        rig.answer(0)

    rig = run(10_000, 1000, slowly)
    assert rig.generator.missed > 50 and rig.generator.unsent == 0
    report = rig.tally.report()
    report.missed, report.sending_s = rig.generator.missed, SECONDS
    account = account_of(Plan("kv", "c", "run", rate=1000.0), report, "now")
    verdict = judge(account)
    assert verdict.verdict == INCONCLUSIVE and "could not keep its rate" in verdict.reasons[0]


def test_a_closed_loop_never_has_more_under_way_than_clients() -> None:
    rig = run(5, None, lambda rig: rig.answer(0.01))
    assert rig.most == 5 and 50 < rig.tally.offered <= 5 * SECONDS / 0.01 + 5


def test_a_refused_client_pauses() -> None:
    def refuse(rig: Rig) -> None:
        asyncio.get_running_loop().call_soon(rig.generator.ended, True)

    rig = run(3, None, refuse)
    assert 3 <= rig.tally.offered <= 3 * (SECONDS / 0.01 + 2), "not as often as a loop can turn"


def test_a_burst_lets_answers_in_between() -> None:
    seen: list[int] = []

    def start(rig: Rig) -> None:
        seen.append(len(seen))
        rig.answer(0)

    async def offer() -> int:
        rig = Rig(10_000, 100_000, start)
        time.sleep(0.01)  # noqa: ASYNC251 - 1,000 are due at once
        rig.generator.begin()
        first = len(seen)
        rig.generator.end(time.monotonic())
        await rig.generator.idle()
        return first

    assert 0 < asyncio.run(offer()) <= BURST
