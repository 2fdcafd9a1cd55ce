"""Messages of the calls themselves: a batch that is refused as a whole."""

from msgspec import Struct


class BatchRefused(Struct, array_like=True, gc=False, tag=70):
    """Of a one-way batch: nothing was done for the calls of these numbers. `code` as in Failure."""

    ids: list[int]
    code: str
    message: str


CallsBody = BatchRefused
