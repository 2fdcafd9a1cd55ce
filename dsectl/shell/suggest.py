"""The rest of a line that was entered before, shown behind the cursor; the right arrow or Ctrl-E takes it."""

from itertools import islice

from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document

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
