"""What a load came to, as JSON: counts, rates, latencies, and what became of the promises. Pure."""

from typing import Any

from dsectl.load.latency import Latency, decode
from dsectl.load.plan import KV, PUBLISH, Plan
from dsectl.load.tally import KindReport, Report

Account = dict[str, Any]
COUNTS = ("ok", "failed", "maybe", "declared")


def account_of(plan: Plan, report: Report, at: str) -> Account:
    """The account of a load that began at the time `at`; a verdict is added by who knows the limits."""
    kinds = report.kinds.values()
    counts = {name: sum(getattr(one, name) for one in kinds) for name in COUNTS}
    service, response = _all(kinds, "service"), _all(kinds, "response")
    response.add(decode(report.unsent_for))
    seconds = report.sending_s
    found: Account = {
        "at": at,
        "load": plan.family,
        **counts,
        "lost": report.lost,
        "unexpected": report.unexpected,
        "duplicated": report.duplicated,
        "checked": report.checked,
        "unchecked": report.unchecked,
        "offered": report.offered,
        "unanswered": report.offered - sum(counts.values()),
        "unsent": report.unsent,
        "missed": report.missed,
        "offered_per_s": round(report.offered / seconds, 1) if seconds else 0.0,
        "achieved_per_s": round(counts["ok"] / seconds, 1) if seconds else 0.0,
        "service": service.summary(),
        "response": response.summary(),
        "lag": decode(report.lag).summary(),
        "operations": {name: _operations(one) for name, one in report.kinds.items()},
        "errors": report.errors,
        "seconds": round(seconds, 3),
        "planned_s": plan.seconds,
        "generator_busy": round(report.busy, 3),
        "rate": plan.rate,
        "clients": plan.clients,
        "processes": plan.processes,
        "stopped": report.stopped,
        "interrupted": bool(report.interrupted_by),
        "examples": report.examples,
    }
    if plan.family == PUBLISH:
        listened = {"delivered": report.delivered, "dropped": report.dropped, "unheard": report.unheard}
        found |= listened | {"delivery": decode(report.delivery).summary()}
    else:
        found |= {"stale": report.stale}
    if plan.family == KV and plan.mix.reads:
        found |= {"prepared": report.prepared, "keys": plan.keys.count}
    if report.silent:
        found["silent"] = report.silent
    return found


def _all(kinds: Any, which: str) -> Latency:
    total = Latency()
    for one in kinds:
        total.add(decode(getattr(one, which)))
    return total


def _operations(kind: KindReport) -> dict[str, Any]:
    counts = {name: getattr(kind, name) for name in COUNTS}
    return counts | {"service": decode(kind.service).summary(), "response": decode(kind.response).summary()}
