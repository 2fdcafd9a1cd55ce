"""The terms of this program and of its field, once: `dsectl help glossary`, `dsectl help TERM` and docs/glossary.md.

One word a concept, the same in code, commands, JSON and docs. A text says what the thing is, then what follows from it;
`see` names commands and topics that show it. Where a term comes from a paper, the paper is named.
"""

from textwrap import wrap
from typing import NamedTuple

from dsectl.cli.table import COMMANDS

WIDTH = 100


class Term(NamedTuple):
    """One term; `also` are other words for it that people look up."""

    name: str
    text: str
    also: tuple[str, ...] = ()
    see: tuple[str, ...] = ()


TERMS = (
    Term(
        "acknowledgement",
        "An owner's or a fallback's answer that it has logged a write. A write needs W of them.",
        ("ack", "acks", "acknowledged"),
        ("outcomes",),
    ),
    Term(
        "actor",
        "Who gives out dots: one node in one life of its directory. A node that lost its data gets a new actor, so "
        "that no dot is given twice.",
        ("actors",),
        ("explain",),
    ),
    Term(
        "alive",
        "A member that is neither suspected nor declared dead. Membership decides where requests go, never what is "
        "true.",
        (),
        ("members",),
    ),
    Term(
        "boot epoch",
        "How often a node has booted, counted on its disk before it sends anything. Incarnations and events carry "
        "it, so that what an earlier boot said cannot be taken for what this one says.",
        ("epoch", "epochs", "boot"),
        ("members", "events"),
    ),
    Term(
        "catching up",
        "The state of a node that booted, stalled, or refuted its own death: it stores and acknowledges writes and "
        "does not vote, until every live member attests that it holds no hint for it.",
        ("catching-up",),
        ("status", "health"),
    ),
    Term(
        "client",
        "A program, or the command line, that talks to nodes. It remembers the context of each key that it read or "
        "wrote; any node serves it.",
        ("session", "sessions"),
        ("put", "get"),
    ),
    Term(
        "cluster",
        "Nodes that share a layout and a secret. On this machine each has a name and a folder.",
        ("clusters",),
        ("up", "ps"),
    ),
    Term(
        "context",
        "A token that says which writes of a key somebody has seen. A put with a context replaces those and no "
        "others; one without is concurrent with all, and becomes a sibling. Encoded, it is a vector clock.",
        ("contexts", "ctx", "causality", "causal-context"),
        ("put", "get"),
    ),
    Term(
        "coordinator",
        "The owner that carries out a read or write: it gives the write its dot, sends it to the other owners, and "
        "counts their answers.",
        ("coordinators", "coordinate"),
        ("explain", "outcomes"),
    ),
    Term(
        "deadline",
        "The time after which an operation is not carried out any more. It travels with a request, dated by the "
        "sender's clock.",
        ("deadlines", "timeout"),
        ("options",),
    ),
    Term(
        "definite",
        "Said of an error: the operation surely did not happen, so that it is safe to repeat. An error that is not "
        "definite (maybe) may have taken effect.",
        (),
        ("errors",),
    ),
    Term(
        "degraded",
        "A read whose value has fewer than R voting owners behind it, or rests on owners that may miss hints. The "
        "value is shown, and a newer one may exist.",
        (),
        ("outcomes", "health"),
    ),
    Term(
        "dot",
        "The name of one write: an actor and a number (n3-5f3a9c1e.1.0:7). Each sibling has its own, so that two "
        "writes with equal values stay apart. Dotted version vectors: Almeida et al., DAIS 2014.",
        ("dots", "dotted-version-vector"),
        ("explain",),
    ),
    Term(
        "endpoint",
        "One node's copy of a service. A request goes to the better of two that are chosen at random, by latency "
        "and load.",
        ("endpoints",),
        ("services", "request"),
    ),
    Term(
        "event",
        "A decision that a node recorded, with its cause and evidence: a suspicion, a refusal, a hint delivered. "
        "Its id is the node, the boot epoch and a count.",
        (),
        ("events",),
    ),
    Term(
        "fallback",
        "The next node of a key's ranking behind its owners. It takes the write of an owner that cannot be reached, "
        "keeps it as a hint, and delivers it when the owner is back. Sloppy quorums: Dynamo, section 4.6.",
        ("fallbacks", "stand-in", "handoff", "sloppy-quorum"),
        ("ring", "explain"),
    ),
    Term(
        "fault",
        "Harm that is done to a cluster on purpose: kill, pause, partition, slow. Each counts what it touched; one "
        "that touched nothing has tested nothing.",
        (),
        ("faults",),
    ),
    Term(
        "gossip",
        "How membership spreads: each message between nodes carries a few rumors, each a bounded number of times.",
        ("rumor", "rumors", "push-pull"),
        ("members",),
    ),
    Term(
        "hedge",
        "The same read, or readonly request, sent to a second node when the first is slow; the first answer is "
        "taken. Dean and Barroso, The Tail at Scale, 2013.",
        ("hedged", "hedging"),
        ("request",),
    ),
    Term(
        "hint",
        "A write that a fallback keeps for an owner that was not reached, by the owner's name. It is delivered when "
        "the owner is back, and counts for the owner's slot meanwhile. Hinted handoff: Dynamo, section 4.6.",
        ("hinted-handoff",),
        ("hints", "explain"),
    ),
    Term(
        "incarnation",
        "What makes one statement about a member newer than another: its boot epoch, then how often it has refuted "
        "a suspicion. SWIM, section 4.2.",
        ("incarnations",),
        ("members",),
    ),
    Term(
        "inconclusive",
        "The verdict of a test that did not test: a fault that touched nothing, a threshold without samples, a load "
        "that could not keep its rate. Exit code 3, never green.",
        (),
        ("recipes", "exit-codes"),
    ),
    Term(
        "layout",
        "The numbered entry that all placement follows from: members, zones, N, R and W. A node has it on disk "
        "before it serves under it.",
        ("layouts",),
        ("status", "ring"),
    ),
    Term(
        "local health",
        "How far a node trusts its own judgement of others: one that is slow itself waits longer before it "
        "suspects. Lifeguard, 2018.",
        ("lifeguard", "awareness"),
        ("health",),
    ),
    Term(
        "maybe",
        "The outcome of a write that was sent and not acknowledged by W owners in time: it may have happened, or "
        "may still appear. Exit code 5; read the key before you repeat it.",
        (),
        ("outcomes", "errors"),
    ),
    Term(
        "member",
        "A node as the others see it: alive, suspect, dead, leaving or left.",
        ("membership", "swim"),
        ("members",),
    ),
    Term(
        "node",
        "One process with its directory. Its name (n3) is its place in the layout; its id is the identity of the "
        "directory.",
        ("nodes",),
        ("status", "env"),
    ),
    Term(
        "owner",
        "One of the N nodes that keep a key: the first of its partition's ranking, in different zones.",
        ("owners", "replica", "replicas"),
        ("ring", "explain"),
    ),
    Term(
        "partition (of keys)",
        "One of 256 equal parts of the ring. A key belongs to the one that its token falls into. Dynamo, section 6.2.",
        ("token", "tokens"),
        ("ring", "explain"),
    ),
    Term(
        "partition (of the network)",
        "A fault that cuts the links between groups of nodes, in both directions or one.",
        ("network-partition", "split"),
        ("partition", "faults"),
    ),
    Term(
        "quorum",
        "How many of a key's N owners must take part: W in a write, R in a read. With R + W > N each read meets the "
        "last acknowledged write. Gifford, 1979; Dynamo, section 4.5.",
        ("quorums", "replication", "consistency"),
        ("outcomes", "up"),
    ),
    Term(
        "recovering",
        "The state of a node that lost data: it stores and acknowledges writes, and does not vote, until it has "
        "merged enough other owners. It stays so through any number of restarts.",
        ("recovery", "complete"),
        ("repair", "health"),
    ),
    Term(
        "refute",
        "What a suspected member does: it announces a higher incarnation, which ends the suspicion.",
        ("refutation", "refutations"),
        ("members", "events"),
    ),
    Term(
        "repair",
        "Bringing an owner that is behind up to date: by a read that finds it so, or by completing an owner that "
        "lost data.",
        ("read-repair",),
        ("repair", "get"),
    ),
    Term(
        "ring",
        "All keys in the order of their 64-bit tokens, cut into 256 partitions; for each the nodes are ranked, "
        "owners first. Rendezvous hashing: Thaler and Ravishankar, 1996.",
        ("ranking", "placement", "consistent-hashing"),
        ("ring",),
    ),
    Term(
        "service",
        "Named operations that nodes offer; a request calls one. Two come along, echo and flaky.",
        (),
        ("services", "describe", "request"),
    ),
    Term(
        "sibling",
        "One of several values of a key that nobody has seen together: they were written concurrently, and stay "
        "side by side until somebody who has read them writes again.",
        ("siblings", "conflict", "conflicts", "concurrent"),
        ("get", "explain"),
    ),
    Term(
        "silent",
        "A node from which an answer is due and no byte has come for 0.2 s while another answered. New operations "
        "avoid it at once; membership is not involved.",
        ("silence",),
        ("watch", "status"),
    ),
    Term(
        "slot",
        "What a write has one of for each owner: filled by the owner itself, or by one fallback with a hint. W of "
        "them make a quorum.",
        ("slots",),
        ("outcomes",),
    ),
    Term(
        "strict",
        "Counting owners only, no fallbacks. A strict read finds every write that ended ok.",
        (),
        ("outcomes",),
    ),
    Term(
        "suspect",
        "A member whose probes failed. It is declared dead when the suspicion runs out without a refutation. SWIM, "
        "section 4.2.",
        ("suspicion", "suspected", "dead", "declare-dead"),
        ("members", "events"),
    ),
    Term(
        "tombstone",
        "What a delete leaves: the fact that it happened, so that an owner that missed it does not bring the value "
        "back.",
        ("tombstones", "deleted"),
        ("delete",),
    ),
    Term(
        "vector clock",
        "For each actor the highest number of its writes that are covered. One clock covers another when no number "
        "is lower; if neither does, the writes are concurrent. Encoded, it is a context.",
        ("clock", "clocks", "version-vector", "vector-clocks"),
        ("explain",),
    ),
    Term(
        "verdict",
        "Of a cluster, green, amber or red: how many owners of each partition vote. Of a test: passed, failed or "
        "inconclusive.",
        ("green", "amber", "red"),
        ("status", "outcomes"),
    ),
    Term(
        "voting status",
        "Whether the silence of an owner about a key proves anything. A node that is catching up or recovering does "
        "not vote; one that may miss hints votes for values, and not for their absence.",
        ("vote", "votes", "voting", "may-miss-hints"),
        ("status", "outcomes"),
    ),
    Term(
        "zone",
        "A label of nodes that fail together. The owners of a key are in different zones where there are enough.",
        ("zones",),
        ("up", "ring"),
    ),
)


