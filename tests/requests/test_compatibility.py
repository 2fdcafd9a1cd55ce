"""What breaks the callers of a service, and that what does not break them decodes."""

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from cluster.requests import operation, service
from cluster.requests.compatibility import VersionChange, compare, is_compatible
from cluster.requests.description import describe
from tests.requests.typing_cases import Shape, built, changed, shapes


def described(request: Any, reply: Any, version: int = 1, **traits: Any) -> dict[str, Any]:
    def ask(self: Any, request: Any) -> Any: ...

    ask.__annotations__ = {"request": request, "return": reply}
    made = service(name="shop", version=version)(type("Shop", (), {"ask": operation(**traits)(ask)}))
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(describe(made)))
    return found


def struct(*fields: Any, **options: Any) -> Any:
    return msgspec.defstruct("Item", fields, **options)


class Tree(Struct):
    value: int
    left: "Tree | None" = None
    right: "Tree | None" = None


class WideTree(Struct):
    value: float
    left: "WideTree | None" = None
    right: "WideTree | None" = None


NONE = msgspec.defstruct("Empty", [])
TAGGED = [msgspec.defstruct(name, [("a", int)], tag=True) for name in ("One", "Two", "Three")]


@pytest.mark.parametrize(
    ("old", "new", "asking", "replying"),
    [
        (struct(("a", int)), struct(("a", int)), None, None),
        (struct(("a", int)), struct(("a", int), ("b", int)), "b was added and is required", ""),
        (struct(("a", int)), struct(("a", int), ("b", int, 0)), "", ""),
        (struct(("a", int), ("b", int, 0)), struct(("a", int), ("b", int)), "b is required now", None),
        (struct(("a", int), ("b", int)), struct(("a", int), ("b", int, 0)), "", "b may be missing now"),
        (struct(("a", int), ("b", int)), struct(("a", int)), "", "b was removed"),
        (struct(("a", int)), struct(("a", float)), None, "a may be number now, was integer"),
        (struct(("a", float)), struct(("a", int)), "a takes integer now, took number", None),
        (
            struct(("a", int)),
            struct(("a", str)),
            "a takes string now, took integer",
            "a may be string now, was integer",
        ),
        (struct(("a", int)), struct(("a", int | None)), None, "a may be null now, was integer"),
        (struct(("a", Any)), struct(("a", int)), "a takes integer now, took anything", None),
        (
            struct(("a", int)),
            struct(("a", Annotated[int, Meta(ge=1)])),
            "a minimum is 1 now, was none",
            None,
        ),
        (struct(("a", list[int])), struct(("a", list[float])), None, "a[] may be number now, was integer"),
        (struct(("a", dict[str, int])), struct(("a", dict[int, int])), "a propertyNames is", None),
        (
            struct(("a", TAGGED[0] | TAGGED[1])),
            struct(("a", TAGGED[0] | TAGGED[1] | TAGGED[2])),
            None,
            "a may be Three",
        ),
        (struct(("a", int)), struct(("a", int), forbid_unknown_fields=True), None, None),
        (
            struct(("a", int), ("b", int, 0)),
            struct(("a", int), forbid_unknown_fields=True),
            "b is refused now",
            "",
        ),
        (struct(("a", int, 1)), struct(("a", int, 2)), "", None),
        (struct(("a", Tree)), struct(("a", WideTree)), None, "a.value may be number now, was integer"),
    ],
)
def test_changes_of_a_type(old: Any, new: Any, asking: str | None, replying: str | None) -> None:
    """None: no change; an empty text: one that breaks nobody."""
    for wanted, before, after in (
        (asking, described(old, None), described(new, None)),
        (replying, described(NONE, old), described(NONE, new)),
    ):
        changes = compare(before, after)
        broken = [f"{one.place.partition('.')[2]} {one.what}" for one in changes if one.breaks]
        if wanted:
            assert any(text.startswith(wanted) for text in broken), changes
        else:
            assert broken == [] and bool(changes) == (wanted == ""), changes
        assert is_compatible(changes) == (not broken)


class Gone(Exception):
    """Is not there."""


@pytest.mark.parametrize(
    ("before", "after", "what", "breaks"),
    [
        ({"readonly": True}, {"idempotent": True}, "is not readonly any more", True),
        ({"idempotent": True}, {}, "is not idempotent any more", True),
        ({}, {"readonly": True}, "is readonly now", False),
        ({}, {"timeout_s": 1.0}, "timeout_s is 1.0 now, was None", False),
        ({}, {"priority": "low"}, "priority is low now, was normal", False),
        ({}, {"errors": [Gone]}, "may raise Gone now", False),
        ({"errors": [Gone]}, {}, "does not raise Gone any more", False),
    ],
)
def test_changes_of_traits(before: dict[str, Any], after: dict[str, Any], what: str, breaks: bool) -> None:
    changes = compare(described(NONE, None, **before), described(NONE, None, **after))
    assert [one.breaks for one in changes if one.what.startswith(what)] == [breaks]
    assert is_compatible(changes) is not breaks


def test_operations_come_and_go() -> None:
    old, new = described(NONE, None), described(NONE, None)
    new["operations"] = {"tell": new["operations"]["ask"]}
    assert compare(old, new) == [VersionChange("ask", "was removed", True), VersionChange("tell", "was added", False)]
    new["operations"] = {"ask": {**new["operations"]["tell"], "streams": True}}
    assert not is_compatible(compare(old, new))


@given(shapes())
def test_a_version_is_compatible_with_itself(shape: Shape) -> None:
    kind, _ = built(shape)
    again, _ = built(shape)
    assert compare(described(kind, kind), described(again, again)) == []


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_what_is_compatible_decodes(data: st.DataObject) -> None:
    """Whatever an old caller sends, and whatever the new version replies."""
    shape = data.draw(shapes())
    old, olds = built(shape)
    new, news = built(data.draw(changed(shape)))
    encode, decode = msgspec.json.encode, msgspec.json.decode
    if is_compatible(compare(described(old, None), described(new, None))):
        event("the new version takes what was sent to the old")
        decode(encode(data.draw(olds)), type=new)
    if is_compatible(compare(described(NONE, old), described(NONE, new))):
        event("old callers read the new reply")
        decode(encode(data.draw(news)), type=old)
