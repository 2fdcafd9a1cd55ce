"""Pause: processes were stopped with SIGSTOP, as by a long GC pause or a machine that is suspended. `resume` ends
it."""

from cluster.faults.kind import ProcessKind


class Pause(ProcessKind):
    """`nodes` do not run; `returned` are those that go on."""

    name = "pause"
    cure = "resume"
