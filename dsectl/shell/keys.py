"""Keys that do something else here than in prompt-toolkit; all others are as people know them from emacs and vi."""

from itertools import groupby

from prompt_toolkit.application.current import get_app
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import accept_search
from prompt_toolkit.validation import ValidationError, Validator

from dsectl.shell.pastes import Pastes

TYPED_MAX = 16 * 1024


BURST_MIN = 64
"""Nobody types so many characters between two looks at the keyboard."""


class BurstInput(Vt100Input):
    """A terminal that may not say what is pasted: characters that came at once are one paste, else each would cost as
    much as a key that somebody presses."""

    def read_keys(self) -> list[KeyPress]:
        """What was typed since the last look."""
        return join_bursts(super().read_keys())


def join_bursts(keys: list[KeyPress]) -> list[KeyPress]:
    """Runs of many characters as pastes. Pure."""
    joined: list[KeyPress] = []
    for plain, group in groupby(keys, key=_is_plain):
        run = list(group)
        if plain and len(run) >= BURST_MIN:
            run = [KeyPress(Keys.BracketedPaste, "".join(one.data for one in run))]
        joined += run
    return joined


def _is_plain(key: KeyPress) -> bool:
    return not isinstance(key.key, Keys) and key.data.isprintable()


class NotTooLong(Validator):
    """Refuses a line of which an end may be missing."""

    def validate(self, document: Document) -> None:
        """Raises ValidationError."""
        if len(document.text) >= TYPED_MAX:
            raise ValidationError(TYPED_MAX, f"over {TYPED_MAX // 1024} KiB typed: @FILE takes a value from a file")


def key_bindings(pastes: Pastes) -> KeyBindings:
    """Added to the prompt's."""
    bindings = KeyBindings()

    @bindings.add(Keys.Any, filter=Condition(lambda: len(get_app().current_buffer.text) >= TYPED_MAX))
    def _(event: KeyPressEvent) -> None:
        """Nobody types so much: it is a paste from a terminal that does not say so, and each key would draw all of it.
        The line can no longer be entered."""

    @bindings.add(Keys.BracketedPaste, eager=True)
    def _(event: KeyPressEvent) -> None:
        """Terminals end the lines of what is pasted in their own ways."""
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        buffer = event.current_buffer
        buffer.insert_text(pastes.hold(text)[: max(0, TYPED_MAX - len(buffer.text))])

    @bindings.add("enter", filter=is_searching, eager=True)
    def _(event: KeyPressEvent) -> None:
        """A line found with Ctrl-R is carried out, as in other shells; Escape or an arrow takes it to be edited."""
        accept_search()
        event.app.current_buffer.validate_and_handle()

    return bindings
