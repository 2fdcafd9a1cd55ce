"""load kv, publish, queue, request: offer operations on a schedule, measure, and account for what was promised."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer
from msgspec import json

from cluster.emulator.spec import timestamp
from cluster.errors import Usage
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.signals import EXIT_SIGNAL, pass_on
from dsectl.cli.values import check_text
from dsectl.commands.requests import parse_arguments
from dsectl.load.account import Limit, account_of, judge, parse_limit
from dsectl.load.plan import (
    KV,
    PUBLISH,
    QUEUE,
    REQUEST,
    KeySpace,
    LoadPlan,
    Mix,
    OfferedRequest,
    RequestOptions,
    Sizes,
    parse_keys,
    parse_mix,
    parse_share,
    parse_sizes,
)
from dsectl.load.run import run_load
from dsectl.load.session import Hooks
from dsectl.load.tally import Interval
from dsectl.load.view import LiveProgress, PlainProgress, summary_lines
from dsectl.ui.units import duration

RATE_DEFAULT = 100.0
RATE_MAX = 1_000_000.0
PROCESSES_MAX = 64
CLIENTS_MAX = 10_000
SUBSCRIBERS_MAX = 100
CONSUMERS_MAX = 100
RETRIES_MAX = 100
DRAIN_S = 20.0
"""Two leases of the load's own queue, and time to notice a node that died."""


def parse_rate(text: str) -> float:
    """Operations a second. Raises Usage."""
    help = "A rate is operations a second: 100, 2500, 0.5."
    try:
        rate = float(text)
    except ValueError:
        raise Usage(f'invalid rate "{text}": expected 100, 2500, 0.5', help=help) from None
    if not 0 < rate <= RATE_MAX:
        raise Usage(f"--rate must be above 0 and at most {RATE_MAX:,.0f}, not {text}", help=help)
    return rate


def parse_time(text: str) -> float:
    """A duration above 0. Raises Usage."""
    seconds = duration(text)
    if seconds <= 0:
        raise Usage(
            f'invalid duration "{text}": expected more than 0',
            help="A duration is a number with its unit: 500ms, 10s, 2m.",
        )
    return seconds


Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", parser=parse_rate, metavar="R", help="Operations per second, whatever is answered (default: 100)."
    ),
]
For = Annotated[
    float | None, typer.Option("--for", parser=parse_time, metavar="D", help="Duration of the load (default: 10s).")
]
Clients = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=CLIENTS_MAX, help="Clients at once; without --rate, each sends when it is answered."
    ),
]
Require = Annotated[
    list[Limit] | None,
    typer.Option(
        "--require",
        parser=parse_limit,
        metavar="LIMIT",
        help="Limit that must hold, as in 'p99<250ms' or 'failed<1%'; the load fails if it does not.",
    ),
]
Intervals = Annotated[
    str | None, typer.Option(metavar="FILE", help="File for a line of JSON per second; `-` is stdout.")
]
Processes = Annotated[
    int,
    typer.Option(metavar="N", min=1, max=PROCESSES_MAX, help="Generator processes, when one is too slow (default: 1)."),
]
Settle = Annotated[
    float | None,
    typer.Option(metavar="D", help="Time that reading back waits for repair (default: 10s)."),
]
Size = Annotated[
    Sizes | None,
    typer.Option(parser=parse_sizes, metavar="SIZE", help="Payload size, or a range: 64B..4KiB (default: 100B)."),
]
Seed = Annotated[int | None, typer.Option(metavar="S", help="Seed for the choice of keys and operations.")]


@command("load kv", "Read and write keys at a rate, and account for each write.", group="load", rank=1)
def kv(
    rate: Rate = None,
    seconds: For = None,
    clients: Clients = None,
    mix: Annotated[
        Mix | None,
        typer.Option(
            parser=parse_mix, metavar="MIX", help="Shares as in read=50,write=50, or YCSB's A to F (default: A)."
        ),
    ] = None,
    keys: Annotated[
        KeySpace | None,
        typer.Option(
            parser=parse_keys, metavar="KEYS", help="Number and distribution: 1000, zipfian, uniform:5000, latest:1000."
        ),
    ] = None,
    size: Size = None,
    require: Require = None,
    intervals: Intervals = None,
    processes: Processes = 1,
    settle: Settle = None,
    seed: Seed = None,
) -> Iterator[Answer]:
    """Reads and writes keys of its own, and at the end reads every acknowledged write back, strictly, once the cluster
    has repaired itself. Exit 1: a write was lost, a value appeared that nobody wrote, or a limit did not hold. Exit 3:
    it was not tested, for example because the generator could not keep its rate. Ctrl-C and SIGTERM end it
    with its account."""
    plan = _plan(
        KV, rate=rate, seconds=seconds, clients=clients, mix=mix, keys=keys, sizes=size, processes=processes,
        settle_s=settle, seed=seed,
    )  # fmt: skip
    if plan.keys.count < processes:
        raise Usage(f"{processes} processes need at least as many keys, not {plan.keys.count}")
    yield from _run(plan, require, intervals)


