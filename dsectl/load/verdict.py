"""Passed, failed or inconclusive, and why. Pure.

`failed`: something that was promised did not hold, or a limit of `--require`. `inconclusive`: nothing failed, but
something was not tested: no operation succeeded, a promise could not be looked at again, a limit had no sample, or the
generator itself was too slow for what it should offer. What is due to the generator's own delay is never held against
the cluster.
"""

from collections.abc import Iterator, Sequence

from dsectl.load.account import Account
from dsectl.load.limits import Limit, seen_by, shown
from dsectl.load.plan import KV, PUBLISH
from dsectl.ui.verdict import FAILED, INCONCLUSIVE, PASSED, Verdict

OFFERED_MIN = 0.95
"""Of what was due, a generator that kept its rate has come to so much."""
PREPARED_MIN = 0.9
"""Of the keys that are read, so many must be there: reading what is missing tests little."""
NOT_KEPT = "the generator could not keep its rate"
LAG_MS_MAX = 100.0
"""One of ten operations sent later than this is a schedule that was not kept."""


def judge(account: Account, limits: Sequence[Limit] = ()) -> Verdict:
    """The verdict on a load."""
    failures, gaps = list(broken(account)), list(untested(account))
    too_slow = list(_too_slow(account))
    for limit in limits:
        seen = seen_by(limit, account)
        if seen is None:
            gaps.append(f"{limit.text}: there is no sample")
        elif not limit.holds(seen):
            own = too_slow or _is_own(limit, seen, account)
            (gaps if own else failures).append(
                shown(limit, seen) + (", but the generator itself was late" if own else "")
            )
    if failures:
        return Verdict(FAILED, failures)
    if gaps or too_slow:
        return Verdict(INCONCLUSIVE, [*too_slow, *gaps])
    return Verdict(PASSED, [_praise(account)])


def broken(account: Account) -> Iterator[str]:
    """What was promised and did not hold."""
    if account["lost"]:
        yield f"{account['lost']} acknowledged writes are lost"
    if account["unexpected"]:
        yield f"{account['unexpected']} times something was read or received that was never sent"
    if account["duplicated"]:
        yield f"{account['duplicated']} messages came twice"


def untested(account: Account) -> Iterator[str]:
    """What was not looked at, so that nothing is proven of it."""
    if account["interrupted"]:
        yield f"interrupted after {account['seconds']:.3g} of {account['planned_s']:.3g} s"
    if account["unanswered"]:
        yield f"{account['unanswered']} operations were not answered yet when it ended"
    if account.get("silent"):
        yield f"without a report: {'; '.join(account['silent'])}"
    if not account["ok"]:
        yield "no operation succeeded"
    if "prepared" in account and account["prepared"] < PREPARED_MIN * account["keys"]:
        yield f"only {account['prepared']} of {account['keys']} keys could be written before it began"
    if account["unchecked"]:
        yield f"{account['unchecked']} keys could not be read back strictly from a repaired cluster"
    if account["load"] == PUBLISH and account["ok"] and not account["delivered"]:
        yield "no message arrived at all"


def _too_slow(account: Account) -> Iterator[str]:
    """A rate was not kept when too much was left at the end, or when it was sent, but late: a generator that stood
    still and then sends all at once misses nothing, and has not offered what it should."""
    due = account["offered"] + account["unsent"] + account["missed"]
    lag = account["lag"]["p90_ms"]
    if account["rate"] is not None and due and account["missed"] > (1 - OFFERED_MIN) * due:
        yield f"{NOT_KEPT}: {account['offered_per_s']:,.0f} of {account['rate']:,.0f} a second"
    elif lag is not None and lag > LAG_MS_MAX:
        yield f"{NOT_KEPT}: one of ten operations was sent {lag:,.0f} ms or more after it was due"


def _is_own(limit: Limit, seen: float, account: Account) -> bool:
    """Whether a latency would be within its limit without what the generator added."""
    if not limit.is_latency or "service" in limit.path:
        return False
    lag = account["lag"][limit.path[-1]]
    return lag is not None and limit.holds(max(0.0, seen - lag))


def _praise(account: Account) -> str:
    if account["load"] == PUBLISH:
        return f"{account['delivered']} messages delivered, none twice, {account['dropped']} dropped"
    if account["load"] == KV:
        return f"{account['checked']} keys read back, nothing lost, nothing unexpected"
    return f"{account['ok']} requests answered, none wrongly"
