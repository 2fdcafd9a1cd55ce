"""Declared errors on their way: an exception that an operation declares reaches its caller as the same class.

A caller knows the error by the name of its class and gets a JSON object of its fields. The fields of an exception that
is a dataclass travel, typed; of any other only its message does, since Python does not say what the rest of it is:

    @dataclass
    class UnknownItem(Exception):
        sku: str

`message` is always among the fields: the text of the exception.
"""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from cluster.errors import BadMessage, ServiceError
from cluster.requests.schemas import resolve
from cluster.wire.requests import CallDone

MESSAGE = "message"
_encode = msgspec.json.Encoder().encode


def declared_types(errors: Iterable[type[Exception]]) -> list[type[Exception]]:
    """Those that have fields."""
    return [error for error in errors if is_dataclass(error)]


def error_schema(error: type[Exception], schemas: dict[str, Any], reference: dict[str, Any] | None) -> dict[str, Any]:
    """The JSON Schema of what is sent for a declared error; `reference` points to its fields among the schemas."""
    own: dict[str, Any] = {} if reference is None else resolve(reference, schemas)
    return {
        "title": error.__name__,
        **own,
        "type": "object",
        "properties": {MESSAGE: {"type": "string"}, **own.get("properties", {})},
        "required": list(dict.fromkeys([MESSAGE, *own.get("required", [])])),
    }


def encode_error(error: BaseException) -> bytes:
    """The fields of a declared error as JSON. Raises TypeError or ValueError when they cannot be that."""
    own: dict[str, Any] = {}
    if is_dataclass(error):
        own = {one.name: getattr(error, one.name) for one in fields(error)}
    message = str(error)
    if own and type(error).__str__ is Exception.__str__ and len(error.args) != 1:
        # Python's text of what is made from several arguments is their tuple, and of one made by names it is empty.
        message = ", ".join(f"{name}={value!r}" for name, value in own.items())
    return _encode({MESSAGE: message, **own})


def decode_error(kind: type[Exception], payload: bytes) -> Exception:
    """The exception that was raised. A class that makes its own from arguments is not asked: it gets the message as its
    only argument, and its fields if it is a dataclass. Raises BadMessage."""
    try:
        sent = msgspec.json.decode(payload, type=dict[str, Any])
        error = msgspec.convert(sent, kind) if is_dataclass(kind) else kind.__new__(kind)
    except msgspec.MsgspecError as why:
        raise BadMessage(f"the error {kind.__name__} came with other fields: {why}") from None
    assert isinstance(error, Exception)
    error.args = (str(sent.get(MESSAGE, "")),)
    return error


def error_message(payload: bytes) -> tuple[str, dict[str, Any]]:
    """The message and all fields of a declared error whose class is not at hand. Raises BadMessage."""
    try:
        sent = msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError as why:
        raise BadMessage(f"a declared error came with something else than fields: {why}") from None
    return str(sent.get(MESSAGE, "")), sent


def service_error(name: str, done: CallDone) -> ServiceError:
    """A declared error for a caller without its class: `detail` has its name (`declared`) and its fields (`data`).
    Raises BadMessage."""
    message, sent = error_message(done.payload)
    return ServiceError(
        f"{name} raised {done.error}: {message}" if message else f"{name} raised {done.error}",
        declared=done.error,
        data=sent,
        endpoint=done.endpoint or done.node,
    )
