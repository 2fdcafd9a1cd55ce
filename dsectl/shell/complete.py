"""What may stand at the cursor. Pure but for the `Names` that are given, which know the cluster; prompt-toolkit asks
in a thread beside the prompt, so that no key waits for a node.

Every line is read as the step that it begins: behind `within 5s:` a command follows, behind `&` nothing.
"""

import gc
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from dsectl.cli.completion.grammar import Grammar, NameKind, Value, Walk, read_grammar
from dsectl.script.grammar import command_at
from dsectl.script.interpreter import Interpreter
from dsectl.script.tokens import as_word, scan, split, words
from dsectl.script.values import argument, looks_like_path, parse_path, path_part, shown_value
from dsectl.shell.evaluate import OWN
from dsectl.ui.text import cut, shown

CHOICES_MAX = 200
INDICES_MAX = 20
HELP_COLUMNS = 40


@dataclass(frozen=True)
class Offer:
    """One word that may stand there; `typed` characters before the cursor are replaced by it."""

    text: str
    typed: int
    help: str = ""
    goes_on: bool = False
    """Nothing is put behind it: a path, or the first of a list."""


class Names(Protocol):
    """Names in the world, each asked for only when its kind may stand at the cursor."""

    def of(self, kind: NameKind, begun: str) -> Iterable[str]:
        """The names of a kind, at least those that begin with `begun`."""

    def result(self, argv: list[str]) -> Any:
        """The JSON of a command that only reads, or of a job; MISSING where there is none soon."""


def candidates(
    text: str, grammar: Grammar, names: Names, variables: Mapping[str, Any], jobs: Iterable[str]
) -> list[Offer]:
    """What may stand at the end of `text`, which ends at the cursor."""
    tokens = list(scan(text))
    known = words(tokens)
    current = known.pop() if known and not (tokens[-1].is_blank or tokens[-1].is_comment) else None
    typed = current.raw if current is not None else ""
    known = known[1:] if known and known[0].bare == "dsectl" else known
    begins, first = command_at(known), known[0].bare if known else None
    if typed.startswith("$"):
        return [Offer(f"${name}", len(typed)) for name in variables if f"${name}".startswith(typed)]
    if first in ("wait", "stop"):
        return list(_matching(jobs, typed)) if len(known) == 1 else []
    if begins is None or len(known) < begins or (tokens and tokens[-1].is_comment):
        return []
    if any(word.bare in ("|", "->") for word in known):
        return []
    argv = [word.text() for word in known[begins:]]
    if not argv and not begins:
        return list(_commands(grammar, typed))
    if argv[:1] == ["use"] and not begins:
        return list(_matching(names.of(NameKind.CLUSTER, typed), typed)) if len(argv) == 1 else []
    if argv == ["history"] and not begins:
        return list(_matching(["export"], typed))
    if argv[:1] == ["history"] and not begins:
        return list(_matching(names.of(NameKind.FILE, typed), typed, goes_on=True)) if argv[1] == "export" else []
    found = _behind(argv, typed, grammar, names)
    if first in ("expect", "within", "always") and not argv:
        found += _matching(jobs, typed)  # the result of a job can be looked at like that of a command
    if typed.startswith(".") and argv:
        given = {name: value for name, value in variables.items() if value is not None}
        argv = [argument(word, lambda name: given.get(name, "")) for word in known[begins:]]
        found += _paths(argv, typed, names, variables)
    return found


PATH_BEGUN = re.compile(r"(.*?)([.\[])([^.\[\]]*)")


def _paths(argv: list[str], typed: str, names: Names, variables: Mapping[str, Any]) -> Iterator[Offer]:
    """The members of what the path so far leads to in the result of `argv`."""
    begun = PATH_BEGUN.fullmatch(typed)
    parent = split(begun[1] or ".") if begun and not any(one in typed for one in "'\\") else []
    if begun is None or len(parent) != 1 or not looks_like_path(parent[0]):
        return
    found = parse_path(parent[0]).resolve(names.result(argv), lambda name: variables.get(name, ""))
    members: dict[str, Any] = {}
    if isinstance(found, dict):
        members = {f".{path_part(str(name))}": value for name, value in found.items()}
    elif isinstance(found, list):
        dot = "" if begun[1] else "."
        members = {f"{dot}[{at}]": value for at, value in enumerate(found[:INDICES_MAX])} | {".length": 0}
    for part, value in members.items():
        text = begun[1] + part
        if text.startswith(typed):
            yield Offer(text, len(typed), cut(shown_value(value), HELP_COLUMNS), isinstance(value, dict | list))


