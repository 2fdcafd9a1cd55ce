"""What is generated in the completion files of bash, zsh and fish.

Each file in completions/ is a program of its shell, written there by hand, but for what stands between `# generated`
and `# end`: all that the grammar knows, as functions that the walk over a command line calls. The walk goes by the same
rules as `Walk`, and a test compares the conditions. docs/decisions/0023-completion.md tells why.

The functions are called with a command and what is asked of it: `option COMMAND OPTION` and `argument COMMAND NUMBER`
answer with a kind of value and its choices, `command WORDS` with the command that they name; `words FIRST` and
`options COMMAND` offer words. In bash (from 3.2 on, as macOS has it) and zsh they set `kind` and `command`, `first`
(another word must follow) or `lost`; in fish (from 3.1 on) they print.
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from dsectl.cli.completion.grammar import Grammar, NameKind, Option, Value

GENERATED = re.compile(r"^(# generated\n).*?^(# end\n)", re.DOTALL | re.MULTILINE)
Words = Mapping[str, str]
"""Words with their help."""


class Bash:
    """How a shell writes tables."""

    prefix, argument = "_dsectl_", "${}"
    function, end = "{}() {{", "}"
    case, arm, either, end_case = '    case "{}" in', "        {}) {} ;;", " | ", "    esac"
    reset: ClassVar = ["    kind="]

    def quote(self, text: str) -> str:
        """`text` as one word or pattern; nothing here holds a quote."""
        if text.endswith("*"):
            return (self.quote(text[:-1]) if text[:-1] else "") + "*"
        return f"'{text}'" if " " in text or not text else text

    def says(self, spec: str) -> str:
        """The answer of `option` and of `argument`."""
        return f"kind={self.quote(spec)}"

    def names(self, grammar: Grammar) -> list[tuple[list[str], str]]:
        """The arms of `command`."""
        first = [word for word in grammar.first_words() if word not in grammar.commands]
        return [
            *(([one.alias], f"command={self.quote(one.name)}") for one in grammar.commands.values() if one.alias),
            (list(grammar.commands), "command=$1"),
            *(([word], f"first={word}") for word in first),
            (["*"], "lost=1"),
        ]

    def offer(self, words: Words, more: bool = False) -> str:
        """Offer these, or these as well."""
        return f"_dsectl_reply {' '.join(words)}"


class Zsh(Bash):
    """As bash, with help behind each word."""

    def offer(self, words: Words, more: bool = False) -> str:
        """As `_describe` takes them, one a line."""
        listed = "".join(f"\n            '{word}:{help}'" for word, help in words.items())
        return f"offered{'+' if more else ''}=({listed}\n        )"


class Fish(Bash):
    """Another language."""

    prefix, argument = "__dsectl_", "$argv[{}]"
    function, end = "function {}", "end"
    case, arm, either, end_case = '    switch "{}"', "        case {}\n            {}", " ", "    end"
    reset: ClassVar[list[str]] = []

    def quote(self, text: str) -> str:
        """In quotes a star is a pattern, too."""
        return f"'{text}'" if " " in text or not text or "*" in text else text

    def says(self, spec: str) -> str:
        """Printed."""
        return f"echo '{spec}'"

    def names(self, grammar: Grammar) -> list[tuple[list[str], str]]:
        """What is no command prints nothing."""
        aliases = [([one.alias], f"echo '{one.name}'") for one in grammar.commands.values() if one.alias]
        return [*aliases, (list(grammar.commands), "echo $argv[1]")]

    def offer(self, words: Words, more: bool = False) -> str:
        """With their help behind a tab."""
        return f"\n{'    ' if more else '            '}".join(
            f"printf '%s\\t%s\\n' {word} '{help}'" for word, help in words.items()
        )


SHELLS = {"dsectl.bash": Bash(), "_dsectl": Zsh(), "dsectl.fish": Fish()}
"""By the name of the file below `completions/`."""


def render(name: str, text: str, grammar: Grammar) -> str:
    """The file of that name with its tables made anew."""
    return GENERATED.sub(lambda mark: f"{mark[1]}{tables(SHELLS[name], grammar)}\n{mark[2]}", text)


def tables(shell: Bash, grammar: Grammar) -> str:
    """The functions that answer what the walk asks."""

    def case(subject: str, arms: Sequence[tuple[list[str], str]]) -> list[str]:
        made = [shell.arm.format(shell.either.join(map(shell.quote, names)), action) for names, action in arms]
        return [shell.case.format(subject), *made, shell.end_case]

    def spec(value: Value) -> str:
        return shell.says(" ".join([value.kind, *value.choices]))

    def described(options: Sequence[Option]) -> dict[str, str]:
        return {name: _plain(option.help) for option in options for name in option.names}

    commands = grammar.commands.values()
    words = {"": grammar.first_words(), **{word: grammar.parts_of(word) for word in grammar.first_words()}}
    of_all = [(list(one.names), spec(one.value)) for one in grammar.options if one.value]
    own = [
        ([f"{command.name} {name}" for name in one.names], spec(one.value))
        for command in commands
        for one in command.options
        if one.value
    ]
    arguments = [
        ([f"{command.name} {'*' if one.many else at}"], spec(one.value))
        for command in commands
        for at, one in enumerate(command.arguments)
        if one.value.kind is not NameKind.ANY
    ]
    offered = [
        ([word], shell.offer({one: _plain(help) for one, help in known.items()}))
        for word, known in words.items()
        if known
    ]
    options = [([one.name], shell.offer(described(one.options))) for one in commands if one.options]
    first, second = shell.argument.format(1), shell.argument.format(2)
    functions = {
        "option": [*shell.reset, *case(second, of_all), *case(f"{first} {second}", own)],
        "argument": case(f"{first} {second}", arguments),
        "command": case(first, shell.names(grammar)),
        "words": case(first, offered),
        "options": [*case(first, options), "    " + shell.offer(described(grammar.options), more=True)],
    }
    return "\n\n".join(
        "\n".join([shell.function.format(shell.prefix + name), *lines, shell.end]) for name, lines in functions.items()
    )


def _plain(help: str) -> str:
    """Help on one line, without what a shell would read: quotes, backquotes, dollars."""
    text = help.replace("`", "").replace("$", "").replace("'", "’")
    return " ".join(text.split()).removesuffix(".")
