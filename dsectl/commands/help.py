"""`dsectl help`: the commands, one command, or a topic."""

from importlib import import_module
from typing import Annotated, Any

import typer

from cluster.errors import EXIT_CODES, NotFound
from dsectl.cli.declaration import Answer, command
from dsectl.cli.glossary import all_words, explain, find
from dsectl.cli.invocation import current
from dsectl.cli.table import ALIASES, COMMANDS, GROUPS, Entry, lookup, parts_of, similar
from dsectl.cli.topics import SYNONYMS, topics


@command("help", "Show this list, a command, or a topic.", group="more", rank=4, readonly=True, aside=True)
def help(
    topic: Annotated[list[str] | None, typer.Argument(metavar="[TOPIC]", help="Command or topic to explain.")] = None,
) -> Answer:
    """Topics: exit-codes, errors, options, environment, values, units, outcomes, patterns, faults, watch, recipes,
    glossary; and each term of it, as in `dsectl help hint`."""
    if not topic:
        return Answer(_as_json(), lambda console: console.lines(_overview()))
    lines = about(topic)
    return Answer({"topic": " ".join(topic), "text": "\n".join(lines)}, lambda console: console.lines(lines))


def about(words: list[str]) -> list[str]:
    """What there is to say of a command, a term and a topic: `faults` is all three. Raises NotFound."""
    known, name = topics(), " ".join(words)
    found, parts = lookup(words), []
    if found is not None and found[1] == len(words):
        parts.append(_command(found[0]))
    elif len(words) == 1 and parts_of(name):
        parts.append(_several(name))
    parts += [explain(term) for term in find(name)]
    topic = known.get(name if found else SYNONYMS.get(name.lower(), name.lower()))
    if topic is not None:
        parts.append(topic.text.splitlines())
    if parts:
        return [line for part in parts for line in ("", *part)][1:]
    raise NotFound(f"no help for {' '.join(words)!r}", help=_suggestion(words[0], list(known)))


def _suggestion(word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    words = get_close_matches(word.lower(), [*known, *SYNONYMS, *all_words()], n=2, cutoff=0.6)
    close = list(dict.fromkeys([*(SYNONYMS.get(one, one) for one in words), *similar(word)]))[:3]
    if close:
        return f"Did you mean {' or '.join(f'`dsectl help {one}`' for one in close)}?"
    return f"`dsectl help` lists the commands. Topics: {', '.join(known)}."


def _as_json() -> dict[str, Any]:
    commands = {
        entry.name: {"help": entry.help, "group": entry.group, "readonly": entry.readonly, "alias": entry.alias}
        for entry in COMMANDS.values()
    }
    titles = {name: topic.title for name, topic in topics().items()}
    return {
        "commands": commands,
        "topics": titles,
        "exit_codes": {str(code): text for code, text in EXIT_CODES.items()},
    }


def _overview() -> list[str]:
    paint = current().console.paint
    width = max(map(len, COMMANDS))
    lines = [f"{paint('dsectl', 'strong')}: real nodes, real faults, on this machine", ""]
    for group, title in GROUPS.items():
        lines.append(paint(title, "strong"))
        entries = [entry for entry in COMMANDS.values() if entry.group == group]
        lines += [f"  {paint(f'{entry.name:<{width}}', 'name')}  {entry.help}" for entry in entries]
        lines.append("")
    lines.append(paint("Topics", "strong"))
    lines += [f"  {paint(f'{name:<{width}}', 'name')}  {topic.title}." for name, topic in topics().items()]
    return [*lines, "", "`dsectl help COMMAND` shows its arguments and options, `dsectl help TOPIC` a topic."]


def _command(entry: Entry) -> list[str]:
    from dsectl.cli.parsing import help_text

    function = getattr(import_module(entry.module), entry.function)
    text = help_text(entry, function).splitlines()
    alias = [f"Also called: {alias}", ""] if (alias := entry.alias) and alias in ALIASES else []
    return [*alias, *text]


def _several(name: str) -> list[str]:
    """The commands that begin with one word."""
    paint = current().console.paint
    entries = [COMMANDS[f"{name} {part}"] for part in parts_of(name)]
    width = max(len(entry.name) for entry in entries)
    return [f"  {paint(f'{entry.name:<{width}}', 'name')}  {entry.help}" for entry in entries]
