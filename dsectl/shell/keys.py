"""Keys that do something else here than in prompt-toolkit; all others are as people know them from emacs and vi."""

from prompt_toolkit.filters import is_searching
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import accept_search

from dsectl.shell.pastes import Pastes


def key_bindings(pastes: Pastes) -> KeyBindings:
    """Added to the prompt's."""
    bindings = KeyBindings()

    @bindings.add(Keys.BracketedPaste, eager=True)
    def _(event: KeyPressEvent) -> None:
        """Terminals end the lines of what is pasted in their own ways."""
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        event.current_buffer.insert_text(pastes.hold(text))

    @bindings.add("enter", filter=is_searching, eager=True)
    def _(event: KeyPressEvent) -> None:
        """A line found with Ctrl-R is carried out, as in other shells; Escape or an arrow takes it to be edited."""
        accept_search()
        event.app.current_buffer.validate_and_handle()

    return bindings