def _commands(grammar: Grammar, current: str) -> Iterator[Offer]:
    known = dict(grammar.first_words())
    known |= {name: help for name, (_, help) in OWN.items()}
    known |= {"expect": "check once", "within": "check until it holds", "always": "check for a while"}
    known.pop("shell", None)
    for name, help in known.items():
        if name.startswith(current):
            yield Offer(name, len(current), help)


def _behind(argv: list[str], current: str, grammar: Grammar, names: Names) -> list[Offer]:
    walk = Walk(grammar, argv)
    match walk.last(current):
        case "words":
            return [Offer(name, len(current), help) for name, help in walk.words.items() if name.startswith(current)]
        case "options":
            begun = [(next((n for n in reversed(one.names) if n.startswith(current)), ""), one) for one in walk.options]
            return [Offer(name, len(current), option.help) for name, option in begun if name]
        case "joined":
            name, _, typed = current.partition("=")
            option = walk.option(name)
            return [] if option is None or option.value is None else _values(option.value, typed, names)
        case "value" | "argument":
            return [] if walk.value is None else _values(walk.value, current, names)
    return []


def _values(value: Value, current: str, names: Names) -> list[Offer]:
    if value.kind is NameKind.CHOICE:
        return list(_matching(value.choices, current))
    if value.kind in (NameKind.GROUP, NameKind.NODES):
        typed = current.rpartition(",")[2]
        others = ["rest"] if value.kind is NameKind.GROUP else []
        return list(_matching([*names.of(NameKind.NODE, typed), *others], typed, goes_on=True))
    if value.kind is NameKind.END:
        return list(_matching([*names.of(NameKind.NODE, current), "all"], current))
    if value.kind is NameKind.VALUE:
        return list(_matching(names.of(NameKind.FILE, current[1:]), current[1:], True)) if current[:1] == "@" else []
    if value.kind is NameKind.RECIPE:
        return [*_matching(value.choices, current), *_matching(names.of(NameKind.FILE, current), current, goes_on=True)]
    if value.kind is NameKind.FILE:
        return list(_matching(names.of(NameKind.FILE, current), current, goes_on=True))
    if value.kind is NameKind.ANY:
        return []
    goes_on = value.kind is NameKind.OPERATION
    return list(_matching(names.of(value.kind, current), current, goes_on=goes_on))


def _matching(names: Iterable[str], current: str, goes_on: bool = False) -> Iterator[Offer]:
    """Those that begin so, as words that can be typed: what would be cut apart is quoted."""
    given = 0
    begun = "".join(word.text() for word in words(scan(current)))
    for name in names:
        if given == CHOICES_MAX:
            return
        if name.startswith(begun):
            given += 1
            yield Offer(as_word(name), len(current), goes_on=goes_on)


class LazyGrammar:
    """All commands, loaded in a thread beside the first keys: their modules cost more than the rest of the shell."""

    def __init__(self, on_failure: Callable[[Exception], None]) -> None:
        """`on_failure` is called by the thread."""
        self.now: Grammar | None = None
        """None until it is loaded, and for ever if that failed."""

        def load() -> None:
            try:
                self.now = read_grammar()
                gc.freeze()  # all that was loaded stays; a full collection of it would hold up a key
            except Exception as error:
                on_failure(error)

        self._loading = threading.Thread(target=load, name="shell grammar", daemon=True)
        self.begin = self._loading.start

    def wait(self) -> Grammar | None:
        """The grammar once it is there, however long a busy machine takes for it. Not on the loop of the keys."""
        self._loading.join()
        return self.now


class LineCompleter(Completer):
    """What may stand at the cursor of the line that is typed."""

    def __init__(self, grammar: LazyGrammar, names: Names, interpreter: Interpreter) -> None:
        self._grammar = grammar
        self._names = names
        self._interpreter = interpreter

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Each candidate, as it is typed, as it is shown, and with its help."""
        grammar = self._grammar.wait()
        if grammar is None:
            return
        text, behind = document.current_line_before_cursor, document.current_line_after_cursor[:1]
        jobs, variables = list(self._interpreter.jobs), dict(self._interpreter.variables)
        for one in candidates(text, grammar, self._names, variables, jobs):
            blank = "" if one.goes_on or behind.isspace() else " "
            yield Completion(one.text + blank, -one.typed, display=shown(one.text), display_meta=one.help)
