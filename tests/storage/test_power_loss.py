"""What each durability promises holds after each kind of crash, in the middle of a checkpoint or a cut as anywhere."""

import pytest

from cluster.config import Durability, TableKind
from tests.storage.chronicle import SYNC_GRACE_S, lives


@pytest.mark.parametrize("kind", TableKind)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("durability", "power", "grace"),
    [
        (Durability.ALWAYS, True, 0.0),
        (Durability.ALWAYS, False, 0.0),
        (Durability.INTERVAL, True, SYNC_GRACE_S),
        (Durability.INTERVAL, False, 0.0),
    ],
)
def test_what_was_promised_is_there(
    seed: int, durability: Durability, power: bool, grace: float, kind: TableKind
) -> None:
    chronicle = lives(seed, durability, kind, power=power, grace=grace)
    assert chronicle.cuts
    assert (chronicle.position > (3, 0)) == (kind is TableKind.DISK), "the tables were written"


@pytest.mark.parametrize("kind", TableKind)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("power", [True, False])
def test_flipped_bytes_take_nothing_from_a_partition_that_votes(seed: int, power: bool, kind: TableKind) -> None:
    """In rows, pages, losses, checkpoints, the mark, or where the log begins."""
    assert lives(seed, Durability.ALWAYS, kind, power=power, flips=True).cuts
