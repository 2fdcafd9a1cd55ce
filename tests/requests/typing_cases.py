"""Types for tests, drawn at random with their values, and small changes of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import count
from typing import Annotated, Any, Literal

import msgspec
from hypothesis import strategies as st
from msgspec import Meta

numbers = count()


@dataclass(frozen=True)
class Shape:
    """A type that is not built yet. `kind` says what the rest means."""

    kind: str
    parts: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    defaults: tuple[bool, ...] = ()
    low: int = 0
    strict: bool = False


PLAIN: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": (int, st.integers(-1000, 1000)),
    "float": (float, st.floats(allow_nan=False, allow_infinity=False)),
    "str": (str, st.text(max_size=5)),
    "bool": (bool, st.booleans()),
    "none": (None, st.none()),
    "bytes": (bytes, st.binary(max_size=5)),
    "date": (date, st.dates()),
    "datetime": (datetime, st.datetimes(timezones=st.just(UTC))),
    "any": (Any, st.sampled_from([None, 1, "x", [1], {"a": 1}])),
}
DEFAULTS: dict[str, Callable[[], Any]] = {"int": int, "str": str, "optional": lambda: None, "list": list, "map": dict}
NAMES = ("a", "b", "c", "d")
VALUES = ("x", "y", "z", 1, 2)


def literals() -> st.SearchStrategy[Shape]:
    return st.sets(st.sampled_from(VALUES), min_size=1).map(
        lambda values: Shape("literal", tuple(sorted(values, key=str)))
    )


def optional(one: Shape) -> Shape:
    return one if one.kind in ("none", "any", "optional", "union") else Shape("optional", (one,))


def plain() -> st.SearchStrategy[Shape]:
    return st.sampled_from([Shape(kind) for kind in PLAIN]) | literals()


def structs(inner: st.SearchStrategy[Shape], kinds: tuple[str, ...] = ("struct", "row")) -> st.SearchStrategy[Shape]:
    @st.composite
    def make(draw: st.DrawFn) -> Shape:
        names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
        parts = tuple(draw(inner) for _ in names)
        return fields(draw, draw(st.sampled_from(kinds)), tuple(names), parts, draw(st.booleans()))

    return make()


def fields(draw: st.DrawFn, kind: str, names: tuple[str, ...], parts: tuple[Shape, ...], strict: bool) -> Shape:
    """A Struct; in a row, what may be left out comes last, as msgspec wants it of all without keywords."""
    defaults = [part.kind in DEFAULTS and part.low == 0 and draw(st.booleans()) for part in parts]
    order = sorted(range(len(names)), key=lambda number: defaults[number])
    return Shape(
        kind,
        tuple(parts[number] for number in order),
        tuple(names[number] for number in order),
        tuple(defaults[number] for number in order),
        strict=strict,
    )


def deeper(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    return (
        st.builds(lambda one, low: Shape("list", (one,), low=low), inner, st.integers(0, 2))
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: Shape("tuple", tuple(parts)))
        | st.builds(lambda key, one: Shape("map", (one,), (key,)), st.sampled_from(["str", "int"]), inner)
        | inner.map(optional)
        | structs(inner)
        | st.lists(structs(inner, ("struct",)), min_size=2, max_size=3).map(lambda parts: Shape("union", tuple(parts)))
    )


def shapes() -> st.SearchStrategy[Shape]:
    """A Struct, as a request and a reply are."""
    inner = plain() | deeper(plain())
    return structs(inner | deeper(inner), ("struct",))


@st.composite
def changed(draw: st.DrawFn, shape: Shape) -> Shape:
    """The same, or nearly."""
    what = draw(st.integers(0, 9))
    inner = plain() | deeper(plain())
    if shape.kind in ("struct", "row"):
        names, parts = list(shape.names), list(shape.parts)
        if what == 0 and names:
            gone = draw(st.integers(0, len(names) - 1))
            del names[gone], parts[gone]
        elif what in (1, 2) and (free := [name for name in NAMES if name not in names]):
            names.append(free[0])
            parts.append(draw(inner))
        elif what > 4 and names:
            at = draw(st.integers(0, len(names) - 1))
            parts[at] = draw(changed(parts[at]))
        strict = shape.strict if what != 3 else not shape.strict
        return fields(draw, shape.kind, tuple(names), tuple(parts), strict)
    if what == 0:
        return draw(inner)
    if what == 1:
        return optional(shape)
    if what == 2 and shape.kind == "int":
        return Shape("float")
    if what == 3 and shape.kind == "optional":
        one: Shape = shape.parts[0]
        return one
    if shape.kind == "literal" and what > 3:
        return draw(literals() | st.just(Shape("str")))
    if shape.kind == "list" and what == 4:
        return replace(shape, low=draw(st.integers(0, 2)))
    if shape.parts and shape.kind != "literal":
        at = draw(st.integers(0, len(shape.parts) - 1))
        part = draw(changed(shape.parts[at]))
        refused = shape.kind == "optional" and part.kind in ("none", "any", "optional", "union")
        if not refused:
            return replace(shape, parts=(*shape.parts[:at], part, *shape.parts[at + 1 :]))
    return shape


def built(shape: Shape, tag: str | None = None) -> tuple[Any, st.SearchStrategy[Any]]:
    """The type and a strategy for values of it."""
    if shape.kind in PLAIN:
        return PLAIN[shape.kind]
    if shape.kind == "literal":
        return Literal[shape.parts], st.sampled_from(shape.parts)
    tags = [f"T{number}" for number in range(len(shape.parts))] if shape.kind == "union" else [None] * len(shape.parts)
    made = [built(part, name) for part, name in zip(shape.parts, tags, strict=True)]
    types, values = [one for one, _ in made], [one for _, one in made]
    if shape.kind == "list":
        lists = st.lists(values[0], min_size=shape.low, max_size=3)
        return Annotated[list[types[0]], Meta(min_length=shape.low)] if shape.low else list[types[0]], lists  # type: ignore[valid-type]
    if shape.kind == "tuple":
        return tuple[tuple(types)], st.tuples(*values)  # type: ignore[misc]
    if shape.kind == "map":
        key, keys = PLAIN[shape.names[0]]
        return dict[key, types[0]], st.dictionaries(keys, values[0], max_size=2)  # type: ignore[valid-type]
    if shape.kind == "optional":
        return types[0] | None, st.none() | values[0]
    if shape.kind == "union":
        whole = types[0]
        for one in types[1:]:
            whole = whole | one
        return whole, st.one_of(values)
    members: list[Any] = [
        (name, kind, msgspec.field(default_factory=DEFAULTS[part.kind])) if default else (name, kind)
        for name, kind, part, default in zip(shape.names, types, shape.parts, shape.defaults, strict=True)
    ]
    struct = msgspec.defstruct(
        f"S{next(numbers)}",
        members,
        array_like=shape.kind == "row",
        forbid_unknown_fields=shape.strict,
        tag=tag,
    )
    return struct, st.builds(struct, *values)
