"""Something that is made in a thread beside the first keys, and is there a moment later."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Late(Generic[T]):
    """A value that is read without waiting, or waited for with a limit."""

    def __init__(self, make: Callable[[], T], on_failure: Callable[[Exception], None]) -> None:
        """`on_failure` is told by the thread."""
        self.now: T | None = None
        """None until it is made, and for ever if that failed."""
        self._make = make
        self._on_failure = on_failure
        self._made = threading.Event()

    def begin(self) -> None:
        """Make it."""
        threading.Thread(target=self._run, name="shell late", daemon=True).start()

    def wait(self, seconds: float) -> T | None:
        """The value once it is there."""
        self._made.wait(seconds)
        return self.now

    def _run(self) -> None:
        try:
            self.now = self._make()
        except Exception as error:
            self._on_failure(error)
        finally:
            self._made.set()
