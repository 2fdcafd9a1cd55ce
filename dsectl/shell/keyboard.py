"""What comes from the keyboard: keys typed ahead, keys that mean something else here, and huge pastes.

In a terminal's everyday mode the kernel echoes what is typed ahead into the output, and takes Ctrl-D for itself. So
both are off for as long as the shell lives; Ctrl-C stays a signal. Whoever reads sys.stdin gets the everyday mode for
so long. All other keys are as people know them from emacs and vi.
"""

import re
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, TextIO, cast

from prompt_toolkit.application.current import get_app
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import accept_search
from prompt_toolkit.validation import Validator

LOCAL_MODES, CONTROL_CHARACTERS = 3, 6
"""Where they stand in what termios gives."""


@contextmanager
def quiet_keyboard(stdin: TextIO) -> Iterator[None]:
    """Until the end, keys wait for the next prompt. Nothing happens when `stdin` is no terminal."""
    try:
        everyday = termios.tcgetattr(stdin)
    except (termios.error, OSError, ValueError):
        yield
        return
    quiet = _quiet(everyday)
    termios.tcsetattr(stdin, termios.TCSANOW, quiet)
    sys.stdin = cast(TextIO, _Asked(stdin, everyday, quiet))
    try:
        yield
    finally:
        sys.stdin = stdin
        _set(stdin, everyday)


def _quiet(everyday: list[Any]) -> list[Any]:
    modes = [*everyday]
    modes[LOCAL_MODES] &= ~(termios.ECHO | termios.ICANON)
    characters = list(everyday[CONTROL_CHARACTERS])
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    modes[CONTROL_CHARACTERS] = characters
    return modes


def _set(stdin: TextIO, modes: list[Any]) -> None:
    try:
        termios.tcsetattr(stdin, termios.TCSANOW, modes)
    except (termios.error, OSError, ValueError):  # the terminal is gone
        return


class _Asked:
    """Standard input for commands: each read is made in the everyday mode."""

    def __init__(self, stream: Any, everyday: list[Any], quiet: list[Any], terminal: TextIO | None = None) -> None:
        self._stream = stream
        self._terminal = terminal or stream
        self._everyday = everyday
        self._quiet = quiet

    @property
    def buffer(self) -> "_Asked":
        return _Asked(self._stream.buffer, self._everyday, self._quiet, self._terminal)

    def read(self, *limits: int) -> Any:
        with self._asking():
            return self._stream.read(*limits)

    def readline(self, *limits: int) -> Any:
        with self._asking():
            return self._stream.readline(*limits)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        _set(self._terminal, self._everyday)
        try:
            yield
        finally:
            _set(self._terminal, self._quiet)


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
    for plain, group in groupby(keys, key=lambda key: not isinstance(key.key, Keys) and key.data.isprintable()):
        run = list(group)
        if plain and len(run) >= BURST_MIN:
            run = [KeyPress(Keys.BracketedPaste, "".join(one.data for one in run))]
        joined += run
    return joined


NOT_TOO_LONG = Validator.from_callable(
    lambda text: len(text) < TYPED_MAX, f"over {TYPED_MAX // 1024} KiB typed: @FILE takes a value from a file"
)
"""Refuses a line of which an end may be missing."""


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
