"""What a put, its share of the write, and a boot cost by record. Shown with `pytest -m bench -s`."""

import time

import pytest

from cluster.storage.record import HEADER_BYTES, ROW, encode_records, encode_row, encode_segment_header, seed_of
from cluster.storage.segments import segment_path
from tests.storage.memory_disk import World

VALUE = b"x" * 150


def done(error: object) -> None:
    """Nobody waits."""


@pytest.mark.bench
def test_puts_in_passes_of_a_hundred() -> None:
    world = World(segment_bytes=1 << 40)
    keys = [f"user:{n:08d}" for n in range(100_000)]
    put = write = 0.0
    for first in range(0, len(keys), 100):
        start = time.perf_counter()
        for key in keys[first : first + 100]:
            world.store.put(0, 5, key, VALUE, done)
        middle = time.perf_counter()
        world.clock.run()
        put, write = put + middle - start, write + time.perf_counter() - middle
    assert world.store.count(0, 5) == len(keys)
    print(f"put {put / len(keys) * 1e6:.2f} us, write {write / len(keys) * 1e6:.2f} us a record")  # noqa: T201
    assert put + write < 2  # seconds; some ten times the usual, so that only a blunder fails


@pytest.mark.bench
def test_recovery_of_200k_records() -> None:
    records = [(n % 256, 0, ROW, encode_row((f"user:{n:08d}", VALUE))) for n in range(200_000)]
    world = World(recover=False)
    log = encode_segment_header(1, (0, 0)) + encode_records(records, seed_of(1), HEADER_BYTES)
    world.disk.files[segment_path(1)] = bytearray(log)
    start = time.perf_counter()
    recovery = world.recover()
    seconds = time.perf_counter() - start
    assert recovery.records == len(records)
    print(f"recovered 200k records, {len(log) / 1e6:.0f} MB, in {seconds:.2f} s")  # noqa: T201
    assert seconds < 5


@pytest.mark.bench
def test_the_search_for_the_next_record_after_damage() -> None:
    """The whole of a full segment must be searched before it is known that nothing good follows."""
    world = World(recover=False)
    world.disk.files[segment_path(1)] = bytearray(bytes(range(256)) * (1 << 18))
    start = time.perf_counter()
    world.recover()
    seconds = time.perf_counter() - start
    assert world.store.recovering
    print(f"searched 64 MiB in {seconds:.2f} s")  # noqa: T201
    assert seconds < 10
