"""Balance and movement of the ring as a cluster grows, beside what Dynamo's strategy 3 reached.

    python -m tests.bench.ring_table

Load-balance efficiency is the mean load over the highest, as in the Dynamo paper (DeCandia et al., SOSP 2007, section
6.2, figure 8), where strategy 3 (equal partitions, as here) is read off at about 0.9 and better with growing metadata.
Movement is in copies of partitions, as a multiple of the least that a member's share needs.
"""

from cluster.layout.entry import LayoutEntry, LayoutMember
from cluster.layout.partition import PARTITIONS
from cluster.layout.placement import placement
from cluster.layout.rebalance import rebalanced

FIRST, LAST, N = 4, 19, 3


def table(prefix: str) -> list[tuple[int, int, int, float, float, float]]:
    """(members, fewest, most, efficiency, moved by the join, moved by a leave) for each size."""
    members = [LayoutMember(f"{prefix}{place + 1}", "z1", "127.0.0.1", 7000 + place) for place in range(LAST)]
    placed = placement(LayoutEntry(1, "ring", tuple(members[:FIRST]), N, 2, 2))
    rows = tuple(placed.owners(partition) for partition in range(PARTITIONS))
    found = []
    for count in range(FIRST, LAST + 1):
        now, ideal = members[:count], PARTITIONS * N / count
        after = rebalanced(rows, now, N)
        loads = [sum(member.name in row for row in after) for member in now]
        joined = moved(rows, after) / ideal if count > FIRST else 0.0
        gone = now[count // 2].name
        left = rebalanced(after, [member for member in now if member.name != gone], N) if count > N else after
        found.append((count, min(loads), max(loads), ideal / max(loads), joined, moved(after, left) / ideal))
        rows = after
    return found


def moved(before: tuple[tuple[str, ...], ...], after: tuple[tuple[str, ...], ...]) -> int:
    """Copies that a node did not have before."""
    return sum(len(set(new) - set(old)) for old, new in zip(before, after, strict=True))


def main() -> None:
    """Print the table."""
    lines = ["nodes  fewest  most  efficiency  join  leave"]
    lines += [
        f"{count:5}  {fewest:6}  {most:4}  {share:10.3f}  {joined:4.2f}  {left:5.2f}"
        for count, fewest, most, share, joined, left in table("n")
    ]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
