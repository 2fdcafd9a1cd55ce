"""Functions and `case` statements as bash and zsh both read them."""

from dsectl.cli.completion.grammar import Grammar
from dsectl.cli.completion.tables import aliases, argument_rows, option_rows, second_words


def value_functions(grammar: Grammar) -> list[str]:
    """`_dsectl_option COMMAND OPTION` and `_dsectl_argument COMMAND NUMBER` set `kind`; `_dsectl_command WORDS` sets
    `command`, `first` (another word must follow) or `lost`."""
    values = list(option_rows(grammar))
    own = [arm(names, f"kind={quote(spec)}") for names, spec in values if " " in names[0]]
    everywhere = [arm(names, f"kind={quote(spec)}") for names, spec in values if " " not in names[0]]
    arguments = [f"        {quote(f'{name} ')}{at}) kind={quote(spec)} ;;" for name, at, spec in argument_rows(grammar)]
    return [
        function("_dsectl_option", ["    kind=", *case("$2", everywhere), *case("$1 $2", own)]),
        function("_dsectl_argument", case("$1 $2", arguments)),
        function("_dsectl_command", case("$1", _commands(grammar))),
    ]


def _commands(grammar: Grammar) -> list[str]:
    arms = [arm([alias], f"command={quote(name)}") for alias, name in aliases(grammar).items()]
    arms += [arm(list(grammar.commands), "command=$1")]
    arms += [arm([word], f"first={word}") for word in second_words(grammar) if word not in grammar.commands]
    return [*arms, arm(["*"], "lost=1")]


def function(name: str, lines: list[str]) -> str:
    """A function of these lines."""
    return "\n".join([f"{name}() {{", *lines, "}"])


def case(subject: str, arms: list[str]) -> list[str]:
    """What is done depends on `subject`."""
    return [f'    case "{subject}" in', *arms, "    esac"]


def arm(patterns: list[str], action: str) -> str:
    """One arm of `case`."""
    return f"        {' | '.join(quote(one) for one in patterns)}) {action} ;;"


def quote(text: str) -> str:
    """`text` as one word; nothing here holds a quote."""
    return f"'{text}'" if " " in text or not text else text
