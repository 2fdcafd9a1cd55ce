"""The JSON Schemas of a service's types: as msgspec writes them, with what it leaves out.

msgspec says nothing of a datetime without a `tz` constraint, nor of the keys of a map. Both are told here, since a
change of them breaks callers as any other does, and what generates requests from a schema should generate such as are
taken.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect

REFERENCE = "#/components/schemas/"
Schema = dict[str, Any]


def schemas_of(types: Iterable[type]) -> tuple[dict[type, Schema], dict[str, Schema]]:
    """A reference for each type, and all schemas by name. Raises TypeError or RuntimeError where JSON has no form."""
    wanted = list(types)
    try:
        references, schemas = msgspec.json.schema_components(wanted, ref_template=REFERENCE + "{name}")
    except KeyError as error:  # its own, of two classes with one name in one module
        raise TypeError(f"two types have one name: {error}") from None
    places = dict(zip(wanted, references, strict=True))
    done: dict[str, None] = {}
    for one, place in places.items():
        _complete(inspect.type_info(one), place, schemas, done)
    return places, schemas


def resolve(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    """What a reference points to; anything else is itself."""
    place = schema.get("$ref")
    return schema if place is None else schemas[place.removeprefix(REFERENCE)]


def _complete(info: Any, schema: Schema, schemas: dict[str, Schema], done: dict[str, None]) -> None:
    """Tell in the schema of a type what msgspec did not."""
    place = schema.get("$ref")
    if place is not None:
        if place in done:
            return
        done[place] = None
        schema = resolve(schema, schemas)
    if isinstance(info, inspect.Metadata):
        _complete(info.type, schema, schemas, done)
    elif isinstance(info, inspect.UnionType):
        _complete_union(info, schema, schemas, done)
    elif isinstance(info, inspect.DateTimeType | inspect.TimeType):
        named = "date-time" if isinstance(info, inspect.DateTimeType) else "time"
        assert schema.get("type") == "string"
        schema.setdefault("format", f"{named}-local" if info.tz is False else named)
    elif isinstance(info, inspect.DictType):
        if not isinstance(info.key_type, inspect.StrType | inspect.AnyType):
            schema.setdefault("propertyNames", _key(info.key_type))
        _complete(info.value_type, schema.get("additionalProperties", {}), schemas, done)
    elif isinstance(info, inspect.TupleType):
        for one, item in zip(info.item_types, schema["prefixItems"], strict=True):
            _complete(one, item, schemas, done)
    elif hasattr(info, "item_type"):
        _complete(info.item_type, schema.get("items", {}), schemas, done)
    elif hasattr(info, "fields"):
        if schema.get("prefixItems") == []:
            del schema["prefixItems"]  # JSON Schema wants at least one
        # The tag of a Struct comes before its fields, in either form.
        held = schema.get("prefixItems") or schema.get("properties", {})
        ahead = len(held) - len(info.fields)
        for number, one in enumerate(info.fields, ahead):
            _complete(one.type, held[number if isinstance(held, list) else one.encode_name], schemas, done)


def _complete_union(info: inspect.UnionType, schema: Schema, schemas: dict[str, Schema], done: dict[str, None]) -> None:
    """The members of a union are in another order there; those that are no objects with fields are one of each kind."""
    for one in info.types:
        inner = one.type if isinstance(one, inspect.Metadata) else one
        for place in _members(schema):
            if hasattr(inner, "fields"):
                if _is_of(inner, resolve(place, schemas)):
                    _complete(inner, place, schemas, done)
            elif place.get("type") == _KINDS.get(type(inner), "no other"):
                _complete(inner, place, schemas, done)


def _is_of(info: Any, schema: Schema) -> bool:
    """Whether a member of a union is the schema of a type with fields: of several, each has a tag."""
    if getattr(info, "tag_field", None) is None:
        return "properties" in schema or "prefixItems" in schema
    fields = schema.get("properties") or dict.fromkeys([info.tag_field], next(iter(schema.get("prefixItems", [])), {}))
    return bool(fields.get(info.tag_field, {}).get("enum") == [info.tag])


_KINDS: dict[type, str] = {
    inspect.DateTimeType: "string",
    inspect.TimeType: "string",
    inspect.DictType: "object",
    inspect.ListType: "array",
    inspect.SetType: "array",
    inspect.FrozenSetType: "array",
    inspect.VarTupleType: "array",
    inspect.TupleType: "array",
}


def _members(schema: Schema) -> list[Schema]:
    """The members of a union, those of a union in it as well."""
    return [one for member in schema.get("anyOf", []) for one in (_members(member) if "anyOf" in member else [member])]


def _key(info: Any) -> Schema:
    """What the keys of a map look like in JSON, where they are strings."""
    if isinstance(info, inspect.Metadata):
        return _key(info.type)
    if isinstance(info, inspect.IntType):
        return {"pattern": "^-?[0-9]+$"}
    if isinstance(info, inspect.EnumType):
        return {"enum": [str(one.value) for one in info.cls]}
    if isinstance(info, inspect.LiteralType):
        return {"enum": [str(one) for one in info.values]}
    return {"format": type(info).__name__.removesuffix("Type").lower()}
