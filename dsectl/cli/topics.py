"""What `dsectl help TOPIC` tells, and docs/topics.md with it: the one place where these things are written down.

Tables that exist in the code (exit codes, options, errors, units) are read from there. Plain lines of at most 120
columns, so that they read as well in a terminal as on the page.
"""

from typing import NamedTuple

from cluster.errors import EXIT_CODES, REGISTRY
from dsectl.cli.glossary import glossary
from dsectl.cli.options import LINES
from dsectl.ui.table import table
from dsectl.ui.units import BYTES, SECONDS

VALUES = """\
A value on the command line is its bytes; `-` reads standard input and `@FILE` a file, unless --literal is given.
A value that begins with a dash goes behind `--`: dsectl put key -- -5
`get` prints text as text and lays JSON out on a terminal; --raw writes the bytes as they are.
Under --json a value that is not UTF-8 is {"base64": "..."}.
Durations, sizes and probabilities: `dsectl help units`."""

RECIPES = """\
A recipe is a Markdown file. Blocks marked `dsectl` hold its steps, one a line; blocks marked `predict` a question.
A last line `answer: TEXT` of a question is shown by `present` once the next block has run.

put cart "book"                                a command, which must succeed
explain cart .owners[0] -> $first              keep a value of its JSON in a variable
expect get cart .value == "book"               must hold now
within 5s: members .$first.state == dead       must hold once in that time; looks again and again
always 3s: get cart .value == "book"           must hold at every look
!7 put cart x --strict                         must fail, with that exit code; `! …` with any
subscribe orders.* &job                        goes on in the background; `expect job .length == 2`,
wait job                                       until it ends, or `stop job`

Operators: == != < <= > >= in contains matches. Values are JSON or a word: 3 is a number, "3" is a text.
A path begins with a dot: .value  .owners[0]  .$node.state  ."a key".length  and a lone dot is the whole.
Above the title, between lines of ---: nodes zones replication profile durability store principles timeout red.

`dsectl recipe show quorum` is an example, `dsectl recipe check FILE` says what is wrong with yours."""

OUTCOMES = """\
Each key has N owners. A write needs W of them, a read R; `dsectl up --replication N/R/W` sets them (3/2/2).

ok          W owners have the write                                                exit 0
ok-sloppy   W nodes have it, some as fallbacks that keep a hint, or fewer by --w   exit 0
maybe       sent, but too few answered in time: it may still appear                exit 5
no          refused before anything was sent, or by everybody: safe to repeat      exit 7

W counts owners, each by its own copy or by one fallback's hint; a put with a --w below W is `ok-sloppy` at the best.
With --strict only owners count. A read that found a value without R voting owners, or among them one that may miss
hints, says `degraded`. `not found` (exit 6; a deleted key too) needs N - W + 1 owners that vote and miss nothing, else
the read fails (exit 7): a node that booted, stalled or lost data stores and acknowledges, and does not vote until it
holds what it has missed. get --strict promises what ended `ok`, no more: owners that lost nothing count for it, also
while they catch up.

The verdict of `status` and `watch`: green, all owners of every partition vote; amber, at least R of each; red, fewer
for some, so that strict reads of their keys fail.

`dsectl explain KEY` shows the owners of a key and what each holds, `dsectl hints` what waits for whom."""

PATTERNS = """\
A message has a subject of tokens between dots: orders.eu.new. A subscription has a pattern:

orders.eu.new   this subject alone
orders.*.new    `*` is any one token:            orders.eu.new, not orders.new, not orders.eu.fr.new
orders.>        `>` is all that follows, one or more, and comes last:  orders.eu, orders.eu.new

Tokens are not empty and hold no blanks; a wildcard is a token of its own (a* is refused). A subject is published
without wildcards. In a shell quote them: dsectl subscribe 'orders.*.new'

`subscribe` is ready when every live node knows of it. Messages come at most once: a reader that is too slow misses
some and is told how many. `dsectl publish` says how many subscribers it reached."""

FAULTS = """\
kill        SIGKILL; `restart` brings the node back               at once: the process is gone
pause       SIGSTOP; `resume` lets it go on                       it is silent, and its sockets stay open
partition   cuts all links between groups, also --one-way         packets are dropped; dials hang, as behind a firewall
slow        delay, jitter, loss, duplicates, reordering, rate     on a stream loss costs time, as TCP repeats
disk        --slow D: each append and sync of the log is late     a late append stops the node, a late sync only itself
            --full: writes are refused (ENOSPC)                   the write is undone; others take it; it cannot start
            --flip-byte: one byte of the log changes, once        seen when it reads its log, at its restart
            --wipe: killed, data DELETED, started empty, once     it has a new id, and votes once its peers completed it
clock       --skew D: wall time is wrong, timeouts are not        its events and stamps are; no value is lost by it

`dsectl heal` ends faults of links, slow and full disks and wrong clocks, and restarts nothing; no flipped byte and no
deleted data comes back by it. Links are cut between nodes only: `dsectl` reaches all of them.
Every fault counts what it touched, at the nodes that met it: `dsectl faults` and `dsectl watch` show the count as it
runs. A fault that touched nothing tested nothing, and a recipe that relies on it ends as inconclusive (exit 3).
Faults outlive restarts of nodes and `down`; those of processes end when the node is back.

Stamps (of a hybrid clock) order concurrent values for display; versions decide what replaces what. A node gives no
lower stamp after a higher one: a clock that was ahead and is healed stamps just above its last until time has caught
up, or the node restarts. A coordinator follows stamps that it meets up to 60 s ahead of its clock; beyond, it keeps its
own and records `clock.ahead`, and `dsectl explain` shows the copy as `ahead_s`. `events --since` compares the times
that the nodes themselves gave."""

