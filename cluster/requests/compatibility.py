"""Whether the callers of one version of a service can call another: each change, and whether it breaks them.

Two descriptions are compared. What callers of the old version send must be taken by the new one, and what the new one
replies must be read by them: in both directions, every value of the *writer's* type has to fit the *reader's*. Readers
tolerate fields that they do not know, unless their type forbids it. Where a schema leaves it open whether a value can
occur (a field with a default may be left out by who writes it), it counts as if it did: what is called compatible
decodes. Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cluster.requests.schemas import Schema, resolve

ANNOTATIONS = frozenset({"title", "description", "default", "examples", "discriminator", "uniqueItems"})
STRUCTURE = frozenset(
    {"type", "enum", "properties", "required", "additionalProperties", "items", "prefixItems", "minItems", "maxItems"}
)
AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minProperties")
AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxProperties")
TRAITS = {
    "readonly": "a call of unknown outcome is not sent again",
    "idempotent": "a call of unknown outcome is not sent again",
}
ANY: Schema = {}


@dataclass(frozen=True)
class VersionChange:
    """One change: `place` is an operation, or a field of its request, reply or error."""

    place: str
    what: str
    breaks: bool


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[VersionChange]:
    """What callers of `old` meet at `new`, both descriptions of a service."""
    changes = []
    before, after = old["operations"], new["operations"]
    for name, one in before.items():
        if name not in after:
            changes.append(VersionChange(name, "was removed", True))
        else:
            changes += dict.fromkeys(_operation(name, one, after[name], _schemas(old), _schemas(new)))
    changes += [VersionChange(name, "was added", False) for name in after if name not in before]
    return changes


def is_compatible(changes: list[VersionChange]) -> bool:
    """Whether none of them breaks callers."""
    return not any(one.breaks for one in changes)


def _schemas(described: dict[str, Any]) -> dict[str, Schema]:
    found: dict[str, Schema] = described["components"]["schemas"]
    return found


def _operation(
    name: str, old: dict[str, Any], new: dict[str, Any], before: dict[str, Schema], after: dict[str, Schema]
) -> Iterator[VersionChange]:
    yield from _Fit(before, after, asking=True).compare(old["request"], new["request"], f"{name}: request")
    yield from _Fit(after, before, asking=False).compare(new["reply"], old["reply"], f"{name}: reply")
    if old["streams"] != new["streams"]:
        yield VersionChange(
            name, "replies with a stream now" if new["streams"] else "replies once now, not a stream", True
        )
    for trait, meaning in TRAITS.items():
        if old[trait] and not new[trait]:
            yield VersionChange(name, f"is not {trait} any more: {meaning}", True)
        elif new[trait] and not old[trait]:
            yield VersionChange(name, f"is {trait} now", False)
    for what in ("timeout_s", "priority"):
        if old[what] != new[what]:
            yield VersionChange(name, f"{what} is {new[what]} now, was {old[what]}", False)
    for error, fields in new["errors"].items():
        if error not in old["errors"]:
            yield VersionChange(name, f"may raise {error} now, a ServiceError to those who do not know it", False)
        else:
            yield from _Fit(after, before, asking=False).compare(fields, old["errors"][error], f"{name}: {error}")
    for error in old["errors"]:
        if error not in new["errors"]:
            yield VersionChange(name, f"does not raise {error} any more", False)


class _Fit:
    """Values of one type read as another. `asking`: the writer is an old caller, and the reader the new version that it
    calls; else the reader is the old caller, and what is written the new version's reply."""

    def __init__(self, written: dict[str, Schema], read: dict[str, Schema], asking: bool) -> None:
        self._written = written
        self._read = read
        self._asking = asking
        self._under_way: dict[tuple[int, int], None] = {}

    def compare(self, writer: Schema, reader: Schema, path: str) -> Iterator[VersionChange]:
        """The changes at a path and below."""
        readers = _alternatives(reader, self._read)
        if ANY not in readers:
            for one in _alternatives(writer, self._written):
                yield from self._one(one, readers, path)

    def _one(self, writer: Schema, readers: list[Schema], path: str) -> Iterator[VersionChange]:
        """One alternative of the writer's, by the reader's alternative that a value of it is read as."""
        if "enum" in writer:
            lost = [value for value in writer["enum"] if not any(_takes(one, value) for one in readers)]
            if lost:
                values = ", ".join(map(repr, lost))
                yield self._says(path, f"does not take {values} any more", f"may be {values} now")
            return
        kind = writer.get("type")
        alike = [one for one in readers if one.get("type") == kind and "enum" not in one]
        if not alike and kind == "integer":
            alike = [one for one in readers if one.get("type") == "number"]
        if len(alike) > 1:  # Structs with tags
            alike = [one for one in alike if _tag(one) == _tag(writer)]
        if kind is None or not alike:
            expected, written = _words(readers), _words([writer])
            yield self._says(path, f"takes {expected} now, took {written}", f"may be {written} now, was {expected}")
            return
        reader = alike[0]
        pair = (id(writer), id(reader))
        if pair in self._under_way:  # types that hold themselves
            return
        self._under_way[pair] = None
        yield from (
            self._object(writer, reader, path)
            if kind == "object"
            else self._array(writer, reader, path)
            if kind == "array"
            else self._bounds(writer, reader, path)
        )
        del self._under_way[pair]

    def _object(self, writer: Schema, reader: Schema, path: str) -> Iterator[VersionChange]:
        yield from self._bounds(writer, reader, path)
        written, read = writer.get("properties"), reader.get("properties")
        others = writer.get("additionalProperties", ANY) if written is None else None  # a map's; a Struct has none
        for name in reader.get("required", []):
            if name not in writer.get("required", []):
                if written and name in written:
                    yield self._says(f"{path}.{name}", "is required now", "may be missing now")
                else:
                    yield self._says(f"{path}.{name}", "was added and is required", "was removed")
        for name, one in (written or {}).items():
            if read is not None and name in read:
                yield from self.compare(one, read[name], f"{path}.{name}")
                if self._asking and one.get("default") != read[name].get("default"):
                    told = f"defaults to {read[name].get('default')!r} now, was {one.get('default')!r}"
                    yield VersionChange(f"{path}.{name}", told, False)
            elif reader.get("additionalProperties") is False:
                yield self._says(f"{path}.{name}", "is refused now", "was added, which callers refuse")
            elif read is None:
                yield from self.compare(one, reader.get("additionalProperties", ANY), f"{path}.{name}")
            else:
                told = "is ignored now" if self._asking else "was added"
                yield VersionChange(f"{path}.{name}", told, False)
        for name, one in (read or {}).items():
            if others is not None:
                yield from self.compare(others, one, f"{path}.{name}")
            elif name not in (written or {}) and name not in reader.get("required", []):
                yield VersionChange(f"{path}.{name}", "was added" if self._asking else "was removed", False)
        if others is not None:
            rest = reader.get("additionalProperties", ANY)
            if rest is False:
                yield self._says(path, "refuses fields that it does not know", "may have fields that callers refuse")
            elif read is None:
                yield from self.compare(others, rest, f"{path}[...]")

    def _array(self, writer: Schema, reader: Schema, path: str) -> Iterator[VersionChange]:
        written, read = writer.get("prefixItems", []), reader.get("prefixItems", [])
        rest = writer.get("items", False if "prefixItems" in writer else ANY)  # of an array_like Struct: none
        least, most = writer.get("minItems", 0), len(written) if rest is False else writer.get("maxItems")
        if least < reader.get("minItems", 0):
            wanted = reader["minItems"]
            yield self._says(path, f"has {wanted} elements or more now, had {least}", f"may have {least} elements now")
        if "maxItems" in reader and (most is None or most > reader["maxItems"]):
            yield self._says(
                path, f"has at most {reader['maxItems']} elements now", f"may have {most or 'more'} elements now"
            )
        beyond = reader.get("items", ANY)
        for number in range(max(len(written), len(read))):
            one = written[number] if number < len(written) else rest
            other = read[number] if number < len(read) else beyond
            if one is not False and other is not False:  # what has no place there was counted above
                yield from self.compare(one, other, f"{path}[{number}]")
        if rest is not False and beyond is not False:
            yield from self.compare(rest, beyond, f"{path}[]")

    def _bounds(self, writer: Schema, reader: Schema, path: str) -> Iterator[VersionChange]:
        """Limits of a value, and every other word that this comparison does not know: the same, or a change."""
        for word, limit in reader.items():
            if word in ANNOTATIONS or word in STRUCTURE:
                continue
            own = writer.get(word)
            if word in AT_LEAST:
                fits = own is not None and own >= limit
            elif word in AT_MOST:
                fits = own is not None and own <= limit
            else:
                fits = own == limit
            if not fits:
                yield self._says(
                    path,
                    f"{word} is {limit!r} now, was {'none' if own is None else repr(own)}",
                    f"{word} is {'none' if own is None else repr(own)} now, was {limit!r}",
                )

    def _says(self, path: str, asking: str, replying: str) -> VersionChange:
        return VersionChange(path, asking if self._asking else replying, True)


