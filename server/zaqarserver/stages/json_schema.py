"""A check of message bodies against a JSON Schema in the queue's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from zaqarserver.errors import BadRequest
from zaqarserver.stages.base import Place, Stage
from zaqarserver.stages.schema_effort import Effort, levels_of

KEY = "_json_schema"
#: Schemas that are kept compiled.
_KEPT = 256
#: Bytes of a compiled pattern: thousands of characters, or some counted repetitions.
_PATTERN_BYTES = 262_144
#: Characters that are told of why a body does not fit; it may repeat the body.
_TOLD = 400


class _Checked(msgspec.Struct, frozen=True):
    """A schema that can be used.

    Attributes:
        validator: Finds what does not fit.
        effort: Says what is too much to look at.
    """

    validator: jsonschema_rs.Validator
    effort: Effort


class JsonSchema(Stage):
    """Refuses messages that do not fit the ``_json_schema`` of their queue.

    Patterns are matched in linear time, references to other documents are not
    followed, and how often a schema looks at the same thing is bounded, so that
    a schema can neither stall the server nor make it fetch anything.
    """

    switch = KEY

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Refuse what is no JSON Schema."""
        schema = metadata.get(KEY)
        if schema is not None:
            _usable(schema)

    def post(self, place: Place, body: bytes) -> bytes:
        """Refuse a body that does not fit."""
        schema = place.metadata.get(KEY)
        if schema is None:
            return body
        checked = _usable(schema)
        value = msgspec.json.decode(body)
        # Each member but the first follows a comma or an opening bracket.
        members = 1 + body.count(b",") + body.count(b"[") + body.count(b"{")
        if not checked.effort.allows(levels_of(value), members):
            raise BadRequest(
                f"The message body is too large, or has too many levels, for the {KEY} "
                f"of {place.queue} to be checked."
            )
        try:
            # Ends at the first error; all of them could be very many.
            checked.validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            where = "".join(f"[{part!r}]" for part in error.instance_path)
            reason = f"The message body{where} does not fit: {error.message}"
            if len(reason) > _TOLD:
                reason = reason[:_TOLD] + "…"
            raise BadRequest(reason) from None
        return body


def _refuse(uri: str) -> None:
    raise ValueError(f"references to other documents are not followed: {uri}")


def _usable(schema: Any) -> _Checked:
    """Return what checks bodies against a schema.

    Raises:
        BadRequest: It is none; it may have been stored before this stage saw it.
    """
    if not isinstance(schema, dict):
        raise BadRequest(f"{KEY} must be a JSON Schema, an object.")
    try:
        return _checked(msgspec.json.encode(schema))
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise BadRequest(f"{KEY} cannot be used: {reason}.") from None


@lru_cache(maxsize=_KEPT)
def _checked(schema: bytes) -> _Checked:
    document = msgspec.json.decode(schema)
    # First, since what it refuses may take long to be compiled.
    effort = Effort(document)
    validator = jsonschema_rs.validator_for(
        document,
        retriever=_refuse,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES),
    )
    return _Checked(validator, effort)
