"""How many replicas each node should hold, and the cap above which it is given no more.

The 256 x N replicas are divided among zones, then within each zone among its nodes, in proportion to weight, within
what placement can do: a partition takes from each zone once before it takes from any zone twice, and from each node
once. So a zone of one node beside two zones of four holds a copy of everything, and its node's share says so. The cap
is 5 % above the fair share (bounded loads, as in Mirrokni, Thorup and Zadimoghaddam, SODA 2018).

Below 40 replicas a node there is none: the imbalance it would prevent is worth less than the data that it would move.
The step across that border, from 19 nodes to 20 in one zone with N=3, costs about 1.6 times the least movement, once.
"""

from collections.abc import Mapping, Sequence
from math import ceil

from cluster.layout.entry import LayoutMember
from cluster.layout.partition import PARTITIONS

CAP_FACTOR = 1.05
CAPPED_FROM_REPLICAS = 40  # 5 % of fewer than 40 replicas are less than two partitions


def members_by_zone(members: Sequence[LayoutMember]) -> dict[str, list[LayoutMember]]:
    """The members of each zone; zones and members in the order of their names."""
    zones: dict[str, list[LayoutMember]] = {}
    for member in sorted(members, key=lambda member: (member.zone, member.name)):
        zones.setdefault(member.zone, []).append(member)
    return zones


def zone_shares(members: Sequence[LayoutMember], replicas: int) -> dict[str, float]:
    """How many of the 256 x `replicas` replicas each zone should hold."""
    zones = members_by_zone(members)
    least = dict.fromkeys(zones, 0)
    left = replicas
    while left:
        open_zones = [zone for zone in zones if least[zone] < len(zones[zone])]
        if left < len(open_zones):
            break  # the last round does not reach every zone: weight decides
        for zone in open_zones:
            least[zone] += 1
        left -= len(open_zones)
    most = {zone: min(taken + (left > 0), len(zones[zone])) for zone, taken in least.items()}
    weights = {zone: sum(member.weight for member in zones[zone]) for zone in zones}
    return divide(
        PARTITIONS * replicas,
        weights,
        {zone: PARTITIONS * taken for zone, taken in least.items()},
        {zone: PARTITIONS * taken for zone, taken in most.items()},
    )


def fair_shares(members: Sequence[LayoutMember], replicas: int) -> dict[str, float]:
    """How many partitions each node should hold a replica of."""
    shares: dict[str, float] = {}
    by_zone = zone_shares(members, replicas)
    for zone, inside in members_by_zone(members).items():
        weights = {member.name: member.weight for member in inside}
        shares |= divide(by_zone[zone], weights, dict.fromkeys(weights, 0), dict.fromkeys(weights, PARTITIONS))
    return shares


def caps(members: Sequence[LayoutMember], replicas: int) -> dict[str, int]:
    """The most partitions that each node should hold; 256, which is no cap, in zones with few replicas a node."""
    limits: dict[str, int] = {}
    fair = fair_shares(members, replicas)
    for inside in members_by_zone(members).values():
        mean = sum(fair[member.name] for member in inside) / len(inside)
        for member in inside:
            # A millionth less, so that a share that is whole but for rounding is not rounded up.
            cap = ceil(CAP_FACTOR * fair[member.name] - 1e-6)
            limits[member.name] = PARTITIONS if mean < CAPPED_FROM_REPLICAS else min(cap, PARTITIONS)
    return limits


def divide(
    total: float, weights: Mapping[str, int], least: Mapping[str, int], most: Mapping[str, int]
) -> dict[str, float]:
    """Divide `total` in proportion to `weights`, each part held between its `least` and `most`.

    The parts are `clamp(level x weight)` for the one level at which they sum to `total`, found by halving.
    """

    def parts(level: float) -> dict[str, float]:
        return {name: min(max(level * weight, least[name]), most[name]) for name, weight in weights.items()}

    low, high = 0.0, float(max(most.values()))  # weights are at least 1, so that `high` fills every part
    for _ in range(60):
        middle = (low + high) / 2
        if sum(parts(middle).values()) < total:
            low = middle
        else:
            high = middle
    return parts(high)
