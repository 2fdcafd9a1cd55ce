"""Members forgotten by force: the branches of the chain never mix, and one of them is right."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from cluster.chain.chain import Chain
from cluster.chain.entry import ChainEntry, forced
from cluster.node import layouts
from cluster.wire.chain import Decided
from tests.simulation.safeguards.registry import Safeguard
from tests.simulation.test_forks import (
    test_a_fork_that_was_accepted_is_not_given_up_for_an_entry_of_the_others,
    test_the_others_go_on_with_a_majority_and_stop_when_they_meet_the_fork,
)


def the_others_have_another_chain(seed: int) -> None:
    test_the_others_go_on_with_a_majority_and_stop_when_they_meet_the_fork(seed, True)


def take_any_entry_of_the_next_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    check_slot = Chain._check_slot

    def by_slot(self: Chain, slot: int, follows: str) -> Decided | None:
        return check_slot(self, slot, self.digest)

    monkeypatch.setattr(Chain, "_check_slot", by_slot)
    monkeypatch.setattr(Chain, "_check_branch", lambda self, entry: None)


def drop_a_fork_that_was_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chain, "bound", None)


def number_forks_like_other_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    def next_number(entry: ChainEntry, names: Sequence[str], offset: int, *, lossy: bool) -> ChainEntry:
        made = forced(entry, names, offset, lossy=lossy)
        return replace(made, layout=replace(made.layout, number=entry.layout.number + 1))

    monkeypatch.setattr(layouts, "forced", next_number)


SAFEGUARDS = [
    Safeguard(
        "an entry names the one that it follows",
        "No chain goes on with an entry of another branch, and who meets the right one stops.",
        take_any_entry_of_the_next_slot,
        the_others_have_another_chain,
    ),
    Safeguard(
        "an accepted fork is kept",
        "A fork that may be decided is not lost against an entry of the others.",
        drop_a_fork_that_was_accepted,
        test_a_fork_that_was_accepted_is_not_given_up_for_an_entry_of_the_others,
    ),
    Safeguard(
        "a fork has layout numbers of its own",
        "No request that was routed by one branch is served by the other.",
        number_forks_like_other_entries,
        the_others_have_another_chain,
    ),
]
