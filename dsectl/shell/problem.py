"""What is wrong with a line while it is typed: enough to see a slip early, cheap enough for every key. Pure."""

from cluster.errors import Usage
from dsectl.cli.completion.grammar import Grammar
from dsectl.script.grammar import Command, Expect, Fails, Pipe, Poll, Run, Start, Step, parse
from dsectl.shell.own import OWN

TYPED_MAX = 4096
"""Of a longer line nothing is said."""


def problem(line: str, grammar: Grammar | None) -> str:
    """In some words; empty when there is nothing to say, as for a line that is only begun."""
    text = line.strip().removeprefix("dsectl ")
    if not text or len(text) > TYPED_MAX or "\n" in text:
        return ""
    try:
        step = parse(text, shell=True)
    except Usage as error:
        return error.message
    command = _command(step)
    if command is None or grammar is None:
        return ""
    return _of_command([word.text() for word in command.words], grammar, ended=line[-1:].isspace())


def _command(step: Step | None) -> Command | None:
    match step:
        case Run(command) | Start(command) | Fails(command) | Pipe(command):
            return command
        case Expect(source) | Poll(_, _, source):
            return source if len(source.words) > 1 else None
    return None


def _of_command(words: list[str], grammar: Grammar, *, ended: bool) -> str:
    """An unknown command, or an unknown option of a known one."""
    first = words[0]
    if first in OWN:
        return ""
    typing = len(words) == 1 and not ended
    known = [*grammar.first_words(), *(command.alias for command in grammar.commands.values() if command.alias)]
    if first not in known and not first.startswith("-"):
        return "" if typing and any(name.startswith(first) for name in known) else f"no command is called {first}"
    for at, word in enumerate(words):
        if word == "--":
            break
        if not word.startswith("--") or (at == len(words) - 1 and not ended):
            continue
        expected = grammar.expects(words[:at])
        if expected.command is None or not expected.options:
            continue
        if word.partition("=")[0] not in [name for option in expected.options for name in option.names]:
            return f"{expected.command.name} has no option {word.partition('=')[0]}"
    return ""
