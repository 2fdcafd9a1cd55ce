"""Feeds prompt-toolkit with candidates. It runs in a thread beside the prompt, so that no key waits for a node."""

from collections.abc import Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from dsectl.cli.completion.grammar import Grammar
from dsectl.script.interpreter import Interpreter
from dsectl.shell.candidates import Names, candidates
from dsectl.shell.late import Late
from dsectl.ui.text import shown

GRAMMAR_S = 5.0
"""How long the first Tab may have to wait for the commands to be loaded."""


class LineCompleter(Completer):
    """What may stand at the cursor of the line that is typed."""

    def __init__(self, grammar: Late[Grammar], names: Names, interpreter: Interpreter) -> None:
        self._grammar = grammar
        self._names = names
        self._interpreter = interpreter

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Each candidate, as it is typed, as it is shown, and with its help."""
        grammar = self._grammar.wait(GRAMMAR_S)
        if grammar is None:
            return
        text, behind = document.current_line_before_cursor, document.current_line_after_cursor[:1]
        jobs, variables = list(self._interpreter.jobs), list(self._interpreter.variables)
        for one in candidates(text, grammar, self._names, variables, jobs):
            blank = "" if one.goes_on or behind.isspace() else " "
            yield Completion(one.text + blank, -one.typed, display=shown(one.text), display_meta=one.help)
