"""A suite of runs that must have reached what it claims to have tried: each situation at least a few times, or it is
not green, however well its checks went."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from cluster.config import NodeSettings, node_settings
from tests.simulation.nemesis import LOSSES, STEPS, Nemesis
from tests.simulation.runs import MIXES, run

SEEDS = range(1, 4)
TIMES_MIN = 2
"""Once may be chance: a change of an unrelated draw would lose it again."""

SITUATIONS = {
    "write: ok": "W owners have it",
    "write: ok-sloppy": "a fallback counted for an owner",
    "write: maybe": "it was sent, and nobody can say what became of it",
    "write: no": "refused before anything was sent",
    "fallback coordinates": "no owner could be reached, so a node that keeps no copy gave the dot",
    "read": "R voting owners agreed, or were made to",
    "read: degraded": "a value without R votes, or beside hints that may be missing",
    "read: no-quorum": "too few owners vote: a vote was refused, and absence not claimed",
    "read.repair": "the answers differed",
    "hint.delivered": "an owner got what it had missed",
    "catching up after a boot": "a node asked all others what they hold for it",
    "catching up after a stall": "the same, because it had not run",
    "catching up after a refutation": "the same, because others had suspected it",
    "owner.recovering": "a node found that it had lost data",
    "owner.complete": "and is complete again",
    "tombstones.settled": "nothing older than some deletes could come back any more",
    "actor.minted": "a node gave up an actor whose dots it may have forgotten",
    "torn tail": "a write was cut by a power loss",
    "storage.cut": "the beginning of a log was removed, behind checkpoints",
    "storage.full": "the log refused a batch, which was undone",
    "node.stalled": "a node noticed that it had not run",
    "hidden end of a stream": "a reset or refusal that a partition keeps from its peer",
    "overload": "a bounded queue was full",
    "member.dead": "a member was declared dead",
    "member.refuted": "and one refuted that",
    "call": "its handler ran, once",
    "call: maybe": "its handler may have run",
    "call: no": "it did not",
    "fault touched: partition": "the users' rule met a packet",
    "fault touched: slow": "the same",
    "fault touched: kill": "an operation failed at a node that was killed",
    "fault touched: pause": "the same at one that was stopped",
}


def short_segments(settings: NodeSettings) -> NodeSettings:
    """So short that the log is cut all the time."""
    return replace(settings, storage=replace(settings.storage, segment_bytes=4096))


def suite() -> Iterator[dict[str, Any]]:
    """The options of each kind of run."""
    narrow = replace(node_settings().transport, queue_bytes_max=32 * 1024)
    yield from ({"mix": mix} for mix in MIXES)
    yield {"mix": "deletes", "steps": LOSSES, "settings": short_segments(node_settings())}
    yield {"mix": "deletes", "collects": True}
    yield {"mix": "siblings", "steps": [*STEPS, Nemesis.fill_disk, Nemesis.fill_disk, Nemesis.empty_disk]}
    yield {
        "mix": "siblings",
        "down_max": 5,
        "steps": [*STEPS, Nemesis.power_loss, Nemesis.power_loss],
        "settings": short_segments(node_settings(durability="always")),
    }
    yield {"mix": "chains", "settings": replace(node_settings(), transport=narrow), "large_bytes": 60_000}


def test_the_suite_reaches_every_situation() -> None:
    found: Counter[str] = Counter()
    for seed in SEEDS:
        for options in suite():
            found += run(seed, **options).situations()
    missed = {name: what for name, what in SITUATIONS.items() if found[name] < TIMES_MIN}
    assert not missed, f"the suite never came to {missed}; it found {dict(sorted(found.items()))}"
