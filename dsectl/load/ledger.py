"""What the key-value store has promised, key by key, and whether what is read keeps it. Pure.

Each key has one writer with one write under way at a time, and each write names in its context the one before. So there
is one value that must be there: the one acknowledged last. A write that ended `maybe` may be there instead of it, for
good or later; such a key is not written again (a fresh one takes its place), and both values are allowed.
"""

from dsectl.load.payload import Payloads

KEPT_BYTES_MAX = 256


class Key:
    """One key, from its first write to its last."""

    __slots__ = ("acknowledged", "busy", "context", "doubtful", "name", "refused", "sent", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.context: bytes | None = None
        """The encoded clock of the acknowledged value: what the next write replaces."""
        self.sent = 0
        """The number of the last write; numbers begin with 1."""
        self.acknowledged = 0
        """The number of the write that must be there; 0 for none."""
        self.doubtful = 0
        """The number of the write that may be there instead; 0 for none."""
        self.refused: set[int] | None = None
        """Writes that surely did not happen."""
        self.busy = False
        """A write is under way."""
        self.value: bytes | None = None
        """The last value that was sent, where it is small enough to be kept: most reads show just that."""


class Ledger:
    """All keys of one generator. Those of one ledger begin with `prefix`, and nobody else writes there."""

    def __init__(self, prefix: str, count: int, payloads: Payloads) -> None:
        self.prefix = prefix
        self.payloads = payloads
        self.keys: list[Key] = []
        """By index, those that are in use."""
        self.retired: list[Key] = []
        """Those whose last write ended `maybe`."""
        for _ in range(count):
            self.add()

    def add(self) -> Key:
        """One more key."""
        key = Key(f"{self.prefix}{len(self.keys):06d}")
        self.keys.append(key)
        return key

    def written(self) -> list[Key]:
        """All keys that were written, or may have been."""
        return [key for key in (*self.retired, *self.keys) if key.sent]

    # -- writing

    def begin(self, key: Key) -> bytes:
        """A write of `key` is sent; returns its value."""
        assert not key.busy and not key.doubtful
        key.busy = True
        key.sent += 1
        value = self.payloads.make(key.name, key.sent)
        key.value = value if len(value) <= KEPT_BYTES_MAX else None
        return value

    def acknowledge(self, key: Key, context: bytes) -> None:
        """The write was acknowledged, with the context that covers it."""
        key.busy = False
        key.acknowledged = key.sent
        key.context = context or None

    def refuse(self, key: Key) -> None:
        """The write surely did not happen."""
        key.busy = False
        if key.refused is None:
            key.refused = set()
        key.refused.add(key.sent)

    def doubt(self, key: Key, index: int) -> Key:
        """The write may have happened. Returns the key that takes its place at `index`."""
        key.busy = False
        key.doubtful = key.sent
        self.retired.append(key)
        stem, _, turn = key.name.partition("+")
        fresh = Key(f"{stem}+{int(turn or 0) + 1}")
        self.keys[index] = fresh
        return fresh

    # -- reading

    def is_newest(self, key: Key, values: list[bytes], then: bytes | None) -> bool:
        """Whether a read shows just the last write, or just that which was the last (`then`) when the read began: that
        answers all questions. False where values are not kept."""
        return len(values) == 1 and values[0] in (key.value, then) and not key.refused

    def unexpected(self, key: Key, values: list[bytes]) -> list[bytes]:
        """Those of `values`, read from `key`, that nobody wrote: unknown, altered, or refused for certain."""
        return [value for value in values if not self._was_sent(key, self.payloads.number(key.name, value))]

    def is_stale(self, key: Key, values: list[bytes], acknowledged: int) -> bool:
        """Whether a read that began when `acknowledged` was the last number shows nothing as new."""
        numbers = [self.payloads.number(key.name, value) or 0 for value in values]
        return max(numbers, default=0) < acknowledged

    def is_kept(self, key: Key, values: list[bytes]) -> bool:
        """Whether the promise is kept, once no write is under way: the value acknowledged last is there, or the one
        that may have replaced it."""
        if not key.acknowledged:
            return True
        numbers = [self.payloads.number(key.name, value) for value in values]
        return key.acknowledged in numbers or (key.doubtful > 0 and key.doubtful in numbers)

    def risen(self, key: Key, values: list[bytes]) -> list[bytes]:
        """Values that an acknowledged write has replaced, and that are there beside it all the same."""
        allowed = (key.acknowledged, key.doubtful)
        numbers = [self.payloads.number(key.name, value) for value in values]
        if key.acknowledged not in numbers and key.doubtful not in numbers:
            return []
        wrong = [value for value, number in zip(values, numbers, strict=True) if number and number not in allowed]
        return [value for value in wrong if value not in self.unexpected(key, values)]

    def _was_sent(self, key: Key, number: int | None) -> bool:
        return number is not None and 1 <= number <= key.sent and not (key.refused and number in key.refused)
