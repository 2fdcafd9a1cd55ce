"""Named situations, as transcripts of puts and merges: what a reader is shown at the end.

A script is one step a line: `put R VALUE CONTEXT [OPERATION]` writes at replica R (`-` is no context, `@NAME` a saved
one), `delete R CONTEXT` deletes, `save NAME R` keeps what a reader of R is handed, `mine NAME` what the last writer is
handed, `merge R S` gives R what S knows, `show R` expects the visible values after `->`. Each step has a number of its
own, so that those of one replica have gaps.
"""

import pytest

from cluster.versions import EMPTY, Context, Versions, context_after, merge, put, visible

ONE_AFTER_THE_OTHER = """
put A x -
save 1 A
put A y @1
show A -> y
"""

BLIND_PUTS_ARE_CONCURRENT = """
put A x -
put A y -
show A -> x y
"""

# The case that plain version vectors with one entry a server get wrong: y would silently replace x.
TWO_CLIENTS_THROUGH_ONE_REPLICA = """
put A start -
save 1 A
put A x @1
put A y @1
show A -> x y
save 2 A
put A xy @2
show A -> xy
"""

WRITES_ON_BOTH_SIDES_OF_A_PARTITION = """
put A start -
merge B A
save 1 A
put A left @1
put B right @1
merge A B
merge B A
show A -> left right
show B -> left right
save 2 B
put B both @2
merge A B
show A -> both
"""

A_STALE_CONTEXT_REPLACES_ONLY_WHAT_IT_SAW = """
put A x -
save old A
put A y @old
put A z @old
show A -> y z
"""

A_CONTEXT_REPLACES_WHAT_THE_COORDINATOR_NEVER_SAW = """
put A x -
save 1 A
put B y @1
show B -> y
merge B A
show B -> y
"""

DELETE_IS_CAUSAL = """
put A x -
save 1 A
delete A @1
show A ->
merge B A
put B y -
merge A B
show A -> y
"""

A_WRITE_CONCURRENT_WITH_A_DELETE_SURVIVES = """
put A x -
merge B A
save 1 A
delete A @1
put B y @1
merge A B
show A -> y
"""

A_LATE_REPLICA_DOES_NOT_BRING_BACK_THE_DELETED = """
put A x -
merge C A
save 1 A
delete A @1
merge A C
show A ->
merge C A
show C ->
"""

A_RETRY_AT_THE_SAME_REPLICA_IS_ONE_WRITE = """
put A x - op7
put A x - op7
show A -> x
"""

A_RETRY_AT_ANOTHER_REPLICA_IS_ONE_WRITE = """
put A x - op7
put B x - op7
merge A B
merge B A
show A -> x
show B -> x
save 1 A
put A y @1
merge B A
show B -> y
"""

# If a merge dropped one of the two dots of op7, x would be shown or not here, depending on the order of the merges.
A_RETRY_BESIDE_A_WRITE_THAT_SAW_THE_FIRST_ATTEMPT = """
put A x - op7
save 1 A
put B x - op7
put C y @1
merge A B
merge A C
merge B C
merge C B
show A -> x y
show B -> x y
show C -> x y
"""

# The clock entry of A cannot say "y, and not x before it": the context of the writer of y names the one dot.
A_SESSION_THAT_ONLY_PUTS_REPLACES_ITS_OWN_WRITE = """
put A x -
put A y -
mine 1
put A z @1
show A -> x z
mine 2
put A last @2
show A -> x last
"""

# And so B remembers of y alone that it is replaced, until it hears of x, which is not.
A_CONTEXT_NAMES_ONE_WRITE_THAT_THE_COORDINATOR_NEVER_SAW = """
put A x -
put A y -
mine 1
put B z @1
show B -> z
merge B A
show B -> x z
merge A B
show A -> x z
"""

SITUATIONS = {name.lower(): text for name, text in list(globals().items()) if name.isupper() and isinstance(text, str)}


class Script:
    """Three replicas named by letters and the contexts that were saved."""

    def __init__(self) -> None:
        self.replicas: dict[str, Versions] = dict.fromkeys("ABC", EMPTY)
        self.saved: dict[str, Context | None] = {"-": None}
        self.last: tuple[Versions, str, Context | None] = (EMPTY, "", None)
        self.steps = 0

    def put(self, at: str, value: str, context: str, operation: str = "", deleted: bool = False) -> None:
        name = operation or f"unique-{self.steps}"
        seen = self.saved[context]
        actor = f"{at}.1.0"
        stored = self.replicas[at]
        self.replicas[at] = put(stored, actor, self.steps, seen, name, self.steps, value.encode(), deleted)
        self.last = self.replicas[at], name, seen

    def delete(self, at: str, context: str) -> None:
        self.put(at, "", context, deleted=True)

    def save(self, name: str, at: str) -> None:
        self.saved[f"@{name}"] = Context(self.replicas[at].clock, self.replicas[at].cloud)

    def mine(self, name: str) -> None:
        self.saved[f"@{name}"] = context_after(*self.last)

    def merge(self, at: str, other: str) -> None:
        self.replicas[at] = merge(self.replicas[at], self.replicas[other])

    def show(self, at: str, arrow: str, *expected: str) -> None:
        assert arrow == "->"
        assert visible(self.replicas[at]) == [value.encode() for value in expected], f"step {self.steps}: show {at}"


@pytest.mark.parametrize("name", SITUATIONS)
def test_situation(name: str) -> None:
    script = Script()
    for line in SITUATIONS[name].strip().splitlines():
        script.steps += 1
        step, *words = line.split()
        getattr(script, step)(*words)
