"""The shells that have a completion file: its name, and what makes it."""

from collections.abc import Callable

from dsectl.cli.completion import bash, fish, zsh
from dsectl.cli.completion.grammar import Grammar

Renderer = Callable[[Grammar], str]

RENDERERS: dict[str, Renderer] = {"dsectl.bash": bash.render, "_dsectl": zsh.render, "dsectl.fish": fish.render}
"""By the name of the file below `completions/`."""
