"""The completion files are as generated now, and each real shell offers what they say when TAB is pressed."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cluster.emulator.faultsfile import Fault, add_fault, change_faults
from cluster.emulator.genesis import create
from cluster.emulator.home import Home
from cluster.emulator.spec import ClusterSpec, timestamp
from dsectl.cli.completion.files import SHELLS, render
from dsectl.cli.completion.grammar import COMPLETE_WORD, LAST_WORD, WalkRule, read_grammar
from dsectl.reference import COMPLETIONS
from tests.dsectl.cli.completion.shell_driver import PROMPT, Shell
from tests.dsectl.conftest import Run

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")


@pytest.mark.parametrize("name", list(SHELLS))
def test_the_files_are_current(name: str) -> None:
    text = (COMPLETIONS / name).read_text(encoding="utf-8")
    assert len(re.findall("# generated\n", text)) == 1
    assert render(name, text, read_grammar()) == text, "run: python -m dsectl.reference"


STATES = {"due": "-n $kind", "open": "-z $closed", "named": "-n $command", "lost": "-n $lost"}


@pytest.mark.parametrize("name", list(SHELLS))
@pytest.mark.parametrize(("rules", "indent"), [(COMPLETE_WORD, 8), (LAST_WORD, 4)])
def test_the_walk_has_the_conditions_of_the_rules(name: str, rules: Sequence[WalkRule], indent: int) -> None:
    typed = {"dsectl.bash": "$cur", "_dsectl": "$PREFIX", "dsectl.fish": "$current"}[name]
    word = "$word" if rules is COMPLETE_WORD else typed

    def condition(one: str) -> str:
        if name == "dsectl.fish":
            state = re.sub(r"(-.) (.*)", r'test \1 "\2"', STATES.get(one, ""))
            return state or f"string match -q -- '{one}' \"{word}\""
        return STATES.get(one, f"{word} == {one}")

    def written(at: int, rule: WalkRule) -> str:
        if name == "dsectl.fish":
            return f"{'else if' if at else 'if'} {'; and '.join(map(condition, rule.when))}"
        return f"{'elif' if at else 'if'} [[ {' && '.join(map(condition, rule.when))} ]]; then"

    expected = [written(at, rule) if rule.when else "else" for at, rule in enumerate(rules)]
    text = (COMPLETIONS / name).read_text(encoding="utf-8")
    (walk,) = re.findall(
        r"^(?:function __dsectl_complete|_dsectl\(\) \{)\n(.*?)^(?:\}|end)$", text, re.DOTALL | re.MULTILINE
    )
    found = re.findall(rf"^ {{{indent}}}((?:if|elif|else).*)$", walk, re.MULTILINE)
    assert found[-len(rules) :] == expected


@pytest.mark.parametrize(("shell", "name"), [("bash", "dsectl.bash"), ("zsh", "_dsectl"), ("fish", "dsectl.fish")])
def test_the_command_prints_the_file(run: Run, shell: str, name: str) -> None:
    text = (COMPLETIONS / name).read_text(encoding="utf-8")
    ran = run("completions", shell)
    assert (ran.code, ran.out, ran.err) == (0, text, "")
    assert run("completions", shell, "--json").json == {"shell": shell, "file": name, "text": text}


def test_another_shell_is_refused(run: Run) -> None:
    ran = run("completions", "nushell")
    assert ran.code == 2
    assert "bash, zsh, fish" in ran.err


def test_zsh_finds_the_file_by_its_first_line() -> None:
    assert (COMPLETIONS / "_dsectl").read_text(encoding="utf-8").startswith("#compdef dsectl\n")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with files, beside a state directory with the clusters `default` and `shop-2`."""
    home = Home(tmp_path / "home")
    create(home, ClusterSpec(name="default", nodes=3))
    shop = create(home, ClusterSpec(name="shop-2", nodes=4, zones=2))
    change_faults(shop.folder, lambda document: add_fault(document, Fault(kind="kill", at=timestamp(), nodes=["n1"])))
    cut = Fault(kind="partition", at=timestamp(), groups=[["n1"], ["n2"]])
    change_faults(shop.folder, lambda document: add_fault(document, cut))
    for number in (1, 12):
        (shop.folder / "nodes" / "n2" / "workers" / str(number)).mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "lesson one.md").write_text("# One")
    (tmp_path / "here" / "value.bin").write_text("1")
    return tmp_path