@command("load publish", "Publish at a rate, and count what arrives.", group="load", rank=2)
def publish(
    rate: Rate = None,
    seconds: For = None,
    clients: Clients = None,
    subscribers: Annotated[
        int, typer.Option(metavar="N", min=1, max=SUBSCRIBERS_MAX, help="Subscribers per generator (default: 1).")
    ] = 1,
    size: Size = None,
    require: Require = None,
    intervals: Intervals = None,
    processes: Processes = 1,
    settle: Settle = None,
) -> Iterator[Answer]:
    """Publishes to a subject that its own subscribers listen to, and counts what became of each message. Delivery is at
    most once: what does not arrive is dropped, not lost, and --require 'dropped<1%' limits it. Exit 1: a message came
    twice, or one that nobody published. Ctrl-C ends it with its account."""
    plan = _plan(
        PUBLISH, rate=rate, seconds=seconds, clients=clients, subscribers=subscribers, sizes=size, processes=processes,
        settle_s=settle,
    )  # fmt: skip
    yield from _run(plan, require, intervals)


@command("load queue", "Send to a queue at a rate, and account for each message.", group="load", rank=3)
def queue(
    rate: Rate = None,
    seconds: For = None,
    clients: Clients = None,
    consumers: Annotated[
        int, typer.Option(metavar="N", min=1, max=CONSUMERS_MAX, help="Consumers per generator (default: 1).")
    ] = 1,
    size: Size = None,
    require: Require = None,
    intervals: Intervals = None,
    processes: Processes = 1,
    settle: Annotated[
        float | None, typer.Option(metavar="D", help="Time that draining may take (default: 20s).")
    ] = None,
) -> Iterator[Answer]:
    """Sends to a queue of its own, which consumers drain, and compares what was acknowledged with what came. Delivery
    is at least once: what comes twice is counted, and --require 'duplicated<1%' limits it. Exit 1: an acknowledged
    message never came, or one came that nobody sent, or a limit did not hold. Exit 3: the queue was not drained in
    time, so nothing is known of what is left. Ctrl-C ends it with its account."""
    plan = _plan(
        QUEUE, rate=rate, seconds=seconds, clients=clients, consumers=consumers, sizes=size, processes=processes,
        settle_s=DRAIN_S if settle is None else settle,
    )  # fmt: skip
    yield from _run(plan, require, intervals)


@command("load request", "Call services at a rate.", group="load", rank=4)
def request(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SERVICE.OPERATION[=SHARE] [NAME=TEXT|NAME:=JSON]...",
            help="Operations, each with its share of the calls and its arguments (default: echo.echo).",
        ),
    ] = None,
    rate: Rate = None,
    seconds: For = None,
    clients: Clients = None,
    mix: Annotated[
        str | None, typer.Option(metavar="MIX", help="More operations with shares, as in echo.echo=80,flaky.work=20.")
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(parser=parse_time, metavar="D", help="Time that each attempt has (default: that of --timeout)."),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=RETRIES_MAX, help="Retries of its own for whatever was no answer (default: 0)."
        ),
    ] = 0,
    backoff: Annotated[
        float | None,
        typer.Option(
            parser=parse_time,
            metavar="D",
            help="Longest pause before the first of them, doubled for each next (default: none).",
        ),
    ] = None,
    keys: Annotated[
        KeySpace | None,
        typer.Option(
            parser=parse_keys,
            metavar="KEYS",
            help="Keys for affinity, as in 1000, zipfian, uniform:5000 (default: none).",
        ),
    ] = None,
    low: Annotated[
        float | None,
        typer.Option(metavar="P", help="Share of the calls with low priority, counted by themselves (default: none)."),
    ] = None,
    hedge: Annotated[bool, typer.Option("--hedge", help="Ask for a hedge with each call.")] = False,
    size: Size = None,
    require: Require = None,
    intervals: Intervals = None,
    processes: Processes = 1,
    seed: Seed = None,
) -> Iterator[Answer]:
    """Calls operations again and again, in a mix: `echo.echo=80 flaky.set=20 latency_ms:=5`. What stands behind an
    operation are its arguments. An answer of echo.echo must be what was said, else it is `unexpected` (exit 1). An
    error that the service declares is `declared`: it did its part, and --require 'declared<5%' limits it.

    --retries is naive on purpose, as many clients are: it sends again whatever was no answer, also an overload, with
    the whole deadline and without a budget. The account says apart what the cluster tried again, what this load did,
    what was hedged and what was shed. Ctrl-C ends it with its account."""
    offered = parse_requests(words or [], mix)
    if backoff is not None and not retries:
        raise Usage("--backoff is a pause before retries", help="`--retries 3 --backoff 50ms` makes three at most.")
    options = RequestOptions(offered, deadline, retries, backoff or 0.0, keys is not None, low or 0.0, hedge)
    plan = _plan(
        REQUEST, rate=rate, seconds=seconds, clients=clients, requests=options, keys=keys, sizes=size,
        processes=processes, seed=seed,
    )  # fmt: skip
    yield from _run(plan, require, intervals)


