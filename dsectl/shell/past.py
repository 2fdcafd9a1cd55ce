"""The history of all sessions: a file in the state directory, readable by its owner only, and bounded."""

import os
from pathlib import Path

from prompt_toolkit.history import FileHistory

FILE = "shell_history"
ENTRIES_MAX = 5000
LINE_MAX = 4096
"""A longer line was pasted, and nobody looks for it again."""


class Past(FileHistory):
    """Lines that begin with a blank are not kept, and a line that is repeated is kept once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        _shorten(path)
        super().__init__(str(path))
        self._last = ""

    def append_string(self, string: str) -> None:
        """Keep a line that was entered."""
        if string == self._last or not string.strip() or string[0].isspace() or len(string) > LINE_MAX:
            return
        self._last = string
        try:
            super().append_string(string)
        except OSError:  # a full disk costs the history, not the session
            return


def _shorten(path: Path) -> None:
    """Keep the newest entries; each begins with a line `# time`."""
    text = path.read_bytes().decode(errors="replace")
    entries = text.split("\n# ")
    if len(entries) <= 2 * ENTRIES_MAX:
        return
    fresh = path.with_suffix(".new")
    fresh.touch(0o600)
    fresh.write_text("\n# " + "\n# ".join(entries[-ENTRIES_MAX:]))
    fresh.replace(path)
