"""Payloads that say what they are: a name, a number, and filling, so that whoever reads one can tell, to the last byte,
whether it was ever sent. Pure.
"""

from zlib import crc32

from msgspec import Struct

from cluster.errors import Usage
from cluster.limits import VALUE_BYTES_MAX

SIZE_BYTES_DEFAULT = 100
SIZE_BYTES_MIN = 48
"""Room for the longest name and number."""
_FILLING = bytes(33 + (17 * at + at // 94) % 94 for at in range(4096))
"""Printable, and without a blank."""


class Sizes(Struct, frozen=True):
    """From `least` to `most` bytes, evenly."""

    least: int = SIZE_BYTES_DEFAULT
    most: int = SIZE_BYTES_DEFAULT

    def of(self, head: bytes) -> int:
        """The size of the payload that begins so: always the same for the same beginning."""
        return self.least + crc32(head) % (self.most - self.least + 1)


def parse_sizes(text: str) -> Sizes:
    """`100B`, or `64B..4KiB`. Raises Usage."""
    from dsectl.ui.units import size

    first, dots, last = text.partition("..")
    least = size(first)
    most = size(last) if dots else least
    if not SIZE_BYTES_MIN <= least <= most <= VALUE_BYTES_MAX:
        raise Usage(
            f"a value has {SIZE_BYTES_MIN} bytes to 1 MiB here, not {text}",
            help="Write a size, or a range of sizes from small to large: 100B, 64B..4KiB.",
        )
    return Sizes(least, most)


class Payloads:
    """Makes payloads and recognizes them."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._size = sizes.least if sizes.least == sizes.most else 0  # 0: ask
        self._filling = _FILLING * (sizes.most // len(_FILLING) + 1)

    def make(self, name: str, number: int) -> bytes:
        """The payload of `name` with a number."""
        head = f"{name} {number} ".encode()
        return head + self._filling[: max(0, (self._size or self._sizes.of(head)) - len(head))]

    def number(self, name: str, payload: bytes) -> int | None:
        """The number of a payload of `name`; None when it is not one, to the last byte."""
        parts = payload.split(b" ", 2)
        if len(parts) != 3 or not parts[1].isdigit() or len(parts[1]) > 18:
            return None
        number = int(parts[1])
        return number if payload == self.make(name, number) else None
