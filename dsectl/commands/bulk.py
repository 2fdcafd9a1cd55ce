"""kv import, kv export: many keys at once, as lines of JSON."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Annotated, Any, BinaryIO, TypeVar

import typer

import cluster
from cluster.client.aio import Client
from cluster.errors import ClusterError, Usage
from cluster.limits import CLIENT_TIMEOUT_S
from dsectl.bulk.exporting import Export
from dsectl.bulk.importing import Import
from dsectl.bulk.line import LINE_BYTES_MAX, cut_after_last
from dsectl.bulk.reading import read_lines
from dsectl.cli.console import Console
from dsectl.cli.declaration import Answer, Lines, command
from dsectl.cli.invocation import current
from dsectl.cli.loop import run_loop
from dsectl.cli.signals import EXIT_SIGNAL, noted, pass_on
from dsectl.cli.values import check_text
from dsectl.ui.text import count, shown
from dsectl.ui.units import rate, share, show_duration, show_size

STREAM = "-"
PART = ".part"
"""An export has this behind its name until it is whole."""
PROGRESS_S = 0.1
NOTES_MAX = 10
"""Lines with errors that people are told of one by one."""

T = TypeVar("T")
Prefix = Annotated[str, typer.Option(metavar="PREFIX", help="Beginning of the keys (default: all).")]


@command("kv import", "Write keys from a file of JSON lines.", group="kv", rank=5)
def kv_import(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File to read; `-` is standard input.")],
    prefix: Prefix = "",
) -> Iterator[Answer]:
    """A line is {"key": "cart", "value": "book"}, as `kv export` writes it: `siblings` is a list of several values,
    `number` a counter, `items` are those of a set, and {"base64": "AAE="} are bytes that are not text. Other values of
    the key are replaced; what it holds already is not written again, so whatever ended an import, the same command goes
    on. A wrong line is reported with its number and the others are written (exit 2)."""
    invocation, console = current(), current().console
    begin = check_text(prefix, "prefix")
    with ExitStack() as stack:
        source = sys.stdin if file == STREAM else stack.enter_context(_open(file, "rb"))
        came = stack.enter_context(noted())
        size = 0 if file == STREAM else os.fstat(source.fileno()).st_size
        began = monotonic()

        def is_stopped() -> bool:
            return bool(came) or invocation.stopped()

        async def work(client: Client) -> Import:
            job = Import(client, begin, invocation.ready, is_stopped)

            def progress() -> str:
                speed = rate((job.written + job.unchanged) / max(PROGRESS_S, monotonic() - began))
                part = f"{share(min(1.0, job.bytes / size))}  " if size else ""
                wrong = f"  {console.paint_err(count(len(job.errors), 'error'), 'bad')}" if job.errors else ""
                return f"{part}line {job.lines:,}  {speed}/s  {_came_to(job)}{wrong}"

            lines = read_lines(source.fileno(), LINE_BYTES_MAX, is_stopped)
            await _shown(job.run(lines), console, progress, lambda: len(came) > 1)
            return job

        job = _run(work)
    seconds = monotonic() - began
    fields = {
        "file": file,
        "lines": job.lines,
        "written": job.written,
        "unchanged": job.unchanged,
        "passed_over": job.passed_over,
        "failed": len(job.errors),
        "interrupted": bool(came),
        **_speed(job.written + job.unchanged, seconds),
    }
    if job.errors:
        raise _wrong(job, fields, console)

    def view(console: Console) -> None:
        head = "interrupted after" if came else "imported"
        console.line(f"{head} {count(job.lines, 'line')}: {_came_to(job)}  {_took(seconds, fields['per_s'], console)}")
        if came:
            console.note("note: the same command goes on, and does not write again what is there")

    yield Answer(fields, view, EXIT_SIGNAL + came[0] if came else 0)
    pass_on(came[0] if came else 0)


@command("kv export", "Write keys to a file of JSON lines.", group="kv", rank=6, readonly=True, streams=(STREAM,))
def kv_export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File to write; `-` is standard output.")],
    prefix: Prefix = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted export to the same file ended.")
    ] = False,
) -> Iterator[Answer]:
    """One line per key, in order: {"key": "cart", "value": "book"}, with `siblings` instead for several values,
    `number` for a counter, `items` for a set, and {"base64": "AAE="} for bytes that are not text. The file is called
    FILE.part until it is whole. It is no snapshot: keys that are written meanwhile are in it or not. A key that cannot
    be read ends it."""
    invocation, console = current(), current().console
    begin = check_text(prefix, "prefix")
    if resume and not _takes_name(file):
        what = "standard output" if file == STREAM else f"{file!r}, which is no regular file,"
        raise Usage(f"{what} cannot be resumed", help="--resume goes on with a file.")
    with noted() as came, _destination(file, resume, begin, lambda: bool(came)) as (after, write):
        began = monotonic()

        async def work(client: Client) -> Export:
            job = Export(client, begin, after, lambda: bool(came) or invocation.stopped())

            def progress() -> str:
                speed = rate(job.keys / max(PROGRESS_S, monotonic() - began))
                return f"{job.keys:,} keys  {show_size(job.bytes)}  {speed}/s  at {shown(job.last)!r}"

            await _shown(job.run(write), console, progress, lambda: len(came) > 1)
            return job

        job = _run(work)
    seconds = monotonic() - began
    fields = {
        "file": file,
        "keys": job.keys,
        "bytes": job.bytes,
        "degraded": job.degraded,
        "silent": job.silent,
        "after": after,
        "interrupted": bool(came),
        **_speed(job.keys, seconds),
    }

    def view(console: Console) -> None:
        head = "interrupted after" if came else "exported"
        say = console.note if file == STREAM else console.line
        took = _took(seconds, fields["per_s"], console)
        say(f"{head} {count(job.keys, 'key')}, {show_size(job.bytes)}  {took}")
        if came and _takes_name(file):
            console.note(f"note: --resume goes on with {shown(file + PART)!r}")
        if job.degraded:
            console.note(f"note: {count(job.degraded, 'key')} degraded: fewer owners voted than a read needs")

    value = Lines() if file == STREAM else fields  # standard output has the keys, and nothing else
    yield Answer(value, view, EXIT_SIGNAL + came[0] if came else 0)
    pass_on(came[0] if came else 0)


def _run(work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    """Carry it out with a client of its own: one that keeps many operations in flight."""
    invocation = current()

    async def connected() -> T:
        timeout = invocation.options.timeout_s or CLIENT_TIMEOUT_S
        async with cluster.connect(invocation.cluster, via=invocation.options.via, timeout=timeout) as client:
            return await work(client)

    return run_loop(connected(), ending=[signal.SIGHUP])


async def _shown(
    work: Coroutine[Any, Any, None], console: Console, progress: Callable[[], str], is_cut: Callable[[], bool]
) -> None:
    """Carry out `work` with its progress on the terminal, until it ends or is cut short."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=PROGRESS_S)
            console.progress(progress())
            if is_cut():
                task.cancel()
    finally:
        console.progress("")
    if not task.cancelled():
        task.result()


