"""What may follow a command line: commands, options, and what kind of word an option or an argument takes.

Pure: words in, an `Expected` out. Where a kind is looked up (clusters on disk, keys in a cluster) is no concern of this
file, and neither is what was typed of the last word. The shells walk a command line in the same way as `expects` does:
`dsectl/cli/completion/{bash,zsh,fish}.py` say it in their languages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a value names. The names are those of help, in lower case."""

    ANY = "any"
    """Whatever people type: nothing can be offered."""
    CHOICE = "choice"
    """One of the words in `Value.choices`."""
    CLUSTER = "cluster"
    NODE = "node"
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
    VALUE = "value"
    """Bytes of any kind; behind `@` a file."""
    SUBJECT = "subject"
    SERVICE = "service"
    OPERATION = "operation"


@dataclass(frozen=True)
class Value:
    """What a word must be."""

    kind: Kind = Kind.ANY
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
class Command:
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
class Expected:
    """What the next word may be. All is empty where nothing may follow."""

    words: Mapping[str, str] = field(default_factory=dict)
    """Names of commands, or the second words of one, with their help."""
    value: Value | None = None
    options: tuple[Option, ...] = ()
    command: Command | None = None
    """The one that the words before name."""
    cluster: str | None = None
    """The one that the words before name."""


@dataclass(frozen=True)
class Grammar:
    """All commands in the order of the table, and the options that every one takes."""

    commands: Mapping[str, Command]
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

    def find(self, name: str) -> Command | None:
        """A command by its name or its alias."""
        aliases = {one.alias: one for one in self.commands.values() if one.alias}
        return self.commands.get(name) or aliases.get(name)

    def expects(self, words: Sequence[str]) -> Expected:
        """What may stand behind `words`, which follow `dsectl` and are complete."""
        return _Walk(self).over(words)


class _Walk:
    """Goes along a command line and remembers what it has seen."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.command: Command | None = None
        self.first = ""
        """The first word of a command of two, until the second comes."""
        self.arguments = 0
        self.cluster: str | None = None
        self.pending: Option | None = None
        """The option whose value comes next."""
        self.closed = False
        """Behind `--`, where nothing is an option."""
        self.lost = False
        """Behind a word that is no command."""

    def over(self, words: Sequence[str]) -> Expected:
        for word in words:
            self._step(word)
        if self.pending is not None:
            return self._expected(value=self.pending.value)
        if self.lost:
            return self._expected()
        options = () if self.closed else self._options()
        if self.command is None:
            known = self.grammar.parts_of(self.first) if self.first else self.grammar.first_words()
            return self._expected(words=known, options=options)
        return self._expected(value=self.command.argument(self.arguments), options=options)

    def _step(self, word: str) -> None:
        if self.pending is not None:
            self._take(self.pending, word)
            self.pending = None
        elif not self.closed and word == "--":
            self.closed = True
        elif not self.closed and word.startswith("-") and word != "-":
            self._option(word)
        elif self.command is not None:
            self.arguments += 1
        else:
            self._name(word)

    def _option(self, word: str) -> None:
        name, equals, value = word.partition("=")
        option = next((one for one in self._options() if name in one.names), None)
        if option is None or option.value is None:
            return
        if equals:
            self._take(option, value)
        else:
            self.pending = option

    def _take(self, option: Option, value: str) -> None:
        if option.value is not None and option.value.kind is Kind.CLUSTER:
            self.cluster = value

    def _name(self, word: str) -> None:
        name = f"{self.first} {word}".lstrip()
        self.command = self.grammar.find(name)
        if self.command is None and not self.first and self.grammar.parts_of(word):
            self.first = word
        elif self.command is None:
            self.lost = True

    def _options(self) -> tuple[Option, ...]:
        return (*(self.command.options if self.command else ()), *self.grammar.options)

    def _expected(
        self, words: Mapping[str, str] | None = None, value: Value | None = None, options: tuple[Option, ...] = ()
    ) -> Expected:
        return Expected(words or {}, value, options, self.command, self.cluster)
