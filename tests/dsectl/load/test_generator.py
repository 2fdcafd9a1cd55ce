"""The generator on a real loop with operations that a test answers: rates, limits, and who is to blame for waiting."""

import asyncio
import time
from collections.abc import Callable

import pytest

from dsectl.load import generator
from dsectl.load.account import account_of, judge
from dsectl.load.generator import BURST, ArrivalSchedule, Generator
from dsectl.load.plan import LoadPlan
from dsectl.load.tally import Tally
from dsectl.ui.verdicts import INCONCLUSIVE, PASSED, Verdict

SECONDS = 0.3


class Rig:
    """A generator, and what it started."""

    def __init__(self, limit: int, rate: float | None, on_start: Callable[["Rig"], None]) -> None:
        self.tally = Tally()
        self.due: list[float] = []
        self.most = 0
        self.on_start = on_start
        self.began = self.ended = time.monotonic()
        schedule = None if rate is None else ArrivalSchedule(rate, self.began, self.began + SECONDS)
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
        rig.ended = time.monotonic()
        rig.generator.end(rig.ended)
        await asyncio.wait_for(rig.generator.idle(), 30)
        return rig

    return asyncio.run(offer())


def test_an_open_loop_keeps_its_rate_whatever_is_answered() -> None:
    rig = run(10_000, 1000, lambda rig: rig.answer(0.2))
    assert rig.tally.offered == len(rig.due) == 300 - rig.tally.found.missed
    assert rig.tally.found.unsent == 0 and rig.most > 20, "it did not wait for answers"
    assert rig.due == sorted(rig.due)


def test_a_full_house_makes_operations_wait_and_their_wait_counts() -> None:
    rig = run(2, 1000, lambda rig: rig.answer(0.05))
    assert rig.most == 2
    assert rig.tally.found.unsent > 200 and rig.tally.found.missed == 0, "the answers were late, not the generator"
    assert rig.tally.unsent.count == rig.tally.found.unsent
    longest = rig.tally.unsent.percentile_ms(100.0)
    assert longest is not None and longest > 200
    assert rig.tally.offered + rig.tally.found.unsent == 300


class Clock:
    """Stands in for `monotonic`, and moves when a test says so: what is judged does not depend on the machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(generator, "monotonic", lambda: self.now)

    def offer(
        self, rate: float, start_s: float, first_s: float = 0.0, seconds: float = SECONDS
    ) -> tuple[Verdict, Tally]:
        """A load in which each start takes `start_s`, and the loop first comes to it after `first_s`. Answers come at
        once; timers do not, as on a machine that is busy with something else."""

        async def offered() -> tuple[Verdict, Tally]:
            tally, began = Tally(), self.now
            kind = tally.kind("x")

            def start(due: float) -> None:
                self.now += start_s
                kind.ok += 1
                asyncio.get_running_loop().call_soon(made.ended, False)

            made = Generator(start, tally, 10_000, ArrivalSchedule(rate, began, began + seconds))
            self.now += first_s
            made.begin()
            while self.now < began + seconds:
                before = tally.offered
                await asyncio.sleep(0)
                self.now += 0.001 if tally.offered == before else 0  # time passes also when nothing is sent
            made.end(began + seconds)
            await made.idle()
            report = tally.report()
            report.sending_s = seconds
            return judge(account_of(LoadPlan("request", "c", "run", rate=rate), report, "now")), tally

        return asyncio.run(offered())


def test_a_slow_generator_is_found_out_and_the_cluster_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, tally = Clock(monkeypatch).offer(1000, start_s=0.002)
    assert tally.offered < 170, "what it was too slow for is not caught up with after the end"
    assert verdict.verdict == INCONCLUSIVE and "could not keep its rate: " in verdict.reasons[0]


def test_a_burst_at_the_end_is_no_rate_that_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left over, but all of it was sent up to 300 ms late: the lag tells."""
    verdict, tally = Clock(monkeypatch).offer(100, start_s=0.0, first_s=0.299)
    assert tally.offered == 30
    assert verdict.verdict == INCONCLUSIVE and "could not keep its rate: one of ten" in verdict.reasons[0]


def test_what_is_far_behind_at_the_end_is_missed_and_not_sent_late(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, tally = Clock(monkeypatch).offer(2000, start_s=0.0, first_s=SECONDS)
    assert tally.offered == BURST and tally.found.missed == 600 - BURST
    assert verdict.verdict == INCONCLUSIVE


def test_a_start_that_is_slow_makes_those_behind_it_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one burst, too: each one's lag ends when it is sent itself."""
    _, tally = Clock(monkeypatch).offer(10_000, start_s=0.0005, first_s=0.001)
    least, most = tally.lag.percentile_ms(0.0), tally.lag.percentile_ms(100.0)
    assert least is not None and most is not None and least <= 1 and most > 100


def test_a_pause_just_before_the_end_is_caught_up_with(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, tally = Clock(monkeypatch).offer(100, start_s=0.0, seconds=0.09)
    assert tally.offered == 9 and verdict.verdict == PASSED


def test_a_closed_loop_never_has_more_under_way_than_clients() -> None:
    rig = run(5, None, lambda rig: rig.answer(0.01))
    assert rig.most == 5 and 5 < rig.tally.offered <= 5 * (rig.ended - rig.began) / 0.01 + 5


def test_a_refused_client_pauses() -> None:
    def refuse(rig: Rig) -> None:
        asyncio.get_running_loop().call_soon(rig.generator.ended, True)

    rig = run(3, None, refuse)
    assert 3 <= rig.tally.offered <= 3 * ((rig.ended - rig.began) / 0.01 + 2), "not as often as a loop can turn"


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
