"""Answers of nodes about services, for tests."""

from typing import Any

FAST, SLOW = 33, 65
"""Buckets of 0.7 ms and of 0.2 s."""


def endpoint(name: str, state: str = "ready", reason: str = "", version: int = 1, **evidence: Any) -> dict[str, Any]:
    """An endpoint as a caller sees it."""
    node = name.partition("/")[0]
    return {"endpoint": name, "node": node, "version": version, "state": state, "reason": reason, "evidence": evidence}


def service(name: str, *endpoints: dict[str, Any], panic: bool = False, **weights: float) -> dict[str, Any]:
    """A service as a caller sees it; weights as `v1=90.0`."""
    shares = {version.removeprefix("v"): share for version, share in weights.items()}
    return {"service": name, "panic": panic, "weights": shares, "endpoints": list(endpoints)}


def totals(operation: str, endpoint: str = "", calls: int = 0, bucket: int = FAST, **counts: int) -> dict[str, Any]:
    """What a node has counted of `SERVICE.OPERATION`."""
    service, _, name = operation.rpartition(".")
    row = {"service": service, "operation": name, "endpoint": endpoint, "version": 1 if endpoint else 0}
    return {**row, "calls": calls, "latency": [[bucket, calls]] if calls else [], **counts}


def stats(uptime_s: float, *rows: dict[str, Any], epoch: int = 1) -> dict[str, Any]:
    """A node's answer to `services-stats`."""
    return {"epoch": epoch, "uptime_s": uptime_s, "rows": list(rows)}
