"""What a change of the table is called in the events, and its cause in words. Pure."""

from cluster.membership.evidence import REFUSED
from cluster.membership.member import ALIVE, DEAD, SUSPECT
from cluster.membership.table import Merged
from cluster.wire.membership import Rumor


def tell_change(merged: Merged, rumor: Rumor, via: str, words: str) -> tuple[str, str] | None:
    """Kind and cause of the event; None for what is not worth one. `words` is our own evidence, if it was our
    decision."""
    member = merged.member
    assert member is not None
    if member.state == ALIVE:
        return _tell_alive(merged, via)
    by = rumor.by or via
    if member.state == SUSPECT:
        cause = words or f"{by} suspects it{_why(rumor)}{_heard(by, via)}"
    elif member.state == DEAD:
        cause = words or f"{by} declared it dead{_heard(by, via)}"
    else:
        cause = f"it says so{_heard(member.name, via)}"
    return f"member.{member.state}", cause


def _tell_alive(merged: Merged, via: str) -> tuple[str, str] | None:
    member, old = merged.member, merged.old_incarnation
    assert member is not None
    epoch, refutations = member.incarnation
    if epoch != old.epoch:
        return "member.alive", f"boot epoch {epoch}{_heard(member.name, via)}"
    if merged.old_state == ALIVE:
        return None  # it contradicted what we never heard
    return (
        "member.alive",
        f"it contradicts that it is {merged.old_state}: {epoch}.{refutations}{_heard(member.name, via)}",
    )


def _why(rumor: Rumor) -> str:
    return ": its port is closed" if rumor.kind == REFUSED else ""


def _heard(origin: str, via: str) -> str:
    return "" if origin == via else f", heard through {via}"