Start = Callable[..., Shell]


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts a shell in that folder, with nothing of this user's settings."""
    shells: list[Shell] = []

    def started(argv: list[str], setup: list[str], home: bool = True, **more: str) -> Shell:
        if shutil.which(argv[0]) is None:
            pytest.skip(f"{argv[0]} is not installed")
        environment = {"PATH": os.environ["PATH"], "HOME": str(place), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        environment |= {"DSECTL_HOME": str(place / ("home" if home else "nowhere"))} | more
        say = (
            "function dsectl; printf '<%s>' $argv; echo; end"
            if argv is FISH
            else """dsectl() { printf '<%s>' "$@"; echo; }"""
        )
        shells.append(Shell(argv, environment, [*setup, say, f"cd '{place / 'here'}'"]))
        return shells[-1]

    yield started
    for shell in shells:
        shell.close()


BASH = ["bash", "--norc", "--noprofile", "-i"]
ZSH = ["zsh", "-d", "-f", "-i"]
FISH = ["fish", "--no-config", "-i"]
SAY = """dsectl() { printf '<%s>' "$@"; echo; }"""
"""In place of dsectl: what it was called with."""
BASH_SETUP = [
    f"PS1='{PROMPT} '",
    *(f"bind 'set {name}'" for name in ("show-all-if-ambiguous on", "page-completions off", "bell-style none")),
    *(f"bind 'set {name}'" for name in ("completion-query-items 0", "enable-bracketed-paste off")),
]
ZSH_SETUP = [
    f"PS1='{PROMPT} '",
    "setopt no_list_ambiguous no_beep no_prompt_sp",
    "bindkey -e",
    "unset zle_bracketed_paste",
]
ZSH_INIT = "autoload -Uz compinit && compinit -u -D"
"""-u: the clone may belong to somebody else; -D: no dump of what was found."""

SOURCE_BASH = f"source '{COMPLETIONS}/dsectl.bash'"
FISH_SETUP = [
    f"function fish_prompt; echo '{PROMPT} '; end",
    "set -g fish_autosuggestion_enabled 0",
    f"source '{COMPLETIONS}/dsectl.fish'",
]
SETUPS = {
    "bash": (BASH, [*BASH_SETUP, SOURCE_BASH]),
    "bash, where no match is an error": (BASH, [*BASH_SETUP, "shopt -s failglob", SOURCE_BASH]),
    "bash with bash-completion": (BASH, [*BASH_SETUP, f"source {BASH_COMPLETION}", SOURCE_BASH]),
    "zsh, autoloaded": (ZSH, [*ZSH_SETUP, f"fpath=('{COMPLETIONS}' $fpath)", ZSH_INIT]),
    "zsh, sourced": (ZSH, [*ZSH_SETUP, ZSH_INIT, f"source <(cat '{COMPLETIONS}/_dsectl')"]),
    "fish": (FISH, FISH_SETUP),
}

NODES = {"n1", "n2", "n3"}
OFFERED = [
    ("dsectl k", {"keys", "kill"}, {"put", "n1"}),
    ("dsectl recipe ", {"run", "check", "list", "show"}, {"put"}),
    ("dsectl kill ", NODES, {"n4", "all", "rest"}),
    ("dsectl kill n1 ", {"n2", "n3"}, {"n4"}),
    ("dsectl -C shop-2 kill ", {*NODES, "n4", "n2/1", "n2/12"}, {"rest"}),
    ("dsectl -C shop-2 drain ", {*NODES, "n4"}, {"n2/1"}),
    ("dsectl -C shop-2 request echo.echo --only ", {*NODES, "n4", "n2/1", "n2/12"}, {"rest"}),
    ("dsectl -C shop-2 logs n2/", {"n2/1", "n2/12"}, {"n2", "n4"}),
    ("dsectl kill --cluster=shop-2 ", {*NODES, "n4"}, {"rest"}),
    ("dsectl -C ", {"default", "shop-2"}, NODES),
    ("dsectl rm ", {"default", "shop-2"}, NODES),
    ("dsectl get k --only ", NODES, {"n4"}),
    ("dsectl slow n1 ", {"n1", "n2", "all"} - {"n1"}, {"rest"}),
    ("dsectl up --profile ", {"local", "lan"}, {"default"}),
    ("dsectl slow n1 n2 --r", {"--reorder", "--rate", "--raw"}, {"--delay"}),
    ("dsectl -C shop-2 kill --zone ", {"z1", "z2"}, NODES),
    ("dsectl recipe run --junit ", {"value.bin"}, NODES),
    ("dsectl help e", {"env", "events", "explain", "exit-codes"}, {"put"}),
    ("dsectl completions ", {"bash", "zsh", "fish"}, {"put"}),
]
COMPLETED = [
    ("dsectl stat", "<status>"),
    ("dsectl up --prof", "<up><--profile>"),
    ("dsectl up --durability=al", "<up><--durability=always>"),
    ("dsectl --cluster=sh", "<--cluster=shop-2>"),
    ("dsectl -C shop-2 heal ", "<heal><f2>"),
    ("dsectl partition n1,n2 re", "<n1,n2><rest>"),
    ("dsectl -C shop-2 partition n1,n4,re", "<partition><n1,n4,rest>"),
    ("dsectl -C shop-2 serve a:B --on n1,n", "<n1,n>"),
    ("dsectl -C shop-2 serve a:B --on=n1,n4", "<--on=n1,n4>"),
    ("dsectl -C shop-2 pause n2/12", "<pause><n2/12>"),
    ("dsectl put k @val", "<put><k><@value.bin>"),
    ("dsectl recipe run --junit=val", "<run><--junit=value.bin>"),
    ("dsectl recipe show les", "<show><lesson one.md>"),
]
"""With what arguments the command is run when Enter follows TAB."""
NOTHING = ["dsectl nonsense ", "dsectl recipe nonsense ", "dsectl down ", "dsectl put k -- -", "dsectl get "]
NOTHING_AT_HOME = ["dsectl -C ", "dsectl kill ", "dsectl heal ", "dsectl kill --zone "]


@pytest.mark.parametrize("setup", list(SETUPS))
def test_a_shell_offers_what_may_follow(start: Start, setup: str) -> None:
    argv, lines = SETUPS[setup]
    if setup == "bash with bash-completion" and not BASH_COMPLETION.exists():
        pytest.skip("the package bash-completion is not installed")
    shell = start(argv, lines)
    wrong = []
    for line, wanted, unwanted in OFFERED:
        found = shell.offers(line)
        if not wanted <= found or unwanted & found:
            wrong.append((line, found))
    for line, completed in COMPLETED:
        shown = shell.runs(line)
        if completed not in shown:
            wrong.append((line, {shown}))
    for line in NOTHING:
        if found := shell.offers(line):
            wrong.append((line, found))
    assert wrong == []


PROGRAM = """#!/bin/sh
[ "$1 $4" = "complete -C" ] || exit 2
case "$2 $5" in
    'key shop-2') echo elsewhere ;;
    'key '*) printf '%s\\n' user:1 user:2 'two words' cart ;;
    'service '*) echo shop ;;
    'bucket '*) printf '%s\\n' orders carts ;;
    'queue '*) printf '%s\\n' jobs dead ;;
    'operation '*) echo flaky. ;;
    'subject '*) echo 'orders.*' ;;
esac
"""
"""Stands for the program that a cluster answers."""
LIVE = [
    ("dsectl get ", {"user:1", "user:2", "cart"}, {"elsewhere"}),
    ("dsectl get user:", {"user:1", "user:2"}, {"cart", "elsewhere"}),
    ("dsectl -C shop-2 get ", set(), {"cart"}),
    ("dsectl -C shop-2 unserve ", {"shop", "n2/1", "n2/12"}, {"n2"}),
]
LIVE_COMPLETED = [
    ("dsectl -C shop-2 get el", "<get><elsewhere>"),
    ("dsectl get ca", "<get><cart>"),
    ("dsectl get tw", "<get><two words>"),
    ("dsectl request fl", "<request><flaky.>"),
    ("dsectl bucket show or", "<bucket><show><orders>"),
    ("dsectl receive jo", "<receive><jobs>"),
    ("dsectl queue redrive de", "<queue><redrive><dead>"),
]


@pytest.mark.parametrize("setup", list(SETUPS))
def test_a_shell_asks_the_cluster_for_what_only_it_knows(start: Start, place: Path, setup: str) -> None:
    argv, lines = SETUPS[setup]
    if setup == "bash with bash-completion" and not BASH_COMPLETION.exists():
        pytest.skip("the package bash-completion is not installed")
    program = place / "bin" / "dsectl"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    shell = start(argv, lines, PATH=f"{program.parent}:{os.environ['PATH']}")
    wrong = []
    for line, wanted, unwanted in LIVE:
        found = {word.removeprefix("user:") if "user:" in line else word for word in shell.offers(line)}
        if not {one.removeprefix("user:") if "user:" in line else one for one in wanted} <= found or unwanted & found:
            wrong.append((line, found))
    for line, completed in LIVE_COMPLETED:
        shown = shell.runs(line)
        if completed not in shown:
            wrong.append((line, {shown}))
    assert wrong == []


@pytest.mark.parametrize("setup", list(SETUPS))
def test_a_shell_offers_nothing_and_says_nothing_where_no_cluster_is(start: Start, setup: str) -> None:
    argv, lines = SETUPS[setup]
    if setup == "bash with bash-completion" and not BASH_COMPLETION.exists():
        pytest.skip("the package bash-completion is not installed")
    shell = start(argv, lines, home=False)
    assert [(line, found) for line in NOTHING_AT_HOME if (found := shell.offers(line))] == []


def test_the_default_place_is_where_dsectl_looks(start: Start, place: Path) -> None:
    shutil.copytree(place / "home", place / "state" / "dsectl")
    for setup in ("bash", "zsh, sourced", "fish"):
        argv, lines = SETUPS[setup]
        shell = start(argv, lines, DSECTL_HOME="", XDG_STATE_HOME=str(place / "state"), DSECTL_CLUSTER="shop-2")
        assert {"n1", "n2", "n3", "n4"} <= shell.offers("dsectl kill "), setup


def test_bash_completion_loads_the_file_by_itself(start: Start, place: Path) -> None:
    if not BASH_COMPLETION.exists():
        pytest.skip("the package bash-completion is not installed")
    folder = place / ".local/share/bash-completion/completions"
    folder.mkdir(parents=True)
    shutil.copy(COMPLETIONS / "dsectl.bash", folder / "dsectl")
    shell = start(BASH, [*BASH_SETUP, f"source {BASH_COMPLETION}"])
    assert {"keys", "kill"} <= shell.offers("dsectl k")


def test_zsh_says_what_is_missing_before_compinit() -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    done = subprocess.run(["zsh", "-f", COMPLETIONS / "_dsectl"], capture_output=True, text=True, check=False)
    assert "compinit" in done.stderr
