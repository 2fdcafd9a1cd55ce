"""`dsectl help`: the commands, one command, or a topic."""

from importlib import import_module
from typing import Annotated

import typer

from cluster.errors import EXIT_CODES, NotFound
from dsectl.invocation import current
from dsectl.options import LINES
from dsectl.table import ALIASES, COMMANDS, GROUPS, lookup, parts_of, similar
from dsectl.views.table import table

TOPICS = {
    "exit-codes": "What the exit codes mean.",
    "options": "The options that every command takes.",
    "recipes": "How steps of recipes are written.",
    "values": "How values, durations and sizes are written.",
}
VALUES = """\
A value on the command line is its bytes; `-` reads standard input and `@FILE` a file, unless --literal is given.
A value that begins with a dash goes behind `--`: dsectl put key -- -5
`get` prints text as text and lays JSON out on a terminal; --raw writes the bytes as they are.
Under --json a value that is not UTF-8 is {"base64": "..."}.
Durations: 250ms 5s 2m 1h. Sizes: 512B 64KiB 1MiB 10MB. Probabilities: 0.1 or 10%."""

RECIPES = """\
A recipe is a Markdown file. Blocks marked `dsectl` hold its steps, one a line; blocks marked `predict` a question.

put cart "book"                                a command, which must succeed
explain cart .owners[0] -> $first              keep a value of its JSON in a variable
expect get cart .value == "book"               must hold now
within 5s: members .$first.state == dead       must hold once in that time; looks again and again
always 3s: get cart .value == "book"           must hold at every look
!7 put cart x --strict                         must fail, with that exit code; `! …` with any
subscribe orders.* &job                        goes on in the background; `expect job .length == 2`,
wait job                                       until it ends, or `stop job`

Operators: == != < <= > >= in contains matches. Values are JSON or a word: 3 is a number, "3" is a text.
A path begins with a dot: .value  .owners[0]  .$node.state  ."a key".length  and a lone dot is the whole.
Above the title, between lines of ---: nodes zones replication profile durability store principles timeout red.

`dsectl recipe show quorum` is an example, `dsectl recipe check FILE` says what is wrong with yours."""


def help(
    topic: Annotated[list[str] | None, typer.Argument(metavar="[TOPIC]", help="A command or a topic.")] = None,
) -> None:
    """Topics: exit-codes, options, recipes, values."""
    console = current().console
    if console.options.json:
        console.value(_as_json())
    elif not topic:
        console.lines(_overview())
    elif topic[0] in TOPICS and len(topic) == 1:
        console.lines(_topic(topic[0]))
    else:
        console.lines(_command(topic))


def _as_json() -> dict[str, object]:
    commands = {
        entry.name: {"help": entry.help, "group": entry.group, "readonly": entry.readonly, "alias": entry.alias}
        for entry in COMMANDS.values()
    }
    return {"commands": commands, "exit_codes": {str(code): text for code, text in EXIT_CODES.items()}}


def _overview() -> list[str]:
    paint = current().console.paint
    width = max(map(len, COMMANDS))
    lines = [f"{paint('dsectl', 'strong')}: real nodes, real faults, on this machine", ""]
    for group, title in GROUPS.items():
        lines.append(paint(title, "strong"))
        entries = [entry for entry in COMMANDS.values() if entry.group == group]
        lines += [f"  {paint(f'{entry.name:<{width}}', 'name')}  {entry.help}" for entry in entries]
        lines.append("")
    topics = ", ".join(f"`dsectl help {topic}`" for topic in TOPICS)
    return [*lines, "`dsectl help COMMAND` shows its arguments and options.", f"Topics: {topics}."]


def _topic(topic: str) -> list[str]:
    paint = current().console.paint
    if topic == "exit-codes":
        return table(
            ("CODE", "MEANING"), [(str(code), text) for code, text in EXIT_CODES.items()], paint, right=("CODE",)
        )
    if topic == "options":
        return table(("OPTION", "MEANING"), LINES, paint)
    if topic == "recipes":
        return RECIPES.splitlines()
    return VALUES.splitlines()


def _command(words: list[str]) -> list[str]:
    found = lookup(words)
    if found is None or found[1] < len(words):
        if len(words) == 1 and parts_of(words[0]):
            return _several(words[0])
        name = " ".join(words)
        close = similar(words[0])
        help = f"Did you mean `dsectl help {close[0]}`?" if close else "`dsectl help` lists the commands and topics."
        raise NotFound(f"no help for {name!r}", help=help)
    from dsectl.parsing import help_text

    entry = found[0]
    function = getattr(import_module(entry.module, "dsectl"), entry.function)
    text = help_text(entry, function).splitlines()
    alias = [f"Also called: {alias}", ""] if (alias := entry.alias) and alias in ALIASES else []
    return [*alias, *text]


def _several(name: str) -> list[str]:
    """The commands that begin with one word."""
    paint = current().console.paint
    entries = [COMMANDS[f"{name} {part}"] for part in parts_of(name)]
    width = max(len(entry.name) for entry in entries)
    return [f"  {paint(f'{entry.name:<{width}}', 'name')}  {entry.help}" for entry in entries]