_REQUESTS_HELP = (
    "Write operations, each with its share and its arguments behind it: echo.echo=80 flaky.set=20 latency_ms:=5; or "
    "shares alone with --mix echo.echo=80,flaky.work=20."
)


def parse_requests(words: list[str], mix: str | None) -> tuple[OfferedRequest, ...]:
    """The operations of a mix, `echo.echo` when none is named. A word with a dot before its first `=` is an operation,
    since no argument has one in its name. Raises Usage."""
    named: list[tuple[str, list[str]]] = []  # as written, with the words of arguments behind it
    for word in words:
        name, equals, _ = check_text(word, "word").partition("=")
        if equals and "." not in name:
            if not named:
                raise Usage(f"the argument {word!r} stands before any operation", help=_REQUESTS_HELP)
            named[-1][1].append(word)
        else:
            named.append((word, []))
    if mix is not None:
        named += [(part.strip(), []) for part in check_text(mix, "mix").split(",")]
    found: dict[str, OfferedRequest] = {}
    for word, arguments in named:
        operation, equals, share = word.partition("=")
        if not all(operation.rpartition(".")[::2]):
            raise Usage(f"{operation!r} does not name an operation: SERVICE.OPERATION", help=_REQUESTS_HELP)
        if operation in found:
            raise Usage(f"{operation} is named twice", help=_REQUESTS_HELP)
        given = parse_arguments(arguments)
        found[operation] = OfferedRequest(
            operation,
            parse_share(operation, share, _REQUESTS_HELP) if equals else 1.0,
            json.encode(given).decode() if given else "",
        )
    if found and not any(one.share for one in found.values()):
        raise Usage("the mix has no operation at all", help=_REQUESTS_HELP)
    return tuple(one for one in found.values() if one.share) or (OfferedRequest(),)


def _plan(family: str, *, processes: int, clients: int | None, rate: float | None, **others: Any) -> LoadPlan:
    """What was said of a load; the rest, also what is None, is as LoadPlan has it."""
    invocation = current()
    if clients is not None and clients < processes:
        raise Usage(f"{processes} processes need at least as many clients, not {clients}")
    others |= {"via": invocation.options.via, "timeout_s": invocation.options.timeout_s}
    said = {"seed": int.from_bytes(os.urandom(4))} | {name: one for name, one in others.items() if one is not None}
    rate = RATE_DEFAULT if rate is None and clients is None else rate
    run = os.urandom(3).hex()
    return LoadPlan(family, invocation.cluster, run, rate=rate, clients=clients, processes=processes, **said)


def _run(plan: LoadPlan, limits: list[Limit] | None, intervals: str | None) -> Iterator[Answer]:
    """Carry it out, and yield what it came to, with the code of its verdict."""
    invocation, console = current(), current().console
    at = timestamp()
    picture = LiveProgress if console.shows_progress and not console.options.no_input else PlainProgress
    with _interval_file(intervals, console) as write, picture(console, plan) as progress:

        def on_interval(interval: Interval) -> None:
            progress.interval(interval)
            if write is not None:
                write(json.encode({"at": timestamp(), **interval.to_dict()}).decode() + "\n")

        hooks = Hooks(
            on_first=invocation.ready, on_interval=on_interval, on_phase=progress.phase, is_stopped=invocation.stopped
        )
        report = run_load(plan, hooks)
    account = account_of(plan, report, at)
    verdict = judge(account, limits or [])
    yield Answer(
        {"verdict": verdict.verdict, "reasons": verdict.reasons, **account},
        lambda console: console.lines(summary_lines(account, verdict, console.paint, console.columns)),
        EXIT_SIGNAL + report.interrupted_by if report.interrupted_by else verdict.exit_code,
    )
    pass_on(report.interrupted_by)


@contextmanager
def _interval_file(name: str | None, console: Console) -> Iterator[Callable[[str], object] | None]:
    """Where the lines of intervals go: each is written at once."""
    if name is None:
        yield None
    elif name == "-":

        def write(line: str) -> None:
            console.out.write(line)
            console.flush()

        yield write
    else:
        try:
            opened = open(name, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed below
        except OSError as error:
            raise Usage(f"cannot write {name!r}: {error.strerror}", help="--intervals names a file to write.") from None
        with opened as file:

            def keep(line: str) -> None:
                """A disk that is full costs the lines, never the account."""
                if file.closed:
                    return
                try:
                    file.write(line)
                except OSError as error:
                    console.note(f"note: {name} is not written any more: {error.strerror}")
                    with suppress(OSError):
                        file.close()

            yield keep
