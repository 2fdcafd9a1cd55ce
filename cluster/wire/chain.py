"""Messages of the control chain: ballots for its next entry, and entries that are decided. Entries travel encoded."""

from typing import TypeAlias

from msgspec import Struct

Ballot: TypeAlias = tuple[int, str]


class Prepare(Struct, array_like=True, gc=False, tag=80):
    """Promise to take part in no ballot for `slot`, behind the entry with the digest `follows`, below this one."""

    slot: int
    ballot: Ballot
    follows: str


class Promise(Struct, array_like=True, gc=False, tag=81):
    """The answer of the acceptor `id`: granted, with what it accepted before; or the ballot that stands against it."""

    id: str
    granted: bool
    promised: Ballot
    accepted: Ballot
    value: bytes


class Accept(Struct, array_like=True, gc=False, tag=82):
    """Accept the entry `value` for `slot`."""

    slot: int
    ballot: Ballot
    value: bytes


class AcceptAnswer(Struct, array_like=True, gc=False, tag=83):
    """Whether the acceptor `id` did, or the ballot that it has promised."""

    id: str
    granted: bool
    promised: Ballot


class Entries(Struct, array_like=True, gc=False, tag=84):
    """The decided entries behind slot `after`, of which the sender has the entry with this digest."""

    after: int
    digest: str


class Decided(Struct, array_like=True, gc=False, tag=85):
    """Decided entries, in the order of their slots, the first few of those that were asked for. Also pushed, and the
    answer to a ballot for a slot that is decided."""

    entries: list[bytes]


class Adopted(Struct, array_like=True, gc=False, tag=86):
    """The answer to entries that are pushed: the last slot that is decided, as far as the node knows then."""

    slot: int


ChainBody = Prepare | Promise | Accept | AcceptAnswer | Entries | Decided | Adopted
