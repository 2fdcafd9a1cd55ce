"""Kill: processes were ended with SIGKILL. They are back after `restart`."""

from cluster.faults.kind import ProcessKind


class Kill(ProcessKind):
    """`nodes` were killed; `returned` are those that were started again."""

    name = "kill"
    cure = "restart"