def _alternatives(schema: Schema, schemas: dict[str, Schema]) -> list[Schema]:
    """The members of a union, or the one type that there is, without what says nothing of values."""
    found = resolve(schema, schemas)
    if "anyOf" in found:
        return [one for member in found["anyOf"] for one in _alternatives(member, schemas)]
    if "enum" in found or "type" in found:
        return [found]
    return [{word: one for word, one in found.items() if word not in ANNOTATIONS}]


def _tag(schema: Schema) -> object:
    """What tells a Struct apart from the others of a union: the only value of its first field."""
    fields = [*schema.get("properties", {}).values(), *schema.get("prefixItems", [])]
    return fields[0].get("enum") if fields else None


def _takes(schema: Schema, value: object) -> bool:
    """Whether a value of an enumeration is among those of a type. Types with limits are taken to refuse it."""
    if "enum" in schema:
        return any(type(one) is type(value) and one == value for one in schema["enum"])
    kinds = {str: ("string",), int: ("integer", "number"), bool: ("boolean",), type(None): ("null",)}
    limits = [word for word in schema if word not in ANNOTATIONS and word != "type"]
    return schema.get("type") in kinds.get(type(value), ()) and not limits


def _words(readers: list[Schema]) -> str:
    """The types in a few words."""
    words = []
    for one in readers:
        if "enum" in one:
            words.append(" | ".join(map(repr, one["enum"])))
        else:
            words.append(str(one.get("title") or one.get("format") or one.get("type", "anything")))
    return " | ".join(words)
