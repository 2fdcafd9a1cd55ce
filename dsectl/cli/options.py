"""The global options, accepted anywhere after `dsectl`: taken out of the arguments before a command sees them.

This comes before all parsing because an error of the parsing must already know whether it is told as JSON. After `--`
nothing is an option.
"""

from collections.abc import Sequence

from msgspec import Struct

from cluster.errors import Usage

FLAGS = {"--json": "json", "-q": "quiet", "--quiet": "quiet", "--raw": "raw", "--no-input": "no_input"}
WITH_VALUE = {"-C": "cluster", "--cluster": "cluster", "--timeout": "timeout", "--via": "via"}
LINES = (
    ("-C, --cluster NAME", "cluster to use (default: $DSECTL_CLUSTER, or `default`)"),
    ("--json", "print one JSON value; an error is its last line"),
    ("-q, --quiet", "print no messages on stderr but errors"),
    ("--raw", "print values byte by byte"),
    ("--timeout D", "time to wait for answers (default: 5s)"),
    ("--via NODE", "node to talk to (default: the first that answers)"),
    ("--no-input", "never ask for confirmation"),
    ("--version", "print the version"),
)
"""For `dsectl help options`."""


def similar(name: str) -> list[str]:
    """The global options that `name` may have been meant to be."""
    from difflib import get_close_matches

    known = [one for line, _ in LINES for one in line.split(" ")[:2] if one.startswith("--")]
    return get_close_matches(name, known, n=1, cutoff=0.6) if name.startswith("--") else []


RENAMED = {"--fail-if": "--require"}
"""Options of `load` that have another name since the last version. This one refuses the old word, and says what to
write."""


class Options(Struct):
    """What the global options of one invocation say."""

    json: bool = False
    quiet: bool = False
    raw: bool = False
    no_input: bool = False
    cluster: str | None = None
    via: str | None = None
    timeout_s: float | None = None


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
            import shlex

            line = [RENAMED[name] + one.removeprefix(name) if one.partition("=")[0] == name else one for one in argv]
            raise Usage(f"{name} is called {RENAMED[name]} now", help=f"dsectl {shlex.join(line)}")
        if name not in WITH_VALUE:
            left.append(word)
            continue
        if not equals:
            value = next(words, "")
        if not value or (not equals and value.startswith("-") and not (name == "--timeout" and value[1:2].isdigit())):
            raise Usage(f"{name} needs a value", help="`dsectl help options` shows the options of all commands.")
        if name == "--timeout":
            from dsectl.ui.units import duration

            options.timeout_s = duration(value)
            if options.timeout_s <= 0:
                raise Usage("--timeout must be above 0", help="`--timeout 500ms`, for example.")
        else:
            setattr(options, WITH_VALUE[name], value)
    return left + list(argv[end:])
