"""Questions about the cluster itself, off every hot path, and changes that one node is to have decided.

`ask_all` asks every node directly and at once, never through peers: a silent node costs the others nothing, and an
error takes its place. The connections stay, so that a live view asks again and again without a handshake for each look.
"""

from __future__ import annotations

from typing import Any

from cluster.client.operation import (
    Family,
    Gather,
    S,
    Send,
    Steps,
    check_name,
    check_nodes,
    check_text,
    check_timeout,
    operation,
)
from cluster.errors import AlreadyExists, BadMessage, ClusterError, NotFound, Unreachable, Usage
from cluster.wire.admin import AdminAnswer, AdminQuery
from cluster.wire.frames import Body

DEPTH_MAX = 32
LOOK_S = 1.0
"""What a node is given to say which chain it has, before a change is asked of it; or what is in its queues."""


class Questions(Family[S]):
    """Anything, asked of one node or of all."""

    @operation
    def ask(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None, timeout: float | None = None
    ) -> Steps[Any]:
        """The answer of `node` (of any, for None) to the question `what`. Raises what the node answers with."""
        return (yield from self._query(node, what, arguments, timeout))

    @operation
    def ask_all(
        self,
        nodes: list[str] | None,
        what: str,
        arguments: dict[str, Any] | None = None,
        timeout: float | None = None,
        *,
        each: dict[str, dict[str, Any]] | None = None,
    ) -> Steps[dict[str, Any]]:
        """What each of `nodes` (all, for None) answers, or the ClusterError why it did not. `each`: arguments for those
        that have their own, by name. Raises NotFound for an unknown node."""
        check_text(what, "a question")
        common, location = _arguments(arguments), self._session.location
        own = {name: _arguments(given) for name, given in _arguments(each).items()}
        bodies: dict[str, Body] = {
            name: AdminQuery(what, own.get(name, common)) for name in check_nodes(nodes, location.nodes, location.name)
        }
        outcomes = yield Gather(bodies, check_timeout(timeout))
        return {name: answer_of(outcome) for name, outcome in outcomes.items()}

    def _decided(self, what: str, arguments: dict[str, Any], timeout: float | None, help: str) -> Steps[dict[str, Any]]:
        """Have a node decide a change of the chain: the next one if it does not answer or reaches too few. The id makes
        that harmless: a node that finds it in the chain answers with what was decided."""
        arguments = {**arguments, "id": self._session.operation_id()}
        left = check_timeout(timeout) or self._session.timeout
        unknown: ClusterError | None = None
        error: ClusterError = Unreachable("no node answers")
        for name in (yield from self._newest(left)):
            left /= 2  # half of the time for each: however many are asked, it is not exceeded
            try:
                return (yield from self._table(name, what, arguments, left))
            except (Usage, AlreadyExists, NotFound) as refused:  # the same at every node that has the same chain
                if unknown is None:
                    raise type(refused)(refused.message, help=help) from None
            except ClusterError as failed:
                error = failed
                unknown = unknown if failed.definite else failed
        raise unknown or error

    def _acted(self, what: str, arguments: dict[str, Any], timeout: float | None, help: str) -> Steps[dict[str, Any]]:
        """Have one node do what is not to be done twice, the one that knows most."""
        left = check_timeout(timeout) or self._session.timeout
        node = (yield from self._newest(left))[0]
        try:
            return (yield from self._table(node, what, arguments, left))
        except NotFound as refused:
            raise NotFound(refused.message, help=help) from None

    def _newest(self, timeout_s: float) -> Steps[list[str]]:
        """The nodes that answer, those with the newest chain, and of those the ones that see most others, first. Raises
        Unreachable where none does."""
        states = yield Gather(dict.fromkeys(self._session.location.nodes, AdminQuery("layout")), min(LOOK_S, timeout_s))
        found = {name: state.value for name, state in states.items() if isinstance(state, AdminAnswer)}
        if not found:
            raise Unreachable(f"no node of cluster {self._session.location.name!r} answers")
        return sorted(found, key=lambda name: [-found[name].get(part, 0) for part in ("number", "slot", "alive")])

    def _table(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None, timeout: float | None = None
    ) -> Steps[dict[str, Any]]:
        answer = yield from self._query(node, what, arguments, timeout)
        if not isinstance(answer, dict):
            raise BadMessage(f"expected an object in reply to {what}, got {type(answer).__name__}")
        return answer

    def _list(
        self, node: str | None, what: str, arguments: dict[str, Any] | None = None
    ) -> Steps[list[dict[str, Any]]]:
        answer = yield from self._query(node, what, arguments, None)
        if not isinstance(answer, list):
            raise BadMessage(f"expected a list in reply to {what}, got {type(answer).__name__}")
        return answer

    def _query(
        self, node: str | None, what: str, arguments: dict[str, Any] | None, timeout: float | None
    ) -> Steps[Any]:
        question = AdminQuery(check_text(what, "a question"), _arguments(arguments))
        answer = answer_of((yield Send(question, check_timeout(timeout), None, check_name(node, "a node"))))
        if isinstance(answer, ClusterError):
            raise answer
        return answer


def _arguments(arguments: object) -> dict[str, Any]:
    if arguments is None:
        return {}
    if not isinstance(arguments, dict) or not all(isinstance(name, str) for name in arguments):
        raise Usage("arguments are a dict with names as keys")
    if not _is_shallow(arguments, DEPTH_MAX):
        raise Usage(f"arguments are nested deeper than {DEPTH_MAX}")
    return arguments


def _is_shallow(value: object, depth: int) -> bool:
    """Whether a node can read it: its reader gives up on deep nesting, and the connection with it."""
    if isinstance(value, dict):
        return depth > 0 and all(_is_shallow(inner, depth - 1) for inner in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return depth > 0 and all(_is_shallow(inner, depth - 1) for inner in value)
    return True


def answer_of(outcome: Body | ClusterError) -> Any:
    """The value in the answer to an AdminQuery; an error stays one."""
    if isinstance(outcome, AdminAnswer):
        return outcome.value
    if isinstance(outcome, ClusterError):
        return outcome
    return BadMessage(f"unexpected {type(outcome).__name__} in reply to an admin query")
