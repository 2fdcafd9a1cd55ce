"""How a command is declared, beside the function that carries it out, and what that function returns.

    @command("ps", "List the clusters of this machine.", group="clusters", rank=4, readonly=True)
    def ps() -> Answer: ...

The arguments and options are those of the function, and its docstring is the second half of the help.
`python -m dsectl.reference` gathers all declarations in `dsectl/cli/generated.py`, so that the table of commands is
read without loading any of them.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from dsectl.cli.console import Console

FOLLOW = ("-f", "--follow")


class Entry(Struct, frozen=True):
    """One command, as the table has it; called with a function, it declares that one as the command."""

    name: str
    """One word, or two as in `recipe run`."""
    help: str
    group: str
    rank: int
    """Its place in the group, in `dsectl help` and the docs."""
    readonly: bool = False
    """It changes nothing, so a recipe may poll it."""
    alias: str = ""
    streams: tuple[str, ...] = ()
    """The options with which it prints one JSON value a line, and goes on; an empty one stands for always."""
    barred: str = ""
    """Why it has no place in a recipe."""
    aside: bool = False
    """It is about the machine or about dsectl itself, so a session that is exported as a recipe leaves it out."""
    module: str = ""
    function: str = ""
    plain: tuple[int, ...] = ()
    """With so many arguments and no option, the function is called as it is, and Typer is not loaded, which would be
    half of the time. Derived from the signature: all these arguments are text."""

    def __call__(self, function: "F") -> "F":
        """Declare it."""
        function.__dict__["entry"] = replace(self, module=function.__module__, function=function.__name__)
        return function

    def load(self) -> "Function":
        """What carries it out. Loads its module."""
        return getattr(import_module(self.module), self.function)  # type: ignore[no-any-return]


command = Entry
"""The name under which commands are declared."""


class Answer(NamedTuple):
    """What a command came to: a value for --json, and the same for people."""

    value: Any
    view: "Callable[[Console], object]"
    """Writes it for people, with the notes that belong to it."""
    code: int = 0


class Given(NamedTuple):
    """What a command line gives for a parameter."""

    name: str
    metavar: str
    value: object


class Lines(list[Any]):
    """A value of an answer that is printed one JSON value a line, not as one list."""


Function = Callable[..., Answer | Iterator[Answer] | int]
"""A command that goes on yields an answer for each thing that happens; one that is a conversation returns its code."""

F = TypeVar("F", bound=Callable[..., Any])
