"""On the real disk: a process is killed in the middle of writes and checkpoints, and what it had reported is there."""

import asyncio
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL
from threading import Timer

import pytest

from cluster.config import Durability, StorageSettings
from cluster.env import OutputTick
from cluster.env.real import real_env
from cluster.storage import Boot, Recovery, Store
from cluster.storage.record import BEGIN
from tests.storage.endless_writer import KEYS, PARTITIONS, SEGMENT_BYTES, value_of

ROOT = Path(__file__).parents[2]
RECORDS = {Durability.INTERVAL: 20_000, Durability.NONE: 20_000, Durability.ALWAYS: 400}
"""The last wait for the medium."""


def numbers_reported(folder: Path, durability: Durability) -> list[int]:
    """Run the writer, kill it when it has reported enough and its log was cut, and return all that it reported."""
    command = [sys.executable, "-m", "tests.storage.endless_writer", str(folder), durability]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        lines = []
        deadline = Timer(120, child.kill)  # a writer that is stuck reports too little, and the test fails
        deadline.start()
        for line in child.stdout:
            lines.append(line)
            if len(lines) >= RECORDS[durability] and (folder / BEGIN).exists():
                child.kill()
        deadline.cancel()
        assert child.wait(timeout=60) == -SIGKILL
    return [int(line) for line in lines if line.endswith(b"\n")]


async def recovered(folder: Path) -> tuple[Recovery, dict[int, bytes]]:
    env = real_env(str(folder))
    fatal: list[OSError] = []
    settings = StorageSettings(segment_bytes=SEGMENT_BYTES)
    store = Store(env, OutputTick(env.clock), settings, on_fatal=fatal.append)
    recovery = store.recover(Boot(2, previous_epoch=1))
    rows = {int(key): value for p in range(PARTITIONS) for key, value in store.scan(0, p, "", KEYS)[0]}
    kept = asyncio.get_running_loop().create_future()
    store.put(2, 0, "after", b"", kept.set_result)
    assert await asyncio.wait_for(kept, 30) is None
    store.close()
    return recovery, rows


@pytest.mark.parametrize("durability", Durability)
def test_what_was_reported_before_the_kill_is_there(tmp_path: Path, durability: Durability) -> None:
    reported = numbers_reported(tmp_path, durability)
    assert len(reported) >= RECORDS[durability]
    recovery, rows = asyncio.run(recovered(tmp_path))
    assert recovery.recovering == {} and (tmp_path / BEGIN).exists()
    found = {key: int(value.partition(b" ")[0]) for key, value in rows.items()}
    last = max(found.values())
    assert last >= max(reported)
    assert found == {key: last - (last - key) % KEYS for key in range(KEYS)}, "a prefix of what was written"
    assert all(value == value_of(found[key]) for key, value in rows.items())
    again, same = asyncio.run(recovered(tmp_path))
    assert same == rows and again.recovering == {} and not again.cut
