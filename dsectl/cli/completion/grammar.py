"""What may follow a command line: commands, options, and what kind of word an option or an argument takes.

The grammar is read from what help reads too: the table of commands, and each command's signature. What a word must be
is read from its name in help: `NODE`, `FILE`, `interval|always`; for a name that is not known here nothing is offered.
Where a kind is looked up (clusters on disk, keys in a cluster) is no concern of this file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from dsectl.cli.declaration import Entry
from dsectl.cli.options import LINES
from dsectl.cli.resources import folder
from dsectl.cli.table import COMMANDS


class NameKind(StrEnum):
    """What a value names. The names are those of help, in lower case."""

    ANY = "any"
    """Whatever people type: nothing can be offered."""
    CHOICE = "choice"
    """One of the words in `Value.choices`."""
    CLUSTER = "cluster"
    NODE = "node"
    NODES = "nodes"
    """In a comma list."""
    PROCESS = "process"
    """A node, or a worker beside one."""
    END = "end"
    """An end of a link: a node, or `all`."""
    GROUP = "group"
    """Nodes in a comma list, or `rest`."""
    ZONE = "zone"
    FAULT = "fault"
    FILE = "file"
    RECIPE = "recipe"
    """One of `Value.choices`, or a file."""
    KEY = "key"
    BUCKET = "bucket"
    QUEUE = "queue"
    RECEIPT = "receipt"
    """Of a message that this session received; elsewhere nothing is offered."""
    VALUE = "value"
    """Bytes of any kind; behind `@` a file."""
    SUBJECT = "subject"
    SERVICE = "service"
    SERVED = "served"
    """A service, or one of the workers that host them."""
    OPERATION = "operation"


@dataclass(frozen=True)
class Value:
    """What a word must be."""

    kind: NameKind = NameKind.ANY
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """An option of a command, or of all of them; a flag has no value."""

    names: tuple[str, ...]
    """As in `-n`, `--nodes`."""
    help: str
    value: Value | None = None


@dataclass(frozen=True)
class Argument:
    """A word behind the command; `many` for the last one that may stand any number of times."""

    value: Value
    many: bool = False


@dataclass(frozen=True)
class Signature:
    """One command of the table, with everything that its signature says."""

    name: str
    help: str
    alias: str = ""
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()

    def argument(self, at: int) -> Value | None:
        """What the argument number `at` (from 0) must be; None where there is no place for one."""
        if at < len(self.arguments):
            return self.arguments[at].value
        last = self.arguments[-1] if self.arguments else None
        return last.value if last is not None and last.many else None


@dataclass(frozen=True)
class Grammar:
    """All commands in the order of the table, and the options that every one takes."""

    commands: Mapping[str, Signature]
    options: tuple[Option, ...] = ()

    def first_words(self) -> dict[str, str]:
        """The words with which a command line begins, with their help; aliases are left out, since they say nothing
        new."""
        words: dict[str, str] = {}
        for command in self.commands.values():
            word, _, rest = command.name.partition(" ")
            words.setdefault(word, f"{', '.join(self.parts_of(word))}." if rest else command.help)
        return words

    def parts_of(self, word: str) -> dict[str, str]:
        """The second words of the commands that begin with `word`, with their help."""
        names = {name.partition(" ")[2]: one for name, one in self.commands.items() if name.startswith(f"{word} ")}
        return {part: command.help for part, command in names.items()}

    def find(self, name: str) -> Signature | None:
        """A command by its name or its alias."""
        aliases = {one.alias: one for one in self.commands.values() if one.alias}
        return self.commands.get(name) or aliases.get(name)


@dataclass(frozen=True)
class WalkRule:
    """A line of the walk over a command line: a word under all these conditions is what `then` says.

    A condition is a pattern of the word, which begins with a dash, or a state: `due` (an option waits for its value),
    `open` (no `--` yet, so that there may be options), `named` (the command is known), `lost` (behind a word that is no
    command). The walk below is made of these rules, and a test compares the conditions of the walks in completions/.
    """

    when: tuple[str, ...]
    then: str


COMPLETE_WORD = (
    WalkRule(("due",), "value"),
    WalkRule(("open", "--"), "close"),
    WalkRule(("open", "--*=*"), "joined"),
    WalkRule(("open", "-?*"), "option"),
    WalkRule(("named",), "argument"),
    WalkRule((), "name"),
)
"""What a word is that is followed by another one."""
LAST_WORD = (
    WalkRule(("due",), "value"),
    WalkRule(("lost",), "nothing"),
    WalkRule(("open", "--*=*"), "joined"),
    WalkRule(("open", "-*"), "options"),
    WalkRule(("named",), "argument"),
    WalkRule((), "words"),
)
"""What may stand in the place of the word that is being typed."""


class Walk:
    """Goes along a command line and remembers what it has seen."""

    def __init__(self, grammar: Grammar, words: Sequence[str] = ()) -> None:
        self.grammar = grammar
        self.command: Signature | None = None
        self.first = ""
        """The first word of a command of two, until the second comes."""
        self.arguments = 0
        self.cluster: str | None = None
        self.due: Option | None = None
        """The option whose value comes next."""
        self.unknown: list[str] = []
        """Options that the command does not have."""
        self._closed = False
        self._lost = False
        for word in words:
            self._step(word)

    def last(self, typed: str) -> str:
        """What may stand in the place of `typed`, as `LAST_WORD` calls it."""
        return self._rule(LAST_WORD, typed)

    def option(self, name: str) -> Option | None:
        """The option of that name that may stand here."""
        return next((one for one in self.options if name in one.names), None)

    @property
    def options(self) -> tuple[Option, ...]:
        """Those that may stand here."""
        if self._closed or self._lost or self.due is not None:
            return ()
        return (*(self.command.options if self.command else ()), *self.grammar.options)

    @property
    def value(self) -> Value | None:
        """What a plain word must be here; None where there is no place for one."""
        if self.due is not None:
            return self.due.value
        return None if self._lost or self.command is None else self.command.argument(self.arguments)

    @property
    def words(self) -> Mapping[str, str]:
        """The names of commands that may stand here, or the second words of one, with their help."""
        if self.command is not None or self._lost or self.due is not None:
            return {}
        return self.grammar.parts_of(self.first) if self.first else self.grammar.first_words()

    def _rule(self, rules: Sequence[WalkRule], word: str) -> str:
        states = {
            "due": self.due is not None,
            "open": not self._closed,
            "named": self.command is not None,
            "lost": self._lost,
        }
        for rule in rules:
            if all(states[one] if one in states else fnmatchcase(word, one) for one in rule.when):
                return rule.then
        raise AssertionError("the last rule has no condition")

    def _step(self, word: str) -> None:
        match self._rule(COMPLETE_WORD, word):
            case "value":
                self._take(self.due, word)
                self.due = None
            case "close":
                self._closed = True
            case "joined":
                name, _, value = word.partition("=")
                self._take(self._known(name), value)
            case "option":
                option = self._known(word)
                self.due = option if option is not None and option.value is not None else None
            case "argument":
                self.arguments += 1
            case "name":
                self.command = self.grammar.find(f"{self.first} {word}".lstrip())
                if self.command is None and not self.first and self.grammar.parts_of(word):
                    self.first = word
                elif self.command is None:
                    self._lost = True

    def _known(self, name: str) -> Option | None:
        option = self.option(name)
        if option is None:
            self.unknown.append(name)
        return option

    def _take(self, option: Option | None, value: str) -> None:
        if option is not None and option.value is not None and option.value.kind is NameKind.CLUSTER:
            self.cluster = value


KINDS = {
    **{kind.value.upper(): kind for kind in NameKind},
    **dict.fromkeys(("FROM", "TO"), NameKind.END),
    **dict.fromkeys(("PAYLOAD", "BODY"), NameKind.VALUE),
    "PATTERN": NameKind.SUBJECT,
    "DLQ": NameKind.QUEUE,
    "SERVICE.OPERATION": NameKind.OPERATION,
    "NODE,": NameKind.NODES,
    "NODE|WORKER": NameKind.PROCESS,
    "SERVICE|MODULE:CLASS": NameKind.SERVICE,
    "SERVICE|WORKER": NameKind.SERVED,
}
"""What help calls the kinds of words; most have their own name."""
CHOICES = re.compile(r"[a-z][a-z-]*(\|[a-z][a-z-]*)*")
GLOBAL = re.compile(r"(?P<names>(-\w, )?--[a-z-]+)( (?P<value>[A-Z]+))?")
HELP = Option(("--help",), "Show the arguments and options")


def read_grammar() -> Grammar:
    """The whole grammar. Loads the module of every command."""
    commands = {entry.name: read_command(entry) for entry in COMMANDS.values()}
    return Grammar(commands, (*global_options(), HELP))


def read_command(entry: Entry) -> Signature:
    """One command."""
    from dsectl.cli.parsing import command  # loads Typer

    parameters = command(entry).params
    options, arguments = [], []
    for one in parameters:
        value = value_of(one.metavar or "")
        if one.param_type_name == "option":
            names = tuple(sorted([*one.opts, *one.secondary_opts], key=len))
            options.append(Option(names, (one.help or "").removesuffix("."), None if one.is_flag else value))
        elif not one.hidden:
            arguments.append(Argument(value, one.nargs == -1))
    return Signature(entry.name, entry.help, entry.alias, tuple(options), tuple(arguments))


def global_options() -> tuple[Option, ...]:
    """The options that every command takes, from the lines of `dsectl help options`."""
    options = []
    for line, help in LINES:
        found = GLOBAL.fullmatch(line)
        assert found is not None, line
        names = tuple(found["names"].split(", "))
        value = None if found["value"] is None else value_of("CLUSTER" if "--cluster" in names else found["value"])
        options.append(Option(names, help[0].upper() + help[1:], value))
    return tuple(options)


def value_of(metavar: str) -> Value:
    """What a word must be that help calls `metavar`: `[NODE]...` is as `NODE`, and `[VERSION=SHARE]` as `VERSION`."""
    name = re.split("[ =]", metavar.replace("[", "").replace("]", "").removesuffix("..."))[0]
    if name == "RECIPE":
        names = (one.name for one in folder("recipes").iterdir())
        recipes = sorted(one.removesuffix(".md") for one in names if one.endswith(".md") and one != "README.md")
        return Value(NameKind.RECIPE, tuple(recipes))
    if name == "TOPIC":
        from dsectl.cli.topics import topics

        words = [*(name.partition(" ")[0] for name in COMMANDS), *topics()]
        return Value(NameKind.CHOICE, tuple(dict.fromkeys(words)))
    if CHOICES.fullmatch(name):
        return Value(NameKind.CHOICE, tuple(name.split("|")))
    return Value(KINDS.get(name, NameKind.ANY))
