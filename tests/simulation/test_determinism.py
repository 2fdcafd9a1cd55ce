"""One seed is one run: in this interpreter, in another, with other string hashes, and when someone looks on the way."""

import os
import subprocess
import sys
from pathlib import Path

from cluster.simulation import World
from tests.simulation.chatter import play

ROOT = Path(__file__).parents[2]


def digest_elsewhere(seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-W", "error", "-m", "tests.simulation.chatter", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)
    assert run.stderr == ""
    return run.stdout.split()[0]


def digest_here(seed: int) -> str:
    with World(seed) as world:
        play(world)
        return world.trace_digest()


def test_the_same_seed_in_two_interpreters() -> None:
    digests = [digest_elsewhere(7, hash_seed) for hash_seed in ("1", "2", "random")]
    assert digests == [digest_here(7)] * 3


def test_the_same_seed_twice(seed: int) -> None:
    assert digest_here(seed) == digest_here(seed)


def test_another_seed_is_another_run() -> None:
    assert digest_here(1) != digest_here(2)


def test_looking_changes_nothing() -> None:
    with World(3) as watched:
        for step in range(1, 51):
            watched.run_until(step / 100)
            watched.trace_digest()
        play(watched)
        digest = watched.trace_digest()
    with World(3) as unwatched:
        unwatched.run_until(0.5)
        play(unwatched)
        assert unwatched.trace_digest() == digest


def test_a_digest_tells_what_was_sent_apart() -> None:
    digests = []
    for text in (b"one", b"two"):
        with World(1) as world:
            socket = world.env("a").network.datagrams(("10.0.0.1", 1), lambda data, sender: None)
            socket.send(text, ("10.0.0.1", 1))
            digests.append(world.trace_digest())
    assert digests[0] != digests[1]
