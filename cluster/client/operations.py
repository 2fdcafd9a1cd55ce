"""Operation ids: the same in every retry of one logical write, different for any two writes of any two clients."""

import os
from collections.abc import Iterator
from itertools import count


def operation_ids() -> Iterator[str]:
    """Ids for one client: 72 random bits name it, a counter the write."""
    prefix = os.urandom(9).hex()
    return (f"{prefix}-{number}" for number in count(1))
