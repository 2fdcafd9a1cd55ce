"""What breaks the callers of a service, and that what does not break them decodes."""

from dataclasses import make_dataclass
from typing import Annotated, Any, Literal

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
PART, TEXT_PART = msgspec.defstruct("Part", [("x", int)]), msgspec.defstruct("Part", [("x", str)])
STRICT_PART = msgspec.defstruct("Part", [("x", int, 0)], forbid_unknown_fields=True)
ROW = msgspec.defstruct("Row", [("x", int), ("y", int, 0)], array_like=True)
STRICT_ROW = msgspec.defstruct("Row", [("x", int)], array_like=True, forbid_unknown_fields=True)
TAGGED = [msgspec.defstruct(name, [("a", int)], tag=True) for name in ("One", "Two", "Three")]
TEXT_TAGGED = [msgspec.defstruct(name, [("a", str)], tag=True) for name in ("One", "Two")]


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
        (
            struct(("a", Annotated[int, Meta(ge=1, lt=9)])),
            struct(("a", Annotated[int, Meta(ge=2, lt=9)])),
            "a minimum is 2 now, was 1",
            None,
        ),
        (
            struct(("a", Annotated[str, Meta(max_length=5)])),
            struct(("a", Annotated[str, Meta(max_length=6)])),
            None,
            "a maxLength is 6 now, was 5",
        ),
        (
            struct(("a", list[int])),
            struct(("a", Annotated[list[int], Meta(min_length=2)])),
            "a has 2 elements or more now, had 0",
            None,
        ),
        (
            struct(("a", list[int])),
            struct(("a", Annotated[list[int], Meta(max_length=2)])),
            "a has at most 2 elements now",
            None,
        ),
        (
            struct(("a", tuple[int, int])),
            struct(("a", tuple[int, int, int])),
            "a has 3 elements or more now, had 2",
            "a may have 3 elements now",
        ),
        (struct(("a", tuple[int, int])), struct(("a", tuple[int, float])), None, "a[1] may be number now, was integer"),
        (struct(("a", ROW)), struct(("a", STRICT_ROW)), "a has at most 1 elements now", None),
        (struct(("a", dict[str, int])), struct(("a", dict[str, float])), None, "a[...] may be number now, was integer"),
        (
            struct(("a", dict[str, str])),
            struct(("a", PART)),
            "a.x takes integer now, took string",
            "a.x may be integer",
        ),
        (struct(("a", dict[str, int])), struct(("a", STRICT_PART)), "a refuses fields that it does not know", None),
        (struct(("a", PART)), struct(("a", dict[str, str])), "a.x takes string now, took integer", "a.x was removed"),
        (
            struct(("a", dict[str, int])),
            struct(("a", Annotated[dict[str, int], Meta(min_length=1)])),
            "a minProperties is 1 now, was none",
            None,
        ),
        (
            struct(("a", PART), ("b", PART)),
            struct(("a", TEXT_PART), ("b", TEXT_PART)),
            "b.x takes string now, took integer",
            "b.x may be string now, was integer",
        ),
        (
            struct(("a", TAGGED[0] | TAGGED[1])),
            struct(("a", TEXT_TAGGED[0] | TEXT_TAGGED[1])),
            "a.a takes string now, took integer",
            "a.a may be string now, was integer",
        ),
        (struct(("a", Literal[1])), struct(("a", bool)), "a does not take 1 any more", "a may be boolean now"),
        (
            struct(("a", Literal[1])),
            struct(("a", Annotated[int, Meta(ge=2)])),
            "a does not take 1 any more",
            "a may be integer now",
        ),
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
            assert len(set(changes)) == len(changes), "each is said once"
        else:
            assert broken == [] and bool(changes) == (wanted == ""), changes
        assert is_compatible(changes) == (not broken)


class Gone(Exception):
    """Is not there."""


def gone_with(kind: type) -> type[Exception]:
    """The same with a field."""
    return make_dataclass("Gone", [("a", kind)], bases=(Exception,))


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
        ({"errors": [Gone]}, {"errors": [gone_with(int)]}, "was added", False),
        ({"errors": [gone_with(int)]}, {"errors": [gone_with(str)]}, "may be string now, was integer", True),
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
    assert [one.what for one in compare(old, new) if one.breaks] == ["replies with a stream now"]


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
