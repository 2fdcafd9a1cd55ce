"""Keys that do something else here than in prompt-toolkit; all others are as people know them from emacs and vi."""

from prompt_toolkit.filters import is_searching
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.search import accept_search


def key_bindings() -> KeyBindings:
    """Added to the prompt's."""
    bindings = KeyBindings()

    @bindings.add("enter", filter=is_searching, eager=True)
    def _(event: KeyPressEvent) -> None:
        """A line found with Ctrl-R is carried out, as in other shells; Escape or an arrow takes it to be edited."""
        accept_search()
        event.app.current_buffer.validate_and_handle()

    return bindings
