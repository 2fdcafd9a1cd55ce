"""Subjects and patterns: tokens between dots, as in NATS.

A message has a subject, `orders.eu.new`; a subscription a pattern, where a token `*` stands for any one token and a
last token `>` for one or more. Every subject is also a pattern. Tokens are not empty and hold neither blanks nor
control characters; `*` and `>` stand alone, since `a*` looks like a wildcard and would not be one. Pure.
"""

from cluster.errors import TooLarge, Usage
from cluster.limits import SUBJECT_BYTES_MAX

ONE, REST = "*", ">"


def split_subject(subject: str) -> list[str]:
    """The tokens of a subject that a message may have. Raises Usage."""
    tokens = _split(subject, "subject")
    if ONE in subject or REST in subject:
        raise Usage(f"a subject has no wildcards, only a pattern may: {subject!r}")
    return tokens


def split_pattern(pattern: str) -> list[str]:
    """The tokens of a pattern. Raises Usage."""
    tokens = _split(pattern, "pattern")
    for place, token in enumerate(tokens):
        if token == REST and place < len(tokens) - 1:
            raise Usage(f"`>` stands for the rest, so it comes last: {pattern!r}")
        if len(token) > 1 and (ONE in token or REST in token):
            raise Usage(f"a wildcard is a token of its own, as in a.*.b or a.>: {pattern!r}")
    return tokens


def is_literal(pattern: str) -> bool:
    """Whether a pattern matches only the subject that it spells."""
    return ONE not in pattern and REST not in pattern


def matches(pattern: str, subject: str) -> bool:
    """Whether a valid pattern matches a valid subject: the definition, token by token; `matching` is the quick way."""
    wanted, tokens = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == REST:
            return len(tokens) > place
        if place >= len(tokens) or token not in (ONE, tokens[place]):
            return False
    return len(wanted) == len(tokens)


def _split(text: str, what: str) -> list[str]:
    if len(text.encode("utf-8", "surrogatepass")) > SUBJECT_BYTES_MAX:
        raise TooLarge(f"a {what} of more than {SUBJECT_BYTES_MAX} bytes")
    tokens = text.split(".")
    if "" in tokens:
        raise Usage(f"invalid {what} {text!r}: a token is empty")
    if not text.isprintable() or " " in text:
        raise Usage(f"invalid {what} {text!r}: it holds blanks or control characters")
    return tokens
