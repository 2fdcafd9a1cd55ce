"""Signals while processes are started: raised where it is safe, deferred where it is not."""

import os
import signal
import threading

import pytest

from cluster.emulator.interrupts import SIGNALS, InterruptGuard


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize(
    ("signum", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)],
)
def test_a_signal_raises(signum: int, raised: type[BaseException]) -> None:
    with pytest.raises(raised) as caught, InterruptGuard():
        send(signum)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 143


def test_a_shield_defers_to_its_end() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), InterruptGuard() as interrupts:
        with interrupts.shield():
            send(signal.SIGINT)
            reached.append("inside")
        reached.append("after")
    assert reached == ["inside"]


def test_shields_nest() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), InterruptGuard() as interrupts, interrupts.shield():
        with interrupts.shield():
            send(signal.SIGINT)
        reached.append("still inside")
    assert reached == ["still inside"]


def test_cleaning_up_is_not_interrupted() -> None:
    reached = []
    with InterruptGuard() as interrupts:
        with interrupts.ignored():
            send(signal.SIGINT)
            send(signal.SIGTERM)
            reached.append("cleaned")
        reached.append("after")
    assert reached == ["cleaned", "after"]


def test_handlers_return_and_ignored_signals_stay_ignored() -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with InterruptGuard():
            send(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, former)
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def test_outside_the_main_thread_nothing_is_touched() -> None:
    seen = []

    def other() -> None:
        with InterruptGuard() as interrupts, interrupts.shield():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
