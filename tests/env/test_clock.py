"""The contract of time and of spawned coroutines: cluster/env/seam.py, `Clock` and `Env.spawn`."""

import asyncio

import pytest

from cluster.env.real import sleep
from tests.env.stages import RealStage, Stage


def test_timers_fire_in_the_order_of_their_times(stage: Stage) -> None:
    clock = stage.env("node").clock
    fired: list[str] = []
    start = clock.now()
    clock.call_at(start + 0.03, fired.append, "third")
    clock.call_later(0.02, fired.append, "second")
    clock.call_at(start + 0.01, fired.append, "first")
    clock.call_soon(fired.append, "soon")
    clock.call_at(start - 1.0, fired.append, "past")
    clock.call_later(0.0, fired.append, "at once")
    stage.until(lambda: len(fired) == 6)
    assert fired == ["soon", "past", "at once", "first", "second", "third"]
    assert clock.now() >= start + 0.03


def test_no_timer_comes_early(stage: Stage) -> None:
    clock = stage.env("node").clock
    early: list[float] = []
    fired: list[float] = []

    def check(due: float) -> None:
        fired.append(due)
        if clock.now() < due:
            early.append(due - clock.now())

    for step in range(200):
        due = clock.now() + step * 0.000_31
        clock.call_at(due, check, due)
    stage.until(lambda: len(fired) == 200)
    assert early == []


def test_a_handler_never_sleeps_too_short(real_stage: RealStage) -> None:
    clock = real_stage.env("node").clock
    slept: list[float] = []

    async def wait(seconds: float) -> None:
        start = clock.now()
        await sleep(seconds)
        slept.append(clock.now() - start - seconds)

    env = real_stage.env("other")
    for step in range(200):
        env.spawn(wait(0.000_31 * (step + 1)))
    real_stage.until(lambda: len(slept) == 200)
    assert min(slept) >= 0.0


def test_a_cancelled_timer_is_silent(stage: Stage) -> None:
    clock = stage.env("node").clock
    fired: list[str] = []
    for timer in (clock.call_soon(fired.append, "x"), clock.call_later(0.001, fired.append, "x")):
        timer.cancel()
    last = clock.call_later(0.01, fired.append, "last")
    stage.until(lambda: bool(fired))
    assert fired == ["last"]
    last.cancel()


def test_call_soon_comes_after_what_is_ready(stage: Stage) -> None:
    clock = stage.env("node").clock
    order: list[str] = []

    def first() -> None:
        order.append("first")
        clock.call_soon(order.append, "end of the pass")

    clock.call_soon(first)
    clock.call_soon(order.append, "second")
    stage.until(lambda: len(order) == 3)
    assert order == ["first", "second", "end of the pass"]


def test_wall_time_moves_with_now(stage: Stage) -> None:
    clock = stage.env("node").clock
    now, wall = clock.now(), clock.wall()
    stage.until(lambda: clock.now() - now > 0.01)
    assert 0.005 < clock.wall() - wall < 5.0


def test_a_spawned_coroutine_runs_and_can_be_cancelled(stage: Stage) -> None:
    env = stage.env("node")
    log: list[str] = []

    async def work(name: str, seconds: float) -> None:
        try:
            await sleep(seconds)
            log.append(f"{name} done")
        except asyncio.CancelledError:
            log.append(f"{name} cancelled")
            raise

    env.spawn(work("short", 0.01))
    forever = env.spawn(work("forever", 3600.0))
    env.clock.call_later(0.02, forever.cancel)
    assert log == []
    stage.until(lambda: len(log) == 2)
    assert log == ["short done", "forever cancelled"]
    forever.cancel()


def test_coroutines_and_callbacks_share_the_thread(stage: Stage) -> None:
    env = stage.env("node")
    answers: list[int] = []

    async def ask() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        env.clock.call_later(0.001, future.set_result, 42)
        async with asyncio.timeout(5.0):
            answers.append(await future)

    env.spawn(ask())
    stage.until(lambda: bool(answers))
    assert answers == [42]


def test_a_real_task_that_fails_is_logged(real_stage: RealStage, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("broken handler")

    real_stage.env("node").spawn(fail())
    real_stage.until(lambda: bool(caplog.records))
    assert "broken handler" in caplog.text
