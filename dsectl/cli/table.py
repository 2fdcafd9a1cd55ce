"""The table of commands: which there are, and how one is found.

It feeds the lazy import of a command's module, `dsectl help`, "did you mean", completion and the check of recipes. Its
content is generated from the declarations, so nothing is imported to read it, and `dsectl get` loads what `get` needs
and no more.
"""

from collections.abc import Sequence

from dsectl.cli.declaration import Entry
from dsectl.cli.generated import ENTRIES

GROUPS = {
    "clusters": "Clusters",
    "faults": "Faults",
    "inspect": "Inspect",
    "kv": "Key-value store",
    "messages": "Messages",
    "requests": "Requests",
    "load": "Load",
    "recipes": "Recipes and lessons",
    "more": "More",
}
"""In the order of `dsectl help`, with their titles."""

COMMANDS = {entry.name: entry for entry in ENTRIES}
ALIASES = {entry.alias: entry.name for entry in ENTRIES if entry.alias}


def find(name: str) -> Entry | None:
    """The command called `name`, by its name or its alias."""
    return COMMANDS.get(ALIASES.get(name, name))


def lookup(words: Sequence[str]) -> tuple[Entry, int] | None:
    """The command that a command line begins with, and how many of its words name it."""
    entry = COMMANDS.get(" ".join(words[:2]))
    if entry is not None and len(words) > 1:
        return entry, 2
    entry = find(words[0]) if words else None
    return None if entry is None else (entry, 1)


def parts_of(name: str) -> list[str]:
    """The second words of the commands that begin with `name`: `run`, `check`… of `recipe`."""
    return [known.partition(" ")[2] for known in COMMANDS if known.startswith(f"{name} ")]


OTHERWISE = {
    **dict.fromkeys(("ls", "list"), ("ps", "keys")),
    **dict.fromkeys(("start", "create", "new", "init", "run"), ("up", "restart")),
    **dict.fromkeys(("end", "halt"), ("down", "kill")),
    **dict.fromkeys(("destroy", "remove"), ("rm", "delete")),
    **dict.fromkeys(("set", "write", "store"), ("put",)),
    **dict.fromkeys(("read", "fetch", "cat", "show"), ("get",)),
    **dict.fromkeys(("scan", "prefix"), ("keys",)),
    **dict.fromkeys(("import", "restore", "ingest"), ("kv import",)),
    **dict.fromkeys(("export", "dump", "backup"), ("kv export",)),
    **dict.fromkeys(("pub", "emit"), ("publish",)),
    **dict.fromkeys(("sub", "listen"), ("subscribe",)),
    **dict.fromkeys(("call", "rpc", "invoke"), ("request",)),
    **dict.fromkeys(("enqueue", "push"), ("send",)),
    **dict.fromkeys(("dequeue", "pull", "pop", "consume"), ("receive",)),
    **dict.fromkeys(("purge", "drain-queue"), ("queue purge",)),
    **dict.fromkeys(("redrive", "dlq"), ("queue redrive",)),
    **dict.fromkeys(("queues",), ("queue list",)),
    **dict.fromkeys(("bind", "binding"), ("queue bind",)),
    **dict.fromkeys(("info", "state", "nodes"), ("status", "members")),
    **dict.fromkeys(("monitor", "dashboard"), ("watch", "top")),
    **dict.fromkeys(("log", "tail"), ("logs",)),
    **dict.fromkeys(("crash", "fail", "stop"), ("kill", "down")),
    **dict.fromkeys(("freeze", "suspend"), ("pause",)),
    **dict.fromkeys(("unpause", "continue", "unfreeze"), ("resume",)),
    **dict.fromkeys(("cut", "split", "isolate"), ("partition",)),
    **dict.fromkeys(("delay", "latency", "lossy", "netem"), ("slow",)),
    **dict.fromkeys(("enospc", "corrupt", "wipe"), ("disk",)),
    **dict.fromkeys(("skew", "time", "date"), ("clock",)),
    **dict.fromkeys(("repl", "console", "prompt"), ("shell",)),
    **dict.fromkeys(("bench", "benchmark", "stress"), ("load kv",)),
    **dict.fromkeys(("test", "recipes"), ("recipe run",)),
    **dict.fromkeys(("lesson", "tutorial", "tour"), ("learn", "present")),
    **dict.fromkeys(("version",), ("--version",)),
}
"""Words of other programs, and the commands that they mean here."""


_STEP = "Steps are for recipes and the shell: `dsectl shell -c 'within 5s: get cart .value == book'`, for example."
AT_THE_PROMPT = {
    "use": "It works in `dsectl shell`; here -C NAME or $DSECTL_CLUSTER chooses the cluster.",
    **dict.fromkeys(("jobs", "history", "clear", "exit"), "It works in `dsectl shell`."),
    **dict.fromkeys(("expect", "within", "always", "sleep", "wait"), _STEP),
}
"""Words that begin a line of the shell, and what helps who uses them as a command."""


def similar_parts(name: str, word: str) -> list[str]:
    """The command that was meant by `word` behind `name`, if one is like it: `queue create` in `queue crate`, `present`
    in `recipe present`."""
    from difflib import get_close_matches

    if lookup([word]) is not None:
        return [word]
    return [f"{name} {one}" for one in get_close_matches(word, parts_of(name), n=1, cutoff=0.6)]


def similar(name: str) -> list[str]:
    """The commands that `name` may have been meant to be, best first."""
    if name in OTHERWISE:
        return list(OTHERWISE[name])
    from difflib import get_close_matches

    names = [*dict.fromkeys(known.partition(" ")[0] for known in COMMANDS), *ALIASES]
    begun = [known for known in names if len(name) >= 2 and known.startswith(name)]
    return list(dict.fromkeys([*begun, *get_close_matches(name, names, n=3, cutoff=0.6)]))[:3]
