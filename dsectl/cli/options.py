"""The global options, accepted anywhere after `dsectl`: taken out of the arguments before a command sees them.

This comes before all parsing because an error of the parsing must already know whether it is told as JSON. After `--`
nothing is an option.
"""

from collections.abc import Sequence

from cluster.errors import Usage

FLAGS = {"--json": "json", "-q": "quiet", "--quiet": "quiet", "--raw": "raw", "--no-input": "no_input"}
WITH_VALUE = {"-C": "cluster", "--cluster": "cluster", "--timeout": "timeout", "--via": "via"}
LINES = (
    ("-C, --cluster NAME", "which cluster (default: $DSECTL_CLUSTER, or `default`)"),
    ("--json", "one JSON value on stdout; an error is its last line"),
    ("-q, --quiet", "no messages on stderr but errors"),
    ("--raw", "values as they are, byte by byte"),
    ("--timeout D", "how long to wait for answers (default 5s)"),
    ("--via NODE", "which node to talk to (default: the first that answers)"),
    ("--no-input", "never ask"),
    ("--version", "print the version"),
)
"""For `dsectl help options`."""


RENAMED = {"--fail-if": "--require"}
"""Options of `load` that have another name since the last version. This one refuses the old word, and says what to
write."""


class Options:
    """What the global options of one invocation say."""

    __slots__ = ("cluster", "json", "no_input", "quiet", "raw", "timeout_s", "via")

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.raw = False
        self.no_input = False
        self.cluster: str | None = None
        self.via: str | None = None
        self.timeout_s: float | None = None


def take_options(argv: Sequence[str], options: Options) -> list[str]:
    """The arguments that are left; `options` is filled. Raises Usage, with `options.json` set if it stands anywhere."""
    end = argv.index("--") if "--" in argv else len(argv)
    options.json = "--json" in argv[:end]
    left: list[str] = []
    words = iter(argv[:end])
    for word in words:
        if word in FLAGS:
            setattr(options, FLAGS[word], True)
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name in RENAMED and "load" in argv:
            raise _renamed(name, argv)
        if name not in WITH_VALUE:
            left.append(word)
            continue
        if not equals:
            value = next(words, "")
        if not value or (not equals and value.startswith("-")):
            raise Usage(f"{name} needs a value", help="`dsectl help options` shows the options of all commands.")
        _set(options, WITH_VALUE[name], value)
    return left + list(argv[end:])


def _renamed(name: str, argv: Sequence[str]) -> Usage:
    import shlex

    line = [RENAMED[name] + word.removeprefix(name) if word.partition("=")[0] == name else word for word in argv]
    return Usage(f"{name} is called {RENAMED[name]} now", help=f"dsectl {shlex.join(line)}")


def _set(options: Options, field: str, value: str) -> None:
    if field == "timeout":
        from dsectl.ui.units import duration

        options.timeout_s = duration(value)
        if options.timeout_s <= 0:
            raise Usage("--timeout must be above 0")
    else:
        setattr(options, field, value)
