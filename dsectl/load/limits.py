"""Limits of `--require`: what must hold, as in `p99<250ms`; the run fails when it does not. Pure.

Read as a condition for failing, `p99<250ms` would be absurd, and `p99>250ms` would say the same as `p99<250ms` read as
a limit. So that nobody is told green for what was meant as red, each quantity takes only the direction that is sensible
as a limit: latencies and counts stay below, rates above; the other direction is refused.
"""

import re
from typing import Any

from msgspec import Struct

from cluster.errors import Usage
from dsectl.load.account import Account
from dsectl.ui.units import duration

LATENCIES = {"p50": "p50_ms", "p90": "p90_ms", "p99": "p99_ms", "p999": "p999_ms", "max": "max_ms"}
COUNTS = ("failed", "maybe", "declared", "unsent", "stale", "dropped", "unheard")
RATES = ("achieved",)
SIDES = ("response", "service", "delivery")
_FORM = re.compile(r"\s*([a-z][\w.-]*?)\s*(<=|<|>=|>|==|!=)\s*(\S.*?)\s*", re.IGNORECASE | re.ASCII)
_HELP = (
    "Write the limit that must hold: p99<250ms, service.max<1s, read.p90<20ms, failed<1%, maybe<=0, achieved>900.\n"
    "Latencies are p50, p90, p99, p999 and max, of the response unless service or delivery stands before it."
)


class Limit(Struct, frozen=True):
    """One limit. `value` is milliseconds, a count, a share of all (with `percent`), or a rate."""

    text: str
    path: tuple[str, ...]
    below: bool
    inclusive: bool
    value: float
    percent: bool = False

    @property
    def is_latency(self) -> bool:
        """Whether it bounds a latency."""
        return self.path[-1] in LATENCIES.values()

    def holds(self, seen: float) -> bool:
        """Whether a value is within the limit."""
        if seen == self.value:
            return self.inclusive
        return (seen < self.value) == self.below


def parse_limit(text: str) -> Limit:
    """Raises Usage."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Usage(f"{text!r} is no limit", help=_HELP)
    name, sign, value = found.groups()
    *before, last = name.split(".")
    if last in LATENCIES:
        return Limit(text, _latency_path(text, before, last), *_direction(text, sign, True), _milliseconds(text, value))
    if before or last not in (*COUNTS, *RATES):
        raise Usage(f"{text!r} limits {name!r}, which is nothing that is measured", help=_HELP)
    below, inclusive = _direction(text, sign, last in COUNTS)
    if last in RATES:
        return Limit(text, ("achieved_per_s",), below, inclusive, _number(text, value))
    percent = value.endswith("%")
    return Limit(text, (last,), below, inclusive, _number(text, value.removesuffix("%").strip()), percent)


def _latency_path(text: str, before: list[str], last: str) -> tuple[str, ...]:
    side = before.pop() if before and before[-1] in SIDES else "response"
    kind = (".".join(before),) if before else ()
    if kind and side == "delivery":
        raise Usage(f"{text!r}: delivery is measured over all messages", help=_HELP)
    return ("operations", *kind, side, LATENCIES[last]) if kind else (side, LATENCIES[last])


def _direction(text: str, sign: str, below: bool) -> tuple[bool, bool]:
    """Which side is good, and whether the value itself is."""
    if sign == "==" and below and text.rstrip().endswith(("=0", "= 0")):
        return True, True
    if sign not in (("<", "<=") if below else (">", ">=")):
        wanted = "below" if below else "above"
        raise Usage(
            f"{text!r} has the wrong direction: --require takes what must hold, and that is to stay {wanted} something",
            help=_HELP,
        )
    return below, "=" in sign


def _milliseconds(text: str, value: str) -> float:
    try:
        return duration(value) * 1000
    except Usage as error:
        raise Usage(f"{text!r}: {error.message}", help=_HELP) from None


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise Usage(f"{text!r} does not end in a number", help=_HELP)
    return number


def seen_by(limit: Limit, account: Account) -> float | None:
    """What the account says of the quantity; None when there is no sample of it."""
    value: Any = account
    for part in limit.path:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None or not account["offered"]:
        return None
    if not limit.percent:
        return float(value)
    whole = account["delivered"] + value if limit.path == ("dropped",) else account["offered"] + account["unsent"]
    return 100 * value / whole if whole else None


def shown(limit: Limit, seen: float) -> str:
    """`p99 was 310 ms, and should stay below 250 ms`, as in the limit's own words."""
    unit = " ms" if limit.is_latency else "%" if limit.percent else ""
    return f"{limit.text}: it was {seen:.4g}{unit}"
