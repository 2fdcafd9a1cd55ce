"""Coroutines in virtual time: asyncio's own tools work, errors come out, and a crash leaves no trace of a task."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from cluster.env import Env
from cluster.simulation import World


def test_an_hour_passes_in_no_time(world: World) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.sleep(3600.0)
        return loop.time() - start

    assert world.complete("n1", main(), timeout=4000.0) == pytest.approx(3600.0)


def test_the_tools_of_asyncio(world: World) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0.1 * number)
        return 2 * number

    async def main() -> list[object]:
        found: list[object] = list(await asyncio.gather(double(2), double(1)))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(number)) for number in range(3)]
        found += [task.result() for task in tasks]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 1.0)
        queue: asyncio.Queue[int] = asyncio.Queue()
        asyncio.get_running_loop().call_later(1.0, queue.put_nowait, 7)
        found.append(await queue.get())
        async with asyncio.Lock():
            found.append(asyncio.current_task() is not None)
        return found

    assert world.complete("n1", main()) == [4, 2, 0, 2, 4, 7, True]


def test_sets_of_tasks_keep_their_order(world: World) -> None:
    order: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.sleep(1000.0)
        except asyncio.CancelledError:
            order.append(number)
            raise

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(wait(number))
            await asyncio.sleep(1.0)
            raise KeyError("stop")

    with pytest.raises(ExceptionGroup):
        world.complete("n1", main())
    assert order == list(range(50))


def test_the_running_loop_is_that_of_the_process(world: World) -> None:
    seen: list[object] = []
    for name in ("n1", "n2"):
        world.env(name).clock.call_later(1.0, lambda: seen.append(asyncio.get_running_loop()))
    world.run_for(2.0)
    assert len(set(map(id, seen))) == 2
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_the_error_of_a_spawned_coroutine_stops_the_run(world: World) -> None:
    async def fail() -> None:
        await asyncio.sleep(1.0)
        raise ValueError("a bug")

    world.env("n1").spawn(fail())
    with pytest.raises(ValueError, match="a bug"):
        world.run_for(2.0)


def test_threads_are_refused(world: World) -> None:
    async def main() -> None:
        with ThreadPoolExecutor() as pool:
            await asyncio.get_running_loop().run_in_executor(pool, print)

    with pytest.raises(RuntimeError, match="no threads"):
        world.complete("n1", main())


def test_a_crash_runs_no_finally_and_the_end_of_the_world_warns_of_nothing(seed: int) -> None:
    said: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(1000.0)
        finally:
            said.append("finally")
            await asyncio.sleep(1.0)

    async def never_started() -> None:
        said.append("started")

    with World(seed) as world:
        world.env("n1").spawn(stubborn())
        world.run_for(1.0)
        world.env("n1").spawn(never_started())
        world.crash("n1")
        world.env("n1").spawn(stubborn())
        gc.collect()
        world.run_for(2000.0)
        assert said == ["finally"], "that of the second process, at its time"
    gc.collect()
    assert "started" not in said


def test_many_tasks_are_not_all_kept(world: World) -> None:
    async def main() -> None:
        for _ in range(2000):
            await asyncio.create_task(asyncio.sleep(0.001))

    world.complete("n1", main())
    loop = world._nodes["n1"].loop
    assert loop is not None and len(loop._tasks) < 300


def test_what_coroutines_spawn_as_they_are_closed_is_closed_as_well(seed: int) -> None:
    """As a place at a gate that becomes free is given to the next call; there may be many."""

    async def later() -> None:
        raise AssertionError("its process is dead")

    async def with_successor(env: Env) -> None:
        try:
            await asyncio.sleep(1000.0)
        finally:
            env.spawn(later())

    with World(seed) as world:
        for _ in range(100):
            env = world.env("n1")
            env.spawn(with_successor(env))
        world.run_for(1.0)
    gc.collect()  # what was not closed warns here, and warnings are errors
