"""A terminal for whoever asks."""

import io


class TerminalText(io.StringIO):
    """What is written to a stream whose descriptor is that of a terminal."""

    def fileno(self) -> int:
        return 1

    def isatty(self) -> bool:
        return True
