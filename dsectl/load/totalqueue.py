"""What became of each message that was sent to a queue: the account called total-queue. Pure.

As in Jepsen's checker of that name, everything that was sent and everything that was received is compared once the
queue was drained. At least once is promised, in no order:

- `lost`: the send was acknowledged, and the message never came, though the queue was drained.
- `unexpected`: what came was never sent, or was altered, or its send was surely refused.
- `duplicated`: deliveries of a message after its first. They are allowed, and counted.
- `recovered`: the send ended in doubt, and the message came.

A drain that did not complete decides nothing about what has not come: that is `unchecked`. One byte is kept of each
message.
"""

from collections.abc import Iterator

SENT_OK, SENT_NO, SENT_MAYBE = 1, 2, 4
CAME, ACKED = 8, 16


class TotalQueue:
    """Messages are numbered from 1 in the order in which they are sent."""

    def __init__(self) -> None:
        self._state = bytearray(1)
        self.came = 0
        """Different messages that were delivered."""
        self.acked = 0
        """And those whose acknowledgement was confirmed."""
        self.duplicated = 0
        self.unexpected = 0
        self.missing = 0
        """Acknowledged sends that have not come yet."""

    @property
    def sent(self) -> int:
        """The number of the last message."""
        return len(self._state) - 1

    def begin(self) -> int:
        """A message is sent: its number."""
        self._state.append(0)
        return self.sent

    def sent_ok(self, number: int) -> None:
        """The send was acknowledged, at the first try or at a later one."""
        if not self._state[number] & SENT_OK:
            self.missing += not self._state[number] & CAME
            self._state[number] |= SENT_OK

    def sent_maybe(self, number: int) -> None:
        """The send may have happened."""
        self._state[number] |= SENT_MAYBE

    def sent_no(self, number: int) -> None:
        """The send surely did not happen."""
        self._state[number] |= SENT_NO
        if self._state[number] & CAME and not self._state[number] & (SENT_OK | SENT_MAYBE):
            self.unexpected += 1

    def deliver(self, number: int | None) -> bool:
        """A message was delivered; None for one that was never sent so. Returns whether it is the first delivery."""
        if number is None or not 1 <= number <= self.sent:
            self.unexpected += 1
            return False
        state = self._state[number]
        if state & CAME:
            self.duplicated += 1
            return False
        self._state[number] = state | CAME
        self.came += 1
        if state & SENT_OK:
            self.missing -= 1
        elif state & SENT_NO and not state & SENT_MAYBE:
            self.unexpected += 1
        return True

    def ack(self, number: int) -> None:
        """An acknowledgement of the message was confirmed."""
        self.acked += not self._state[number] & ACKED
        self._state[number] |= ACKED

    @property
    def recovered(self) -> int:
        """Messages whose send ended in doubt, and that came."""
        return sum(1 for state in self._state if state & (SENT_OK | SENT_MAYBE | CAME) == SENT_MAYBE | CAME)

    def not_come(self) -> Iterator[int]:
        """The acknowledged messages that were never delivered."""
        return (number for number, state in enumerate(self._state) if state & (SENT_OK | CAME) == SENT_OK)
