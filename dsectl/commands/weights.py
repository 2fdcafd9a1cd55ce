"""Weights: how the calls of a service are shared by its versions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from cluster.errors import Usage
from dsectl.cli.declaration import Answer, command
from dsectl.cli.invocation import current
from dsectl.cli.values import check_text, note_late

if TYPE_CHECKING:
    import typer

    from dsectl.cli.console import Console

SHARE = re.compile(r"(\d+)=(\d+(?:\.\d+)?)%", re.ASCII)


@command("services weight", "Share the calls of a service by its versions.", group="requests", rank=7)
def weight(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Service to weigh.")],
    shares: Annotated[
        list[str] | None, typer.Argument(metavar="VERSION=SHARE...", help="Share of a version, such as `2=10%`.")
    ] = None,
    even: Annotated[bool, typer.Option("--even", help="Remove the weights: all endpoints get equal shares.")] = False,
) -> Answer:
    """What is left of 100% goes to the versions without a weight, by their endpoints. A version of 0% is called only by
    who asks for it. The share of a version of which no endpoint can be called goes to the others. A call with a key
    always goes to the same version while the shares stay. A majority of the members decides, and the weights outlive
    restarts."""
    found = parse_shares(shares or [])
    if bool(found) == even:
        raise Usage(
            "give the shares of versions, or --even alone",
            help=f"`dsectl services weight {service} 2=10%`, for example.",
        )
    admin, timeout = current().client().admin, current().options.timeout_s
    done = admin.weigh_service(check_text(service, "service"), found or None, timeout=timeout)
    return Answer(done, lambda console: show_weights(done, console))


def parse_shares(words: list[str]) -> dict[int, float]:
    """The weights in percent, by version. Raises Usage for a word that is none, or for a version said twice."""
    found: dict[int, float] = {}
    for word in words:
        match = SHARE.fullmatch(word)
        if match is None:
            raise Usage(f'invalid share "{word}": expected VERSION=PERCENT, such as 2=10%')
        version = int(match[1])
        if version in found:
            raise Usage(f"version {version} is given twice")
        found[version] = float(match[2])
    return found


def show_weights(done: dict[str, Any], console: Console) -> None:
    """The weights that hold now."""
    weights = done["weights"]
    if weights:
        listed = ", ".join(f"version {version} {share:g}%" for version, share in weights.items())
        rest = 100 - sum(weights.values())
        others = f", other versions {rest:g}%" if rest > 1e-6 else ""
        console.line(f"service {done['service']}: {listed}{others}")
    else:
        console.line(f"service {done['service']}: all endpoints get equal shares")
    if done["absent"]:
        versions = ", ".join(map(str, done["absent"]))
        console.note(f"note: nobody offers version {versions} yet; its share goes to the others")
    note_late(done["late"], console)