def _speed(keys: int, seconds: float) -> dict[str, Any]:
    return {"seconds": round(seconds, 3), "per_s": round(keys / max(seconds, 0.001), 1)}


def _took(seconds: float, per_s: float, console: Console) -> str:
    return console.paint(f"{show_duration(seconds)}, {rate(per_s)}/s", "dim")


def _came_to(job: Import) -> str:
    passed_over = f", {job.passed_over:,} passed over" if job.passed_over else ""
    return f"{job.written:,} written, {job.unchanged:,} there already{passed_over}"


def _wrong(job: Import, fields: dict[str, Any], console: Console) -> ClusterError:
    """The error of the first line that has one, with the others in its detail. People are told of some here."""
    errors = sorted(job.errors, key=lambda one: one.line)
    lines = [
        {"line": one.line, "key": one.key, "code": one.error.code, "definite": one.error.definite,
         "message": one.error.message}
        for one in errors
    ]  # fmt: skip
    first, *others = errors
    if not console.options.json:
        for one in others[:NOTES_MAX]:
            console.note(f"line {one.line}: {shown(one.error.message)}")
        if len(others) > NOTES_MAX:
            console.note(f"and {len(others) - NOTES_MAX} more lines; --json shows all")
    went = f"{_came_to(job)} of {'the first ' if job.ends else ''}{count(job.lines, 'line')}"
    again = "The same command goes on, and does not write again what is there."
    return type(first.error)(
        f"line {first.line}: {first.error.message}", help=f"{first.error.help}\n{went}. {again}", **fields, errors=lines
    )


@contextmanager
def _destination(
    file: str, resume: bool, prefix: str, is_cut: Callable[[], bool]
) -> Iterator[tuple[str, Callable[[bytes], object]]]:
    """The key behind which an export goes on, and where its lines are written. A file takes its name once it is whole:
    when the block ends without an error, and was not cut short."""
    if file == STREAM:
        yield "", current().console.bytes
        return
    if not _takes_name(file):
        with _open(file, "wb") as special:
            yield "", special.write
        return
    goes_on = resume and os.path.exists(file + PART)
    with _open(file + PART, "r+b" if goes_on else "wb") as part:
        yield _goes_on(part, prefix) if goes_on else "", part.write
        if not is_cut():
            part.flush()
            os.fsync(part.fileno())
            os.replace(file + PART, file)


def _takes_name(file: str) -> bool:
    """Whether a file may take this name. A pipe, a device or a folder has it, and must not lose it to a file."""
    return file != STREAM and (os.path.isfile(file) or not os.path.exists(file))


def _goes_on(part: BinaryIO, prefix: str) -> str:
    """The key behind which an export that was interrupted goes on. Raises Usage for what is none of this prefix."""
    try:
        after = cut_after_last(part)
    except Usage as error:
        raise Usage(
            f"{part.name!r} does not end with a key: {error.message}", help="Without --resume it is replaced."
        ) from None
    if not after.startswith(prefix):
        raise Usage(f"{part.name!r} ends with the key {after!r}, which does not begin with {prefix!r}")
    return after


def _open(name: str, mode: str) -> BinaryIO:
    """A file that was named on the command line. Raises Usage."""
    try:
        return open(name, mode)  # type: ignore[return-value]
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        verb = "read" if mode == "rb" else "write"
        raise Usage(
            f"cannot {verb} {name!r}: {getattr(error, 'strerror', None) or error}",
            help="FILE is a file of JSON lines; `-` is standard input, or output.",
        ) from None
