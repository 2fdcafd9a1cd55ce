"""The line below the prompt, and what is told when the cluster goes or comes. Pure."""

from dsectl.shell.state import View
from dsectl.ui.text import count

Fragments = list[tuple[str, str]]
"""Text with the style classes of prompt-toolkit."""


def toolbar(view: View, jobs: int, problem: str) -> Fragments:
    """Cluster, verdict, nodes alive, hints waiting, faults, jobs; then what is wrong with the line so far."""
    parts: list[tuple[str, str]] = [("class:bar.cluster", view.cluster or "…")]
    if view.verdict == "":
        parts.append(("class:bar.dim", "looking"))
    elif view.verdict == "none":
        parts.append(("class:bar.dim", "no such cluster: `up` starts one"))
    elif view.verdict == "lost":
        parts.append(("class:bar.red", "no node answers"))
    else:
        alive = f"{view.alive}/{len(view.nodes)} nodes"
        parts += [
            (f"class:bar.{view.verdict}", view.verdict),
            ("class:bar" if view.alive == len(view.nodes) else "class:bar.amber", alive),
        ]
        if view.hints:
            parts.append(("class:bar.amber", count(view.hints, "hint") + " waiting"))
        if view.faults:
            parts.append(("class:bar.amber", count(view.faults, "fault")))
    if jobs:
        parts.append(("class:bar", count(jobs, "job")))
    if problem:
        parts.append(("class:bar.dim", problem))
    fragments: Fragments = []
    for part in parts:
        fragments += [("class:bar", " " if not fragments else "  "), part]
    return fragments


def announcement(before: View, after: View) -> str:
    """What somebody who looks elsewhere should be told; empty for everyday changes."""
    if before.cluster != after.cluster or not before.verdict:
        return ""
    if before.serves and after.verdict == "none":
        return f"cluster {after.cluster} is gone; `up` starts a new one, `ps` lists others"
    if before.serves and after.verdict == "lost":
        return f"no node of {after.cluster} answers any more; `status` tells more, `restart --all` brings them back"
    if before.verdict in ("lost", "none") and after.serves:
        return f"cluster {after.cluster} answers: {after.verdict}, {after.alive} of {len(after.nodes)} nodes"
    return ""
