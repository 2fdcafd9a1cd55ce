"""The history of all sessions: a file in the state directory, readable by its owner only, and bounded; and the rest of
a line that was entered before, shown behind the cursor.

Several shells share the file: each line is one write behind a lock, and whoever shortens the file holds the same lock.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.history import History

from dsectl.ui.units import local_time

FILE = "shell_history"
ENTRIES_MAX = 2000
"""Each key press may look through all of them for a suggestion."""
LINE_MAX = 4096
"""A longer line was pasted, and nobody looks for it again."""


class Past(History):
    """Lines that begin with a blank are not kept, and a line that is repeated is kept once. The format is that of
    prompt-toolkit's own file: a comment with the time, then each line of an entry behind a plus."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError when nothing can be kept there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE
        self._last = ""
        with _locked(self._path) as file:
            kept = _entries(os.pread(file, os.fstat(file).st_size, 0))
            if len(kept) > 2 * ENTRIES_MAX:
                fresh = self._path.with_suffix(".new")
                fresh.touch(0o600)
                fresh.write_bytes(b"".join(map(_as_entry, kept[-ENTRIES_MAX:])))
                fresh.replace(self._path)
        super().__init__()

    def load_history_strings(self) -> Iterable[str]:
        """All that is kept, newest first."""
        try:
            return reversed(_entries(self._path.read_bytes()))
        except OSError:
            return ()

    def append_string(self, string: str) -> None:
        """Keep a line that was entered."""
        if string == self._last or not string.strip() or string[0].isspace() or len(string) > LINE_MAX:
            return
        self._last = string
        super().append_string(string)

    def store_string(self, string: str) -> None:
        """Write it; a full disk costs the history, not the session."""
        try:
            with _locked(self._path) as file:
                os.write(file, _as_entry(string))
        except OSError:
            return


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, for one at a time."""
    while True:
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_ino == os.stat(path).st_ino:  # else it was shortened while this waited
                yield file
                return
        finally:
            os.close(file)


def _as_entry(string: str) -> bytes:
    lines = "".join(f"+{line}\n" for line in string.split("\n"))
    return f"\n# {local_time()}\n{lines}".encode(errors="replace")


def _entries(data: bytes) -> list[str]:
    """The entries in a file, oldest first, whatever else is in it."""
    entries: list[list[str]] = []
    fresh = True
    for line in data.decode(errors="replace").split("\n"):
        if line.startswith("+"):
            if fresh:
                entries.append([])
            entries[-1].append(line[1:])
        fresh = not line.startswith("+")
    return ["\n".join(lines) for lines in entries]


LOOKED_AT_MAX = 500
"""Newest lines. It is done in each key press; prompt-toolkit's own takes 5 ms for 4000 of them."""


class SuggestFromHistory(AutoSuggest):
    """The newest line that begins so."""

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        """None for an empty line, and for a line of which nothing is known."""
        begun = document.text
        if not begun.strip() or "\n" in begun:
            return None
        lines = islice(reversed(buffer.history.get_strings()), LOOKED_AT_MAX)
        found = next((line for line in lines if line.startswith(begun) and len(line) > len(begun)), None)
        return None if found is None or "\n" in found else Suggestion(found[len(begun) :])
