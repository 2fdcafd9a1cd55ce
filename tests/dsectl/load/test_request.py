"""The load on services: streams are read as they come, and count by their first reply."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from cluster.client.aio import CallDone, Calls
from cluster.errors import Maybe
from cluster.limits import PARTS_WINDOW_BYTES
from cluster.wire.requests import Call
from dsectl.load import generator, request
from dsectl.load.plan import REQUEST, LoadPlan, OfferedRequest, RequestOptions
from dsectl.load.request import RequestLoad
from dsectl.load.tally import Tally


class Streamed:
    """What a load calls, to be answered by a test: a `Calls`, and the one stream of it that is under way."""

    def __init__(self) -> None:
        self.credits: list[int] = []

    def stream(
        self, body: Call, done: Callable[[Any], None], take: Callable[[bytes], None], deadline_s: float | None
    ) -> "Streamed":
        self.done, self.take = done, take
        return self

    def credit(self, count: int) -> None:
        self.credits.append(count)


@pytest.mark.parametrize("end", [CallDone(b"", "n1", replies=3), CallDone(b"{}", "n1", error="Spilt", replies=3)])
def test_a_stream_takes_as_long_as_its_first_reply(monkeypatch: pytest.MonkeyPatch, end: CallDone) -> None:
    now = 100.0
    for module in (generator, request):
        monkeypatch.setattr(module, "monotonic", lambda: now)
    calls, tally = Streamed(), Tally()
    plan = LoadPlan(REQUEST, "c", "run", requests=RequestOptions(mix=(OfferedRequest("echo.count"),)))
    load = RequestLoad(plan, cast(Calls, calls), tally, ["echo.count"])
    load.start(now - 1.0)
    now += 0.25
    calls.take(b"1\n2")
    now += 5.0
    calls.take(b"\n3\n")
    calls.done(end)
    kind = tally.kind("echo.count")
    assert (kind.service.fresh, kind.response.fresh) == ([250_000], [1_250_000])
    assert (kind.replies, load.found.unexpected) == (3, 0)


def test_what_was_read_of_a_stream_is_credited_before_its_window_is_empty() -> None:
    calls, tally = Streamed(), Tally()
    plan = LoadPlan(REQUEST, "c", "run", requests=RequestOptions(mix=(OfferedRequest("echo.count"),)))
    load = RequestLoad(plan, cast(Calls, calls), tally, ["echo.count"])
    load.start(0.0)
    part, window = bytes(1000), PARTS_WINDOW_BYTES
    for _ in range(500):
        window -= len(part)
        calls.take(part)
        assert window > 0
        window, calls.credits = window + sum(calls.credits), []
    calls.done(Maybe("n1 was lost"))
    assert tally.kind("echo.count").maybe == 1 and window > 0
