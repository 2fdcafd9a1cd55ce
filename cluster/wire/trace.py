"""The traceparent that an operation carries when it is to be explained (W3C Trace Context, version 00). Pure."""

_LENGTHS = [2, 32, 16, 2]
_DIGITS = frozenset("0123456789abcdef")


def trace_id(traceparent: str) -> str:
    """The trace that a traceparent is of; empty for text that is none."""
    parts = traceparent.split("-")
    is_one = [len(part) for part in parts] == _LENGTHS and parts[0] == "00" and _DIGITS.issuperset("".join(parts))
    return parts[1] if is_one else ""
