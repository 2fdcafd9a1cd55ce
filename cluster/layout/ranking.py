"""Every partition ranks every node, by weighted rendezvous hashing over names.

Each node draws one number in (0, 1) a partition from a hash of its name alone; the highest score -weight / ln(draw)
comes first. A node is then first with probability proportional to its weight, and adding or removing one leaves the
order of all others as it was, which is what keeps the movement of data near its minimum. (Thaler and Ravishankar,
"Using Name-Based Mappings to Increase Hit Rates", 1998. The logarithmic method for weights: Schindelhauer and
Schomaker, "Weighted Distributed Hash Tables", SPAA 2005. The score in this form: Resch, "New Hashing Algorithms for
Data Storage", SNIA Storage Developer Conference 2015.)

Names are ranked, not ids, so that a node with an emptied directory keeps its place. The order of the members in the
entry does not matter. `math.log` may differ in its last bit between platforms; two scores that close have a chance of
about 2^-40 in a whole layout.

Zones and load are no concern of this file: see `placement`.
"""

from collections.abc import Iterable
from hashlib import shake_128
from math import log
from struct import Struct

from cluster.layout.entry import LayoutMember
from cluster.layout.partition import PARTITIONS

_DRAWS = Struct(f">{PARTITIONS}Q")

# 52 bits and a half: the largest draw, 1 - 2^-53, is still a float below 1, so that its logarithm is never 0.
_DRAW_BITS = 52
_SCALE = 0.5**_DRAW_BITS


def scores(member: LayoutMember) -> list[float]:
    """The score of `member` for each partition; higher is better. One hash stream gives all 256 draws."""
    weight = -float(member.weight)
    stream = shake_128(member.name.encode()).digest(_DRAWS.size)
    return [weight / log(((draw >> 64 - _DRAW_BITS) + 0.5) * _SCALE) for draw in _DRAWS.unpack(stream)]


def rank(members: Iterable[LayoutMember]) -> list[list[str]]:
    """For each partition all names, best first; a tie goes to the name that sorts first."""
    ordered = sorted(members, key=lambda member: member.name)
    names = [member.name for member in ordered]
    places = range(len(names))
    rows = zip(*map(scores, ordered), strict=True)
    return [[names[place] for place in sorted(places, key=row.__getitem__, reverse=True)] for row in rows]
