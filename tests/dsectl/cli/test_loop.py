"""A signal that falls into a callback of the loop."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable

import pytest

from dsectl.cli.loop import run_loop
from dsectl.cli.signals import handled


class Interrupted(asyncio.Protocol):
    """The signal comes while bytes are taken: the loop ends the transport for what its handler raises, and goes on."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def data_received(self, data: bytes) -> None:
        signal.raise_signal(self.number)


def waits(number: signal.Signals, undone: Callable[[], None]) -> None:
    async def wait() -> None:
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().create_connection(lambda: Interrupted(number), sock=ours)
        theirs.send(b"x")
        try:
            await asyncio.sleep(10.0)
        finally:
            undone()
            theirs.close()

    run_loop(wait())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_a_callback_of_the_loop_ends_what_runs_there(number: signal.Signals) -> None:
    undone: list[bool] = []
    expected: type[BaseException] = KeyboardInterrupt if number is signal.SIGINT else SystemExit
    handlers: dict[int, Callable[..., object]] = {number: lambda *_: sys.exit(143)}
    if number is signal.SIGINT:  # the loop's own
        handlers = {}
    with handled(handlers), pytest.raises(expected) as raised:
        waits(number, lambda: undone.append(True))
    assert undone == [True]
    assert not isinstance(raised.value, SystemExit) or raised.value.code == 143


def test_what_ends_by_itself_gives_its_value_and_the_handlers_back() -> None:
    async def value() -> int:
        return 7

    before = signal.getsignal(signal.SIGTERM)
    assert run_loop(value()) == 7
    assert signal.getsignal(signal.SIGTERM) is before
