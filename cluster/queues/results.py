"""The results of sends, on their way back to the senders, and the order of outcomes. Pure."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from cluster.errors import ClusterError, Maybe
from cluster.ports import Outcome
from cluster.replication.quorum import MAYBE, NO, OK, OK_SLOPPY
from cluster.wire.queues import Failed, SendResult

HOPS_MAX: Final = 2
"""Layouts may differ for a moment while they change; a send that still wanders after this is accepted where it is."""
NOTHING: Final[Failed] = ("", "")
"""No error."""
WORSE: Final = {OK: 0, OK_SLOPPY: 1, MAYBE: 2, NO: 3}
"""What consists of several writes ends as the worst of them: the order of outcomes."""

Sent: TypeAlias = Callable[[list[SendResult]], None]
"""Takes one result for each message, in their order."""


def refused(error: ClusterError, count: int) -> list[SendResult]:
    """So many messages were not sent."""
    return [("", NO, 0, False, (error.code, error.message))] * count


def unknown(outcome: Outcome, count: int) -> list[SendResult]:
    """Another node gave no results for so many messages."""
    error = outcome if isinstance(outcome, ClusterError) else Maybe("an owner answered out of turn")
    return [("", NO if error.definite else MAYBE, 0, False, (error.code, error.message))] * count


class Gathered:
    """The results of messages that were sent together and go different ways."""

    def __init__(self, count: int, sent: Sent) -> None:
        self._results: list[SendResult] = [("", "", 0, False, NOTHING)] * count
        self._left = count
        self._sent = sent

    def part(self, places: Sequence[int]) -> Sent:
        """Takes the results of those messages."""

        def sent(results: list[SendResult]) -> None:
            for place, result in zip(places, results, strict=True):
                self._results[place] = result
            self._left -= len(places)
            if not self._left:
                self._sent(self._results)

        return sent
