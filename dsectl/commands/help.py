"""`dsectl help`: the commands, one command, or a topic."""

from difflib import get_close_matches
from typing import Annotated

import typer

from cluster.errors import EXIT_CODES, NotFound
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.table import COMMANDS, GROUPS, lookup, parts_of, similar
from dsectl.cli.topics import find_terms, terms, topics
from dsectl.ui.text import Paint


@command("help", "Show this list, a command, or a topic.", group="more", rank=4, readonly=True, aside=True)
def help(
    topic: Annotated[list[str] | None, typer.Argument(metavar="TOPIC", help="Command or topic to explain.")] = None,
) -> Answer:
    """Topics: exit-codes, errors, options, environment, values, units, outcomes, patterns, queues, faults, watch,
    recipes, glossary; and each term of it, as in `dsectl help hint`."""
    if not topic:
        commands = {
            entry.name: {"help": entry.help, "group": entry.group, "readonly": entry.readonly, "alias": entry.alias}
            for entry in COMMANDS.values()
        }
        codes = {str(code): text for code, text in EXIT_CODES.items()}
        titles = {name: topic.title for name, topic in topics().items()}
        value = {"commands": commands, "topics": titles, "exit_codes": codes}

        def view(console: Console) -> None:
            paint, width = console.paint, max(map(len, COMMANDS))
            groups = {
                title: {one.name: one.help for one in COMMANDS.values() if one.group == group}
                for group, title in GROUPS.items()
            }
            groups["Topics"] = {name: f"{title}." for name, title in titles.items()}
            console.lines([f"{paint('dsectl', 'strong')}: real nodes, real faults, on this machine", ""])
            for title, helps in groups.items():
                console.lines([paint(title, "strong"), *_listed(helps, width, paint), ""])
            console.line("`dsectl help COMMAND` shows its arguments and options, `dsectl help TOPIC` a topic.")

        return Answer(value, view)
    lines = about(topic)
    return Answer({"topic": " ".join(topic), "text": "\n".join(lines)}, lambda console: console.lines(lines))


def about(words: list[str]) -> list[str]:
    """What there is to say of a command, a term and a topic: `faults` is all three. Raises NotFound."""
    known, name = topics(), " ".join(words)
    meant = {also: topic for topic, one in known.items() for also in one.also}
    found, parts = lookup(words), []
    if found is not None and found[1] == len(words):
        from dsectl.cli.parsing import help_text

        entry = found[0]
        parts.append([*([f"Also called: {entry.alias}", ""] if entry.alias else []), *help_text(entry).splitlines()])
    elif len(words) == 1 and parts_of(name):
        begun = {command: COMMANDS[command].help for command in (f"{name} {part}" for part in parts_of(name))}
        parts.append(_listed(begun, max(map(len, begun)), current().console.paint))
    parts += [term.lines for term in find_terms(name)]
    topic = known.get(name if found else meant.get(name.lower(), name.lower()))
    if topic is not None:
        parts.append(topic.text.splitlines())
    if parts:
        return [line for part in parts for line in ("", *part)][1:]
    every = [*known, *meant, *(one for term in terms() for one in term.names)]
    like = get_close_matches(words[0].lower(), every, n=2, cutoff=0.6)
    close = list(dict.fromkeys([*(meant.get(one, one) for one in like), *similar(words[0])]))[:3]
    help = f"Did you mean {' or '.join(f'`dsectl help {one}`' for one in close)}?"
    raise NotFound(
        f"no help for {name!r}",
        help=help if close else f"`dsectl help` lists the commands. Topics: {', '.join(known)}.",
    )


def _listed(helps: dict[str, str], width: int, paint: Paint) -> list[str]:
    return [f"  {paint(f'{name:<{width}}', 'name')}  {help}" for name, help in helps.items()]
