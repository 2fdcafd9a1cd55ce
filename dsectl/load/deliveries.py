"""What became of messages that were published at most once: delivered, dropped, duplicated, unheard of. Pure.

A message that was not delivered is *dropped*, never *lost*: at most once promises no more. Delivered twice to one
subscription, or delivered though nobody published it, breaks the promise. Messages whose publication failed or is in
doubt may arrive or not.
"""

from dsectl.load.payload import Payloads

_ACCEPTED = 1


class Deliveries:
    """Of one publisher and its own subscriptions, which are numbered from 0."""

    def __init__(self, name: str, subscribers: int, payloads: Payloads) -> None:
        assert subscribers >= 1
        self.name = name
        self.payloads = payloads
        self.duplicated = 0
        self.unexpected = 0
        self.delivered = 0
        """Different messages, counted once for each subscription that has it."""
        self.awaited = 0
        """Of the accepted messages, how many deliveries are missing so far."""
        self._accepted = bytearray(1)
        self._seen = [bytearray(1) for _ in range(subscribers)]

    @property
    def sent(self) -> int:
        """The number of the last message; numbers begin with 1."""
        return len(self._accepted) - 1

    def begin(self) -> tuple[int, bytes]:
        """A message is published: its number and payload."""
        self._accepted.append(0)
        for seen in self._seen:
            seen.append(0)
        return self.sent, self.payloads.make(self.name, self.sent)

    def accept(self, number: int) -> None:
        """A node has taken the message."""
        self._accepted[number] = _ACCEPTED
        self.awaited += sum(1 for seen in self._seen if not seen[number])

    def receive(self, subscriber: int, payload: bytes) -> int | None:
        """A subscription was given a message; returns its number when it is the first time."""
        number = self.payloads.number(self.name, payload)
        if number is None or not 1 <= number <= self.sent:
            self.unexpected += 1
            return None
        seen = self._seen[subscriber]
        if seen[number]:
            self.duplicated += 1
            return None
        seen[number] = 1
        self.delivered += 1
        if self._accepted[number]:
            self.awaited -= 1
        return number

    @property
    def dropped(self) -> int:
        """Deliveries of accepted messages that have not come."""
        return self.awaited