def find(words: str) -> list[Term]:
    """The terms that these words mean: two for `partition`."""
    wanted = words.lower().replace(" ", "-")
    return [term for term in TERMS if wanted in _names(term)]


def _names(term: Term) -> tuple[str, ...]:
    name = term.name.partition(" (")[0].replace(" ", "-")
    return (name, f"{name}s", term.name.replace(" ", "-"), *term.also)


def all_words() -> list[str]:
    """All that `find` knows, for suggestions."""
    return [name for term in TERMS for name in _names(term)]


def explain(term: Term) -> list[str]:
    """A term for the terminal."""
    see = [f"`dsectl {name}`" if name in COMMANDS else f"`dsectl help {name}`" for name in term.see]
    lines = [term.name, *(f"  {line}" for line in wrap(term.text, WIDTH))]
    return [*lines, f"  See {', '.join(see)}."] if see else lines


def glossary() -> str:
    """All terms for the terminal."""
    return "\n".join(line for term in TERMS for line in explain(term))


def glossary_page() -> str:
    """All terms as Markdown, for docs/glossary.md."""
    parts = []
    for term in TERMS:
        see = ", ".join(f"`dsectl {name}`" if name in COMMANDS else f"[{name}](topics.md)" for name in term.see)
        also = f" *Also looked up as:* {', '.join(term.also)}." if term.also else ""
        parts.append(f"**{term.name}.** {term.text}{also}" + (f" See {see}." if see else ""))
    return "\n\n".join(parts)
