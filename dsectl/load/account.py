"""What a load came to: the account as JSON, the limits of `--require`, and the verdict with its reasons. Pure.

`failed`: something that was promised did not hold, or a limit. `inconclusive`: nothing failed, but something was not
tested: no operation succeeded, a promise could not be looked at again, a limit had no sample, or the generator itself
was too slow for what it should offer. What is due to the generator's own delay is never held against the cluster.

A limit says what must hold, as in `p99<250ms`. Read as a condition for failing, that would be absurd, and `p99>250ms`
would say the same. So that no load is green for what was meant as red, each quantity takes only the direction that
is sensible as a limit: latencies and counts stay below, rates above; the other direction is refused.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from operator import ge, gt, le, lt
from typing import Any

from msgspec import Struct

from cluster.errors import Usage
from dsectl.load.plan import KV, PUBLISH, QUEUE, REQUEST, LoadPlan
from dsectl.load.tally import EFFORTS, EXAMPLES_MAX, PERCENTILES, REPLIES, KindReport, LoadReport, decode, merge, rate
from dsectl.ui.units import duration, show_duration
from dsectl.ui.verdicts import Verdict, verdict_on

Account = dict[str, Any]
FOUND = ("lost", "unexpected", "duplicated", "checked", "unchecked", "offered", "unsent", "missed", "errors", "stopped")
"""What the account has as the report has it."""


def account_of(plan: LoadPlan, report: LoadReport, at: str) -> Account:
    """The account of a load that began at the time `at`; the verdict is added later, since it needs the limits."""
    whole = merge([*report.kinds.values()] or [KindReport()])
    response = decode(whole.response)
    response.add(decode(report.unsent_for))
    seconds = report.sending_s
    found: Account = {
        "at": at,
        "load": plan.family,
        **whole.counts,
        **{name: getattr(report, name) for name in FOUND},
        "unanswered": report.offered - sum(whole.counts.values()),
        "offered_per_s": rate(report.offered, seconds),
        "achieved_per_s": rate(whole.ok, seconds),
        **whole.summaries(),
        "response": response.summary(),
        "lag": decode(report.lag).summary(),
        "operations": {name: one.counts | one.summaries() for name, one in report.kinds.items()},
        "seconds": round(seconds, 3),
        "planned_s": plan.seconds,
        "generator_busy": round(report.busy, 3),
        **{name: getattr(plan, name) for name in ("rate", "clients", "processes")},
        "interrupted": bool(report.interrupted_by),
        "examples": report.examples[:EXAMPLES_MAX],
    }
    if plan.family == PUBLISH:
        found |= {name: getattr(report, name) for name in ("delivered", "dropped", "unheard")}
        found["delivery"] = decode(report.delivery).summary()
    elif plan.family == QUEUE:
        found |= {name: getattr(report, name) for name in ("delivered", "acked", "recovered")}
        found["delivery"] = decode(report.delivery).summary()
    elif plan.family == REQUEST:
        found |= {**whole.efforts, REPLIES: whole.replies, "declared_errors": report.declared_errors}
        for name, one in report.kinds.items():
            found["operations"][name] |= {**one.efforts, REPLIES: one.replies}
    else:
        found["stale"] = report.stale
    if plan.family == KV and plan.mix.reads:
        found |= {"prepared": report.prepared, "keys": plan.keys.count}
    if report.silent:
        found["silent"] = report.silent
    return found


def counted(account: Account, *names: str) -> str:
    """`980 delivered, 10 dropped`."""
    return ", ".join(f"{account[name]:,} {name}" for name in names)


def promises(account: Account) -> str:
    """What became of what a family of load is promised, in a line."""
    if account["load"] == PUBLISH:
        return counted(account, "delivered", "dropped", "duplicated", "unexpected")
    if account["load"] == QUEUE:
        return counted(account, "delivered", "acked", "lost", "unexpected", "duplicated", "recovered")
    if account["load"] == KV:
        unread = f", {account['unchecked']:,} could not be read" if account["unchecked"] else ""
        stale = f"; {account['stale']:,} reads were behind" if account["stale"] else ""
        wrong = f"{account['lost']:,} lost, {account['unexpected']:,} unexpected"
        return f"{account['checked']:,} keys read back{unread}: {wrong}{stale}"
    return f"{account['checked']:,} answers, {account['unexpected']:,} unexpected"


LATENCIES = {name.removesuffix("_ms"): name for name in PERCENTILES}
LIMITED_COUNTS = ("failed", "maybe", "declared", "unsent", "stale", "dropped", "unheard", "duplicated", *EFFORTS)
ACHIEVED = "achieved"
SIDES = ("response", "service", "delivery")
SIGNS: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_FORM = re.compile(r"\s*([a-z][\w.-]*?)\s*(<=|<|>=|>|==|!=)\s*(\S.*?)\s*", re.IGNORECASE | re.ASCII)
_LIMIT_HELP = (
    "Write the limit that must hold: p99<250ms, service.max<1s, read.p90<20ms, failed<1%, maybe<=0, achieved>900.\n"
    "Latencies are p50, p90, p99, p999 and max, of the response unless service or delivery stands before it."
)


class Limit(Struct, frozen=True):
    """One limit. `value` is milliseconds, a count, a share of all (with `percent`), or a rate."""

    text: str
    path: tuple[str, ...]
    """Where the account has the quantity."""
    sign: str
    value: float
    percent: bool = False

    @property
    def is_latency(self) -> bool:
        """Whether it bounds a latency."""
        return self.path[-1] in PERCENTILES

    def holds(self, seen: float) -> bool:
        """Whether a value is within the limit."""
        return SIGNS[self.sign](seen, self.value)


def parse_limit(text: str) -> Limit:
    """Raises Usage."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Usage(f'invalid limit "{text}": expected p99<250ms, failed<1%', help=_LIMIT_HELP)
    name, sign, value = found.groups()
    *before, last = name.split(".")
    side = before.pop() if last in LATENCIES and before and before[-1] in SIDES else "response"
    if before and side == "delivery":
        raise Usage(f"{text!r}: delivery is measured over all messages", help=_LIMIT_HELP)
    if last not in LATENCIES and (before or last not in (*LIMITED_COUNTS, ACHIEVED)):
        raise Usage(f'unknown quantity "{name}" in the limit "{text}"', help=_LIMIT_HELP)
    if last in LIMITED_COUNTS and sign == "==" and text.rstrip().endswith(("=0", "= 0")):
        sign = "<="
    if sign not in ((">", ">=") if last == ACHIEVED else ("<", "<=")):
        raise Usage(
            f"wrong direction in {text!r}: --require takes what must hold, which is a value "
            f"{'above' if last == ACHIEVED else 'below'} a limit",
            help=_LIMIT_HELP,
        )
    if last in LATENCIES:
        path = ("operations", ".".join(before), side, LATENCIES[last]) if before else (side, LATENCIES[last])
        try:
            return Limit(text, path, sign, duration(value) * 1000)
        except Usage as error:
            raise Usage(f"{text!r}: {error.message}", help=_LIMIT_HELP) from None
    percent = value.endswith("%") and last != ACHIEVED
    try:
        number = float(value.removesuffix("%").strip() if percent else value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise Usage(f'invalid number in the limit "{text}"', help=_LIMIT_HELP)
    return Limit(text, ("achieved_per_s" if last == ACHIEVED else last,), sign, number, percent)


def seen_by(limit: Limit, account: Account) -> float | None:
    """The value of the quantity in the account; None without a sample."""
    value: Any = account
    for part in limit.path:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None or not account["offered"]:
        return None
    if not limit.percent:
        return float(value)
    of_deliveries = limit.path in (("dropped",), ("duplicated",)) and "delivered" in account
    whole = account["delivered"] + value if of_deliveries else account["offered"] + account["unsent"]
    return 100 * value / whole if whole else None


OFFERED_MIN = 0.95
"""Of what was due, a generator that kept its rate has come to so much."""
PREPARED_MIN = 0.9
"""Of the keys that are read, so many must be there: reading what is missing tests little."""
NOT_KEPT = "the generator could not keep its rate"
LAG_MS_MAX = 100.0
"""One of ten operations sent later than this is a schedule that was not kept."""


def judge(account: Account, limits: Sequence[Limit] = ()) -> Verdict:
    """The verdict on a load."""
    failures, too_slow = list(broken(account)), list(not_kept(account))
    gaps = [*untested(account), *too_slow]
    for limit in limits:
        seen = seen_by(limit, account)
        if seen is None:
            gaps.append(f"{limit.text}: there is no sample")
        elif not limit.holds(seen):
            lag = account["lag"][limit.path[-1]] if limit.is_latency and "service" not in limit.path else None
            within = lag is not None and limit.holds(max(0.0, seen - lag))  # without what the generator added
            unit = " ms" if limit.is_latency else "%" if limit.percent else ""
            told = f"{limit.text}: it was {seen:.4g}{unit}"
            if too_slow or within:
                gaps.append(f"{told}, but the generator itself was late")
            else:
                failures.append(told)
    return verdict_on(failures, gaps, promises(account))


def broken(account: Account) -> Iterator[str]:
    """What was promised and did not hold."""
    if account["lost"]:
        yield f"{account['lost']} acknowledged {'messages' if account['load'] == QUEUE else 'writes'} are lost"
    if account["unexpected"]:
        yield f"{account['unexpected']} times something was read or received that was never sent"
    if account["duplicated"] and account["load"] != QUEUE:
        yield f"{account['duplicated']} messages came twice"


def untested(account: Account) -> Iterator[str]:
    """What was not looked at, so that nothing is proven of it."""
    if account["interrupted"]:
        yield f"interrupted after {show_duration(account['seconds'])} of {show_duration(account['planned_s'])}"
    if account["unanswered"]:
        yield f"{account['unanswered']} operations were not answered yet when it ended"
    if account.get("silent"):
        yield f"without a report: {'; '.join(account['silent'])}"
    if not account["ok"]:
        yield "no operation succeeded"
    if "prepared" in account and account["prepared"] < PREPARED_MIN * account["keys"]:
        yield f"only {account['prepared']} of {account['keys']} keys could be written before it began"
    if account["unchecked"] and account["load"] == QUEUE:
        yield "the queue was not drained: what has not come may still be in it"
    elif account["unchecked"]:
        yield f"{account['unchecked']} keys could not be read back strictly from a repaired cluster"
    if account["load"] == PUBLISH and account["ok"] and not account["delivered"]:
        yield "no message arrived at all"


def not_kept(account: Account) -> Iterator[str]:
    """A rate was not kept when too much was left at the end, or when it was sent, but late: a generator that stood
    still and then sends all at once misses nothing, and has not offered what it should."""
    due = account["offered"] + account["unsent"] + account["missed"]
    lag = account["lag"]["p90_ms"]
    if account["rate"] is not None and due and account["missed"] > (1 - OFFERED_MIN) * due:
        yield f"{NOT_KEPT}: {account['offered_per_s']:,.0f} of {account['rate']:,.0f} a second"
    elif lag is not None and lag > LAG_MS_MAX:
        yield f"{NOT_KEPT}: one of ten operations was sent {show_duration(lag / 1000)} or more after it was due"
