"""What looks saw, as JSON, asked for again beside the prompt: `history export` learns from it what was waited for."""

from concurrent.futures import ThreadPoolExecutor

from dsectl.cli.invocation import Session
from dsectl.cli.table import lookup
from dsectl.script.execution import carry_out
from dsectl.shell.record import Entry

LOOK_S = 1.0


class Remember:
    """One look after the other, in a thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "shell remember")

    def look(self, entry: Entry, argv: list[str], cluster: str) -> None:
        """Ask again what `argv` asked, if it only looks, and keep the answer with the entry."""
        found = lookup(argv)
        if found is None or "-" in argv:
            return
        command = found[0]
        if not command.readonly or command.streams or command.barred or command.aside:  # long, or polled by nobody
            return
        self._pool.submit(_look, entry, argv, cluster)

    def settle(self) -> None:
        """Wait until all that was asked has been answered."""
        self._pool.submit(_nothing).result()

    def close(self) -> None:
        """Forget what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _look(entry: Entry, argv: list[str], cluster: str) -> None:
    session = Session(cluster)
    try:
        found = carry_out(argv, session, timeout_s=LOOK_S)
    finally:
        session.close()
    if found.code == 0:
        entry.value = found.value


def _nothing() -> None:
    """The end of the queue."""