WATCH = """\
Nodes     one line each. Its state is what the process does (stopped, paused), then what the node says of itself
          (running, catching-up, recovering); starting is one that runs and does not answer. A sign before the name
          says without colour who is not running: ✕ stopped, ◐ any other state.
n1 n2 …   how this node sees the others: ● alive, ◐ suspect, ✕ dead, · no answer. With many nodes SEEN BY counts those
          that take it for alive.
KV/S, P99 writes and reads that it coordinated and that succeeded, a second; what 99 of 100 stayed below, failed too.
FAIL      writes, reads and requests that failed there, a second, behind a !; they are counted in no other column.
HINTS     copies that wait for it at other nodes.  RING  its share of all copies.
PUB/S     messages published there.  REQ/S  requests handled there.
Charts    of all nodes, or of the one that is chosen; a column is a second. A scale (`to 50`) forgets what is old, so a
          burst is cut later. Latency has a logarithmic one: green below 50 ms, yellow below 500 ms. ▼ a fault begins,
          ▲ it ends.
Faults    in force, and those that ended in the last 15 s, with how often each touched something.
Events    one line for what several nodes report: n4+3 is n4 first, then three more; the cause is the first one's.

q quits (exit 0), Ctrl-C too (exit 130); space freezes the picture; 1-9 and the arrows choose a node, 0 all.
Off a terminal it prints one picture as text, --count N or --every D more; --json prints an object for each look, with
what happened in a second since the one before. `dsectl events --key KEY -f` follows a key."""

ENVIRONMENT = (
    ("DSECTL_CLUSTER", "the cluster of commands that name none (else `default`)"),
    ("DSECTL_HOME", "where clusters live (else the state directory of your user)"),
    ("DSECTL_EDIT_MODE", "`vi`: keys of the shell"),
    ("DSECTL_TIME_SCALE", "stretches every `within` on a slow machine: 3"),
    ("NO_COLOR", "no colours, when it is not empty"),
    ("FORCE_COLOR", "colours also off a terminal, when it is not empty; NO_COLOR wins"),
    ("COLUMNS", "how wide `watch` and help are off a terminal"),
)
SET_BY_ENV = '`eval "$(dsectl env)"` sets DSECTL_CLUSTER, DSECTL_FOLDER, DSECTL_SECRET_FILE, DSECTL_NODES, DSECTL_N1 …'


class Topic(NamedTuple):
    """One topic: what it is about, and its text."""

    title: str
    text: str


def _units() -> str:
    rows = [
        ("duration", ", ".join(SECONDS), "250ms 5s 2m 1.5h"),
        ("size", ", ".join(BYTES), "512B 64KiB 1MiB 10MB"),
        ("probability", "0 to 1, or %", "0.1 10%"),
    ]
    lines = table(("WHAT", "UNITS", "AS IN"), rows)
    return "\n".join(
        [*lines, "", "A number of a duration or a size needs its unit: --timeout 5 is refused, 5s is meant."]
    )


def _exit_codes() -> str:
    return "\n".join(
        table(("CODE", "MEANING"), [(str(code), text) for code, text in EXIT_CODES.items()], right=("CODE",))
    )


def _errors() -> str:
    rows = [
        (code, str(error.exit_code), "no effect" if error.definite else "unknown", error.help_text)
        for code, error in sorted(REGISTRY.items())
    ]
    return "\n".join(table(("ERROR", "EXIT", "EFFECT", "WHAT HELPS"), rows, right=("EXIT",)))


def topics() -> dict[str, Topic]:
    """All topics by name, in the order in which they are listed."""
    return {
        "exit-codes": Topic("What the exit codes mean", _exit_codes()),
        "errors": Topic("The errors under --json, and what helps", _errors()),
        "options": Topic("The options that every command takes", "\n".join(table(("OPTION", "MEANING"), LINES))),
        "environment": Topic(
            "The variables that dsectl reads",
            "\n".join([*table(("VARIABLE", "MEANING"), ENVIRONMENT), "", SET_BY_ENV]),
        ),
        "values": Topic("How values are written", VALUES),
        "units": Topic("Durations, sizes, probabilities", _units()),
        "outcomes": Topic("What became of a write or a read: quorums", OUTCOMES),
        "patterns": Topic("Subjects of messages, and patterns", PATTERNS),
        "faults": Topic("What each fault does", FAULTS),
        "watch": Topic("What the screen shows", WATCH),
        "recipes": Topic("How steps of recipes are written", RECIPES),
        "glossary": Topic("What the terms mean, all or one: help hint", glossary()),
    }


SYNONYMS = {
    **dict.fromkeys(("exit", "codes", "exit-code", "exitcodes"), "exit-codes"),
    **dict.fromkeys(("error", "json"), "errors"),
    **dict.fromkeys(("option", "flags", "globals"), "options"),
    **dict.fromkeys(("env-vars", "variables", "vars", "env-variables"), "environment"),
    **dict.fromkeys(("value", "literal", "stdin"), "values"),
    **dict.fromkeys(
        ("unit", "duration", "durations", "size", "sizes", "probability", "probabilities", "time"), "units"
    ),
    **dict.fromkeys(
        ("outcome", "quorum", "quorums", "maybe", "strict", "sloppy", "verdict", "consistency"), "outcomes"
    ),
    **dict.fromkeys(("pattern", "subject", "subjects", "wildcards", "topics"), "patterns"),
    **dict.fromkeys(("fault", "nemesis"), "faults"),
    **dict.fromkeys(("step", "steps", "recipe-language", "within", "always", "expect"), "recipes"),
}
"""Other words that people try, and the topic they mean."""
