"""Huge pastes: a sign stands for one in the line, so that each key need not draw a megabyte. Pure."""

import re

HELD_BYTES_MIN = 8192
"""What is shorter stands in the line as it is."""
SIGN = re.compile(r"⟨paste (\d+): \d+ KiB⟩")


class Pastes:
    """What was pasted and not yet entered, by the number in its sign."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}
        self._count = 0

    def hold(self, text: str) -> str:
        """What goes into the line for `text`: the text itself, or a sign."""
        if len(text) < HELD_BYTES_MIN:
            return text
        self._count += 1
        self._held[str(self._count)] = text
        return f"⟨paste {self._count}: {len(text) // 1024} KiB⟩"

    def expand(self, line: str) -> str:
        """The line that was meant; what was pasted into other lines is forgotten."""
        meant = SIGN.sub(lambda sign: self._held.get(sign[1], sign[0]), line)
        self._held.clear()
        return meant
