"""What is generated in the completion files of bash, zsh and fish.

Each file in completions/ is a program of its shell, written there by hand, but for what stands between
`# generated: NAME` and `# end`: `tables`, all that the grammar knows, as functions that the rest calls; `word` and
`last`, the walk over a command line. docs/decisions/0023-completion.md tells why.

Those functions are called with a command and what is asked of it: `option COMMAND OPTION` and `argument COMMAND NUMBER`
answer with a kind of value and its choices, `command WORDS` with the command that they name; `words FIRST` and
`options COMMAND` offer words. In bash (from 3.2 on, as macOS has it) and zsh they set `kind` and `command`, `first`
(another word must follow) or `lost`; in fish (from 3.1 on) they print.
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from dsectl.cli.completion.grammar import COMPLETE_WORD, LAST_WORD, Grammar, NameKind, Option, Value, WalkRule

GENERATED = re.compile(r"^( *)# generated: (\w+)\n.*?^ *# end\n", re.DOTALL | re.MULTILINE)
Words = Mapping[str, str]
"""Words with their help."""


class Bash:
    """How a shell writes tables and conditions, and what it does in the walk."""

    prefix, argument = "_dsectl_", "${}"
    function, end = "{}() {{", "}"
    case, arm, either, end_case = '    case "{}" in', "        {}) {} ;;", " | ", "    esac"
    chain, both = ("if [[ {} ]]; then", "elif [[ {} ]]; then", "else", "fi"), " && "
    reset: ClassVar = ["    kind="]
    word: ClassVar = {
        "value": "[[ $kind == cluster ]] && cluster=$word\nkind=",
        "close": "closed=1",
        "joined": '_dsectl_option "$command" "${word%%=*}"\n[[ $kind == cluster ]] && cluster=${word#*=}\nkind=',
        "option": '_dsectl_option "$command" "$word"',
        "argument": "at=$((at + 1))",
        "name": '_dsectl_command "$first${first:+ }$word"',
    }
    """What is done with a word that is complete, by what COMPLETE_WORD calls it."""
    complete, typed = "$word", "$cur"
    """What the walk calls the two kinds of words."""
    last: ClassVar = {
        "value": "_dsectl_offer",
        "nothing": "return",
        "joined": """_dsectl_option "$command" "${cur%%=*}"
lead=${cur%%=*}=
cur=${cur#*=}
[[ -n $kind ]] && _dsectl_offer""",
        "options": '_dsectl_options "$command"',
        "words": '_dsectl_words "$first"',
        "argument": '_dsectl_argument "$command" "$at"\n[[ -n $kind ]] && _dsectl_offer',
    }
    """What is offered, by what LAST_WORD calls the word at the cursor."""

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

    def holds(self, condition: str, word: str) -> str:
        """A condition of the walk; `word` is how it calls the word."""
        if condition in STATES:
            return " ".join(STATES[condition])
        return f"{word} == {condition}"


class Zsh(Bash):
    """As bash, with help behind each word."""

    typed = "$PREFIX"
    last: ClassVar = {
        "value": "_dsectl_offer",
        "nothing": "return 1",
        "joined": '_dsectl_option "$command" "${PREFIX%%=*}"\ncompset -P \'*=\'\n_dsectl_offer',
        "options": '_dsectl_options "$command"\n_describe -o -t options option offered',
        "words": '_dsectl_words "$first"\n_describe -t commands command offered',
        "argument": '_dsectl_argument "$command" $at\n_dsectl_offer',
    }

    def offer(self, words: Words, more: bool = False) -> str:
        """As `_describe` takes them, one a line."""
        listed = "".join(f"\n            '{word}:{help}'" for word, help in words.items())
        return f"offered{'+' if more else ''}=({listed}\n        )"


class Fish(Bash):
    """Another language."""

    prefix, argument = "__dsectl_", "$argv[{}]"
    function, end = "function {}", "end"
    case, arm, either, end_case = '    switch "{}"', "        case {}\n            {}", " ", "    end"
    chain, both = ("if {}", "else if {}", "else", "end"), "; and "
    reset: ClassVar[list[str]] = []
    word: ClassVar = {
        "value": """test "$kind" = cluster; and set cluster $word
set kind ''""",
        "close": "set closed 1",
        "joined": """set kind (__dsectl_option "$command" (string replace -r -- '=.*' '' $word))
test "$kind" = cluster; and set cluster (string replace -r -- '^[^=]*=' '' $word)
set kind ''""",
        "option": 'set kind (__dsectl_option "$command" $word)',
        "argument": "set at (math $at + 1)",
        "name": """set command (__dsectl_command (string trim -- "$first $word"))
if test -z "$command" -a -n "$first"
    set lost 1
else if test -z "$command"
    set first $word
    test -z (__dsectl_words $first | string collect); and set lost 1
end""",
    }
    complete, typed = '"$word"', '"$current"'
    last: ClassVar = {
        "value": """__dsectl_offer "$kind" $cluster '' $current $program""",
        "nothing": "return",
        "joined": """set -l option (string replace -r -- '=.*' '' $current)
set -l typed (string replace -r -- '^[^=]*=' '' $current)
__dsectl_offer (__dsectl_option "$command" $option) $cluster "$option=" "$typed" $program""",
        "options": '__dsectl_options "$command"',
        "words": '__dsectl_words "$first"',
        "argument": """set kind (__dsectl_argument "$command" $at | string collect)
__dsectl_offer "$kind" $cluster '' $current $program""",
    }

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

    def holds(self, condition: str, word: str) -> str:
        """A word is in quotes, as it may be nothing."""
        if condition in STATES:
            return 'test {} "{}"'.format(*STATES[condition])
        return f"string match -q -- '{condition}' {word}"


SHELLS = {"dsectl.bash": Bash(), "_dsectl": Zsh(), "dsectl.fish": Fish()}
"""By the name of the file below `completions/`."""
STATES = {"due": ("-n", "$kind"), "open": ("-z", "$closed"), "named": ("-n", "$command"), "lost": ("-n", "$lost")}


def render(name: str, text: str, grammar: Grammar) -> str:
    """The file of that name with what is generated in it made anew."""
    shell = SHELLS[name]

    def renewed(found: re.Match[str]) -> str:
        indent, what = found.groups()
        if what == "tables":
            body = tables(shell, grammar)
        elif what == "word":
            body = walk(shell, COMPLETE_WORD, shell.complete, shell.word, indent)
        else:
            body = walk(shell, LAST_WORD, shell.typed, shell.last, indent)
        return f"{indent}# generated: {what}\n{body}\n{indent}# end\n"

    return GENERATED.sub(renewed, text)


def walk(shell: Bash, rules: Sequence[WalkRule], word: str, actions: Mapping[str, str], indent: str) -> str:
    """The rules of a walk as a chain of conditions; `word` is how the shell calls the word."""
    begin, between, otherwise, end = shell.chain
    lines: list[str] = []
    for rule in rules:
        conditions = shell.both.join(shell.holds(one, word) for one in rule.when)
        lines.append((between if lines else begin).format(conditions) if rule.when else otherwise)
        lines += [f"    {line}" for line in actions[rule.then].split("\n")]
    return "\n".join(indent + line for line in [*lines, end])


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
