# ruff: noqa: E501
"""The table of commands: the one place that says which there are.

It feeds the lazy import of a command's module, `dsectl help`, "did you mean", completion and the check of recipes.
Nothing is imported to read it. A module is named here by text alone, so that `dsectl get`
loads what `get` needs and no more.
"""

from collections.abc import Sequence
from typing import NamedTuple

GROUPS = {
    "clusters": "Clusters",
    "faults": "Faults",
    "look": "Look",
    "kv": "Key-value store",
    "messages": "Messages",
    "requests": "Requests",
    "load": "Load",
    "recipes": "Recipes and lessons",
    "more": "More",
}
"""In the order of `dsectl help`, with their titles."""


class Entry(NamedTuple):
    """One command."""

    name: str
    """One word, or two as in `recipe run`."""
    module: str
    function: str
    help: str
    group: str
    readonly: bool = False
    """It changes nothing, so a recipe may poll it."""
    plain: tuple[int, ...] = ()
    """With so many arguments and no option, the function is called as it is, and Typer is not loaded: for the commands
    that are typed most, Typer would be half of their time."""
    alias: str = ""
    streams: tuple[str, ...] = ()
    """The options with which it prints one JSON value a line, and goes on; an empty one stands for always."""


FOLLOW = ("-f", "--follow")

_ENTRIES = (
    Entry("up", "dsectl.commands.clusters", "up", "Start a cluster and wait until it is ready.", "clusters"),
    Entry("down", "dsectl.commands.clusters", "down", "End the nodes; the data stays.", "clusters"),
    Entry("rm", "dsectl.commands.clusters", "rm", "End a cluster and delete its data.", "clusters"),
    Entry("ps", "dsectl.commands.clusters", "ps", "List the clusters of this machine.", "clusters", True),
    Entry("status", "dsectl.commands.status", "status", "Show the verdict and each node's state.", "clusters", True),
    Entry("env", "dsectl.commands.places", "env", "Print addresses and the secret's path for a shell.", "clusters", True),
    Entry("logs", "dsectl.commands.logs", "logs", "Print the logs of nodes.", "clusters", True, streams=("", *FOLLOW)),
    Entry("demo", "dsectl.commands.demo", "demo", "See a cluster survive a crash under load, in 10 s.", "clusters"),
    Entry("kill", "dsectl.commands.processes", "kill", "End nodes with SIGKILL.", "faults"),
    Entry("restart", "dsectl.commands.processes", "restart", "Start nodes, and wait until all know them.", "faults"),
    Entry("pause", "dsectl.commands.processes", "pause", "Freeze nodes with SIGSTOP.", "faults"),
    Entry("resume", "dsectl.commands.processes", "resume", "Let paused nodes go on.", "faults"),
    Entry("partition", "dsectl.commands.links", "partition", "Cut all links between groups of nodes.", "faults"),
    Entry("slow", "dsectl.commands.links", "slow", "Make a link late, lossy or narrow.", "faults"),
    Entry("heal", "dsectl.commands.links", "heal", "End link faults; restarts nothing.", "faults"),
    Entry("faults", "dsectl.commands.links", "faults", "List the faults and what each has touched.", "faults", True),
    Entry("members", "dsectl.commands.members", "members", "Show who is alive, as one node or all see it.", "look", True),
    Entry("ring", "dsectl.commands.members", "ring", "Show which nodes own which partitions.", "look", True),
    Entry("explain", "dsectl.commands.explain", "explain", "Show where a key lives and what each copy is.", "look", True),
    Entry("events", "dsectl.commands.events", "events", "Show what nodes decided, and why.", "look", True, streams=FOLLOW),
    Entry("health", "dsectl.commands.health", "health", "Say whether every node is well; exit 1 if not.", "look", True),
    Entry("hints", "dsectl.commands.health", "hints", "Count the copies that wait for their owners.", "look", True),
    Entry("repair", "dsectl.commands.repair", "repair", "Show how far nodes that lost data are complete.", "look"),
    Entry("watch", "dsectl.commands.watch", "watch", "Watch the cluster live.", "look", True, streams=("",)),
    Entry("put", "dsectl.commands.kv", "put", "Write a value.", "kv", plain=(2,)),
    Entry("get", "dsectl.commands.kv", "get", "Read a value.", "kv", True, plain=(1,)),
    Entry("delete", "dsectl.commands.kv", "delete", "Delete a key.", "kv", plain=(1,), alias="del"),
    Entry("keys", "dsectl.commands.kv", "keys", "List live keys.", "kv", True, plain=(0, 1)),
    Entry("publish", "dsectl.commands.messages", "publish", "Send a message to whoever listens.", "messages", plain=(2,)),
    Entry("subscribe", "dsectl.commands.messages", "subscribe", "Print messages as they come.", "messages", streams=("",)),
    Entry("services", "dsectl.commands.requests", "services", "List services and their endpoints.", "requests", True),
    Entry("describe", "dsectl.commands.requests", "describe", "Show a service's operations.", "requests", True),
    Entry("request", "dsectl.commands.requests", "request", "Call a service.", "requests"),
    Entry("drain", "dsectl.commands.processes", "drain", "Let a node finish what it has, and give it no more.", "requests"),
    Entry("undrain", "dsectl.commands.processes", "undrain", "Let a drained node take requests again.", "requests"),
    Entry("load kv", "dsectl.commands.load", "kv", "Read and write keys at a rate, and account for each write.", "load"),
    Entry("load publish", "dsectl.commands.load", "publish", "Publish at a rate, and count what arrives.", "load"),
    Entry("load request", "dsectl.commands.load", "request", "Call a service at a rate.", "load"),
    Entry("recipe run", "dsectl.commands.recipes", "run", "Run recipes as tests, each on a cluster of its own.", "recipes"),
    Entry("recipe check", "dsectl.commands.recipes", "check", "Say what is wrong with recipes.", "recipes", True),
    Entry("recipe list", "dsectl.commands.recipes", "list_", "List the recipes that come with dsectl.", "recipes", True),
    Entry("recipe show", "dsectl.commands.recipes", "show", "Print a recipe.", "recipes", True),
    Entry("present", "dsectl.commands.lessons", "present", "Go through a recipe as a lesson, block by block.", "recipes"),
    Entry("learn", "dsectl.commands.lessons", "learn", "List the lessons by principle.", "recipes", True),
    Entry("completions", "dsectl.commands.completions", "completions", "Print a shell's completion file.", "more", True),
    Entry("shell", "dsectl.commands.shell", "shell", "Type commands and steps at a prompt.", "more"),
    Entry("help", "dsectl.commands.help", "help", "Show this list, a command, or a topic.", "more", True),
)  # fmt: skip

COMMANDS = {entry.name: entry for entry in _ENTRIES}
ALIASES = {entry.alias: entry.name for entry in _ENTRIES if entry.alias}


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


def similar(name: str) -> list[str]:
    """The commands that `name` may have been meant to be, best first."""
    from difflib import get_close_matches

    names = [*dict.fromkeys(known.partition(" ")[0] for known in COMMANDS), *ALIASES]
    begun = [known for known in names if len(name) >= 2 and known.startswith(name)]
    return list(dict.fromkeys([*begun, *get_close_matches(name, names, n=3, cutoff=0.6)]))[:3]
