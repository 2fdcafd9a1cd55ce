"""The picture of a load: what is offered, how far it is, and what goes wrong, in 80 columns."""

import io

from dsectl.cli.console import Console
from dsectl.cli.options import Options
from dsectl.load.plan import LoadPlan
from dsectl.load.tally import Interval, Tally
from dsectl.load.view import LiveProgress
from dsectl.ui.text import PLAIN, Line, length, painted


def second(until_s: float, ok: int, failed: int) -> Interval:
    tally = Tally()
    kind = tally.kind("read")
    kind.ok, kind.failed, tally.offered = ok, failed, ok + failed
    kind.timed(0.0, 0.001, 0.0125)
    return tally.interval(until_s, 1.0, 7)


def text(lines: list[Line]) -> str:
    assert all(length(line) <= 80 for line in lines)
    return "\n".join(painted(line, PLAIN) for line in lines)


def test_the_picture() -> None:
    options = Options()
    with LiveProgress(Console(io.StringIO(), io.StringIO(), options), LoadPlan("kv", "c", "run", 100.0)) as progress:
        assert "connecting" in text(progress.lines())
        progress.phase("")
        progress.interval(second(1.0, 98, 2))
        progress.interval(second(2.0, 100, 0))
        seen = text(progress.lines())
        assert "2s of 10s" in seen and "━" * 8 + "╌" in seen
        assert "in flight" in seen and "response         12.5" in seen and "service          11.5" in seen
        assert "198" in seen and ("2", "bad") in [piece for line in progress.lines() for piece in line]
        assert "p99 each second" in seen and "██" in seen
