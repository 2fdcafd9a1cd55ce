"""The verdict: red for a broken promise or limit, inconclusive for what was not tested, green only otherwise."""

from typing import Any

import pytest

from cluster.errors import Usage
from dsectl.load.account import Account, judge, parse_limit, seen_by
from dsectl.ui.verdicts import FAILED, INCONCLUSIVE, PASSED


def summary(p50: float | None = 1.0, p99: float | None = 10.0, most: float | None = 20.0) -> dict[str, float | None]:
    return {"p50_ms": p50, "p90_ms": p99, "p99_ms": p99, "p999_ms": most, "max_ms": most}


NOTHING = summary(None, None, None)


def good(**changes: Any) -> Account:
    """A load in which everything was offered, answered, and read back."""
    return {
        "load": "kv", "ok": 990, "failed": 8, "maybe": 2, "declared": 0, "lost": 0, "unexpected": 0, "duplicated": 0,
        "checked": 100, "unchecked": 0, "offered": 1000, "unsent": 0, "missed": 0, "stale": 3,
        "unanswered": 0, "interrupted": False, "seconds": 10.0, "planned_s": 10.0,
        "offered_per_s": 100.0, "achieved_per_s": 99.0, "rate": 100.0,
        "service": summary(0.5, 5.0), "response": summary(), "lag": summary(0.5, 1.0, 2.0),
        "operations": {"read": {"ok": 500, "service": summary(0.1, 2.0), "response": summary(0.2, 3.0)}},
        **changes,
    }  # fmt: skip


def publish(**changes: Any) -> Account:
    return good(load="publish", **{"delivered": 980, "dropped": 10, "unheard": 0, "delivery": summary(), **changes})


def queue(**changes: Any) -> Account:
    return good(load="queue", **{"delivered": 990, "acked": 990, "recovered": 1, "delivery": summary(), **changes})


def verdict(account: Account, *limits: str) -> str:
    return judge(account, [parse_limit(limit) for limit in limits]).verdict


def test_a_good_load_passes() -> None:
    assert verdict(good()) == PASSED and judge(good()).exit_code == 0
    assert verdict(publish()) == PASSED
    assert verdict(queue(duplicated=3)) == PASSED, "at least once"
    assert (
        verdict(queue(duplicated=3), "duplicated<1%") == PASSED
        and verdict(queue(duplicated=99), "duplicated<1%") == FAILED
    )


@pytest.mark.parametrize("broken", ["lost", "unexpected", "duplicated"])
def test_one_broken_promise_is_red_whatever_else(broken: str) -> None:
    assert verdict(good(**{broken: 1})) == FAILED
    assert verdict(good(**{broken: 1}, unchecked=5, missed=900, ok=0)) == FAILED, "inconclusive must not hide it"
    assert judge(good(**{broken: 1})).exit_code == 1


@pytest.mark.parametrize("broken", ["lost", "unexpected"])
def test_a_queue_promises_at_least_once(broken: str) -> None:
    assert verdict(queue(**{broken: 1}, unchecked=5)) == FAILED


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (good(ok=0, failed=1000), "no operation succeeded"),
        (good(offered=0, ok=0, failed=0, maybe=0), "no operation succeeded"),
        (good(unchecked=1), "could not be read back"),
        (good(prepared=89, keys=100), "only 89 of 100 keys"),
        (good(missed=60), "could not keep its rate"),
        (good(lag=summary(300.0, 400.0)), "could not keep its rate: one of ten operations was sent 400ms or more"),
        (good(silent=["generator 1 was ended by SIGKILL"]), "without a report: generator 1 was ended by SIGKILL"),
        (good(interrupted=True, seconds=3.21), "interrupted after 3.21s of 10s"),
        (good(unanswered=3), "3 operations were not answered yet"),
        (publish(delivered=0), "no message arrived"),
        (queue(unchecked=1), "the queue was not drained"),
    ],
)
def test_what_was_not_tested_is_inconclusive(account: Account, reason: str) -> None:
    found = judge(account)
    assert found.verdict == INCONCLUSIVE and found.exit_code == 3
    assert any(reason in one for one in found.reasons), found.reasons


def test_a_few_that_were_missed_are_within_what_a_clock_can_do() -> None:
    assert verdict(good(missed=10)) == PASSED


LIMITS = [
    ("p99<250ms", "p99<5ms"),
    ("max<=20ms", "max<15ms"),
    ("service.p99<6ms", "service.p99<1ms"),
    ("response.p50 < 2ms", "response.p50<100us"),
    ("read.p99<4ms", "read.p99<1ms"),
    ("read.service.p99<3ms", "read.service.p99<1ms"),
    ("failed<1%", "failed<0.5%"),
    ("failed<=8", "failed<8"),
    ("maybe<=2", "maybe==0"),
    ("stale<1%", "stale<=0"),
    ("achieved>98", "achieved>99"),
    ("achieved>=99", "achieved>=99.1"),
]


@pytest.mark.parametrize(("holds", "breaks"), LIMITS)
def test_a_limit_holds_or_fails_the_load(holds: str, breaks: str) -> None:
    assert verdict(good(), holds) == PASSED
    found = judge(good(), [parse_limit(breaks)])
    assert found.verdict == FAILED and breaks in found.reasons[0]
    assert verdict(good(), holds, breaks) == FAILED


def test_limits_of_messages() -> None:
    assert verdict(publish(), "dropped<2%", "delivery.p99<20ms") == PASSED
    assert verdict(publish(), "dropped<1%") == FAILED, "10 of 990"
    assert verdict(publish(), "delivery.p99<1ms") == FAILED


@pytest.mark.parametrize("limit", ["p99<250ms", "service.p99<1s", "write.p99<1s", "delivery.max<1s", "dropped<1%"])
def test_a_limit_without_a_sample_is_inconclusive(limit: str) -> None:
    silent = good(service=NOTHING, response=NOTHING)
    found = judge(silent, [parse_limit(limit)])
    assert found.verdict == INCONCLUSIVE and "no sample" in found.reasons[0]


def test_what_the_generator_added_itself_is_not_held_against_the_cluster() -> None:
    late = good(lag=summary(1.0, 9.0, 19.0))
    assert verdict(late, "p99<5ms") == INCONCLUSIVE, "10 ms, of which the generator waited 9"
    assert verdict(late, "service.p99<1ms") == FAILED, "service does not count the generator's delay"
    assert verdict(good(missed=500), "achieved>1000") == INCONCLUSIVE, "it was not offered either"
    assert verdict(good(missed=500), "p99<1s") == INCONCLUSIVE, "a limit that holds does not make up for the rate"


@pytest.mark.parametrize(
    "text",
    [
        "", "p99", "p99<", "p99<250", "p99>250ms", "p99=1s", "p99==1s", "p99!=1s", "p98<1s", "achieved<3", "failed>1%",
        "failed<x", "failed<-1", "lost<1", "speed<1", "a.failed<1", "read.delivery.p99<1s", "p99<250ms extra",
    ],
)  # fmt: skip
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(Usage) as raised:
        parse_limit(text)
    assert "p99<250ms" in raised.value.help


def test_the_wrong_direction_is_refused_and_explained() -> None:
    """Read as a condition for failing, `p99>250ms` would mean what `p99<250ms` means; taken as a limit it would be
    green for a slow cluster. So it is taken as neither."""
    with pytest.raises(Usage, match="what must hold"):
        parse_limit("p99>250ms")


def test_shares_are_of_all_that_was_due() -> None:
    seen = seen_by(parse_limit("failed<1%"), good(failed=10, offered=900, unsent=100))
    assert seen == pytest.approx(1.0)
