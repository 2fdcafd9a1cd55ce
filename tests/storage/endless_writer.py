"""A process that writes numbered records as fast as it can, over the same keys again and again, and prints numbers once
their `done`s were called. Its log is copied forward and cut all the time."""

import asyncio
import os
import sys

from cluster.config import Durability, StorageSettings
from cluster.env import OutputTick
from cluster.env.real import real_env
from cluster.storage import Boot, Store

BATCH = 20
PARTITIONS = 7
KEYS = 100
SEGMENT_BYTES = 4000


def value_of(number: int) -> bytes:
    """What record `number` holds, which its first word tells."""
    return b" ".join([b"%d" % number] * (1 + number % 40))


async def write(folder: str, durability: Durability) -> None:
    """Until the process is killed."""
    env = real_env(folder)
    settings = StorageSettings(durability=durability, segment_bytes=SEGMENT_BYTES)
    store = Store(env, OutputTick(env.clock), settings, on_fatal=lambda error: os.abort())
    store.recover(Boot(1))
    first = 0
    while True:
        await written(store, range(first, first + BATCH))
        os.write(1, "".join(f"{number}\n" for number in range(first, first + BATCH)).encode())
        first += BATCH


async def written(store: Store, numbers: range) -> None:
    """Put these records and wait until the last of their `done`s was called."""
    finished = asyncio.get_running_loop().create_future()
    left = len(numbers)

    def done(error: object) -> None:
        nonlocal left
        assert error is None
        left -= 1
        if not left:
            finished.set_result(None)

    for number in numbers:
        key = number % KEYS
        store.put(0, key % PARTITIONS, str(key), value_of(number), done)
    await finished


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], Durability(sys.argv[2])))
