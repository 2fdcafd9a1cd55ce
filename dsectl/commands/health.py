"""Whether the nodes are well, and what waits for those that are not."""

from cluster.client.dispatch import nobody
from cluster.errors import ClusterError
from dsectl.cli.invocation import current
from dsectl.commands.look_view import health_lines, hints_lines

ANSWER_S = 1.0


def health() -> int:
    """Each node is asked directly and says itself what it lacks; one that does not answer is not healthy."""
    client, console = current().client(), current().console
    answers = client.ask_all(None, "health", timeout=min(ANSWER_S, client.timeout))
    nodes = {
        name: {"healthy": False, "reasons": [answer.message.removeprefix(f"{name}: ")]}
        if isinstance(answer, ClusterError)
        else answer
        for name, answer in answers.items()
    }
    found = {"healthy": all(one["healthy"] for one in nodes.values()), "nodes": nodes}
    if console.options.json:
        console.value(found)
    else:
        console.lines(health_lines(found, console.paint, console.columns))
    return 0 if found["healthy"] else 1


def hints() -> None:
    """Copies that a node keeps for an owner that could not take them, summed over all nodes."""
    client, console = current().client(), current().console
    answers = client.ask_all(None, "hints", timeout=min(ANSWER_S, client.timeout))
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if len(silent) == len(answers):
        raise nobody(current().cluster, silent)
    by_holder = {name: answer["by_target"] for name, answer in answers.items() if name not in silent}
    by_target: dict[str, int] = {}
    for waiting in by_holder.values():
        for target, number in waiting.items():
            by_target[target] = by_target.get(target, 0) + number
    by_holder = {name: waiting for name, waiting in by_holder.items() if waiting}
    found = {"pending": sum(by_target.values()), "by_target": by_target, "by_holder": by_holder, "silent": list(silent)}
    if console.options.json:
        console.value(found)
        return
    console.lines(hints_lines(found, console.paint, console.columns))
    if silent:
        console.note(f"note: no answer from {', '.join(silent)}, which may hold more")
