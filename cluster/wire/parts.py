"""A reply in parts: bytes that come before its Reply or Failure, from the callee to the caller, under credit.

A request begins with a window of `PARTS_WINDOW_BYTES`, without a frame for it. Each part takes its bytes from the
window, each Credit of the caller gives back what the caller has taken in, and never more: so at most one window of a
call is under way, whatever the number of hops, since each hop passes parts and credits on one by one. A reader that is
slow stops the handler, not the connection, and a large reply does not stand before the small ones of others. (The
credits of HTTP/2, RFC 9113 section 5.2, for each call alone.)

The payload of a reply is all its parts and then that of its CallDone. A *stream* is JSON lines: each row and a newline.
Pure.
"""

from collections.abc import Callable

from cluster.errors import BadMessage
from cluster.limits import PART_BYTES_MAX, PARTS_WINDOW_BYTES


class Window:
    """How many bytes of a reply may still be sent. Both sides keep one, and hold the other to it."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = PARTS_WINDOW_BYTES

    def take(self, count: int) -> None:
        """A part of so many bytes. Raises BadMessage."""
        if not 0 < count <= self.left:
            raise BadMessage(f"a part of {count} bytes of a reply where {self.left} are allowed")
        self.left -= count

    def give(self, count: int) -> None:
        """A credit of so many bytes. Raises BadMessage."""
        if not 0 < count <= PARTS_WINDOW_BYTES - self.left:
            raise BadMessage(f"a credit of {count} bytes where {PARTS_WINDOW_BYTES - self.left} were sent")
        self.left += count


class PartWriter:
    """The callee's side: sends bytes as far as there is credit, and keeps the others. `send` writes one part; False
    when that is lost, and then nothing more is sent."""

    __slots__ = ("_pushing", "_send", "_waiting", "_window", "failed", "on_sent")

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        self.failed = False
        self.on_sent: Callable[[], object] = lambda: None
        """Called when all that waited for credit has been sent, or `failed`."""
        self._send = send
        self._waiting = bytearray()
        self._window = Window()
        self._pushing = False

    @property
    def waits(self) -> bool:
        """Whether there are bytes that wait for credit: whoever makes more is to stop until `on_sent`."""
        return bool(self._waiting)

    def write(self, data: bytes) -> None:
        """Send, as far as there is credit."""
        if not self.failed:
            self._waiting += data
            self._push()

    def credit(self, count: int) -> None:
        """The caller has taken so many bytes. Raises BadMessage."""
        self._window.give(count)
        if self._waiting and not self._pushing:  # who is within this process may give it within `send`
            self._push()
            if not self._waiting:
                self.on_sent()

    def stop(self) -> None:
        """Send no more, and keep nothing."""
        self.failed = True
        self._waiting.clear()

    def _push(self) -> None:
        waiting, window = self._waiting, self._window
        self._pushing = True
        while waiting and window.left:
            part = bytes(waiting[: min(window.left, PART_BYTES_MAX)])
            del waiting[: len(part)]
            window.take(len(part))
            if not self._send(part):
                self.stop()
        self._pushing = False
